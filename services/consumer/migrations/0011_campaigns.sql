-- oldest consumer: 1
-- The public questions on conversions; docs/questions.md defines each column.

-- Hits of goals by machines: left out, shown beside.
{{define "machine_hits"}}SELECT goal, count() AS machine_hits
FROM {{.Database}}.conversion_hits
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND outcome = 'event' AND is_bot
GROUP BY goal{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.machine_hits {{.OnCluster}} AS
{{template "machine_hits" .}};

-- The questions below are asked of credits: those computed now, or the sums by day of rolled_credits. credit_rows has them.
{{define "campaign_revenue"}}SELECT
    c.goal AS goal, currency, rate_missing, channel, source, medium, campaign,
    toDecimal128(sum(conversion_micros), 6) / 1000000 AS conversions,
    toDecimal128(sum(credit_micros), 6) / 1000000 AS revenue,
    sumIf(credits, kind = 'click') AS clicks,
    sumIf(credits, kind = 'view') AS views,
    any(m.machine_hits) AS machine_hits
FROM credit_rows AS c
LEFT ANY JOIN ({{template "machine_hits" .}}) AS m ON m.goal = c.goal
GROUP BY goal, currency, rate_missing, channel, source, medium, campaign
ORDER BY goal, rate_missing, currency, revenue DESC, conversions DESC, channel, source, medium, campaign{{end}}
--   SELECT * FROM campaign_revenue(site = 'shop', from = '2026-11-01', to = '2026-11-30', model = 'linear')
CREATE VIEW IF NOT EXISTS {{.Database}}.campaign_revenue {{.OnCluster}} AS
WITH
    {{template "model"}} AS models,
    credit_rows AS ({{template "credits" .}})
{{template "campaign_revenue" .}};

{{define "model_comparison"}}SELECT
    c.goal AS goal, currency, rate_missing, channel, source, medium, campaign,
    toDecimal128(sumIf(credit_micros, model = 'first'), 6) / 1000000 AS first,
    toDecimal128(sumIf(credit_micros, model = 'last'), 6) / 1000000 AS last,
    toDecimal128(sumIf(credit_micros, model = 'last_non_direct'), 6) / 1000000 AS last_non_direct,
    toDecimal128(sumIf(credit_micros, model = 'linear'), 6) / 1000000 AS linear,
    toDecimal128(sumIf(credit_micros, model = 'position'), 6) / 1000000 AS position,
    toDecimal128(sumIf(credit_micros, model = 'time_decay'), 6) / 1000000 AS time_decay,
    toDecimal128(sumIf(conversion_micros, model = 'first'), 6) / 1000000 AS conversions_first,
    toDecimal128(sumIf(conversion_micros, model = 'last'), 6) / 1000000 AS conversions_last,
    toDecimal128(sumIf(conversion_micros, model = 'last_non_direct'), 6) / 1000000 AS conversions_last_non_direct,
    toDecimal128(sumIf(conversion_micros, model = 'linear'), 6) / 1000000 AS conversions_linear,
    toDecimal128(sumIf(conversion_micros, model = 'position'), 6) / 1000000 AS conversions_position,
    toDecimal128(sumIf(conversion_micros, model = 'time_decay'), 6) / 1000000 AS conversions_time_decay,
    any(m.machine_hits) AS machine_hits
FROM credit_rows AS c
LEFT ANY JOIN ({{template "machine_hits" .}}) AS m ON m.goal = c.goal
GROUP BY goal, currency, rate_missing, channel, source, medium, campaign
ORDER BY goal, rate_missing, currency, last_non_direct DESC, channel, source, medium, campaign{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.model_comparison {{.OnCluster}} AS
WITH
    {{template "models"}} AS models,
    credit_rows AS ({{template "credits" .}})
{{template "model_comparison" .}};

CREATE VIEW IF NOT EXISTS {{.Database}}.conversions {{.OnCluster}} AS
WITH
    {{template "people" .}}
SELECT
    c.goal AS goal, site_day AS day, occurred_at, event_id, order_id, person,
    toDecimal128(net_micros, 6) / 1000000 AS value,
    toDecimal128(gross_micros, 6) / 1000000 AS gross,
    currency, rate_missing, hits, flags,
    m.machine_hits AS machine_hits
FROM conversions AS c
LEFT ANY JOIN ({{template "machine_hits" .}}) AS m ON m.goal = c.goal
WHERE {goal:Nullable(String)} IS NULL OR c.goal = {goal:Nullable(String)}
ORDER BY occurred_at, event_id, goal;

{{define "times"}}countIf(with_touch) AS conversions,
    quantileExactIf(0.5)({{.}}, with_touch) / 1000 AS median_seconds,
    quantileExactIf(0.9)({{.}}, with_touch) / 1000 AS p90_seconds,
    countIf(NOT with_touch) AS without_touch,
    any(m.machine_hits) AS machine_hits{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.time_to_convert {{.OnCluster}} AS
SELECT
    c.goal AS goal,
    {{template "times" "dateDiff('millisecond', path[1].1, occurred_at)"}}
FROM ({{template "conversion_paths" .}}) AS c
LEFT ANY JOIN ({{template "machine_hits" .}}) AS m ON m.goal = c.goal
WHERE {goal:Nullable(String)} IS NULL OR c.goal = {goal:Nullable(String)}
GROUP BY goal
ORDER BY goal;

-- Imported costs in the currency of the site; null where a rate is missing.
CREATE VIEW IF NOT EXISTS {{.Database}}.converted_costs {{.OnCluster}} AS
WITH
    own_rates AS (SELECT currency AS own_currency, day AS own_day, rate_pico AS own_units FROM ({{template "exchange_rates" .}})),
    site_rates AS (SELECT currency AS site_rate_currency, day AS site_rate_day, rate_pico AS site_units FROM ({{template "exchange_rates" .}})),
    (SELECT argMax(site_currency, occurred_at) FROM {{.Database}}.conversion_hits WHERE site_id = {site:String}) AS site_currency
SELECT
    source, medium, campaign,
    multiIf(
        costs.currency = site_currency, toNullable(toInt128(cost_micros)),
        own_units = 0 OR site_units = 0, NULL,
        {{.Converted "cost_micros" "own_units" "site_units"}}) AS site_micros
FROM (SELECT *, site_currency AS target FROM {{.Database}}.ad_costs FINAL WHERE site_id = {site:String} AND day BETWEEN {from:Date} AND {to:Date}) AS costs
LEFT ANY JOIN own_rates ON own_currency = costs.currency AND own_day = costs.day
LEFT ANY JOIN site_rates ON site_rate_currency = costs.target AND site_rate_day = costs.day;

-- Costs are imported for the lower-case names of source, medium and campaign.
{{define "roas"}}revenue AS
    (
        SELECT
            goal, lower(source) AS source, lower(medium) AS medium, lower(campaign) AS campaign,
            sum(conversion_micros) AS conversion_micros,
            sumIf(credit_micros, NOT c.rate_missing) AS credit_micros,
            max(c.rate_missing) AS rate_missing
        FROM credit_rows AS c
        GROUP BY goal, source, medium, campaign
    ),
    costs AS
    (
        SELECT source, medium, campaign, sum(coalesce(site_micros, toInt128(0))) AS cost_micros, max(site_micros IS NULL) AS rate_missing
        FROM {{.Database}}.converted_costs(site = {site:String}, from = {from:Date}, to = {to:Date})
        GROUP BY source, medium, campaign
    )
SELECT
    sums.goal AS goal, source, medium, campaign,
    toDecimal128(sum(conversion_credits), 6) / 1000000 AS conversions,
    toDecimal128(sum(credits), 6) / 1000000 AS revenue,
    toDecimal128(sum(costs), 6) / 1000000 AS cost,
    if(sum(costs) = 0, NULL, toFloat64(sum(credits)) / toFloat64(sum(costs))) AS roas,
    if(sum(conversion_credits) = 0, NULL, toFloat64(sum(costs)) / toFloat64(sum(conversion_credits))) AS cost_per_conversion,
    max(missing) > 0 AS rate_missing,
    any(m.machine_hits) AS machine_hits
FROM
(
    SELECT goal, source, medium, campaign, toInt128(conversion_micros) AS conversion_credits, toInt128(credit_micros) AS credits, toInt128(0) AS costs, rate_missing AS missing FROM revenue
    UNION ALL
    SELECT g.goal, source, medium, campaign, toInt128(0), toInt128(0), toInt128(cost_micros), rate_missing
    FROM costs
    CROSS JOIN
    (
        SELECT DISTINCT goal FROM {{.Database}}.conversion_hits
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND ({goal:Nullable(String)} IS NULL OR goal = {goal:Nullable(String)})
    ) AS g
) AS sums
LEFT ANY JOIN ({{template "machine_hits" .}}) AS m ON m.goal = sums.goal
GROUP BY goal, source, medium, campaign
ORDER BY goal, revenue DESC, cost DESC, source, medium, campaign{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.roas {{.OnCluster}} AS
WITH
    {{template "model"}} AS models,
    credit_rows AS ({{template "credits" .}}),
    {{template "roas" .}};

-- Lines that add up to the raw hits of each goal.
CREATE VIEW IF NOT EXISTS {{.Database}}.why_not_counted {{.OnCluster}} AS
WITH
    raw AS
    (
        SELECT
            goal,
            count() AS raw_hits,
            countIf(outcome = 'duplicate') AS repeated_records,
            countIf(outcome = 'event' AND is_bot) AS machines,
            countIf(outcome = 'event' AND NOT is_bot AND once_per = 'order' AND order_id != '') AS of_orders,
            countIf(outcome = 'event' AND NOT is_bot AND (once_per = 'event' OR once_per = 'order' AND order_id = '')) AS of_events,
            countIf(outcome = 'event' AND NOT is_bot AND once_per = 'session') AS of_sessions
        FROM {{.Database}}.conversion_hits
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date}
          AND ({goal:Nullable(String)} IS NULL OR goal = {goal:Nullable(String)})
        GROUP BY goal
    ),
    counted AS
    (
        SELECT
            goal,
            count() AS counted,
            countIf(once_per = 'order' AND order_id != '') AS orders,
            countIf(once_per = 'event' OR once_per = 'order' AND order_id = '') AS events,
            countIf(once_per = 'session') AS sessions
        FROM ({{template "counted_hits" .}})
        GROUP BY goal
    )
SELECT goal, counts.1 AS line, counts.2 AS hits
FROM raw
LEFT ANY JOIN counted USING goal
ARRAY JOIN
[
    ('raw_hits', toString(raw_hits)),
    ('repeated_records', toString(repeated_records)),
    ('machines', toString(machines)),
    ('same_order', toString(of_orders - orders)),
    ('same_event', toString(of_events - events)),
    ('same_session', toString(of_sessions - sessions)),
    ('no_consent', 'not measured'),
    ('counted', toString(counted))
] AS counts
ORDER BY goal, indexOf(['raw_hits', 'repeated_records', 'machines', 'same_order', 'same_event', 'same_session', 'no_consent', 'counted'], line);

-- Impressions by day: of people, of those whose visitor did something on the site, and of machines.
CREATE VIEW IF NOT EXISTS {{.Database}}.impression_sums {{.OnCluster}} AS
WITH
    -- hashes that were visitors and did something on the site
    hashes AS
    (
        SELECT daily_hash FROM {{.Database}}.visitor_days
        WHERE site_id = {site:String} AND site_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}} AND on_site > 0 AND NOT {{.Known "visitor_kind" "visitor_id"}}
    )
SELECT
    site_day AS day, campaign, creative, placement,
    count() AS impressions,
    countIf(multiIf(
        {{.Known "visitor_kind" "visitor_id"}},
            visitor_id IN (SELECT visitor_id FROM {{.Database}}.visitors WHERE site_id = {site:String} AND on_site),
        if(daily_hash != {{.NoID}}, daily_hash IN hashes, false))) AS with_visit,
    toUInt64(0) AS by_machines
FROM {{.Database}}.touches
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND kind = 'view'
GROUP BY day, campaign, creative, placement
UNION ALL
SELECT site_day AS day, campaign, if(utm_content != '', utm_content, props['creative']) AS creative, props['placement'] AS placement, 0, 0, count()
FROM {{.Database}}.events
WHERE site_id = {site:String} AND name = 'impression' AND site_day BETWEEN {from:Date} AND {to:Date} AND outcome = 'event' AND is_bot AND kind = 'impression'
GROUP BY day, campaign, creative, placement;

{{define "view_through"}}SELECT
    campaign, creative, placement,
    sum(shown) AS impressions,
    sum(joins) AS joined,
    if(sum(shown) = 0, NULL, sum(joins) / sum(shown)) AS joined_share,
    toDecimal128(sum(converted), 6) / 1000000 AS conversions,
    toDecimal128(sum(earned), 6) / 1000000 AS revenue,
    sum(machines) AS machine_impressions
FROM
(
    SELECT campaign, creative, placement, impressions AS shown, with_visit AS joins, toInt128(0) AS converted, toInt128(0) AS earned, by_machines AS machines FROM impression_rows
    UNION ALL
    SELECT campaign, creative, placement, 0, 0, conversion_micros, if(rate_missing, toInt128(0), credit_micros), 0 FROM credit_rows WHERE kind = 'view'
)
GROUP BY campaign, creative, placement
ORDER BY impressions DESC, campaign, creative, placement{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.view_through {{.OnCluster}} AS
WITH
    ['last_non_direct'] AS models,
    credit_rows AS ({{template "credits" .}}),
    impression_rows AS (SELECT * FROM {{.Database}}.impression_sums(site = {site:String}, from = {from:Date}, to = {to:Date}))
{{template "view_through" .}};
