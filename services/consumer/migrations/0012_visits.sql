-- oldest consumer: 1
{{define "none"}}toUUID('00000000-0000-0000-0000-000000000000'){{end}}
{{define "daily"}}sum(s.sessions) AS sessions,
    uniqExactArray(visitor_ids) AS visitors,
    sum(s.page_views) AS page_views,
    sum(s.bounces) AS bounces,
    if(sum(s.sessions) = 0, NULL, sum(s.bounces) / sum(s.sessions)) AS bounce_rate,
    if(sum(s.sessions) = 0, NULL, sum(milliseconds) / sum(s.sessions) / 1000) AS average_seconds,
    sum(s.converting_sessions) AS converting_sessions,
    sum(s.machine_events) AS machine_events{{end}}
-- Reports on sessions, with the conversions that fell into them.

-- Conversions and the session that they fell into: the one of the event itself, else the one of the visitor at that time. Those
-- of the day after the range too, since a session of the last day may end there. session is the id of its first event, zero
-- for a conversion in no session.
CREATE VIEW IF NOT EXISTS {{.Database}}.conversions_in_sessions {{.OnCluster}} AS
WITH
    returned AS (SELECT visitor_id FROM {{.Database}}.visitors WHERE site_id = {site:String} AND returned)
SELECT
    goal, site_day,
    multiIf(
        own_session != {{template "none"}}, own_session,
        s.ended_at >= c.occurred_at, s.first_event,
        {{template "none"}}) AS session,
    if(own_session != {{template "none"}}, own_day, s.session_day) AS session_day
FROM
(
    SELECT goal, site_day, occurred_at, event_id,
        multiIf(who_kind IN ('cookie', 'provided') OR who_kind = 'minted' AND who_visitor_id IN returned, who_visitor_id, who_daily_hash) AS visitor
    FROM {{.Database}}.counted_hits(site = {site:String}, from = {from:Date}, to = {to:Date} + 1)
) AS c
LEFT ANY JOIN
(
    SELECT event_id, session_event AS own_session, session_day AS own_day FROM {{.Database}}.session_events(site = {site:String}, from = {from:Date}, to = {to:Date})
) AS own ON own.event_id = c.event_id
ASOF LEFT JOIN
(
    SELECT visitor, session_day, first_event, started_at, ended_at FROM {{.Database}}.sessions(site = {site:String}, from = {from:Date} - 1, to = {to:Date})
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
        uniqExactIf(session, session != {{template "none"}} AND session_day BETWEEN {from:Date} AND {to:Date}) AS converting,
        countIf(session = {{template "none"}} AND site_day <= {to:Date}) AS without_session
    FROM {{.Database}}.conversions_in_sessions(site = {site:String}, from = {from:Date}, to = {to:Date})
    GROUP BY goal
) AS c ON c.goal = goals.goal
ORDER BY goal;

-- Sums by day and channel: of sessions, and of machines' events beside them. visitor_ids are to be counted by day or by day and channel.
CREATE VIEW IF NOT EXISTS {{.Database}}.session_sums {{.OnCluster}} AS
WITH converting AS (SELECT session FROM {{.Database}}.conversions_in_sessions(site = {site:String}, from = {from:Date}, to = {to:Date}))
SELECT
    session_day AS day, channel,
    count()                                                AS sessions,
    groupUniqArray(visitor)                                AS visitor_ids,
    sum(s.page_views)                                      AS page_views,
    countIf(bounce)                                        AS bounces,
    sum(dateDiff('millisecond', started_at, ended_at))     AS milliseconds,
    countIf(first_event IN converting)                     AS converting_sessions,
    toUInt64(0)                                            AS machine_events
FROM {{.Database}}.sessions(site = {site:String}, from = {from:Date}, to = {to:Date}) AS s
GROUP BY day, channel
UNION ALL
SELECT site_day AS day, channel, 0, [], 0, 0, 0, 0, count()
FROM {{.Database}}.visitor_events
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND is_bot
GROUP BY day, channel;

CREATE VIEW IF NOT EXISTS {{.Database}}.sessions_daily {{.OnCluster}} AS
SELECT day, {{template "daily"}}
FROM {{.Database}}.session_sums(site = {site:String}, from = {from:Date}, to = {to:Date}) AS s
GROUP BY day
ORDER BY day;

CREATE VIEW IF NOT EXISTS {{.Database}}.channel_daily {{.OnCluster}} AS
SELECT day, channel, {{template "daily"}}
FROM {{.Database}}.session_sums(site = {site:String}, from = {from:Date}, to = {to:Date}) AS s
GROUP BY day, channel
ORDER BY day, sessions DESC, channel;

