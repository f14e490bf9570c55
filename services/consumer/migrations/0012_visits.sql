-- oldest consumer: 1
{{define "daily"}}    sum(s.page_views) AS page_views,
    toUInt64(sum(s.sessions) - sum(longer_sessions)) AS bounces,
    if(sum(s.sessions) = 0, NULL, (sum(s.sessions) - sum(longer_sessions)) / sum(s.sessions)) AS bounce_rate,
    if(sum(s.sessions) = 0, NULL, sum(milliseconds) / sum(s.sessions) / 1000) AS average_seconds,
    sum(s.converting_sessions) AS converting_sessions,
    sum(s.machine_events) AS machine_events{{end}}
-- Reports on sessions, with the conversions that fell into them.

-- Conversions and the session that they fell into: the one of the event itself, else the one of the visitor at that time. Those
-- of the day after the range too, since a session of the last day may end there. session is the id of its first event, zero
-- for a conversion in no session.
CREATE VIEW IF NOT EXISTS {{.Database}}.conversions_in_sessions {{.OnCluster}} AS
WITH
    of_hits AS (SELECT visitor FROM {{.Database}}.hit_visitors(site = {site:String}, from = {{.DaysBefore "1"}}, to = {{.DaysAfter "2"}}))
SELECT
    goal, site_day,
    multiIf(
        own_session != {{.NoID}}, own_session,
        s.ended_at >= c.occurred_at, s.first_event,
        {{.NoID}}) AS session,
    if(own_session != {{.NoID}}, own_day, s.session_day) AS session_day,
    if(own_session != {{.NoID}}, own_channel, s.channel) AS session_channel
FROM
(
    SELECT goal, site_day, occurred_at, event_id,
        {{.Visitor "who_kind" "who_visitor_id" "who_daily_hash"}} AS visitor
    FROM {{.Database}}.counted_hits(site = {site:String}, from = {from:Date}, to = {{.DaysAfter "1"}})
) AS c
LEFT ANY JOIN
(
    SELECT event_id, occurred_at, session_event AS own_session, session_day AS own_day, session_channel AS own_channel
    FROM {{.Database}}.session_events(site = {site:String}, from = {from:Date}, to = {to:Date})
    WHERE visitor IN of_hits AND event_id IN (SELECT event_id FROM {{.Database}}.conversion_hits WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {{.DaysAfter "1"}})
) AS own ON own.event_id = c.event_id AND own.occurred_at = c.occurred_at
ASOF LEFT JOIN
(
    SELECT visitor, session_day, channel, first_event, started_at, ended_at
    FROM {{.Database}}.sessions(site = {site:String}, from = {{.DaysBefore "1"}}, to = {to:Date})
    WHERE visitor IN of_hits
) AS s ON s.visitor = c.visitor AND s.started_at <= c.occurred_at;

