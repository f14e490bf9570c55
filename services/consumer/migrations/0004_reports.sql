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
    countIf(outcome = 'account')                               AS accounts,
    countIf(outcome = 'duplicate')                             AS duplicates,
    countIf(outcome = 'erased')                                AS erased,
    countIf(outcome = 'suppressed')                            AS suppressed,
    countIf(outcome = 'dead')                                  AS dead,
    countIf(outcome = 'missing')                               AS missing
FROM {{.Database}}.events
GROUP BY kafka_topic, kafka_partition
ORDER BY kafka_topic, kafka_partition;

-- What collectors told of their minutes, a row for each account (proto Account). It stands apart from events, so that it still
-- tells what should be there when rows of events are gone. An account that came here twice counts once: it is read with
-- LIMIT 1 BY collector, sequence.
CREATE TABLE IF NOT EXISTS {{.Facts}}.ledger_minutes {{.OnCluster}}
(
    collector       UUID COMMENT 'of one start of a collector',
    sequence        UInt64,
    acknowledged    UInt64 COMMENT 'accounts of a lower sequence are in Kafka',
    last            Bool COMMENT 'the collector stopped as told, and there is nothing more to tell',
    since           DateTime64(3, 'UTC'),
    until           DateTime64(3, 'UTC'),
    stored          UInt64 COMMENT 'events by how they ended, between since and until',
    spooled         UInt64,
    suppressed      UInt64,
    ignored         UInt64,
    rejected        UInt64,
    lost            UInt64,
    reasons         Map(LowCardinality(String), UInt64) COMMENT 'the same by reason, without those that were stored',
    published       Nested(minute DateTime('UTC'), partition Int32, records UInt64, first_offset Int64, last_offset Int64)
                    COMMENT 'records that Kafka acknowledged, by minute of their record time; without accounts',
    unacknowledged  UInt64 COMMENT 'records that Kafka did not acknowledge, and may have all the same',
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    kafka_offset    Int64,
    batch_day       Date,
    declared_at     DateTime64(3, 'UTC')
)
ENGINE = {{.FactsEngine "ReplacingMergeTree"}}
PARTITION BY toYYYYMM(batch_day)
ORDER BY (collector, sequence)
TTL batch_day + toIntervalDay(395)
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.ledger_minutes_view {{.OnCluster}} TO {{.Facts}}.ledger_minutes AS
WITH JSONExtract(account, 'published', 'Array(Tuple(minute Int64, partition Int32, records UInt64, first Int64, last Int64))') AS slots
SELECT
    toUUIDOrZero(JSONExtractString(account, 'collector')) AS collector,
    JSONExtractUInt(account, 'sequence')                  AS sequence,
    JSONExtractUInt(account, 'acknowledged')              AS acknowledged,
    JSONExtractBool(account, 'last')                      AS last,
    occurred_at                                           AS since,
    received_at                                           AS until,
    JSONExtractUInt(account, 'outcomes', 'stored')        AS stored,
    JSONExtractUInt(account, 'outcomes', 'spooled')       AS spooled,
    JSONExtractUInt(account, 'outcomes', 'suppressed')    AS suppressed,
    JSONExtractUInt(account, 'outcomes', 'ignored')       AS ignored,
    JSONExtractUInt(account, 'outcomes', 'rejected')      AS rejected,
    JSONExtractUInt(account, 'outcomes', 'lost')          AS lost,
    JSONExtract(account, 'reasons', 'Map(String, UInt64)') AS reasons,
    arrayMap(s -> toStartOfMinute(fromUnixTimestamp64Milli(s.minute, 'UTC')), slots) AS `published.minute`,
    slots.partition                                       AS `published.partition`,
    slots.records                                         AS `published.records`,
    slots.first                                           AS `published.first_offset`,
    slots.last                                            AS `published.last_offset`,
    JSONExtractUInt(account, 'unacknowledged')            AS unacknowledged,
    kafka_topic, kafka_partition, kafka_offset, batch_day, declared_at
FROM {{.Facts}}.events
WHERE outcome = 'account';

