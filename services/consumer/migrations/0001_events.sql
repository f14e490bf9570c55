-- oldest consumer: 1
-- One row for every Kafka offset: an event that counts, or the reason why it does not. The consumer inserts one batch of
-- one partition as one block under a deduplication token (docs/adr/0001-exactly-once.md); PARTITION BY batch_day makes
-- that block one part, so a batch is stored whole or not at all.
CREATE TABLE IF NOT EXISTS {{.Facts}}.events {{.OnCluster}}
(
    -- where the record lies, and the batch that stored it
    kafka_topic        LowCardinality(String),
    kafka_partition    Int32,
    kafka_offset       Int64,
    record_time        DateTime64(3, 'UTC') COMMENT 'moment of publishing; 1970-01-01 when Kafka has no record',
    record_hash        UInt64 COMMENT 'XXH3 of key, value and time; 0 when Kafka has no record',
    batch_first        Int64,
    batch_last         Int64,
    batch_day          Date COMMENT 'UTC day on which the batch was declared',
    declared_at        DateTime64(3, 'UTC'),
    insert_until       DateTime64(3, 'UTC') COMMENT 'the deadline of the insert: ClickHouse refuses the block after it',
    rules              LowCardinality(String) COMMENT 'hash of what the row depends on besides the record; text in table rules',

    outcome            LowCardinality(String) COMMENT 'event, tally, account, duplicate, suppressed, dead, missing or erased; reports count event only',
    reason             LowCardinality(String) COMMENT 'why it is not counted; words in docs/reasons.md',
    flags              Array(LowCardinality(String)) COMMENT 'what the collector had to change; words in docs/reasons.md',

    -- identity of the event
    site_id            LowCardinality(String),
    event_id           UUID,
    event_id_origin    LowCardinality(String),
    kind               LowCardinality(String),
    name               String,

    -- time
    received_at        DateTime64(3, 'UTC'),
    occurred_at        DateTime64(3, 'UTC'),
    site_day           Date COMMENT 'day of occurred_at in the time zone of the site',

    -- visitor
    visitor_id         UUID,
    visitor_kind       LowCardinality(String),
    daily_hash         UUID,
    user_key           UUID,
    foreign_session_id String,

    -- page
    url                String CODEC(ZSTD(1)),
    page_host          LowCardinality(String),
    page_path          String CODEC(ZSTD(1)),
    referrer           String CODEC(ZSTD(1)),
    referrer_host      LowCardinality(String),
    title              String CODEC(ZSTD(1)),

    -- marketing
    utm_source         String,
    utm_medium         String,
    utm_campaign       String,
    utm_term           String,
    utm_content        String,
    utm_id             String,
    click_id           String,
    click_id_param     LowCardinality(String),
    click_network      LowCardinality(String),
    source             String COMMENT 'utm_source, else the network of the click id, else the known name or host of the referrer',
    medium             String,
    campaign           String,
    channel            LowCardinality(String) COMMENT 'default channel group, docs/questions.md',

    -- commerce; micros = millionths of one unit of the currency
    order_id           String,
    value_micros       Nullable(Int64),
    currency           LowCardinality(String),
    items              Nested(id String, quantity_micros Int64, price_micros Nullable(Int64), category String),

    -- e-mail
    mail_campaign_id   String,
    mail_message_id    String,
    mail_sent_at       DateTime('UTC') COMMENT 'as the URL in the mail says; 1970-01-01 = not known',
    recipient_key      UUID,
    link_id            String,

    -- client
    ip_prefix          String,
    country            LowCardinality(String),
    region             LowCardinality(String),
    network_class      LowCardinality(String),
    user_agent         String CODEC(ZSTD(1)),
    hint_brands        LowCardinality(String),
    hint_mobile        LowCardinality(String),
    hint_platform      LowCardinality(String),
    browser            LowCardinality(String),
    browser_version    LowCardinality(String),
    os                 LowCardinality(String),
    os_version         LowCardinality(String),
    device             LowCardinality(String),
    language           LowCardinality(String),
    screen_width       UInt16,
    screen_height      UInt16,
    traffic_class      LowCardinality(String) COMMENT 'person, or the kind of machine; machines are marked, never deleted',
    is_bot             Bool COMMENT 'not a person''s doing: left out of people''s numbers, shown beside them',

    -- consent
    consent_measure    Bool,
    consent_profile    Bool,
    consent_share      Bool,
    consent_cookie     Bool,
    consent_decided_by LowCardinality(String),

    -- transport
    transport          LowCardinality(String),
    dialect            LowCardinality(String),
    prefetch           Bool,
    head               Bool,
    replayed           Bool,

    props              Map(String, String),
    retention_days     UInt16,

    account            String COMMENT 'outcome account: what a collector did within a minute, as JSON; see ledger_minutes',

    INDEX by_event_id      event_id      TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_visitor_id    visitor_id    TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_user_key      user_key      TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_recipient_key recipient_key TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX by_offset        kafka_offset  TYPE minmax GRANULARITY 1,

    -- A process that was stopped in the middle of sending must not store anything when it wakes up much later.
    CONSTRAINT in_time CHECK insert_until > nowInBlock64(3, 'UTC')
)
ENGINE = {{.FactsEngine "MergeTree"}}
PARTITION BY batch_day
ORDER BY (site_id, name, occurred_at, kafka_partition, kafka_offset)
-- From the consumer's clock: a collector whose clock is wrong must not make rows that are gone at once.
TTL toDateTime(declared_at) + toIntervalDay(retention_days)
SETTINGS {{.Window}};

-- The text behind events.rules, saved before its first use, so that a batch can be made again as it was declared.
CREATE TABLE IF NOT EXISTS {{.Database}}.rules {{.OnCluster}}
(
    hash     String,
    text     String CODEC(ZSTD(3)),
    saved_at DateTime64(3, 'UTC')
)
ENGINE = {{.Engine "ReplacingMergeTree"}}
ORDER BY hash
SETTINGS {{.Window}};

-- Ranges whose rows the views may hold twice or not at all; a rebuild of the views clears them.
CREATE TABLE IF NOT EXISTS {{.Database}}.view_rebuilds {{.OnCluster}}
(
    kafka_topic     LowCardinality(String),
    kafka_partition Int32,
    first_offset    Int64,
    last_offset     Int64,
    why             LowCardinality(String),
    listed_at       DateTime64(3, 'UTC')
)
ENGINE = {{.Engine "ReplacingMergeTree"}}
ORDER BY (kafka_topic, kafka_partition, first_offset, last_offset, why)
SETTINGS {{.Window}};
