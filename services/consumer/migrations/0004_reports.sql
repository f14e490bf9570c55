-- oldest consumer: 1
-- Traffic of a site by day and channel, people only; machines and repeats are shown beside.
-- A visitor whose cookie has not come back yet is counted by the daily hash, so blocked cookies make no crowd.
-- visitors are per row and do not add up over channels: day_visitors is the number for the whole day.
--   SELECT * FROM traffic(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.traffic {{.OnCluster}} AS
WITH
    returned AS
    (
        SELECT DISTINCT visitor_id
        FROM {{.Database}}.visitor_days
        WHERE site_id = {site:String} AND visitor_kind = 'cookie' AND site_day >= {from:Date}
    ),
    people AS
    (
        SELECT
            site_day,
            channel,
            multiIf(
                visitor_kind IN ('cookie', 'provided'), visitor_id,
                visitor_kind = 'minted' AND visitor_id IN (SELECT visitor_id FROM returned), visitor_id,
                daily_hash) AS who
        FROM {{.Database}}.visitor_days
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND visitor_kind != 'none'
        GROUP BY site_day, channel, who
    ),
    by_channel AS (SELECT site_day, channel, uniqExact(who) AS visitors FROM people GROUP BY site_day, channel),
    by_day AS (SELECT site_day, uniqExact(who) AS day_visitors FROM people GROUP BY site_day),
    sums AS
    (
        SELECT
            site_day,
            channel,
            sum(page_views)         AS page_views,
            sum(events)             AS events,
            sum(machine_page_views) AS machine_page_views,
            sum(machine_events)     AS machine_events,
            sum(duplicates)         AS duplicates
        FROM {{.Database}}.traffic_daily
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date}
        GROUP BY site_day, channel
    )
SELECT
    sums.site_day               AS day,
    sums.channel                AS channel,
    sums.page_views             AS page_views,
    sums.events                 AS events,
    by_channel.visitors         AS visitors,
    by_day.day_visitors         AS day_visitors,
    sums.machine_page_views     AS machine_page_views,
    sums.machine_events         AS machine_events,
    sums.duplicates             AS duplicates
FROM sums
LEFT JOIN by_channel ON by_channel.site_day = sums.site_day AND by_channel.channel = sums.channel
LEFT JOIN by_day ON by_day.site_day = sums.site_day
ORDER BY day, page_views DESC, channel;

-- What one visitor did on a site, in order.
--   SELECT * FROM session_activity(site = 'shop', visitor = '0190b5ad-…')
CREATE VIEW IF NOT EXISTS {{.Database}}.session_activity {{.OnCluster}} AS
SELECT
    occurred_at,
    name,
    url,
    title,
    referrer,
    channel,
    order_id,
    value_micros,
    currency,
    os,
    os_version,
    browser,
    browser_version,
    device,
    country,
    traffic_class
FROM {{.Database}}.events
WHERE site_id = {site:String} AND visitor_id = {visitor:UUID} AND outcome = 'event'
ORDER BY occurred_at, kafka_partition, kafka_offset;

-- The ledger of offsets: for each partition, how many offsets lie between the first and the last row, and how many rows
-- there are. missing_rows and double_rows are 0 unless something is wrong (or the site's retention removed rows).
CREATE VIEW IF NOT EXISTS {{.Database}}.offset_ledger {{.OnCluster}} AS
SELECT
    kafka_topic,
    kafka_partition,
    min(kafka_offset)                                          AS first_offset,
    max(kafka_offset)                                          AS last_offset,
    count()                                                    AS rows,
    toInt64(last_offset - first_offset + 1 - uniqExact(kafka_offset)) AS missing_rows,
    toInt64(count() - uniqExact(kafka_offset))                 AS double_rows,
    countIf(outcome = 'event')                                 AS counted,
    countIf(outcome = 'duplicate')                             AS duplicates,
    countIf(outcome = 'suppressed')                            AS suppressed,
    countIf(outcome = 'dead')                                  AS dead,
    countIf(outcome = 'missing')                               AS missing
FROM {{.Database}}.events
GROUP BY kafka_topic, kafka_partition
ORDER BY kafka_topic, kafka_partition;
