-- oldest consumer: 1
-- The public questions on e-mail; docs/mail-reports.md defines each column.

-- What each recipient did; a hit without a recipient has a row of its own, by its event id.
{{define "mail_recipients"}}{{template "mail_classified" .}},
    recipients AS
    (
        SELECT
            campaign, who, any(known) AS of_recipient,
            countIf(hit = 'sent') > 0 AS is_sent,
            maxIf(at, hit = 'delivered') AS delivered_at,
            maxIf(at, hit = 'bounced') AS bounced_at,
            countIf(hit = 'complained') > 0 AS has_complained,
            countIf(what = 'open human') AS human_opens,
            countIf(what = 'open proxy') AS proxy_opens,
            countIf(what = 'open unknown') AS unknown_opens,
            countIf(what = 'open machine') AS open_machines,
            countIf(what = 'click human') AS human_clicks,
            countIf(what = 'click unknown') AS unknown_clicks,
            countIf(what = 'click machine') AS click_machines,
            countIf(hit = 'unsubscribe') - countIf(what = 'unsubscribe machine') AS unsubscribes,
            countIf(what = 'unsubscribe machine') AS unsubscribe_machines,
            if(of_recipient, human_opens + proxy_opens + human_clicks, 0) AS confirmations
        FROM classified
        GROUP BY campaign, who
    ){{end}}

{{define "z"}}1.959963984540054{{end}}{{define "zz"}}3.8414588206941245{{end}}
-- Who has opens by Apple Mail, and on which days: of those nobody knows when they read.
{{define "mail_hidden"}}hidden AS
    (
        SELECT recipient_key AS reader, groupUniqArray(site_day) AS days
        FROM {{.Database}}.mail_hits
        WHERE site_id = {site:String} AND hit = 'open' AND traffic_class = 'machine_open' AND recipient_key != {{.NoID}}
        GROUP BY reader
    ){{end}}

-- What each recipient did, whether the mail arrived, and whether opens can be seen.
{{define "mail_reached"}}reached AS
    (
        SELECT
            r.*, first_day, last_day,
            max(r.delivered_at > 0) OVER (PARTITION BY campaign) AS with_deliveries,
            if(bounced_at = 0, false, bounced_at >= delivered_at) AS is_bounced,
            multiIf(is_bounced, false, with_deliveries, delivered_at > 0, is_sent) AS arrived,
            multiIf(NOT arrived, false, NOT of_recipient, false, NOT arrayExists(d -> if(d >= first_day - 90, d <= last_day, false), days)) AS is_trackable
        FROM recipients AS r
        LEFT ANY JOIN (SELECT campaign AS chosen, first_day, last_day FROM campaigns) AS c ON c.chosen = r.campaign
        LEFT ANY JOIN hidden AS h ON h.reader = r.who
    ){{end}}
