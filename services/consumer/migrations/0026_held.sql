-- oldest consumer: 1
-- How many rows hold the id, as a visitor's, a user's or a recipient's, in each table that holds ids of people.
--   SELECT * FROM held_rows(id = '0190b5ad-…')
CREATE VIEW IF NOT EXISTS {{.Database}}.held_rows {{.OnCluster}} AS
SELECT table_name, rows
FROM
(
    {{.HeldRows}}
)
ORDER BY table_name;

-- Rows that their site wants to be gone and that still lie on disk. ClickHouse removes them when it merges, within hours.
CREATE VIEW IF NOT EXISTS {{.Database}}.retention_overdue {{.OnCluster}} AS
SELECT table_name, countIf(expired < now()) AS rows, if(rows = 0, NULL, minIf(expired, expired < now())) AS oldest
FROM
(
    {{.Expiries}}
)
GROUP BY table_name
ORDER BY table_name;

-- Tables that a view fills from events and that do not say what events says: ranges of offsets in tables whose rows have them
-- (from and to are days of storing), and days of sites in the others. Hits of goals and segments are left out: rebuilds make
-- them by other rules than the rows had. While a batch is stored its views follow a moment after.
--   SELECT * FROM ledger_views(from = '2026-11-26', to = '2026-11-26')
CREATE VIEW IF NOT EXISTS {{.Database}}.ledger_views {{.OnCluster}} AS
SELECT *
FROM
(
    {{.LedgerFacts "order_entries" "outcome = 'event' AND kind = 'order'" "true"}}
    UNION ALL
    {{.LedgerFacts "touches" "outcome = 'event' AND NOT is_bot AND (kind IN ('impression', 'email_click') OR kind = 'page_view' AND (source != '' OR referrer = ''))" "true"}}
    UNION ALL
    {{.LedgerFacts "mail_hits" "outcome = 'event' AND kind IN ('email_open', 'email_click', 'email_unsubscribe', 'email_delivery') AND mail_campaign_id != ''" "true"}}
    UNION ALL
    {{.LedgerSums "traffic_daily" "sum(events + machine_events + duplicates)" "outcome IN ('event', 'duplicate') AND site_id != ''" "count()"}}
    UNION ALL
    {{.LedgerSums "visitor_days" "sum(events)" "outcome = 'event' AND NOT is_bot" "count()"}}
    UNION ALL
    {{.LedgerSums "visitor_events" "count()" "outcome = 'event' AND transport IN ('gif', 'beacon') AND (kind IN ('page_view', 'custom', 'identify') OR kind = 'order' AND name = 'purchase')" "count()"}}
    UNION ALL
    {{.LedgerSums "consent_sums" "sum(hits)" "outcome IN ('event', 'tally', 'suppressed')" "sum(if(outcome = 'tally', toInt64(tally_hits), 1))"}}
)
ORDER BY table_name, kafka_topic, kafka_partition, first_offset, site_id, site_day;