CREATE VIEW IF NOT EXISTS {{.Database}}.new_vs_returning {{.OnCluster}} AS
WITH
    people AS
    (
        SELECT
            visitor_kind IN ('cookie', 'provided')
                OR visitor_kind = 'minted' AND visitor_id IN (SELECT visitor_id FROM {{.Database}}.visitors WHERE site_id = {site:String} AND returned) AS by_id,
            if(by_id, visitor_id, daily_hash) AS visitor,
            site_day
        FROM {{.Database}}.events
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND outcome = 'event' AND NOT is_bot AND transport IN ('gif', 'beacon')
          AND visitor != toUUID('00000000-0000-0000-0000-000000000000')
        GROUP BY by_id, visitor, site_day
    ),
    firsts AS
    (
        SELECT visitor_id, min(first_day) AS first_day
        FROM {{.Database}}.visitors
        WHERE site_id = {site:String}
        GROUP BY visitor_id
        HAVING first_day BETWEEN {from:Date} AND {to:Date}
    ),
    machines AS
    (
        SELECT site_day, count() AS n
        FROM {{.Database}}.events
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND outcome = 'event' AND is_bot AND transport IN ('gif', 'beacon')
        GROUP BY site_day
    )
SELECT
    day,
    sum(people)                                          AS visitors,
    sum(new_people)                                      AS new,
    visitors - new - cookieless                          AS returning,
    sum(hashes)                                          AS cookieless,
    if(visitors = 0, NULL, cookieless / visitors)        AS cookieless_share,
    sum(machine)                                         AS machine_events
FROM
(
    SELECT site_day AS day, count() AS people, countIf(by_id AND (visitor, site_day) IN firsts) AS new_people, countIf(NOT by_id) AS hashes, toUInt64(0) AS machine
    FROM people
    GROUP BY day
    UNION ALL
    SELECT site_day, 0, 0, 0, n FROM machines
)
GROUP BY day
ORDER BY day;

-- How far visitors got through the steps, each a name of an event or the path of a page. The state is the latest start from
-- which each step was reached; an event moves from what was reached before it, so it never takes two steps.
CREATE VIEW IF NOT EXISTS {{.Database}}.funnel {{.OnCluster}} AS
WITH
    {steps:Array(String)} AS wanted,
    toInt64(coalesce({window_days:Nullable(UInt16)}, 7)) * 86400000 AS span,
    matching AS
    (
        SELECT
            *,
            arrayMap(s -> if(startsWith(s, '/'), kind = 'page_view' AND page_path = s, name = s), wanted) AS hits
        FROM {{.Database}}.visitor_events
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND has(hits, 1)
          AND throwIf(length(wanted) NOT BETWEEN 1 AND 10, 'steps: give 1 to 10') = 0
          AND throwIf(coalesce({window_days:Nullable(UInt16)}, 7) NOT BETWEEN 1 AND 90, 'window_days: give 1 to 90') = 0
    ),
    people AS
    (
        SELECT
            if(visitor_kind IN ('cookie', 'provided')
                OR visitor_kind = 'minted' AND visitor_id IN (SELECT visitor_id FROM {{.Database}}.visitors WHERE site_id = {site:String} AND returned),
                visitor_id, daily_hash) AS visitor,
            arrayFold((starts, event) -> arrayMap((hit, own, before, i) -> multiIf(
                    NOT hit, own,
                    i = 1, event.1,
                    before != 0 AND event.1 - before <= span, before,
                    own), event.3, starts, arrayPushFront(arrayPopBack(starts), toInt64(0)), arrayEnumerate(starts)),
                arraySort(e -> (e.1, e.2), groupArray((toUnixTimestamp64Milli(occurred_at), event_id, hits))),
                arrayMap(s -> toInt64(0), wanted)) AS starts
        FROM matching
        WHERE NOT is_bot
        GROUP BY visitor
        HAVING visitor != toUUID('00000000-0000-0000-0000-000000000000')
    ),
    (SELECT sumForEach(arrayMap(s -> toUInt64(s != 0), starts)) FROM people) AS reached,
    (SELECT sumForEach(arrayMap(h -> toUInt64(h), hits)) FROM matching WHERE is_bot) AS machines
SELECT
    toUInt8(i)                                                                  AS step,
    wanted[i]                                                                   AS name,
    reached[i]                                                                  AS visitors,
    if(reached[1] = 0, NULL, reached[i] / reached[1])                           AS share_of_first,
    if(i = 1 OR reached[i - 1] = 0, NULL, reached[i] / reached[i - 1])          AS share_of_previous,
    machines[i]                                                                 AS machine_events
FROM (SELECT arrayJoin(arrayEnumerate(wanted)) AS i)
ORDER BY step;
