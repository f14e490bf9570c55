-- oldest consumer: 1
-- What was decided about visitors' wishes: of hits that are stored by their rows, of the others by the tallies of collectors.

ALTER TABLE {{.Facts}}.events {{.OnCluster}}
    ADD COLUMN IF NOT EXISTS tally_hits UInt64 COMMENT 'outcome tally: how many hits a collector did not store, for the reason of this row';

CREATE TABLE IF NOT EXISTS {{.Facts}}.consent_sums {{.OnCluster}}
(
    site_id    LowCardinality(String),
    site_day   Date,
    kind       LowCardinality(String),
    decided_by LowCardinality(String),
    reason     LowCardinality(String) COMMENT 'why not stored; empty = stored',
    measure    Bool,
    profile    Bool,
    share      Bool,
    cookie     Bool,
    is_bot     Bool,
    hits       Int64,
    last_offsets SimpleAggregateFunction(maxMap, Map(Int32, Int64)) COMMENT 'by partition: up to which offset its events are in it'
)
ENGINE = {{.FactsEngine "SummingMergeTree"}}
PARTITION BY toYYYYMM(site_day)
ORDER BY (site_id, site_day, kind, decided_by, reason, measure, profile, share, cookie, is_bot)
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.consent_sums_view {{.OnCluster}} TO {{.Facts}}.consent_sums AS
SELECT
    site_id, site_day, kind,
    if(outcome = 'suppressed', 'suppression', consent_decided_by) AS decided_by,
    reason,
    consent_measure AS measure, consent_profile AS profile, consent_share AS share, consent_cookie AS cookie, is_bot,
    sum(if(outcome = 'tally', toInt64(tally_hits), 1)) AS hits,
    map(any(kafka_partition), max(kafka_offset)) AS last_offsets
FROM {{.Facts}}.events
WHERE outcome IN ('event', 'tally', 'suppressed')
GROUP BY site_id, site_day, kind, decided_by, reason, measure, profile, share, cookie, is_bot;

-- Hits by day, the signal that decided and what it allowed; people only, machines' beside. Hits that nothing was stored of allow nothing.
--   SELECT * FROM consent_daily(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.consent_daily {{.OnCluster}} AS
SELECT
    site_day AS day, decided_by, reason = '' AS stored, measure, profile, share, cookie,
    sumIf(hits, NOT is_bot) AS hits,
    sumIf(s.hits, is_bot) AS machine_hits
FROM {{.Database}}.consent_sums AS s
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date}
GROUP BY day, decided_by, stored, measure, profile, share, cookie
HAVING hits != 0 OR machine_hits != 0
ORDER BY day, hits DESC, decided_by, stored, measure, profile, share, cookie;

-- Hits that nothing was stored of, by day, reason, the signal that decided and the kind of the event.
--   SELECT * FROM suppressed_daily(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.suppressed_daily {{.OnCluster}} AS
SELECT site_day AS day, reason, decided_by, kind, sum(s.hits) AS hits
FROM {{.Database}}.consent_sums AS s
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND reason != ''
GROUP BY day, reason, decided_by, kind
HAVING hits != 0
ORDER BY day, hits DESC, reason, decided_by, kind;
