-- oldest consumer: 1
-- What membership of segments is computed from; docs/audiences.md defines every word used here.

-- The conditions of segments that a row fulfilled when it was stored, one element for each and each product of its.
ALTER TABLE {{.Facts}}.events {{.OnCluster}}
    ADD COLUMN IF NOT EXISTS `segments.id` Array(LowCardinality(String)),
    ADD COLUMN IF NOT EXISTS `segments.version` Array(LowCardinality(String)) COMMENT 'of the conditions',
    ADD COLUMN IF NOT EXISTS `segments.step` Array(Enum8('leave' = 0, 'enter' = 1, 'then' = 2)) COMMENT 'which condition of the segment',
    ADD COLUMN IF NOT EXISTS `segments.product` Array(String) COMMENT 'id of the item for which it holds; empty for an event without items',
    ADD COLUMN IF NOT EXISTS `segments.nth` Array(UInt16) COMMENT 'number of the product among those for which it holds, from 0',
    ADD COLUMN IF NOT EXISTS `segments.item_micros` Array(Nullable(Int64)) COMMENT 'price times quantity of the item; NULL when not known in the currency of the site';

-- Segments as they were configured, append-only: the newest row of a segment says how it is now.
CREATE TABLE IF NOT EXISTS {{.Database}}.segments {{.OnCluster}}
(
    site_id          LowCardinality(String),
    segment          LowCardinality(String),
    version          LowCardinality(String) COMMENT 'of the conditions: hits of other versions are not its own',
    name             String,
    state            LowCardinality(String) COMMENT 'active; filling: the history of the version is not there yet, and the newest active row holds; removed',
    same_product     Bool,
    times_min        UInt32,
    times_max        UInt32 COMMENT '0 = none',
    within_ms        Int64,
    value_min_micros Nullable(Int64),
    value_max_micros Nullable(Int64),
    has_then         Bool,
    then_within_ms   Int64,
    after_ms         Int64,
    lives_ms         Int64,
    holdout_permille UInt16,
    timezone         LowCardinality(String) DEFAULT 'UTC' COMMENT 'IANA name: days of the site end by it',
    rule             String COMMENT 'JSON of the whole rule' CODEC(ZSTD(3)),
    saved_at         DateTime64(3, 'UTC')
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, segment, saved_at)
SETTINGS {{.Window}};

