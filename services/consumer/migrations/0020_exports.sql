-- oldest consumer: 1
-- Exports of audiences to files (docs/audiences.md, Exports).

-- When each visitor id last allowed sharing, and when it last did not. Of events of the same instant the refusal holds.
CREATE TABLE IF NOT EXISTS {{.Database}}.share_consents {{.OnCluster}}
(
    site_id    LowCardinality(String),
    visitor_id UUID,
    allowed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    refused_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    expires_at SimpleAggregateFunction(max, DateTime)
)
ENGINE = {{.Engine "AggregatingMergeTree"}}
ORDER BY (site_id, visitor_id)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.share_consents_view {{.OnCluster}} TO {{.Database}}.share_consents AS
SELECT
    site_id, visitor_id,
    maxIf(occurred_at, consent_share)     AS allowed_at,
    maxIf(occurred_at, NOT consent_share) AS refused_at,
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM {{.Database}}.events
WHERE outcome = 'event' AND visitor_id != {{.NoID}}
GROUP BY site_id, visitor_id;

-- Append-only: one row for each step of an export that is done. The last one says how far it has come.
CREATE TABLE IF NOT EXISTS {{.Database}}.exports {{.OnCluster}}
(
    export_id       UUID,
    site_id         LowCardinality(String),
    segment         LowCardinality(String),
    version         LowCardinality(String) COMMENT 'of the segment',
    format          LowCardinality(String),
    contacts        String COMMENT 'name of the file of customers; empty for formats that need none',
    step            LowCardinality(String) COMMENT 'asked, snapshot, written, done; or failed; later erased or removed',
    asked_by        String,
    asked_at        DateTime64(3, 'UTC'),
    at_instant      DateTime64(3, 'UTC') COMMENT 'the members are those of this instant',
    previous_export UUID COMMENT 'the one that this one is compared with; zeros = none',
    members         UInt64 COMMENT 'visitors in the list',
    added           UInt64 COMMENT 'not in the previous one; visitors, or customers in formats that are shared',
    removed         UInt64 COMMENT 'in the previous one only',
    without_contact UInt64 COMMENT 'members who stand in no file, since no contact of theirs can be used',
    without_share   UInt64 COMMENT 'visitors of the audience who are no members of the list, since they do not allow sharing',
    unusable        UInt64 COMMENT 'texts of contacts that the format has no value for',
    files           Array(String),
    file_lines      Array(UInt64) COMMENT 'people in each file',
    bytes           UInt64 COMMENT 'of all files',
    error           String COMMENT 'why it failed; empty otherwise',
    done_at         DateTime64(3, 'UTC') COMMENT 'the step'
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, export_id, done_at)
SETTINGS {{.Window}};

-- Who stood in exports: those that the next one is compared with. A comparison goes back 90 days at most.
CREATE TABLE IF NOT EXISTS {{.Database}}.export_members {{.OnCluster}}
(
    export_id    UUID,
    site_id      LowCardinality(String),
    visitor_id   UUID,
    user_key     UUID COMMENT 'the customer as whom the visitor was known last; zeros = none, or the format is not shared',
    products     Array(String),
    qualified_at DateTime64(3, 'UTC'),
    ends_at      DateTime64(3, 'UTC'),
    noted_at     DateTime,
    expires_at   DateTime MATERIALIZED noted_at + toIntervalDay(90)
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (export_id, visitor_id, user_key)
TTL expires_at
SETTINGS {{.Window}};

-- How many rows hold the id, as a visitor's, a user's or a recipient's, in each table that holds ids of people.
--   SELECT * FROM held_rows(id = '0190b5ad-…')
CREATE VIEW IF NOT EXISTS {{.Database}}.held_rows {{.OnCluster}} AS
SELECT table_name, rows
FROM
(
    SELECT 'events' AS table_name, count() AS rows FROM {{.Database}}.events WHERE visitor_id = {id:UUID} OR user_key = {id:UUID} OR recipient_key = {id:UUID}
    UNION ALL
    SELECT 'conversion_hits', count() FROM {{.Database}}.conversion_hits WHERE visitor_id = {id:UUID} OR user_key = {id:UUID}
    UNION ALL
    SELECT 'order_entries', count() FROM {{.Database}}.order_entries WHERE visitor_id = {id:UUID} OR user_key = {id:UUID}
    UNION ALL
    SELECT 'touches', count() FROM {{.Database}}.touches WHERE visitor_id = {id:UUID} OR user_key = {id:UUID}
    UNION ALL
    SELECT 'identities', count() FROM {{.Database}}.identities WHERE visitor_id = {id:UUID} OR user_key = {id:UUID}
    UNION ALL
    SELECT 'visitors', count() FROM {{.Database}}.visitors WHERE visitor_id = {id:UUID}
    UNION ALL
    SELECT 'visitor_events', count() FROM {{.Database}}.visitor_events WHERE visitor_id = {id:UUID}
    UNION ALL
    SELECT 'visitor_days', count() FROM {{.Database}}.visitor_days WHERE visitor_id = {id:UUID}
    UNION ALL
    SELECT 'segment_hits', count() FROM {{.Database}}.segment_hits WHERE visitor_id = {id:UUID}
    UNION ALL
    SELECT 'profile_refusals', count() FROM {{.Database}}.profile_refusals WHERE visitor_id = {id:UUID}
    UNION ALL
    SELECT 'share_consents', count() FROM {{.Database}}.share_consents WHERE visitor_id = {id:UUID}
    UNION ALL
    SELECT 'export_members', count() FROM {{.Database}}.export_members WHERE visitor_id = {id:UUID} OR user_key = {id:UUID}
)
ORDER BY table_name;

-- Rows that their site wants to be gone and that still lie on disk. ClickHouse removes them when it merges, within hours.
CREATE VIEW IF NOT EXISTS {{.Database}}.retention_overdue {{.OnCluster}} AS
SELECT table_name, countIf(expired < now()) AS rows, if(rows = 0, NULL, minIf(expired, expired < now())) AS oldest
FROM
(
    SELECT 'events' AS table_name, toDateTime(declared_at) + toIntervalDay(retention_days) AS expired FROM {{.Database}}.events
    UNION ALL
    SELECT 'event_ids', toDateTime(batch_day) + toIntervalDay(15) FROM {{.Database}}.event_ids
    UNION ALL
    SELECT 'conversion_hits', expires_at FROM {{.Database}}.conversion_hits
    UNION ALL
    SELECT 'order_entries', expires_at FROM {{.Database}}.order_entries
    UNION ALL
    SELECT 'touches', expires_at FROM {{.Database}}.touches
    UNION ALL
    SELECT 'identities', expires_at FROM {{.Database}}.identities
    UNION ALL
    SELECT 'visitors', expires_at FROM {{.Database}}.visitors
    UNION ALL
    SELECT 'visitor_events', expires_at FROM {{.Database}}.visitor_events
    UNION ALL
    SELECT 'visitor_days', expires_at FROM {{.Database}}.visitor_days
    UNION ALL
    SELECT 'segment_hits', expires_at FROM {{.Database}}.segment_hits
    UNION ALL
    SELECT 'profile_refusals', expires_at FROM {{.Database}}.profile_refusals
    UNION ALL
    SELECT 'share_consents', expires_at FROM {{.Database}}.share_consents
    UNION ALL
    SELECT 'export_members', expires_at FROM {{.Database}}.export_members
)
GROUP BY table_name
ORDER BY table_name;
