-- oldest consumer: 1
-- Requests of people about their data: what was done when (docs/erasure.md). Nothing here tells who they were.

-- Append-only: one row for each step of a request that is done. The last one says how far it has come.
CREATE TABLE IF NOT EXISTS {{.Database}}.privacy_requests {{.OnCluster}}
(
    request_id           UUID,
    kind                 LowCardinality(String) COMMENT 'erase or access',
    step                 LowCardinality(String) COMMENT 'asked, blocked, acknowledged, found, corrected, deleted, proven, done',
    asked_by             String COMMENT 'who answers for the request, never the person whom it is about',
    asked_at             DateTime64(3, 'UTC'),
    visitor_ids          UInt32 COMMENT 'how many ids of each kind were asked for',
    user_keys            UInt32,
    recipient_keys       UInt32,
    round                UInt32 COMMENT 'how often rows were looked for',
    suppression_position Int64 COMMENT 'a batch made with this list or a later one holds nothing of the people',
    erased_until         DateTime64(3, 'UTC') COMMENT 'events received up to then are not stored again; 1970-01-01 before it is done',
    kafka_expires_at     DateTime64(3, 'UTC') COMMENT 'the last copy in Kafka is gone',
    spool_expires_at     DateTime64(3, 'UTC') COMMENT 'the last copy from a spool that was drained within 7 days is gone from Kafka',
    done_at              DateTime64(3, 'UTC') COMMENT 'the step'
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (asked_at, request_id, done_at)
SETTINGS {{.Window}};

-- The proof: how many rows each table held of the people, before and after.
CREATE TABLE IF NOT EXISTS {{.Database}}.privacy_counts {{.OnCluster}}
(
    request_id UUID,
    round      UInt32,
    step       LowCardinality(String) COMMENT 'found: before; proven: after',
    table_name LowCardinality(String),
    rows       UInt64,
    counted_at DateTime64(3, 'UTC')
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (request_id, round, step, table_name)
SETTINGS {{.Window}};

-- One row for each request and table.
CREATE VIEW IF NOT EXISTS {{.Database}}.privacy_log {{.OnCluster}} AS
SELECT
    r.request_id AS request_id, r.kind AS kind, r.step AS step, r.asked_by AS asked_by, r.asked_at AS asked_at, r.done_at AS done_at, r.ids AS ids,
    c.table_name AS table_name, c.rows_before AS rows_before, c.rows_after AS rows_after,
    r.erased_until AS erased_until, r.kafka_expires_at AS kafka_expires_at, r.spool_expires_at AS spool_expires_at
FROM
(
    SELECT
        request_id,
        any(privacy_requests.kind) AS kind, any(privacy_requests.asked_by) AS asked_by, any(privacy_requests.asked_at) AS asked_at,
        any(visitor_ids + user_keys + recipient_keys) AS ids,
        argMax(privacy_requests.step, privacy_requests.done_at) AS step, max(privacy_requests.done_at) AS done_at,
        max(privacy_requests.erased_until) AS erased_until,
        max(privacy_requests.kafka_expires_at) AS kafka_expires_at, max(privacy_requests.spool_expires_at) AS spool_expires_at
    FROM {{.Database}}.privacy_requests
    GROUP BY request_id
) AS r
LEFT JOIN
(
    SELECT
        request_id, table_name,
        maxIf(rows, privacy_counts.step = 'found') AS rows_before,
        argMaxIf(rows, privacy_counts.counted_at, privacy_counts.step = 'proven') AS rows_after
    FROM {{.Database}}.privacy_counts
    GROUP BY request_id, table_name
) AS c ON c.request_id = r.request_id
ORDER BY asked_at, request_id, table_name;
