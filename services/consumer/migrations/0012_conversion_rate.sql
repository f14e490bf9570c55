-- oldest consumer: 1
-- Conversions and the session of their visitor that they fell into; those of the day after the range too, since a session of
-- the last day may end there. began_at is null for a conversion in no session.
CREATE VIEW IF NOT EXISTS {{.Database}}.conversions_in_sessions {{.OnCluster}} AS
WITH
    returned AS (SELECT visitor_id FROM {{.Database}}.visitors WHERE site_id = {site:String} AND returned)
SELECT goal, site_day, c.visitor AS visitor, s.session_day AS session_day, if(s.ended_at >= occurred_at, s.started_at, NULL) AS began_at
FROM
(
    SELECT goal, site_day, occurred_at,
        multiIf(who_kind IN ('cookie', 'provided') OR who_kind = 'minted' AND who_visitor_id IN returned, who_visitor_id, who_daily_hash) AS visitor
    FROM {{.Database}}.counted_hits(site = {site:String}, from = {from:Date}, to = {to:Date} + 1)
) AS c
ASOF LEFT JOIN
(
    SELECT visitor, session_day, started_at, ended_at FROM {{.Database}}.sessions(site = {site:String}, from = {from:Date} - 1, to = {to:Date})
) AS s ON s.visitor = c.visitor AND s.started_at <= c.occurred_at;

CREATE VIEW IF NOT EXISTS {{.Database}}.conversion_rate {{.OnCluster}} AS
WITH
    (SELECT count() FROM {{.Database}}.sessions(site = {site:String}, from = {from:Date}, to = {to:Date})) AS all_sessions,
    goals AS
    (
        SELECT goal, countIf(outcome = 'event' AND is_bot) AS machine_hits
        FROM {{.Database}}.conversion_hits
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date}
          AND ({goal:Nullable(String)} IS NULL OR goal = {goal:Nullable(String)})
        GROUP BY goal
    )
SELECT
    goals.goal AS goal,
    all_sessions AS sessions,
    c.converting AS converting_sessions,
    if(sessions = 0, NULL, converting_sessions / sessions) AS rate,
    c.without_session AS conversions_without_session,
    goals.machine_hits AS machine_hits
FROM goals
LEFT ANY JOIN
(
    SELECT goal,
        uniqExactIf((visitor, began_at), began_at IS NOT NULL AND session_day BETWEEN {from:Date} AND {to:Date}) AS converting,
        countIf(began_at IS NULL AND site_day <= {to:Date}) AS without_session
    FROM {{.Database}}.conversions_in_sessions(site = {site:String}, from = {from:Date}, to = {to:Date})
    GROUP BY goal
) AS c ON c.goal = goals.goal
ORDER BY goal;
