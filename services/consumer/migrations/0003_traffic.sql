-- oldest consumer: 1
-- Sums of traffic per site, day and channel. People, machines and what was left out stand side by side.
CREATE TABLE IF NOT EXISTS {{.Facts}}.traffic_daily {{.OnCluster}}
(
    site_id            LowCardinality(String),
    site_day           Date,
    channel            LowCardinality(String),
    page_views         Int64,
    events             Int64,
    machine_page_views Int64,
    machine_events     Int64,
    duplicates         Int64,
    last_offsets       SimpleAggregateFunction(maxMap, Map(Int32, Int64)) COMMENT 'by partition: up to which offset its events are in it'
)
ENGINE = {{.FactsEngine "SummingMergeTree"}}
PARTITION BY toYYYYMM(site_day)
ORDER BY (site_id, site_day, channel)
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.traffic_daily_view {{.OnCluster}} TO {{.Facts}}.traffic_daily AS
SELECT
    site_id,
    site_day,
    channel,
    toInt64(countIf(outcome = 'event' AND NOT is_bot AND kind = 'page_view')) AS page_views,
    toInt64(countIf(outcome = 'event' AND NOT is_bot))                        AS events,
    toInt64(countIf(outcome = 'event' AND is_bot AND kind = 'page_view'))     AS machine_page_views,
    toInt64(countIf(outcome = 'event' AND is_bot))                            AS machine_events,
    toInt64(countIf(outcome = 'duplicate'))                                   AS duplicates,
    map(any(kafka_partition), max(kafka_offset))                              AS last_offsets -- an insert is of one partition
FROM {{.Facts}}.events
WHERE outcome IN ('event', 'duplicate') AND site_id != '' -- repeats of accounts are of no site
GROUP BY site_id, site_day, channel;

-- Who came on which day. Visitors are counted from here and not from sketches, so that a person can be erased.
CREATE TABLE IF NOT EXISTS {{.Facts}}.visitor_days {{.OnCluster}}
(
    site_id      LowCardinality(String),
    site_day     Date,
    channel      LowCardinality(String),
    visitor_kind LowCardinality(String),
    visitor_id   UUID,
    daily_hash   UUID,
    page_views   Int64,
    events       Int64,
    on_site      Int64 COMMENT 'events that are no impressions',
    expires_at   SimpleAggregateFunction(max, DateTime) COMMENT 'when the last of the rows that it was made of expires',
    last_offsets SimpleAggregateFunction(maxMap, Map(Int32, Int64)) COMMENT 'by partition: up to which offset its events are in it',

    INDEX by_visitor_id visitor_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{.FactsEngine "SummingMergeTree"}}
PARTITION BY toYYYYMM(site_day)
ORDER BY (site_id, site_day, channel, visitor_kind, visitor_id, daily_hash)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.visitor_days_view {{.OnCluster}} TO {{.Facts}}.visitor_days AS
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
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at,
    map(any(kafka_partition), max(kafka_offset)) AS last_offsets
FROM {{.Facts}}.events
WHERE outcome = 'event' AND NOT is_bot
GROUP BY site_id, site_day, channel, visitor_kind, visitor_id, daily_hash;
