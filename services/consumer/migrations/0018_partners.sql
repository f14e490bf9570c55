-- oldest consumer: 1
-- Ids that visitors have at partners of the site, by cookie sync. docs/sync.md has the rules.

-- One row for each pair of ids, from the last time the partner told it. A row without partner_uid says when the partner last took its
-- id of the visitor back. Rows of other visitors with the same partner_uid stay: if one is erased, the table is as if they had never been there.
CREATE TABLE IF NOT EXISTS {{.Database}}.partner_ids {{.OnCluster}}
(
    site_id         LowCardinality(String),
    partner         LowCardinality(String),
    partner_uid     String COMMENT 'empty: taken back',
    visitor_id      UUID,
    synced_at       DateTime64(3, 'UTC'),
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    kafka_offset    Int64,
    expires_at      DateTime COMMENT '14 days after synced_at, or when the event expires',

    INDEX by_visitor_id visitor_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{.Engine "ReplacingMergeTree" "synced_at"}}
ORDER BY (site_id, partner, partner_uid, visitor_id)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Database}}.partner_ids_view {{.OnCluster}} TO {{.Database}}.partner_ids AS
SELECT
    site_id, props['partner'] AS partner, props['partner_uid'] AS partner_uid, visitor_id, occurred_at AS synced_at,
    kafka_topic, kafka_partition, kafka_offset,
    least(toDateTime(occurred_at) + toIntervalDay(14), toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM {{.Database}}.events
WHERE outcome = 'event' AND kind = 'sync' AND NOT is_bot AND consent_profile AND consent_share AND visitor_id != {{.NoID}};

-- The visitor who has the id at the partner: the one of whom it was told last, within 14 days, unless the partner has taken its
-- id of them back since. No row where there is none. Whether the visitor may be addressed now, this does not say.
--   SELECT * FROM visitor_of_partner(site = 'shop', partner = 'adnet', uid = '7')
CREATE VIEW IF NOT EXISTS {{.Database}}.visitor_of_partner {{.OnCluster}} AS
WITH last AS
(
    SELECT
        argMax(ids.visitor_id, (ids.synced_at, ids.visitor_id)) AS visitor_id, max(ids.synced_at) AS synced_at,
        argMax(ids.expires_at, (ids.synced_at, ids.visitor_id)) AS expires_at
    FROM {{.Database}}.partner_ids AS ids
    WHERE site_id = {site:String} AND partner = {partner:String} AND partner_uid = {uid:String} AND {uid:String} != '' AND ids.expires_at > now()
    HAVING count() > 0
)
SELECT visitor_id, synced_at, expires_at
FROM last
WHERE synced_at > (
    SELECT max(ids.synced_at)
    FROM {{.Database}}.partner_ids AS ids
    WHERE site_id = {site:String} AND partner = {partner:String} AND partner_uid = '' AND visitor_id IN (SELECT visitor_id FROM last));

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
    SELECT 'partner_ids', count() FROM {{.Database}}.partner_ids WHERE visitor_id = {id:UUID}
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
    SELECT 'partner_ids', expires_at FROM {{.Database}}.partner_ids
)
GROUP BY table_name
ORDER BY table_name;

-- What partners tell says nothing of a visit.
ALTER TABLE {{.Database}}.visitor_days_view {{.OnCluster}} MODIFY QUERY
SELECT
    site_id,
    site_day,
    channel,
    visitor_kind,
    visitor_id,
    daily_hash,
    toInt64(countIf(kind = 'page_view')) AS page_views,
    toInt64(count())                     AS events,
    toInt64(countIf({{.OnSite}}))        AS on_site,
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM {{.Database}}.events
WHERE outcome = 'event' AND NOT is_bot
GROUP BY site_id, site_day, channel, visitor_kind, visitor_id, daily_hash;

ALTER TABLE {{.Database}}.visitors_view {{.OnCluster}} MODIFY QUERY
SELECT
    site_id, visitor_id,
    min(site_day) AS first_day,
    max(site_day) AS last_day,
    max(visitor_kind IN ('cookie', 'provided')) AS returned,
    max({{.OnSite}}) AS on_site,
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM {{.Database}}.events
WHERE outcome = 'event' AND NOT is_bot AND visitor_id != {{.NoID}}
GROUP BY site_id, visitor_id;