-- Sessions and conversions are those of now, or the sums of rollups: all_sessions and session_conversions.
{{define "conversion_rate"}}goals AS
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
LEFT ANY JOIN session_conversions AS c ON c.goal = goals.goal
ORDER BY goal{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.conversion_rate {{.OnCluster}} AS
WITH
    (
        SELECT count() FROM {{.Database}}.session_events(site = {site:String}, from = {from:Date}, to = {to:Date})
        WHERE starts AND session_day BETWEEN {from:Date} AND {to:Date}
    ) AS all_sessions,
    session_conversions AS
    (
        SELECT goal,
            uniqExactIf((session, session_day), session != {{.NoID}} AND session_day BETWEEN {from:Date} AND {to:Date}) AS converting,
            countIf(session = {{.NoID}} AND site_day <= {to:Date}) AS without_session
        FROM {{.Database}}.conversions_in_sessions(site = {site:String}, from = {from:Date}, to = {to:Date})
        GROUP BY goal
    ),
    {{template "conversion_rate" .}};

-- Sums by day and channel: of sessions, of those with a conversion, and of machines' events beside them.
CREATE VIEW IF NOT EXISTS {{.Database}}.session_sums {{.OnCluster}} AS
SELECT
    session_day                       AS day,
    session_channel                   AS channel,
    countIf(starts)                   AS sessions,
    uniqExactStateIf(visitor, starts) AS visitors,
    countIf(is_page_view)             AS page_views,
    countIf(second)                   AS longer_sessions,
    sum(ms_before)                    AS milliseconds,
    toUInt64(0)                       AS converting_sessions,
    toUInt64(0)                       AS machine_events
FROM {{.Database}}.session_events(site = {site:String}, from = {from:Date}, to = {to:Date})
WHERE session_day BETWEEN {from:Date} AND {to:Date}
GROUP BY day, channel
UNION ALL
SELECT session_day AS day, session_channel AS channel, 0, uniqExactStateIf(session, false), 0, 0, 0, uniqExact(session), 0
FROM {{.Database}}.conversions_in_sessions(site = {site:String}, from = {from:Date}, to = {to:Date})
WHERE session != {{.NoID}} AND session_day BETWEEN {from:Date} AND {to:Date}
GROUP BY day, channel
UNION ALL
SELECT site_day AS day, channel, 0, uniqExactStateIf(visitor_id, false), 0, 0, 0, 0, count()
FROM {{.Database}}.visitor_events
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND is_bot
GROUP BY day, channel;

-- Sessions by day.
--   SELECT * FROM sessions_daily(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.sessions_daily {{.OnCluster}} AS
SELECT day, sum(s.sessions) AS sessions, uniqExactMerge(s.visitors) AS visitors, {{template "daily"}}
FROM {{.Database}}.session_sums(site = {site:String}, from = {from:Date}, to = {to:Date}) AS s
GROUP BY day
ORDER BY day;

-- Sessions by day and channel; machine_events are of that channel themselves.
--   SELECT * FROM channel_daily(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.channel_daily {{.OnCluster}} AS
SELECT day, channel, sum(s.sessions) AS sessions, uniqExactMerge(s.visitors) AS visitors, {{template "daily"}}
FROM {{.Database}}.session_sums(site = {site:String}, from = {from:Date}, to = {to:Date}) AS s
GROUP BY day, channel
ORDER BY day, sessions DESC, channel;

-- Visitors by day: those whose first event ever is of that day, those who have been here before, and those who are known
-- for this day only.
--   SELECT * FROM new_vs_returning(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.new_vs_returning {{.OnCluster}} AS
WITH
    present AS
    (
        SELECT site_day, by_id, visitor
        FROM {{.Database}}.people_events(site={site:String}, from={from:Date}, to={to:Date})
        GROUP BY site_day, by_id, visitor
    ),
    first_days AS
    (
        SELECT min(first_day) AS day, visitor_id
        FROM {{.Database}}.visitors
        WHERE site_id = {site:String}
        GROUP BY visitor_id
        HAVING day BETWEEN {from:Date} AND {to:Date}
    )
SELECT
    day,
    sum(people)                                        AS visitors,
    sum(first_timers)                                  AS new,
    toUInt64(visitors - new - cookieless)              AS returning,
    sum(hashes)                                        AS cookieless,
    if(visitors = 0, NULL, cookieless / visitors)      AS cookieless_share,
    sum(machines)                                      AS machine_events
FROM
(
    SELECT
        site_day AS day, count() AS people, countIf(by_id AND (site_day, visitor) IN first_days) AS first_timers, countIf(NOT by_id) AS hashes,
        toUInt64(0) AS machines
    FROM present
    GROUP BY day
    UNION ALL
    SELECT site_day AS day, 0, 0, 0, count()
    FROM {{.Database}}.visitor_events
    WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND is_bot
    GROUP BY day
)
GROUP BY day
ORDER BY day;

-- How many visitors reached each of up to ten steps, in this order. Bit i of an event's mask says that it matches step i+1.
-- state[i] is the instant of step 1 in the latest chain of events that has reached step i, 0 when there is none. An event moves
-- chains on from the state before it, so never by two steps; the latest chain leaves the most of the window.
--   SELECT * FROM funnel(site = 'shop', from = '2026-11-01', to = '2026-11-30', steps = ['/product', 'add_to_cart', 'purchase'], window_days = 7)
CREATE VIEW IF NOT EXISTS {{.Database}}.funnel {{.OnCluster}} AS
WITH
    {steps:Array(String)} AS names,
    length(names) AS last_step,
    toInt64(ifNull({window_days:Nullable(UInt16)}, 7)) * 24 * 3600 * 1000 AS window_ms,
    matching AS
    (
        SELECT
            visitor,
            toUnixTimestamp64Milli(occurred_at) AS at,
            event_id,
            arraySum(arrayMap((s, i) -> if(s = if(startsWith(s, '/'), if(is_page_view, page_path, ''), name), bitShiftLeft(toUInt16(1), i), 0), names, range(last_step))) AS mask
        FROM {{.Database}}.people_events(site={site:String}, from={from:Date}, to={to:Date})
        WHERE mask != 0
    ),
    levels AS
    (
        SELECT
            arraySort((m, a, id) -> (a, id), groupArray(mask), groupArray(at), groupArray(event_id)) AS masks,
            arraySort((a, id) -> (a, id), groupArray(at), groupArray(event_id)) AS ats,
            arrayFold(
                (state, m, a) -> arrayMap(
                    (here, before, i) -> multiIf(NOT bitTest(m, i), here, i = 0, a, before != 0 AND a - before <= window_ms, before, here),
                    state, arrayPushFront(arrayPopBack(state), toInt64(0)), range(last_step)),
                masks, ats, arrayResize([toInt64(0)], last_step)) AS state,
            arrayCount(x -> x != 0, state) AS level
        FROM matching
        GROUP BY visitor
        HAVING bitTest(groupBitOr(mask), 0)
    )
SELECT
    step,
    names[step] AS name,
    sum(reached) AS visitors,
    visitors / nullIf(first_value(visitors) OVER so_far, 0) AS share_of_first,
    if(step = 1, NULL, visitors / nullIf(lagInFrame(visitors) OVER so_far, 0)) AS share_of_previous,
    sum(machines) AS machine_events
FROM
(
    SELECT arrayJoin(arrayEnumerate(names)) AS step, 0 AS reached, 0 AS machines
    UNION ALL
    SELECT arrayJoin(range(1, level + 1)) AS step, count(), 0 FROM levels GROUP BY step
    UNION ALL
    SELECT arrayJoin(arrayEnumerate(names)) AS step, 0, countIf(names[step] = if(startsWith(names[step], '/'), if(is_page_view, page_path, ''), name))
    FROM {{.Database}}.visitor_events
    WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND is_bot
    GROUP BY step
)
WHERE throwIf(last_step NOT BETWEEN 1 AND 10, 'steps: between 1 and 10 are needed') = 0
  AND throwIf(has(names, ''), 'steps: a step is empty') = 0
  AND throwIf(ifNull({window_days:Nullable(UInt16)}, 7) NOT BETWEEN 1 AND 90, 'window_days: must lie between 1 and 90') = 0
GROUP BY step
WINDOW so_far AS (ORDER BY step ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
ORDER BY step;

-- Traffic of a site by day and channel, people only; machines and repeats are shown beside.
-- visitors are per row and do not add up over channels: day_visitors is the number for the whole day.
--   SELECT * FROM traffic(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.traffic {{.OnCluster}} AS
SELECT
    day, channel, page_views, events,
    finalizeAggregation(people)                      AS visitors,
    uniqExactMerge(people) OVER (PARTITION BY day)   AS day_visitors,
    machine_page_views, machine_events, duplicates
FROM
(
    SELECT
        day, channel,
        sum(s.page_views) AS page_views, sum(s.events) AS events, uniqExactMergeState(s.people) AS people,
        sum(s.machine_page_views) AS machine_page_views, sum(s.machine_events) AS machine_events, sum(s.duplicates) AS duplicates
    FROM
    (
        SELECT
            site_day AS day, channel, sum(page_views) AS page_views, sum(events) AS events, uniqExactStateIf({{.NoID}}, false) AS people,
            sum(machine_page_views) AS machine_page_views, sum(machine_events) AS machine_events, sum(duplicates) AS duplicates
        FROM {{.Database}}.traffic_daily
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date}
        GROUP BY day, channel
        UNION ALL
        SELECT site_day AS day, channel, 0, 0, uniqExactState({{.Visitor "visitor_kind" "visitor_id" "daily_hash"}}), 0, 0, 0
        FROM {{.Database}}.visitor_days
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND visitor_kind != 'none'
        GROUP BY day, channel
    ) AS s
    GROUP BY day, channel
)
ORDER BY day, page_views DESC, channel;
