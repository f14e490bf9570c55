-- oldest consumer: 1
-- Exports of audiences to files (docs/audiences.md, Exports).

-- When each visitor id last allowed sharing, and when it last did not. Of events of the same instant the refusal holds.
CREATE TABLE IF NOT EXISTS {{.Facts}}.share_consents {{.OnCluster}}
(
    site_id    LowCardinality(String),
    visitor_id UUID,
    allowed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    refused_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    expires_at SimpleAggregateFunction(max, DateTime)
)
ENGINE = {{.FactsEngine "AggregatingMergeTree"}}
ORDER BY (site_id, visitor_id)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.share_consents_view {{.OnCluster}} TO {{.Facts}}.share_consents AS
SELECT
    site_id, visitor_id,
    maxIf(occurred_at, consent_share)     AS allowed_at,
    maxIf(occurred_at, NOT consent_share) AS refused_at,
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM {{.Facts}}.events
WHERE outcome = 'event' AND visitor_id != {{.NoID}}
GROUP BY site_id, visitor_id;

-- Append-only: one row for each step of an export that is done. The last one says how far it has come.
CREATE TABLE IF NOT EXISTS {{.Database}}.exports {{.OnCluster}}
(
    export_id       UUID,
    site_id         LowCardinality(String),
    segment         LowCardinality(String),
    version         LowCardinality(String) COMMENT 'of the segment',
    format          LowCardinality(String),
    contacts        String COMMENT 'name of the file of customers; empty for formats that need none',
    step            LowCardinality(String) COMMENT 'asked, snapshot, written, done; or failed; later erased or removed',
    asked_by        String,
    asked_at        DateTime64(3, 'UTC'),
    at_instant      DateTime64(3, 'UTC') COMMENT 'the members are those of this instant',
    previous_export UUID COMMENT 'the one that this one is compared with; zeros = none',
    members         UInt64 COMMENT 'visitors in the list',
    added           UInt64 COMMENT 'not in the previous one; visitors, or customers in formats that are shared',
    removed         UInt64 COMMENT 'in the previous one only',
    without_contact UInt64 COMMENT 'members who stand in no file, since no contact of theirs can be used',
    without_share   UInt64 COMMENT 'visitors of the audience who are no members of the list, since they do not allow sharing',
    unusable        UInt64 COMMENT 'texts of contacts that the format has no value for',
    files           Array(String),
    file_lines      Array(UInt64) COMMENT 'people in each file',
    bytes           UInt64 COMMENT 'of all files',
    error           String COMMENT 'why it failed; empty otherwise',
    done_at         DateTime64(3, 'UTC') COMMENT 'the step'
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, export_id, done_at)
SETTINGS {{.Window}};

-- Who stood in exports: those that the next one is compared with. A comparison goes back 90 days at most.
CREATE TABLE IF NOT EXISTS {{.Database}}.export_members {{.OnCluster}}
(
    export_id    UUID,
    site_id      LowCardinality(String),
    visitor_id   UUID,
    user_key     UUID COMMENT 'the customer as whom the visitor was known last; zeros = none, or the format is not shared',
    products     Array(String),
    qualified_at DateTime64(3, 'UTC'),
    ends_at      DateTime64(3, 'UTC'),
    noted_at     DateTime,
    expires_at   DateTime MATERIALIZED noted_at + toIntervalDay(90)
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (export_id, visitor_id, user_key)
TTL expires_at
SETTINGS {{.Window}};