-- One row for each element of events.segments, of events that count. It lies as questions about all visitors of a segment read it, and what is
-- older than four hours is one part, up to ClickHouse's limit of 150 GB: parts that are read together in their order cost up to a third more.
CREATE TABLE IF NOT EXISTS {{.Facts}}.segment_hits {{.OnCluster}}
(
    site_id         LowCardinality(String),
    segment         LowCardinality(String),
    version         LowCardinality(String),
    step            Enum8('leave' = 0, 'enter' = 1, 'then' = 2),
    visitor_kind    LowCardinality(String),
    visitor_id      UUID,
    product         String,
    nth             UInt16,
    occurred_at     DateTime64(3, 'UTC'),
    event_id        UUID,
    value_micros    Nullable(Int64) COMMENT 'of the event; NULL when not known in the currency of the site',
    item_micros     Nullable(Int64),
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    kafka_offset    Int64,
    expires_at      DateTime
)
ENGINE = {{.FactsEngine "MergeTree"}}
PRIMARY KEY (site_id, segment, version, visitor_id)
ORDER BY (site_id, segment, version, visitor_id, product, occurred_at)
TTL expires_at
SETTINGS min_age_to_force_merge_seconds = 14400, {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.segment_hits_view {{.OnCluster}} TO {{.Facts}}.segment_hits AS
SELECT
    site_id, hit.1 AS segment, hit.2 AS version, hit.3 AS step, visitor_kind, visitor_id, hit.4 AS product, hit.5 AS nth,
    occurred_at, event_id,
    if(currency = site_currency, events.value_micros, NULL) AS value_micros,
    hit.6 AS item_micros,
    kafka_topic, kafka_partition, kafka_offset,
    toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at
FROM {{.Facts}}.events
ARRAY JOIN arrayZip(segments.id, segments.version, segments.step, segments.product, segments.nth, segments.item_micros) AS hit
WHERE outcome = 'event';

-- When each visitor id last did not allow profiling: what it did until then counts in no segment.
CREATE TABLE IF NOT EXISTS {{.Facts}}.profile_refusals {{.OnCluster}}
(
    site_id    LowCardinality(String),
    visitor_id UUID,
    refused_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    expires_at SimpleAggregateFunction(max, DateTime)
)
ENGINE = {{.FactsEngine "AggregatingMergeTree"}}
ORDER BY (site_id, visitor_id)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.profile_refusals_view {{.OnCluster}} TO {{.Facts}}.profile_refusals AS
SELECT
    site_id, visitor_id,
    max(occurred_at) AS refused_at,
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND NOT consent_profile AND visitor_id != {{.NoID}}
GROUP BY site_id, visitor_id;

-- All that a lookup reads of a visitor, in one place: what segment_hits, profile_refusals, share_consents, product_interest and touches
-- say, one row for each fact, with the newest moment of it. Asking several tables costs several times as much, and nearly all of it is
-- planning (docs/adr/0009-lookups-judge-themselves.md). It is asked for a few visitors a thousand times a second: small granules in small
-- blocks, all columns of a granule together, no partitions, and fewer parts than ClickHouse would leave, as each is looked into for each
-- visitor: what is older than four hours is one part, up to ClickHouse's limit of 150 GB.
CREATE TABLE IF NOT EXISTS {{.Facts}}.visitor_facts {{.OnCluster}}
(
    site_id    String COMMENT 'as such: dictionaries cost as much as the rest of a row',
    visitor_id UUID,
    fact       Enum8('refused' = 1, 'shared' = 2, 'unshared' = 3, 'hit' = 4, 'ad' = 5, 'viewed' = 6, 'carted' = 7, 'bought' = 8, 'price' = 9, 'category' = 10) COMMENT 'refused: profiling; shared, unshared: sharing was allowed, or not',
    subject    Array(String) COMMENT 'hit: segment, version, step, product, nth, event id, value_micros and item_micros, empty for NULL, moment in ms, number by which the visitor is held out; ad: day of the site, campaign, event id, moment in ms; of products their id; else nothing',
    newest_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    detail     SimpleAggregateFunction(max, String) COMMENT 'price, category: as product_interest has it, the moment first',
    expires_at SimpleAggregateFunction(max, DateTime)
)
ENGINE = {{.FactsEngine "AggregatingMergeTree"}}
PRIMARY KEY (site_id, visitor_id)
ORDER BY (site_id, visitor_id, fact, subject)
TTL expires_at
SETTINGS index_granularity = 128, min_compress_block_size = 4096, merge_selector_base = 3, min_age_to_force_merge_seconds = 14400, prewarm_mark_cache = 1,
    min_bytes_for_wide_part = 10000000000000, min_rows_for_wide_part = 10000000000000, {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.visitor_facts_view {{.OnCluster}} TO {{.Facts}}.visitor_facts AS
{{.VisitorFacts (print .Facts ".events") "true"}};

-- Visitors who are in no audience by their wish, from the suppression list.
CREATE TABLE IF NOT EXISTS {{.Database}}.suppressed_visitors {{.OnCluster}}
(
    id_hash    UInt64 COMMENT 'cityHash64 of the visitor_id',
    wished     Bool COMMENT 'false: the wish was taken back',
    position   Int64 COMMENT 'in the suppression list; the last one holds',
    changed_at DateTime64(3, 'UTC')
)
ENGINE = {{.Engine "ReplacingMergeTree" "position"}}
ORDER BY id_hash
SETTINGS index_granularity = 256, min_compress_block_size = 4096, {{.Window}};
