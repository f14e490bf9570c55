-- oldest consumer: 1
-- Opens, clicks and deliveries of e-mails; docs/mail-reports.md defines every word used here.
CREATE TABLE IF NOT EXISTS {{.Facts}}.mail_hits {{.OnCluster}}
(
    site_id         LowCardinality(String),
    campaign        String,
    recipient_key   UUID COMMENT '0 = a mail in mode aggregate',
    message         String,
    hit             LowCardinality(String) COMMENT 'open, click, unsubscribe; sent, delivered, bounced, complained',
    link_id         String,
    position        UInt16 COMMENT 'of the link in the message, where its id tells; else 0',
    occurred_at     DateTime64(3, 'UTC'),
    event_id        UUID,
    site_day        Date,
    sent_at         DateTime('UTC') COMMENT '1970-01-01 = not known',
    visitor_id      UUID,
    traffic_class   LowCardinality(String),
    head            Bool,
    ip_prefix       String,
    network_class   LowCardinality(String),
    user_agent      String CODEC(ZSTD(1)),
    browser         LowCardinality(String),
    os              LowCardinality(String),
    device          LowCardinality(String),
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    kafka_offset    Int64,
    expires_at      DateTime,

    INDEX by_visitor_id    visitor_id    TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_recipient_key recipient_key TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{.FactsEngine "MergeTree"}}
PARTITION BY toYYYYMM(site_day)
ORDER BY (site_id, campaign, recipient_key, occurred_at)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.mail_hits_view {{.OnCluster}} TO {{.Facts}}.mail_hits AS
SELECT
    site_id, mail_campaign_id AS campaign, recipient_key, mail_message_id AS message,
    replaceOne(if(kind = 'email_delivery', name, kind), 'email_', '') AS hit,
    link_id, toUInt16OrZero(extract(link_id, '^([0-9]{1,5})-[0-9a-f]{6}$')) AS position,
    occurred_at, event_id, site_day, mail_sent_at AS sent_at, visitor_id, traffic_class, head, ip_prefix, network_class, user_agent, browser, os, device,
    kafka_topic, kafka_partition, kafka_offset,
    toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND kind IN ('email_open', 'email_click', 'email_unsubscribe', 'email_delivery') AND mail_campaign_id != '';

