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

-- What became of the offsets, by partition and minute of publishing (record_time, the producer's clock). from and to are UTC
-- days of storing (batch_day), inclusive; offsets that Kafka does not hold have no time and stand under 1970-01-01.
--   SELECT * FROM ledger(from = '2026-11-26', to = '2026-11-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.ledger {{.OnCluster}} AS
SELECT
    kafka_topic,
    kafka_partition,
    toStartOfMinute(record_time)        AS minute,
    min(kafka_offset)                   AS first_offset,
    max(kafka_offset)                   AS last_offset,
    count()                             AS rows,
    groupBitmap(toUInt64(kafka_offset)) AS offsets,
    countIf(outcome = 'event')          AS counted,
    countIf(outcome = 'tally')          AS tallies,
    countIf(outcome = 'duplicate')      AS duplicates,
    countIf(outcome = 'erased')         AS erased,
    countIf(outcome = 'suppressed')     AS suppressed,
    countIf(outcome = 'dead')           AS dead,
    countIf(outcome = 'missing')        AS missing
FROM {{.Database}}.events
WHERE batch_day BETWEEN {from:Date} AND {to:Date}
GROUP BY kafka_topic, kafka_partition, minute
ORDER BY kafka_topic, kafka_partition, minute;

-- Ranges of offsets that are not one row each (docs/ledger.md). Partitions are looked at offset by offset only where their
-- sums differ. A hole shows where the rows on its two sides lie, so the day before from and the day after to are read too.
--   SELECT * FROM ledger_gaps(from = '2026-11-26', to = '2026-11-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.ledger_gaps {{.OnCluster}} AS
SELECT kafka_topic, kafka_partition, difference, first_offset, last_offset, offsets, declared_from, declared_to
FROM
(
    SELECT
        kafka_topic,
        kafka_partition,
        if(toDate(before_at) + (
            SELECT minIf(retention_days, retention_days > 0) FROM {{.Database}}.events
            WHERE batch_day BETWEEN {from:Date} - 1 AND {to:Date} + 1 OR batch_day >= today() - 1
        ) <= today(), 'missing or expired', 'missing') AS difference,
        before_offset + 1               AS first_offset,
        kafka_offset - 1                AS last_offset,
        toUInt64(kafka_offset - before_offset - 1) AS offsets,
        before_at                       AS declared_from,
        at                              AS declared_to
    FROM
    (
        SELECT
            kafka_topic, kafka_partition, kafka_offset, at,
            lagInFrame(kafka_offset, 1, kafka_offset) OVER w AS before_offset,
            lagInFrame(at, 1, at) OVER w                     AS before_at
        FROM
        (
            SELECT kafka_topic, kafka_partition, kafka_offset, min(declared_at) AS at
            FROM {{.Database}}.events
            WHERE batch_day BETWEEN {from:Date} - 1 AND {to:Date} + 1 AND (kafka_topic, kafka_partition) IN
            (
                SELECT kafka_topic, kafka_partition
                FROM {{.Database}}.events
                WHERE batch_day BETWEEN {from:Date} - 1 AND {to:Date} + 1
                GROUP BY kafka_topic, kafka_partition
                HAVING groupBitmap(toUInt64(kafka_offset)) != toUInt64(max(kafka_offset) - min(kafka_offset) + 1)
            )
            GROUP BY kafka_topic, kafka_partition, kafka_offset
        )
        WINDOW w AS (PARTITION BY kafka_topic, kafka_partition ORDER BY kafka_offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    )
    WHERE kafka_offset > before_offset + 1 AND toDate(at) >= {from:Date} AND toDate(before_at) <= {to:Date}

    UNION ALL

    SELECT
        kafka_topic, kafka_partition, 'double', min(kafka_offset), max(kafka_offset), count(), min(first_at), max(last_at)
    FROM
    (
        SELECT
            kafka_topic, kafka_partition, kafka_offset, min(declared_at) AS first_at, max(declared_at) AS last_at,
            kafka_offset - row_number() OVER (PARTITION BY kafka_topic, kafka_partition ORDER BY kafka_offset) AS run
        FROM {{.Database}}.events
        WHERE batch_day BETWEEN {from:Date} AND {to:Date} AND (kafka_topic, kafka_partition) IN
        (
            SELECT kafka_topic, kafka_partition
            FROM {{.Database}}.events
            WHERE batch_day BETWEEN {from:Date} AND {to:Date}
            GROUP BY kafka_topic, kafka_partition
            HAVING groupBitmap(toUInt64(kafka_offset)) != count()
        )
        GROUP BY kafka_topic, kafka_partition, kafka_offset
        HAVING count() > 1
    )
    GROUP BY kafka_topic, kafka_partition, run
)
ORDER BY kafka_topic, kafka_partition, first_offset;
