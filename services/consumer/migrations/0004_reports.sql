-- oldest consumer: 1
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
    countIf(outcome = 'tally')                                 AS tallies,
    countIf(outcome = 'duplicate')                             AS duplicates,
    countIf(outcome = 'erased')                                AS erased,
    countIf(outcome = 'suppressed')                            AS suppressed,
    countIf(outcome = 'dead')                                  AS dead,
    countIf(outcome = 'missing')                               AS missing
FROM {{.Database}}.events
GROUP BY kafka_topic, kafka_partition
ORDER BY kafka_topic, kafka_partition;
