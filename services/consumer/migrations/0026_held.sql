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
