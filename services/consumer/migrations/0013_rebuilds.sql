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

-- Blocks of rows that `consumer replay` and `consumer deadletter replay` have stored, and those of which it is not known:
-- they are finished by the next run (docs/ledger.md).
CREATE TABLE IF NOT EXISTS {{.Database}}.replays {{.OnCluster}}
(
    id                   UUID,
    what                 LowCardinality(String) COMMENT 'gap or dead_letter',
    kafka_topic          LowCardinality(String),
    kafka_partition      Int32,
    first_offset         Int64,
    last_offset          Int64,
    facts                LowCardinality(String) COMMENT 'made: inserted through the views; kept: the tables that views fill had them; unknown: likewise, and listed in view_rebuilds',
    rows                 UInt64,
    rules                LowCardinality(String) COMMENT 'hash; text in table rules',
    suppression_position Int64 COMMENT 'of the suppression list with which the rows were made',
    done                 UInt8,
    saved_at             DateTime64(3, 'UTC')
)
ENGINE = {{.Engine "ReplacingMergeTree" "done"}}
ORDER BY id
SETTINGS {{.Window}};
