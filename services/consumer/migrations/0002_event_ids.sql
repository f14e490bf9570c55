-- oldest consumer: 1
-- Which events were recorded during the last week, in the order of their ids, so that a repeat is found by reading a few
-- kilobytes however large events is. Small granules, because each question is about single ids.
CREATE TABLE IF NOT EXISTS {{.Facts}}.event_ids {{.OnCluster}}
(
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    event_id        UUID,
    site_id         LowCardinality(String),
    record_time     DateTime64(3, 'UTC'),
    kafka_offset    Int64,
    batch_day       Date
)
ENGINE = {{.FactsEngine "MergeTree"}}
PARTITION BY toMonday(batch_day)
ORDER BY (kafka_topic, kafka_partition, event_id)
TTL batch_day + toIntervalDay(15)
SETTINGS {{.Window}}, index_granularity = 1024;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.event_ids_view {{.OnCluster}} TO {{.Facts}}.event_ids AS
SELECT kafka_topic, kafka_partition, event_id, site_id, record_time, kafka_offset, batch_day
FROM {{.Facts}}.events
WHERE event_id != toUUID('00000000-0000-0000-0000-000000000000');
