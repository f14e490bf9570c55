-- oldest consumer: 1
-- Rollups: answers by day that `consumer rollup` computes with the reports themselves and stores as sums, for sites whose
-- reports take too long when asked; docs/questions.md, Large sites. Nothing here names a person.

-- Each run that is complete. Only the rows of the last one of a site are read; a run in progress or broken off has none here.
CREATE TABLE IF NOT EXISTS {{.Database}}.rollups {{.OnCluster}}
(
    site_id  LowCardinality(String),
    as_of    DateTime64(3, 'UTC') COMMENT 'when the run began; what was stored by then is in its sums',
    from_day Date,
    to_day   Date
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, as_of)
SETTINGS {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.rolled_credits {{.OnCluster}}
(
    site_id           LowCardinality(String),
    as_of             DateTime64(3, 'UTC'),
    day               Date,
    model             LowCardinality(String),
    goal              LowCardinality(String),
    currency          LowCardinality(String),
    rate_missing      Bool,
    kind              LowCardinality(String),
    channel           LowCardinality(String),
    source            String,
    medium            String,
    campaign          String,
    creative          String COMMENT 'of views only, as placement',
    placement         String,
    credits           UInt64,
    conversion_micros Int128,
    credit_micros     Int128
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, as_of, model, day)
SETTINGS {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.rolled_impressions {{.OnCluster}}
(
    site_id     LowCardinality(String),
    as_of       DateTime64(3, 'UTC'),
    day         Date,
    campaign    String,
    creative    String,
    placement   String,
    impressions UInt64,
    with_visit  UInt64,
    by_machines UInt64
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, as_of, day)
SETTINGS {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.rolled_times {{.OnCluster}}
(
    site_id      LowCardinality(String),
    as_of        DateTime64(3, 'UTC'),
    day          Date,
    goal         LowCardinality(String),
    milliseconds Int64 COMMENT 'from the first touch to the conversion',
    with_touch   Bool
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, as_of, day)
SETTINGS {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.rolled_conversions {{.OnCluster}}
(
    site_id             LowCardinality(String),
    as_of               DateTime64(3, 'UTC'),
    day                 Date COMMENT 'of the session, else of the conversion',
    goal                LowCardinality(String),
    converting_sessions UInt64,
    without_session     UInt64
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, as_of, day)
SETTINGS {{.Window}};

-- whole_day rows count visitors over all channels, and have no channel.
CREATE TABLE IF NOT EXISTS {{.Database}}.rolled_sessions {{.OnCluster}}
(
    site_id             LowCardinality(String),
    as_of               DateTime64(3, 'UTC'),
    day                 Date,
    whole_day           Bool,
    channel             LowCardinality(String),
    sessions            UInt64,
    visitors            UInt64,
    page_views          UInt64,
    longer_sessions     UInt64,
    milliseconds        Int64,
    converting_sessions UInt64,
    machine_events      UInt64
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, as_of, whole_day, day)
SETTINGS {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.rolled_visitors {{.OnCluster}}
(
    site_id          LowCardinality(String),
    as_of            DateTime64(3, 'UTC'),
    day              Date,
    visitors         UInt64,
    new              UInt64,
    returning        UInt64,
    cookieless       UInt64,
    cookieless_share Nullable(Float64),
    machine_events   UInt64
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, as_of, day)
SETTINGS {{.Window}};

CREATE TABLE IF NOT EXISTS {{.Database}}.rolled_traffic {{.OnCluster}}
(
    site_id            LowCardinality(String),
    as_of              DateTime64(3, 'UTC'),
    day                Date,
    channel            LowCardinality(String),
    page_views         Int64,
    events             Int64,
    visitors           UInt64,
    day_visitors       UInt64,
    machine_page_views Int64,
    machine_events     Int64,
    duplicates         Int64
)
ENGINE = {{.Engine "MergeTree"}}
ORDER BY (site_id, as_of, day)
SETTINGS {{.Window}};

-- The rows of the last complete run. A range that begins before it is an error, not an answer that lacks days.
{{define "as_of"}}(SELECT max(as_of) FROM {{.Database}}.rollups WHERE site_id = {site:String}){{end}}
{{define "rolled"}}site_id = {site:String} AND day BETWEEN {from:Date} AND {to:Date} AND as_of = {{template "as_of" .}}
  AND (SELECT throwIf(if(count() = 0, true, argMax(from_day, as_of) > {from:Date}), 'the range begins before the days of the rollup: see consumer rollup')
       FROM {{.Database}}.rollups WHERE site_id = {site:String}) = 0{{end}}
{{define "rolled_credits"}}SELECT * FROM {{.Database}}.rolled_credits
    WHERE {{template "rolled" .}} AND has(models, model) AND ({goal:Nullable(String)} IS NULL OR goal = {goal:Nullable(String)})
      AND (SELECT throwIf(NOT hasAll({{template "models"}}, models), {{template "unknown_model"}})) = 0{{end}}
{{define "rolled_answer"}}SELECT {{template "as_of" .}} AS as_of, *{{end}}
--   SELECT * FROM rollup_campaign_revenue(site = 'shop', from = '2026-11-01', to = '2026-11-30', model = 'linear')
CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_campaign_revenue {{.OnCluster}} AS
{{template "rolled_answer" .}} FROM
(
    WITH
        {{template "model"}} AS models,
        credit_rows AS ({{template "rolled_credits" .}})
    {{template "campaign_revenue" .}}
);

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_model_comparison {{.OnCluster}} AS
{{template "rolled_answer" .}} FROM
(
    WITH
        {{template "models"}} AS models,
        credit_rows AS ({{template "rolled_credits" .}})
    {{template "model_comparison" .}}
);

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_roas {{.OnCluster}} AS
{{template "rolled_answer" .}} FROM
(
    WITH
        {{template "model"}} AS models,
        credit_rows AS ({{template "rolled_credits" .}}),
        {{template "roas" .}}
);

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_view_through {{.OnCluster}} AS
{{template "rolled_answer" .}} FROM
(
    WITH
        ['last_non_direct'] AS models,
        credit_rows AS ({{template "rolled_credits" .}}),
        impression_rows AS (SELECT * FROM {{.Database}}.rolled_impressions WHERE {{template "rolled" .}})
    {{template "view_through" .}}
);

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_time_to_convert {{.OnCluster}} AS
{{template "rolled_answer" .}} FROM
(
    SELECT
        c.goal AS goal,
        {{template "times" "milliseconds"}}
    FROM (SELECT * FROM {{.Database}}.rolled_times WHERE {{template "rolled" .}}) AS c
    LEFT ANY JOIN ({{template "machine_hits" .}}) AS m ON m.goal = c.goal
    WHERE {goal:Nullable(String)} IS NULL OR c.goal = {goal:Nullable(String)}
    GROUP BY goal
    ORDER BY goal
);

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_conversion_rate {{.OnCluster}} AS
{{template "rolled_answer" .}} FROM
(
    WITH
        (SELECT sum(sessions) FROM {{.Database}}.rolled_sessions WHERE {{template "rolled" .}} AND whole_day) AS all_sessions,
        session_conversions AS
        (
            SELECT goal, sum(converting_sessions) AS converting, sum(without_session) AS without_session
            FROM {{.Database}}.rolled_conversions
            WHERE {{template "rolled" .}}
            GROUP BY goal
        ),
        {{template "conversion_rate" .}}
);

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_sessions_daily {{.OnCluster}} AS
{{template "rolled_answer" .}} FROM
(
    SELECT day, sum(s.sessions) AS sessions, sum(s.visitors) AS visitors, {{template "daily"}}
    FROM {{.Database}}.rolled_sessions AS s
    WHERE {{template "rolled" .}} AND whole_day
    GROUP BY day
    ORDER BY day
);

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_channel_daily {{.OnCluster}} AS
{{template "rolled_answer" .}} FROM
(
    SELECT day, channel, sum(s.sessions) AS sessions, sum(s.visitors) AS visitors, {{template "daily"}}
    FROM {{.Database}}.rolled_sessions AS s
    WHERE {{template "rolled" .}} AND NOT whole_day
    GROUP BY day, channel
    ORDER BY day, sessions DESC, channel
);

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_new_vs_returning {{.OnCluster}} AS
SELECT as_of, * EXCEPT (site_id, as_of)
FROM {{.Database}}.rolled_visitors
WHERE {{template "rolled" .}}
ORDER BY day;

CREATE VIEW IF NOT EXISTS {{.Database}}.rollup_traffic {{.OnCluster}} AS
SELECT as_of, * EXCEPT (site_id, as_of)
FROM {{.Database}}.rolled_traffic
WHERE {{template "rolled" .}}
ORDER BY day, page_views DESC, channel;