-- What each collector did, minute by minute: how events ended and how many records Kafka took. from and to are UTC days of
-- storing (batch_day), inclusive. A collector whose newest account is not its last still runs, or was killed.
--   SELECT * FROM ledger_accounts(from = '2026-11-26', to = '2026-11-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.ledger_accounts {{.OnCluster}} AS
SELECT
    toStartOfMinute(since)       AS minute,
    collector, sequence, since, until,
    stored + spooled + suppressed + ignored + rejected + lost AS received,
    stored, spooled, suppressed, ignored, rejected, lost, reasons,
    arraySum(published.records)  AS published,
    unacknowledged, last
FROM {{.Database}}.ledger_minutes
WHERE batch_day BETWEEN {from:Date} AND {to:Date}
ORDER BY minute, collector, sequence
LIMIT 1 BY collector, sequence;

{{define "ledger_claims"}}SELECT
            kafka_topic, claim_partition AS kafka_partition, claim_minute AS minute,
            sum(claim_records)   AS published,
            min(claim_first)     AS first_claimed,
            max(claim_last)      AS last_claimed,
            uniqExact(collector) AS collectors,
            min(declared_at)     AS first_told,
            max(declared_at)     AS last_told
        FROM
        (
            SELECT * FROM {{.Database}}.ledger_minutes WHERE batch_day >= {{.DaysBefore "29"}} LIMIT 1 BY collector, sequence
        )
        ARRAY JOIN
            `published.minute` AS claim_minute, `published.partition` AS claim_partition, `published.records` AS claim_records,
            `published.first_offset` AS claim_first, `published.last_offset` AS claim_last
        GROUP BY kafka_topic, claim_partition, claim_minute{{end}}

{{define "ledger_found"}}SELECT
            kafka_topic, kafka_partition, toStartOfMinute(record_time) AS minute,
            groupBitmap(toUInt64(kafka_offset)) AS records,
            min(kafka_offset) AS first_found,
            max(kafka_offset) AS last_found,
            min(declared_at)  AS first_at,
            max(declared_at)  AS last_at
        FROM {{.Database}}.events
        WHERE batch_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}}
            AND outcome != 'missing' AND NOT (site_id = '' AND outcome IN ('account', 'duplicate')) -- accounts do not count themselves
        GROUP BY kafka_topic, kafka_partition, minute{{end}}

{{define "ledger_holes"}}SELECT
            kafka_topic, kafka_partition, before_offset + 1 AS first_offset, kafka_offset - 1 AS last_offset, before_at, at
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
                WHERE batch_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}} AND (kafka_topic, kafka_partition) IN
                (
                    SELECT kafka_topic, kafka_partition
                    FROM {{.Database}}.events
                    WHERE batch_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}}
                    GROUP BY kafka_topic, kafka_partition
                    HAVING groupBitmap(toUInt64(kafka_offset)) != toUInt64(max(kafka_offset) - min(kafka_offset) + 1)
                )
                GROUP BY kafka_topic, kafka_partition, kafka_offset
            )
            WINDOW w AS (PARTITION BY kafka_topic, kafka_partition ORDER BY kafka_offset ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
        )
        WHERE kafka_offset > before_offset + 1{{end}}

