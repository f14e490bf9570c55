-- oldest consumer: 1
-- Rebuilds of facts (docs/adr/0007-rebuild.md) and how far each has come: the row with the highest revision counts.
CREATE TABLE IF NOT EXISTS {{.Database}}.rebuilds {{.OnCluster}}
(
    id               UUID,
    what             LowCardinality(String),
    from_day         Date,
    to_day           Date,
    site_id          String COMMENT 'empty: all sites of onepx.yaml',
    goals            String COMMENT 'hash of the goals that are applied',
    step             LowCardinality(String) COMMENT 'the last one that is done',
    unit             Date COMMENT 'the batch_day that was staged or added last; 1970-01-01: the hits that are kept',
    hits             UInt64 COMMENT 'in all units so far',
    table_name       String COMMENT 'of the new table; after the exchange, of the old one',
    table_uuid       UUID COMMENT 'of the new table',
    -- By partition: from this offset on the new view fills the new table; from that one on hits are compared after the exchange.
    partitions       Nested(topic String, id Int32, first_offset Int64, switch_offset Int64),
    started_at       DateTime64(3, 'UTC'),
    switch_at        DateTime64(3, 'UTC') COMMENT 'when switch_offset was read',
    revision         UInt32,
    saved_at         DateTime64(3, 'UTC')
)
ENGINE = {{.Engine "ReplacingMergeTree" "revision"}}
ORDER BY id
SETTINGS {{.Window}};
