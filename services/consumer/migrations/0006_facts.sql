-- oldest consumer: 1
-- Facts that the reports are computed from: one narrow table for each kind, filled by a view, with the ids by which a person
-- is found and erased. docs/questions.md has the definitions. Rows live as long as those of events.

-- One row for each goal that a row of events matched, repeats and machines included.
CREATE TABLE IF NOT EXISTS {{.Facts}}.conversion_hits {{.OnCluster}}
(
    site_id           LowCardinality(String),
    goal              LowCardinality(String),
    once_per          LowCardinality(String),
    site_day          Date,
    occurred_at       DateTime64(3, 'UTC'),
    event_id          UUID,
    order_id          String,
    kind              LowCardinality(String),
    transport         LowCardinality(String),
    visitor_kind      LowCardinality(String),
    visitor_id        UUID,
    daily_hash        UUID,
    user_key          UUID,
    value             LowCardinality(String),
    value_micros      Nullable(Int64),
    currency          LowCardinality(String),
    site_currency     LowCardinality(String),
    click_window_days UInt8,
    view_window_days  UInt8,
    outcome           LowCardinality(String),
    is_bot            Bool,
    kafka_topic       LowCardinality(String),
    kafka_partition   Int32,
    kafka_offset      Int64,
    expires_at        DateTime,

    INDEX by_visitor_id visitor_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_user_key   user_key   TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{.FactsEngine "MergeTree"}}
PARTITION BY toYYYYMM(site_day)
ORDER BY (site_id, goal, order_id, occurred_at)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.conversion_hits_view {{.OnCluster}} TO {{.Facts}}.conversion_hits AS
SELECT
    site_id, goal, once_per, site_day, occurred_at, event_id, order_id, kind, transport,
    visitor_kind, visitor_id, daily_hash, user_key,
    value, value_micros, currency, site_currency, click_window_days, view_window_days,
    outcome, is_bot, kafka_topic, kafka_partition, kafka_offset,
    toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at
FROM
(
    SELECT
        * EXCEPT (value_micros, currency),
        hit.1 AS goal, hit.2 AS once_per, hit.3 AS value, hit.4 AS value_micros, hit.5 AS currency,
        hit.6 AS click_window_days, hit.7 AS view_window_days
    FROM {{.Facts}}.events
    ARRAY JOIN arrayZip(goals.id, goals.once_per, goals.value, goals.value_micros, goals.currency, goals.click_window_days, goals.view_window_days) AS hit
    WHERE outcome IN ('event', 'duplicate')
);

-- What was sold and what happened to it, append-only: purchase, refund, cancel, restate.
CREATE TABLE IF NOT EXISTS {{.Facts}}.order_entries {{.OnCluster}}
(
    site_id          LowCardinality(String),
    order_id         String,
    entry            LowCardinality(String),
    site_day         Date,
    occurred_at      DateTime64(3, 'UTC'),
    event_id         UUID,
    value_micros     Nullable(Int64),
    value_unreadable Bool,
    currency         LowCardinality(String),
    site_currency    LowCardinality(String),
    items            Nested(id String, quantity_micros Int64, price_micros Nullable(Int64)),
    visitor_id       UUID,
    daily_hash       UUID,
    user_key         UUID,
    is_bot           Bool,
    kafka_topic      LowCardinality(String),
    kafka_partition  Int32,
    kafka_offset     Int64,
    expires_at       DateTime,

    INDEX by_visitor_id visitor_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_user_key   user_key   TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{.FactsEngine "MergeTree"}}
PARTITION BY toYYYYMM(site_day)
ORDER BY (site_id, order_id, occurred_at)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.order_entries_view {{.OnCluster}} TO {{.Facts}}.order_entries AS
SELECT
    site_id, order_id, name AS entry, site_day, occurred_at, event_id,
    value_micros, hasAny(flags, ['value_invalid', 'currency_invalid', 'items_invalid']) AS value_unreadable, currency, site_currency,
    items.id, items.quantity_micros, items.price_micros,
    visitor_id, daily_hash, user_key, is_bot, kafka_topic, kafka_partition, kafka_offset,
    toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND kind = 'order';

-- Where people came from. Which of these rows are touches is decided by the reports, since an earlier one may come late.
CREATE TABLE IF NOT EXISTS {{.Facts}}.touches {{.OnCluster}}
(
    site_id         LowCardinality(String),
    kind            Enum8('click' = 1, 'view' = 2, 'direct' = 3),
    site_day        Date,
    occurred_at     DateTime64(3, 'UTC'),
    event_id        UUID,
    visitor_kind    LowCardinality(String),
    visitor_id      UUID,
    daily_hash      UUID,
    user_key        UUID,
    channel         LowCardinality(String),
    source          LowCardinality(String),
    medium          LowCardinality(String),
    campaign        LowCardinality(String),
    click_id        String,
    creative        String,
    placement       String,
    mark            UInt64 MATERIALIZED if(kind = 'direct', 0, cityHash64(channel, source, medium, campaign, creative, placement)) COMMENT 'stands for them where paths are made; 0 = direct',
    landing         UInt64 MATERIALIZED cityHash64(source, medium, campaign, click_id) COMMENT 'equal for a landing page and its reload',
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    kafka_offset    Int64,
    expires_at      DateTime,

    INDEX by_visitor_id visitor_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_user_key   user_key   TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{.FactsEngine "MergeTree"}}