-- What became of the offsets, by partition and minute of publishing (record_time, the producer's clock), beside what
-- collectors say they published. from and to are UTC days of storing (batch_day), inclusive; offsets that Kafka does not hold
-- have no time and stand under 1970-01-01.
--   SELECT * FROM ledger(from = '2026-11-26', to = '2026-11-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.ledger {{.OnCluster}} AS
SELECT
    kafka_topic, kafka_partition, minute,
    first_offset, last_offset, rows, offsets,
    counted, tallies, accounts, duplicates, erased, suppressed, dead, missing,
    published, collectors
FROM
(
    SELECT
        kafka_topic, kafka_partition, toStartOfMinute(record_time) AS minute,
        min(kafka_offset)                   AS first_offset,
        max(kafka_offset)                   AS last_offset,
        count()                             AS rows,
        groupBitmap(toUInt64(kafka_offset)) AS offsets,
        countIf(outcome = 'event')          AS counted,
        countIf(outcome = 'tally')          AS tallies,
        countIf(outcome = 'account')        AS accounts,
        countIf(outcome = 'duplicate')      AS duplicates,
        countIf(outcome = 'erased')         AS erased,
        countIf(outcome = 'suppressed')     AS suppressed,
        countIf(outcome = 'dead')           AS dead,
        countIf(outcome = 'missing')        AS missing
    FROM {{.Database}}.events
    WHERE batch_day BETWEEN {from:Date} AND {to:Date}
    GROUP BY kafka_topic, kafka_partition, minute
) AS found
FULL JOIN
(
    {{template "ledger_claims" .}}
) AS claims USING (kafka_topic, kafka_partition, minute)
WHERE rows > 0 OR toDate(minute) BETWEEN {from:Date} AND {to:Date}
ORDER BY kafka_topic, kafka_partition, minute;

-- What does not add up (docs/ledger.md): ranges of offsets that are not one row each, and accounts of collectors that differ
-- from the rows. Partitions are looked at offset by offset only where their sums differ. A hole shows where the rows on its
-- two sides lie, so the day before from and the day after to are read too. In a partition days of storing go up with the
-- offsets: a minute of an account can be judged if its offsets lie between the first and the last of the days that are read.
--   SELECT * FROM ledger_gaps(from = '2026-11-26', to = '2026-11-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.ledger_gaps {{.OnCluster}} AS
SELECT kafka_topic, kafka_partition, difference, first_offset, last_offset, offsets, declared_from, declared_to, minute, collector
FROM
(
    SELECT
        kafka_topic, kafka_partition,
        if(toDate(before_at) + (
            SELECT minIf(retention_days, retention_days > 0) FROM {{.Database}}.events
            WHERE batch_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}} OR batch_day >= today() - 1
        ) <= today(), 'missing or expired', 'missing') AS difference,
        first_offset, last_offset,
        toUInt64(last_offset - first_offset + 1) AS offsets,
        before_at AS declared_from, at AS declared_to,
        toDateTime(0, 'UTC') AS minute, {{.NoID}} AS collector
    FROM
    (
        {{template "ledger_holes" .}}
    )
    WHERE toDate(at) >= {from:Date} AND toDate(before_at) <= {to:Date}

    UNION ALL

    SELECT
        kafka_topic, kafka_partition, 'double', min(kafka_offset), max(kafka_offset), count(), min(first_at), max(last_at),
        toDateTime(0, 'UTC'), {{.NoID}}
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

    UNION ALL

    SELECT
        kafka_topic, kafka_partition, 'fewer than published', first_claimed, last_claimed, toUInt64(published - records - in_holes),
        first_told, last_told, minute, {{.NoID}}
    FROM
    (
        SELECT
            kafka_topic, kafka_partition, minute, published, first_claimed, last_claimed, first_told, last_told, records,
            toUInt64(arraySum(h -> greatest(least(h.2, last_claimed) - greatest(h.1, first_claimed) + 1, 0), holes)) AS in_holes
        FROM
        (
        {{template "ledger_claims" .}}
        ) AS claims
        LEFT JOIN
        (
        {{template "ledger_found" .}}
        ) AS found USING (kafka_topic, kafka_partition, minute)
        INNER JOIN
        (
            SELECT kafka_topic, kafka_partition, min(kafka_offset) AS lowest, max(kafka_offset) AS highest
            FROM {{.Database}}.events
            WHERE batch_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}}
            GROUP BY kafka_topic, kafka_partition
        ) AS bounds USING (kafka_topic, kafka_partition)
        LEFT JOIN
        (
            SELECT kafka_topic, kafka_partition, groupArray((first_offset, last_offset)) AS holes
            FROM
            (
        {{template "ledger_holes" .}}
            )
            GROUP BY kafka_topic, kafka_partition
        ) AS holes USING (kafka_topic, kafka_partition)
        WHERE toDate(last_told) BETWEEN {from:Date} AND {to:Date} AND first_claimed >= lowest AND last_claimed <= highest
    )
    WHERE published > records + in_holes

    UNION ALL

    SELECT
        kafka_topic, kafka_partition, 'not stored', greatest(highest + 1, min(first_claimed)) AS first, max(last_claimed) AS last,
        toUInt64(last - first + 1), min(first_told), max(last_told), min(minute), {{.NoID}}
    FROM
    (
        {{template "ledger_claims" .}}
    ) AS claims
    LEFT JOIN
    (
        SELECT kafka_topic, kafka_partition, max(kafka_offset) AS highest, true AS known
        FROM {{.Database}}.events
        WHERE batch_day >= {{.DaysBefore "29"}}
        GROUP BY kafka_topic, kafka_partition
    ) AS bounds USING (kafka_topic, kafka_partition)
    WHERE toDate(last_told) BETWEEN {from:Date} AND {to:Date} AND last_told < now() - toIntervalMinute(10)
        AND (last_claimed > highest OR NOT known)
    GROUP BY kafka_topic, kafka_partition, highest

    UNION ALL

    SELECT
        kafka_topic, kafka_partition, 'unknown', first_found, last_found, toUInt64(records - published), first_at, last_at, minute, {{.NoID}}
    FROM
    (
        {{template "ledger_found" .}}
    ) AS found
    LEFT JOIN
    (
        {{template "ledger_claims" .}}
    ) AS claims USING (kafka_topic, kafka_partition, minute)
    WHERE records > published AND toDate(first_at) BETWEEN {from:Date} AND {to:Date} AND minute < now() - toIntervalMinute(3)
        AND last_at >= (SELECT if(count() = 0, now64(3), min(declared_at)) FROM {{.Database}}.ledger_minutes)

    UNION ALL

    SELECT
        kafka_topic, kafka_partition, 'account missing', least(before_offset, kafka_offset), greatest(before_offset, kafka_offset),
        toUInt64(least(sequence, settled) - next_sequence), before_at, declared_at, toStartOfMinute(before_until), collector
    FROM
    (
        SELECT
            kafka_topic, kafka_partition, kafka_offset, batch_day, collector, sequence, declared_at,
            max(acknowledged) OVER (PARTITION BY collector)       AS settled,
            lagInFrame(sequence + 1, 1, 0) OVER w                 AS next_sequence,
            lagInFrame(kafka_offset, 1, kafka_offset) OVER w      AS before_offset,
            lagInFrame(declared_at, 1, declared_at) OVER w        AS before_at,
            lagInFrame(until, 1, since) OVER w                    AS before_until
        FROM
        (
            SELECT * FROM {{.Database}}.ledger_minutes
            WHERE collector IN (SELECT collector FROM {{.Database}}.ledger_minutes WHERE batch_day BETWEEN {from:Date} AND {to:Date})
            LIMIT 1 BY collector, sequence
        )
        WINDOW w AS (PARTITION BY collector ORDER BY sequence ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    )
    WHERE least(sequence, settled) > next_sequence AND batch_day BETWEEN {from:Date} AND {to:Date}
)
ORDER BY kafka_topic, kafka_partition, first_offset, difference, minute;
