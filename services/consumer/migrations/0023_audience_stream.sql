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
    name      String COMMENT 'events/TOPIC, dues, suppressions, sequence, applied, published, sweep/SITE, unsubscribes/TOPIC, unsubscribes-sequence, unsubscribes-published or webhook/EVENT/SITE/URL',
    partition Int32 COMMENT 'of events; else 0',
    position  Int64 COMMENT 'the last offset, sequence or moment in ms that is done',
    cursor    String COMMENT 'what else it takes to go on',
    saved_at  DateTime64(3, 'UTC'),
    revision  UInt64
)
ENGINE = {{.Engine "ReplacingMergeTree" "revision"}}
ORDER BY (name, partition)
SETTINGS {{.Window}};

-- Batches that a webhook did not take. They hold no ids of people: what is sent again is read from audience_changes or unsubscribes.
CREATE TABLE IF NOT EXISTS {{.Database}}.webhook_failures {{.OnCluster}}
(
    site_id        LowCardinality(String),
    url            String,
    event          LowCardinality(String) COMMENT 'audiences or unsubscribes',
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