PARTITION BY toYYYYMM(site_day)
ORDER BY (site_id, site_day, visitor_id, occurred_at)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.touches_view {{.OnCluster}} TO {{.Facts}}.touches AS
SELECT
    site_id,
    multiIf(events.kind = 'impression', 'view', source != '', 'click', 'direct') AS kind,
    site_day, occurred_at, event_id, visitor_kind, visitor_id, daily_hash, user_key,
    channel, source, medium, campaign, click_id,
    if(utm_content != '', utm_content, props['creative']) AS creative,
    props['placement'] AS placement,
    kafka_topic, kafka_partition, kafka_offset,
    toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND NOT is_bot
  AND (events.kind IN ('impression', 'email_click') OR events.kind = 'page_view' AND (source != '' OR referrer = ''));

-- Which visitor gave which user key when.
CREATE TABLE IF NOT EXISTS {{.Facts}}.identities {{.OnCluster}}
(
    site_id      LowCardinality(String),
    user_key     UUID,
    visitor_kind LowCardinality(String),
    visitor_id   UUID,
    daily_hash   UUID,
    occurred_at  DateTime64(3, 'UTC'),
    event_id     UUID,
    expires_at   DateTime,

    INDEX by_visitor_id visitor_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{.FactsEngine "MergeTree"}}
ORDER BY (site_id, user_key, visitor_id, occurred_at)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.identities_view {{.OnCluster}} TO {{.Facts}}.identities AS
SELECT
    site_id, user_key, visitor_kind, visitor_id, daily_hash, occurred_at, event_id,
    toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND NOT is_bot AND user_key != toUUID('00000000-0000-0000-0000-000000000000') AND visitor_kind != 'none';

-- Since when each visitor id is known, and whether a browser or the site has ever sent it to us (else it was only minted).
CREATE TABLE IF NOT EXISTS {{.Facts}}.visitors {{.OnCluster}}
(
    site_id    LowCardinality(String),
    visitor_id UUID,
    first_day  SimpleAggregateFunction(min, Date),
    last_day   SimpleAggregateFunction(max, Date),
    returned   SimpleAggregateFunction(max, UInt8),
    on_site    SimpleAggregateFunction(max, UInt8) COMMENT 'has an event that is no impression',
    expires_at SimpleAggregateFunction(max, DateTime)
)
ENGINE = {{.FactsEngine "AggregatingMergeTree"}}
ORDER BY (site_id, visitor_id)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.visitors_view {{.OnCluster}} TO {{.Facts}}.visitors AS
SELECT
    site_id, visitor_id,
    min(site_day) AS first_day,
    max(site_day) AS last_day,
    max(visitor_kind IN ('cookie', 'provided')) AS returned,
    max({{.OnSite}}) AS on_site,
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND NOT is_bot AND visitor_id != toUUID('00000000-0000-0000-0000-000000000000')
GROUP BY site_id, visitor_id;

-- What visitors did on the site, in the order in which sessions and funnels read it.
CREATE TABLE IF NOT EXISTS {{.Facts}}.visitor_events {{.OnCluster}}
(
    site_id       LowCardinality(String),
    visitor_kind  LowCardinality(String),
    visitor_id    UUID,
    daily_hash    UUID,
    site_day      Date,
    occurred_at   DateTime64(3, 'UTC'),
    event_id      UUID,
    kind          LowCardinality(String),
    name          LowCardinality(String),
    page_path     String CODEC(ZSTD(1)),
    channel       LowCardinality(String),
    source        LowCardinality(String),
    medium        LowCardinality(String),
    campaign      LowCardinality(String),
    click_id      String,
    with_campaign Bool COMMENT 'utm parameters or a click id say where the visitor came from',
    is_bot        Bool,
    expires_at    DateTime,

    INDEX by_day site_day TYPE minmax GRANULARITY 1
)
ENGINE = {{.FactsEngine "MergeTree"}}
PARTITION BY toYYYYMM(site_day)
ORDER BY (site_id, visitor_id, daily_hash, occurred_at)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.visitor_events_view {{.OnCluster}} TO {{.Facts}}.visitor_events AS
SELECT
    site_id, visitor_kind, visitor_id, daily_hash, site_day, occurred_at, event_id, kind, name, page_path,
    channel, source, medium, campaign, click_id,
    utm_source != '' OR utm_medium != '' OR utm_campaign != '' OR utm_id != '' OR click_id != '' AS with_campaign,
    is_bot,
    toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND transport IN ('gif', 'beacon')
  AND (kind IN ('page_view', 'custom', 'identify') OR kind = 'order' AND name = 'purchase');
