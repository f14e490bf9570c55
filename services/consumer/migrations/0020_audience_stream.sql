-- oldest consumer: 1
-- Who enters and leaves streamed segments, as `consumer jobs` has seen and told it (docs/audiences.md).

ALTER TABLE {{.Database}}.segments {{.OnCluster}}
    ADD COLUMN IF NOT EXISTS stream Bool DEFAULT false COMMENT 'who enters and leaves is told';

-- The outbox, append-only: changes in the order in which they are told.
CREATE TABLE IF NOT EXISTS {{.Database}}.audience_changes {{.OnCluster}}
(
    sequence     UInt64 COMMENT 'increases, with gaps',
    change_id    UUID COMMENT 'made of the change before it: a change that is found twice has the same one',
    type         LowCardinality(String) COMMENT 'audience_entered or audience_left',
    site_id      LowCardinality(String),
    segment      LowCardinality(String),
    version      LowCardinality(String),
    visitor_id   UUID,
    at           DateTime64(3, 'UTC') COMMENT 'when it was found',
    qualified_at DateTime64(3, 'UTC') COMMENT 'of the membership that begins or ends',
    ends_at      DateTime64(3, 'UTC') COMMENT 'of the membership, as it was known when it began',
    products     Array(String),
    reason       LowCardinality(String) COMMENT 'of audience_left: left, refused, expired, suppressed or changed',
    keep_until   DateTime COMMENT 'of the state that follows from it',
    expires_at   DateTime
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY sequence
TTL expires_at
SETTINGS {{.Window}};

-- What was told last of a visitor and a segment: made of audience_changes and of nothing else.
CREATE TABLE IF NOT EXISTS {{.Database}}.audience_states {{.OnCluster}}
(
    site_id      LowCardinality(String),
    visitor_id   UUID,
    segment      LowCardinality(String),
    member       Bool,
    version      LowCardinality(String),
    qualified_at DateTime64(3, 'UTC'),
    ends_at      DateTime64(3, 'UTC') COMMENT 'as it was known when the membership began; later events may have moved it',
    change_id    UUID,
    changed_at   DateTime64(3, 'UTC'),
    sequence     UInt64,
    expires_at   DateTime
)
ENGINE = {{.Engine "ReplacingMergeTree" "sequence"}}
ORDER BY (site_id, visitor_id, segment)
TTL expires_at
SETTINGS {{.Window}};

-- When a visitor must be looked at although no event comes: a membership may end or begin then. One too many does no harm.
CREATE TABLE IF NOT EXISTS {{.Database}}.audience_dues {{.OnCluster}}
(
    due        DateTime64(3, 'UTC'),
    site_id    LowCardinality(String),
    visitor_id UUID,
    expires_at DateTime
)
ENGINE = {{.Engine "ReplacingMergeTree"}}
ORDER BY (due, site_id, visitor_id)
TTL expires_at
SETTINGS {{.Window}};

-- How far each of the readers of the stream has come.
CREATE TABLE IF NOT EXISTS {{.Database}}.audience_positions {{.OnCluster}}
(
    name      String COMMENT 'events/TOPIC, dues, suppressions, sequence, applied, published, sweep/SITE or webhook/SITE/URL',
    partition Int32 COMMENT 'of events; else 0',
    position  Int64 COMMENT 'the last offset, sequence or moment in ms that is done',
    cursor    String COMMENT 'what else it takes to go on',
    saved_at  DateTime64(3, 'UTC'),
    revision  UInt64
)
ENGINE = {{.Engine "ReplacingMergeTree" "revision"}}
ORDER BY (name, partition)
SETTINGS {{.Window}};

-- Batches of changes that a webhook did not take. They hold no ids of people: what is sent again is read from audience_changes.
CREATE TABLE IF NOT EXISTS {{.Database}}.webhook_failures {{.OnCluster}}
(
    site_id        LowCardinality(String),
    url            String,
    delivery_id    UUID,
    state          LowCardinality(String) COMMENT 'failed: not tried any more; stopped: nor is anything after it; again: to be tried once more; taken',
    first_sequence UInt64,
    last_sequence  UInt64,
    changes        UInt32,
    attempts       UInt32,
    error          String COMMENT 'of the last attempt',
    failed_at      DateTime64(3, 'UTC'),
    revision       UInt64,
    expires_at     DateTime
)
ENGINE = {{.Engine "ReplacingMergeTree" "revision"}}
ORDER BY (site_id, url, delivery_id)
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
    SELECT 'audience_states', count() FROM {{.Database}}.audience_states WHERE visitor_id = {id:UUID}
    UNION ALL
    SELECT 'audience_changes', count() FROM {{.Database}}.audience_changes WHERE visitor_id = {id:UUID}
    UNION ALL
    SELECT 'audience_dues', count() FROM {{.Database}}.audience_dues WHERE visitor_id = {id:UUID}
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
    SELECT 'audience_states', expires_at FROM {{.Database}}.audience_states
    UNION ALL
    SELECT 'audience_changes', expires_at FROM {{.Database}}.audience_changes
    UNION ALL
    SELECT 'audience_dues', expires_at FROM {{.Database}}.audience_dues
)
GROUP BY table_name
ORDER BY table_name;