--   SELECT * FROM email_stats(site = 'shop', campaign = 'autumn-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.email_stats {{.OnCluster}} AS
WITH
    {{template "mail_recipients" .}},
    {{template "mail_hidden" .}},
    {{template "mail_reached" .}},
    sums AS
    (
        SELECT
            campaign, any(first_day) AS first_day,
            multiIf(any(with_deliveries), 'delivered', max(is_sent), 'sent', 'none') AS denominator,
            countIf(is_sent) AS sent,
            if(denominator = 'none', NULL, countIf(arrived)) AS delivered,
            countIf(is_bounced) AS bounced,
            countIf(has_complained) AS complained,
            sum(human_opens) AS opens_human, sum(proxy_opens) AS opens_proxy, sum(unknown_opens) AS opens_unknown, sum(open_machines) AS machine_opens,
            countIf(of_recipient * human_opens > 0) AS openers_human,
            countIf(of_recipient * proxy_opens > 0) AS openers_proxy,
            countIf(of_recipient * open_machines > 0) AS machine_openers,
            countIf(confirmations > 0) AS confirmed,
            if(denominator = 'none', NULL, countIf(is_trackable)) AS trackable,
            if(denominator = 'none', NULL, countIf(is_trackable * confirmations > 0)) AS confirmed_trackable,
            toFloat64(countIf((arrived - is_trackable) * confirmations > 0)) AS confirmed_hidden,
            sum(human_clicks) AS clicks, sum(unknown_clicks) AS clicks_unknown, sum(click_machines) AS machine_clicks,
            countIf(of_recipient * human_clicks > 0) AS clickers,
            countIf(of_recipient * unsubscribes > 0) AS unsubscribed,
            countIf(of_recipient * unsubscribe_machines > 0) AS machine_unsubscribed,
            sumIf(human_opens + proxy_opens + unknown_opens + human_clicks + unknown_clicks, NOT of_recipient) AS hits_without_recipient
        FROM reached
        GROUP BY campaign
    )
SELECT
    campaign, first_day, denominator, sent, delivered, bounced, complained,
    opens_human, opens_proxy, opens_unknown, machine_opens, openers_human, openers_proxy, machine_openers,
    confirmed, confirmed / nullIf(delivered, 0) AS open_rate,
    trackable, confirmed_trackable, confirmed_trackable / nullIf(trackable, 0) AS open_rate_trackable,
    confirmed_trackable + greatest(others * open_rate_trackable, confirmed_hidden) AS estimated_openers,
    confirmed_trackable + greatest(others * (middle - half), confirmed_hidden) AS estimated_low,
    confirmed_trackable + greatest(others * (middle + half), confirmed_hidden) AS estimated_high,
    clicks, clicks_unknown, machine_clicks, clickers,
    clickers / nullIf(delivered, 0) AS ctr, clickers / nullIf(confirmed, 0) AS ctor,
    unsubscribed, machine_unsubscribed, unsubscribed / nullIf(delivered, 0) AS unsubscribe_rate, hits_without_recipient
FROM
(
    -- Wilson's interval, for as many observations as have the variance of what is foretold.
    SELECT
        *, toFloat64(delivered - trackable) AS others,
        confirmed_trackable / nullIf(trackable, 0) AS p,
        ifNull(trackable * others / nullIf(delivered, 0), 0) AS n,
        (p * n + {{template "zz"}} / 2) / (n + {{template "zz"}}) AS middle,
        {{template "z"}} * sqrt(n * p * (1 - p) + {{template "zz"}} / 4) / (n + {{template "zz"}}) AS half
    FROM sums
)
ORDER BY first_day, campaign;

--   SELECT * FROM link_stats(site = 'shop', campaign = 'autumn-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.link_stats {{.OnCluster}} AS
WITH {{template "mail_classified" .}}
SELECT
    campaign, link_id,
    countIf(class = 'human') AS clicks,
    uniqExactIf(recipient_key, if(known, class = 'human', false)) AS clickers,
    if(sum(clicks) OVER of_campaign = 0, NULL, clicks / sum(clicks) OVER of_campaign) AS share,
    countIf(class = 'unknown') AS clicks_unknown,
    countIf(class = 'machine') AS machine_clicks
FROM classified
WHERE hit = 'click'
GROUP BY campaign, link_id
WINDOW of_campaign AS (PARTITION BY campaign)
ORDER BY campaign, clicks DESC, machine_clicks DESC, link_id;

-- When people read: the first open by a person, shown or hidden by a proxy, and the first click by a person, of each recipient.
--   SELECT * FROM email_timeline(site = 'shop', campaign = 'autumn-26', tz = 'Europe/Berlin')
CREATE VIEW IF NOT EXISTS {{.Database}}.email_timeline {{.OnCluster}} AS
WITH {{template "mail_classified" .}}
SELECT
    campaign, toStartOfHour(toTimeZone(moment.2, ifNull({tz:Nullable(String)}, 'UTC'))) AS hour,
    countIf(moment.1 = 'open') AS openers,
    countIf(moment.1 = 'click') AS clickers,
    countIf(moment.1 = 'machine') AS machine_opens
FROM
(
    SELECT
        campaign, who,
        minIf(occurred_at, what IN ('open human', 'open proxy')) AS opened_at,
        minIf(occurred_at, what = 'click human') AS clicked_at,
        arrayConcat(
            if(any(known), [('open', opened_at), ('click', clicked_at)], []),
            groupArrayIf(('machine', occurred_at), what = 'open machine')) AS moments
    FROM classified
    GROUP BY campaign, who
)
ARRAY JOIN moments AS moment
WHERE moment.2 != 0
GROUP BY campaign, hour
ORDER BY campaign, hour;

-- In what mails are read.
--   SELECT * FROM email_clients(site = 'shop', campaign = 'autumn-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.email_clients {{.OnCluster}} AS
WITH {{template "mail_classified" .}}
SELECT
    campaign, client, os_shown AS os, device_shown AS device,
    countIf(what IN ('open human', 'open proxy')) AS opens,
    uniqExactIf(recipient_key, if(known, what IN ('open human', 'open proxy'), false)) AS openers,
    opens / nullIf(sum(opens) OVER of_campaign, 0) AS share,
    countIf(what = 'open unknown') AS opens_unknown,
    countIf(what = 'open machine') AS machine_opens
FROM
(
    SELECT
        campaign, recipient_key, known, what,
        multiIf(
            position(user_agent, 'GoogleImageProxy') > 0, 'Gmail',
            position(user_agent, 'YahooMailProxy') > 0, 'Yahoo Mail',
            traffic_class = 'machine_open', 'Apple Mail',
            traffic_class = 'mail_proxy', 'other proxy',
            multiSearchAny(user_agent, ['Outlook', 'ms-office', 'MSOffice']), 'Outlook',
            position(user_agent, 'Thunderbird') > 0, 'Thunderbird',
            match(user_agent, 'Mac OS X.*AppleWebKit/[0-9.]+ \\(KHTML, like Gecko\\)( Mobile/[0-9A-Z]+)?$'), 'Apple Mail',
            'browser or app') AS client,
        traffic_class IN ('mail_proxy', 'machine_open') AS concealed,
        if(concealed, '', os) AS os_shown, if(concealed, '', device) AS device_shown
    FROM classified
    WHERE hit = 'open'
)
GROUP BY campaign, client, os, device
WINDOW of_campaign AS (PARTITION BY campaign)
ORDER BY campaign, opens DESC, machine_opens DESC, client, os, device;

-- Of how many recipients opens can be seen, and why of the others they can't.
--   SELECT * FROM email_trackable(site = 'shop', campaign = 'autumn-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.email_trackable {{.OnCluster}} AS
WITH
    {{template "mail_recipients" .}},
    {{template "mail_hidden" .}},
    {{template "mail_reached" .}}
SELECT
    campaign,
    multiIf(
        NOT of_recipient, 'no_recipient',
        NOT is_trackable, 'apple_mail',
        human_opens + proxy_opens + unknown_opens + open_machines > 0, 'trackable',
        human_clicks > 0, 'images_blocked',
        'trackable') AS state,
    count() AS recipients,
    recipients / sum(recipients) OVER of_campaign AS share,
    countIf(confirmations > 0) AS confirmed
FROM reached
WHERE arrived
GROUP BY campaign, state
WINDOW of_campaign AS (PARTITION BY campaign)
ORDER BY campaign, recipients DESC, state;

-- Which networks, user agents or rules machines come by: opens and clicks of all these campaigns.
--   SELECT * FROM machine_share(site = 'shop', campaign = 'autumn-26', by = 'user_agent')
CREATE VIEW IF NOT EXISTS {{.Database}}.machine_share {{.OnCluster}} AS
WITH {{template "mail_classified" .}}
SELECT
    multiIf(grouping = 'network', ip_prefix, grouping = 'user_agent', user_agent, rule) AS key,
    count() AS hits,
    countIf(class = 'machine') AS machine_hits,
    countIf(class = 'unknown') AS unknown_hits,
    machine_hits / hits AS share,
    uniqExactIf(recipient_key, known) AS recipients,
    arraySort(groupUniqArrayIf(rule, class = 'machine')) AS rules
FROM (SELECT *, ifNull({by:Nullable(String)}, 'network') AS grouping FROM classified WHERE hit IN ('open', 'click'))
WHERE (SELECT throwIf(ifNull({by:Nullable(String)}, 'network') NOT IN ('network', 'user_agent', 'rule'), 'by: write network, user_agent or rule')) = 0
GROUP BY key
ORDER BY machine_hits DESC, hits DESC, key;

-- What clicks in mails bring, of conversions in the range: credits of the touches that are these clicks. Those that turned out to be a
-- machine's stand apart.
--   SELECT * FROM email_revenue(site = 'shop', from = '2026-11-01', to = '2026-11-30', campaign = 'autumn-26', model = 'linear')
CREATE VIEW IF NOT EXISTS {{.Database}}.email_revenue {{.OnCluster}} AS
WITH
    {{template "model"}} AS models,
    clicks AS
    (
        SELECT h.campaign AS mail_campaign, h.class AS class, t.occurred_at AS touched_at, t.channel AS channel, t.source AS source, t.medium AS medium, t.campaign AS campaign
        FROM (SELECT * FROM {{.Database}}.touches WHERE {{template "touched" .}} AND kind = 'click') AS t
        INNER JOIN
        (
            SELECT campaign, event_id, occurred_at, class
            FROM {{.Database}}.mail_hits_explained(site = {site:String}, campaign = {campaign:Nullable(String)})
            WHERE hit = 'click'
        ) AS h ON h.event_id = t.event_id AND h.occurred_at = t.occurred_at
    )
SELECT
    c.goal AS goal, currency, rate_missing, mail_campaign AS campaign,
    toDecimal128(sumIf(conversion_micros, class != 'machine'), 6) / 1000000 AS conversions,
    toDecimal128(sumIf(credit_micros, class != 'machine'), 6) / 1000000 AS revenue,
    sumIf(c.credits, class != 'machine') AS clicks,
    toDecimal128(sumIf(credit_micros, class = 'machine'), 6) / 1000000 AS machine_revenue
FROM ({{template "credits" .}}) AS c
LEFT ANY JOIN clicks AS m ON m.touched_at = c.touched_at AND m.channel = c.channel AND m.source = c.source AND m.medium = c.medium AND m.campaign = c.campaign
WHERE c.kind = 'click' AND m.mail_campaign != ''
GROUP BY goal, currency, rate_missing, campaign
ORDER BY goal, rate_missing, currency, revenue DESC, campaign;