-- Recipients who want no more mail, as `consumer jobs` has found and told them (docs/mail.md), append-only, in the order in which they are told.
CREATE TABLE IF NOT EXISTS {{.Database}}.unsubscribes {{.OnCluster}}
(
    sequence        UInt64 COMMENT 'increases',
    event_id        UUID,
    site_id         LowCardinality(String),
    recipient_key   UUID,
    cause           LowCardinality(String) COMMENT 'unsubscribed, or complained: reported as spam',
    campaign        String,
    message         String,
    occurred_at     DateTime64(3, 'UTC'),
    found_at        DateTime64(3, 'UTC'),
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    kafka_offset    Int64,
    expires_at      DateTime,

    INDEX by_recipient_key recipient_key TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_found_at found_at TYPE minmax GRANULARITY 1
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY sequence
TTL expires_at
SETTINGS {{.Window}};

-- The campaign of the parameter, or those whose first hit is in the range: rows (campaign, first_day, last_day).
{{define "mail_campaigns"}}SELECT campaign, min(site_day) AS first_day, max(site_day) AS last_day
        FROM {{.Database}}.mail_hits
        WHERE site_id = {site:String} AND ({campaign:Nullable(String)} IS NULL OR campaign = {campaign:Nullable(String)})
        GROUP BY campaign
        HAVING first_day BETWEEN ifNull({from:Nullable(Date)}, toDate(0)) AND ifNull({to:Nullable(Date)}, toDate(65535)){{end}}
{{define "mail_chosen"}}site_id = {site:String} AND ({campaign:Nullable(String)} IS NULL OR campaign = {campaign:Nullable(String)}) AND campaign IN (SELECT campaign FROM campaigns){{end}}

-- The hits of these campaigns, each with the rule that decides and its class; a WITH that others add to.
{{define "mail_classified"}}campaigns AS
    (
        {{template "mail_campaigns" .}}
    ),
    page_views AS
    (
        SELECT visitor_id AS viewer, occurred_at AS viewed_at
        FROM {{.Database}}.visitor_events
        WHERE site_id = {site:String} AND kind = 'page_view' AND visitor_kind = 'cookie' AND NOT is_bot AND visitor_id IN
        (
            SELECT visitor_id FROM {{.Database}}.mail_hits WHERE {{template "mail_chosen" .}} AND hit = 'click' AND visitor_id != {{.NoID}}
        )
    ),
    crowded AS
    (
        SELECT campaign, ip_prefix, arrayJoin([half - 1, half]) AS minute
        FROM (SELECT campaign, ip_prefix, recipient_key, intDiv(toUnixTimestamp64Milli(occurred_at), {{.MailLimits.NetworkHalfMs}}) AS half FROM {{.Database}}.mail_hits
            WHERE {{template "mail_chosen" .}} AND hit = 'click' AND ip_prefix != '' AND recipient_key != {{.NoID}})
        GROUP BY campaign, ip_prefix, minute
        HAVING uniqExact(recipient_key) > {{.MailLimits.NetworkRecipients}}
    ),
    ordered AS
    (
        SELECT campaign, recipient_key, message
        FROM
        (
            SELECT
                campaign, recipient_key, message,
                arraySort(groupArray((toUnixTimestamp64Milli(occurred_at), event_id, position))) AS all,
                arrayMap(c -> toInt32(c.3), arrayFilter(c -> c.1 <= all[1].1 + {{.MailLimits.OrderMs}}, all)) AS positions
            FROM {{.Database}}.mail_hits
            WHERE {{template "mail_chosen" .}} AND hit = 'click' AND position > 0 AND recipient_key != {{.NoID}}
            GROUP BY campaign, recipient_key, message
            HAVING length(positions) >= {{.MailLimits.OrderLinks}}
        ) AS m
        LEFT ANY JOIN
        (
            SELECT campaign, uniqExact(position) AS links FROM {{.Database}}.mail_hits
            WHERE {{template "mail_chosen" .}} AND hit = 'click' AND position > 0 AND recipient_key != {{.NoID}}
            GROUP BY campaign
        ) AS l ON l.campaign = m.campaign
        WHERE length(positions) = links AND arrayAll(step -> step > 0, arrayPopFront(arrayDifference(positions)))
    ),
    -- In levels: each needs what the one below it has found in other hits.
    classified AS
    (
        SELECT * EXCEPT (found), {{.MailRule}} AS rule, {{.MailClass}} AS class, concat(hit, ' ', class) AS what
        FROM
        (
            SELECT *, if(ip_prefix = '', 0, max({{.MailIsScan}}) OVER (PARTITION BY campaign, who, ip_prefix)) AS of_scanner
            FROM
            (
                SELECT
                    *,
                    max(sweeping) OVER (of_message RANGE BETWEEN {{.MailLimits.SweepNearMs}} PRECEDING AND {{.MailLimits.SweepNearMs}} FOLLOWING) AS by_sweep,
                    if(hit = 'click', if(at <= first_click + {{.MailLimits.OrderMs}}, (campaign, recipient_key, message) IN ordered, false), false) AS in_order,
                    if(read, arrayExists(minute -> (campaign, ip_prefix, minute) IN crowded, [half - 1, half]), false) AS by_network,
                    multiIf(NOT read, false, since = 0, false, at < since - {{.MailLimits.EarlyBeforeMs}}, false, at < since + {{.MailLimits.EarlyMs}}) AS early,
                    {{.MailFound}} AS found
                FROM
                (
                    SELECT
                        *,
                        intDiv(at, {{.MailLimits.NetworkHalfMs}}) AS half,
                        if(delivered != 0, delivered, 1000 * toInt64(toUnixTimestamp(sent_at))) AS since,
                        if(hit = 'click', max(links_ahead) OVER (of_message RANGE BETWEEN {{.MailLimits.SweepMs}} PRECEDING AND CURRENT ROW) >= {{.MailLimits.SweepLinks}}, false) AS sweeping
                    FROM
                    (
                        SELECT
                            *,
                            uniqExactIf(link_id, hit = 'click') OVER (of_message RANGE BETWEEN CURRENT ROW AND {{.MailLimits.SweepMs}} FOLLOWING) AS links_ahead,
                            minIf(at, position > 0) OVER all_of_message AS first_click,
                            minIf(at, hit = 'delivered') OVER all_of_message AS delivered,
                            multiIf(
                                hit = 'click', max(hit = 'unsubscribe') OVER (of_message RANGE BETWEEN {{.MailLimits.TogetherMs}} - 1 PRECEDING AND {{.MailLimits.TogetherMs}} - 1 FOLLOWING),
                                hit = 'unsubscribe', max(hit = 'click') OVER (of_message RANGE BETWEEN {{.MailLimits.TogetherMs}} - 1 PRECEDING AND {{.MailLimits.TogetherMs}} - 1 FOLLOWING),
                                0) AS together,
                            max(hidden_link) OVER (PARTITION BY campaign, who ORDER BY at RANGE BETWEEN {{.MailLimits.HoneypotMs}} PRECEDING AND {{.MailLimits.HoneypotMs}} FOLLOWING) AS by_honeypot
                        FROM
                        (
                            SELECT
                                h.*, toUnixTimestamp64Milli(h.occurred_at) AS at,
                                multiIf(h.hit != 'click', false, v.viewed_at < h.occurred_at, false, v.viewed_at <= h.occurred_at + toIntervalMillisecond({{.MailLimits.OnSiteMs}})) AS on_site
                            FROM
                            (
                                -- A hit without a recipient is one of nobody else.
                                SELECT
                                    *, recipient_key != {{.NoID}} AS known, if(known, recipient_key, event_id) AS who,
                                    known AND hit IN ('open', 'click') AS read, hit = 'click' AND link_id = '{{.MailLimits.HoneypotLink}}' AS hidden_link
                                FROM {{.Database}}.mail_hits
                                WHERE {{template "mail_chosen" .}}
                            ) AS h
                            ASOF LEFT JOIN page_views AS v ON v.viewer = h.visitor_id AND v.viewed_at >= h.occurred_at
                        )
                        WINDOW all_of_message AS (PARTITION BY campaign, who, message), of_message AS (PARTITION BY campaign, who, message ORDER BY at)
                    )
                    WINDOW of_message AS (PARTITION BY campaign, who, message ORDER BY at)
                )
                WINDOW of_message AS (PARTITION BY campaign, who, message ORDER BY at)
            )
        )
    ){{end}}

-- Each open, click and unsubscription with its class, and the rule that decided.
--   SELECT * FROM mail_hits_explained(site = 'shop', campaign = 'autumn-26', recipient = '6aafad4d-…')
CREATE VIEW IF NOT EXISTS {{.Database}}.mail_hits_explained {{.OnCluster}} AS
WITH {{template "mail_classified" .}}
SELECT campaign, recipient_key, message, hit, link_id, occurred_at, event_id, class, rule, traffic_class, network_class, ip_prefix, user_agent
FROM classified
WHERE hit IN ('open', 'click', 'unsubscribe') AND ({recipient:Nullable(UUID)} IS NULL OR recipient_key = {recipient:Nullable(UUID)})
ORDER BY campaign, recipient_key, occurred_at, event_id;
