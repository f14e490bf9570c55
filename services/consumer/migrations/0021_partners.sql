-- oldest consumer: 1
-- Ids that visitors have at partners of the site, by cookie sync. docs/sync.md has the rules.

-- One row for each pair of ids, from the last time the partner told it. A row without partner_uid says when the partner last took its
-- id of the visitor back. Rows of other visitors with the same partner_uid stay: if one is erased, the table is as if they had never been there.
CREATE TABLE IF NOT EXISTS {{.Facts}}.partner_ids {{.OnCluster}}
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
ENGINE = {{.FactsEngine "ReplacingMergeTree" "synced_at"}}
ORDER BY (site_id, partner, partner_uid, visitor_id)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.partner_ids_view {{.OnCluster}} TO {{.Facts}}.partner_ids AS
SELECT
    site_id, props['partner'] AS partner, props['partner_uid'] AS partner_uid, visitor_id, occurred_at AS synced_at,
    kafka_topic, kafka_partition, kafka_offset,
    least(toDateTime(occurred_at) + toIntervalDay(14), toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND kind = 'sync' AND NOT is_bot AND consent_profile AND consent_share AND visitor_id != {{.NoID}};

-- The visitors who have the ids at the partner: of each id the one of whom it was told last, within 14 days, unless the partner has
-- taken its id of them back since. No row where there is none. Whether a visitor may be addressed now, this does not say.
--   SELECT * FROM visitors_of_partner(site = 'shop', partner = 'adnet', uids = ['7', '8'])
CREATE VIEW IF NOT EXISTS {{.Database}}.visitors_of_partner {{.OnCluster}} AS
WITH last AS
(
    SELECT
        partner_uid, argMax(ids.visitor_id, (ids.synced_at, ids.visitor_id)) AS visitor_id, max(ids.synced_at) AS synced_at,
        argMax(ids.expires_at, (ids.synced_at, ids.visitor_id)) AS expires_at
    FROM {{.Database}}.partner_ids AS ids
    WHERE site_id = {site:String} AND partner = {partner:String} AND partner_uid IN {uids:Array(String)} AND partner_uid != '' AND ids.expires_at > now()
    GROUP BY partner_uid
)
SELECT last.partner_uid AS partner_uid, last.visitor_id AS visitor_id, last.synced_at AS synced_at, last.expires_at AS expires_at
FROM last
LEFT ANY JOIN
(
    SELECT visitor_id, max(ids.synced_at) AS taken_at
    FROM {{.Database}}.partner_ids AS ids
    WHERE site_id = {site:String} AND partner = {partner:String} AND partner_uid = '' AND visitor_id IN (SELECT visitor_id FROM last)
    GROUP BY visitor_id
) AS taken_back ON taken_back.visitor_id = last.visitor_id
WHERE last.synced_at > taken_back.taken_at;

-- The same of one id.
--   SELECT * FROM visitor_of_partner(site = 'shop', partner = 'adnet', uid = '7')
CREATE VIEW IF NOT EXISTS {{.Database}}.visitor_of_partner {{.OnCluster}} AS
SELECT visitor_id, synced_at, expires_at
FROM {{.Database}}.visitors_of_partner(site = {site:String}, partner = {partner:String}, uids = [{uid:String}]);
