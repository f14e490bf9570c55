-- oldest consumer: 1
-- What visitors did with products, the products that sites sell, and which of them to show to whom; docs/audiences.md defines
-- every word used here.

-- One row for each visitor and product, of events that may feed audiences: the newest of everything, so that order and
-- repetition of events do not matter.
CREATE TABLE IF NOT EXISTS {{.Database}}.product_interest {{.OnCluster}}
(
    site_id    LowCardinality(String),
    visitor_id UUID,
    product    String,
    viewed_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'the newest; 1970-01-01 for none',
    carted_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    bought_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    first_at   SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'the oldest of all these events',
    views      SimpleAggregateFunction(groupUniqArrayArray(100), Array(UInt64)) COMMENT 'hashes of events, at most 100',
    carts      SimpleAggregateFunction(groupUniqArrayArray(100), Array(UInt64)),
    purchases  SimpleAggregateFunction(groupUniqArrayArray(100), Array(UInt64)),
    price      SimpleAggregateFunction(max, Tuple(at DateTime64(3, 'UTC'), micros Int64, currency String)) COMMENT 'the newest price of one piece; of two at the same moment the higher one',
    category   SimpleAggregateFunction(max, Tuple(at DateTime64(3, 'UTC'), name String)),
    expires_at SimpleAggregateFunction(max, DateTime)
)
ENGINE = {{.Engine "AggregatingMergeTree"}}
ORDER BY (site_id, visitor_id, product)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.product_interest_view {{.OnCluster}} TO {{.Database}}.product_interest AS
{{.InterestFacts "true"}};

--   SELECT * FROM product_interest_of(site = 'shop', visitor = '0190b5ad-…')
CREATE VIEW IF NOT EXISTS {{.Database}}.product_interest_of {{.OnCluster}} AS
SELECT
    product, state, newest_at,
    if(viewed_at = 0, NULL, viewed_at) AS viewed_at,
    if(carted_at = 0, NULL, carted_at) AS carted_at,
    if(bought_at = 0, NULL, bought_at) AS bought_at,
    views, carts, purchases,
    if(price.currency = '', NULL, price.micros) AS price_micros,
    price.currency AS currency,
    if(price.currency = '', NULL, price.at) AS price_at,
    category
FROM
(
{{.Interest "visitor_id = {visitor:UUID}" "now64(3, 'UTC')"}}
)
WHERE NOT (SELECT argMax(wished, position) FROM {{.Database}}.suppressed_visitors WHERE id_hash = cityHash64({visitor:UUID}))
ORDER BY newest_at DESC, product;

-- What a site sells, from its product feed (docs/imports.md). A partition is one feed, put in place as a whole.
CREATE TABLE IF NOT EXISTS {{.Database}}.products {{.OnCluster}}
(
    site_id       LowCardinality(String),
    product_id    String,
    title         String CODEC(ZSTD(1)),
    link          String CODEC(ZSTD(1)),
    image_link    String CODEC(ZSTD(1)),
    price_micros  Int64,
    currency      LowCardinality(String) COMMENT 'of both prices',
    sale_micros   Nullable(Int64) COMMENT 'the price from sale_from until before sale_until',
    sale_from     DateTime64(3, 'UTC'),
    sale_until    DateTime64(3, 'UTC'),
    availability  Enum8('in_stock' = 1, 'out_of_stock' = 2, 'preorder' = 3, 'backorder' = 4),
    category      String COMMENT 'product_type, else google_product_category',
    item_group_id String,
    line          UInt32 COMMENT 'of the file',
    feed_id       UUID,
    imported_at   DateTime64(3, 'UTC'),

    PROJECTION by_category (SELECT site_id, category, price_micros, product_id, availability ORDER BY site_id, category, price_micros),
    PROJECTION by_group (SELECT site_id, item_group_id, product_id, availability, category, price_micros ORDER BY site_id, item_group_id)
)
ENGINE = {{.Engine "MergeTree"}}
PARTITION BY site_id
ORDER BY (site_id, product_id)
SETTINGS {{.Window}}, index_granularity = 1024;

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
    SELECT 'product_interest', count() FROM {{.Database}}.product_interest WHERE visitor_id = {id:UUID}
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
    SELECT 'product_interest', expires_at FROM {{.Database}}.product_interest
)
GROUP BY table_name
ORDER BY table_name;
