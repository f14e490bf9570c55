-- oldest consumer: 1
-- Sessions and the reports on them. docs/questions.md defines every word used here.

-- Sorting the events of a month costs as much as its columns are wide, so what sessions compare is a number made when the row is stored.
ALTER TABLE {{.Database}}.visitor_events {{.OnCluster}}
    ADD COLUMN IF NOT EXISTS campaign_key UInt128 MATERIALIZED if(with_campaign, reinterpretAsUInt128(sipHash128(source, medium, campaign, click_id)), 0) COMMENT '0 = carries no campaign',
    ADD COLUMN IF NOT EXISTS is_page_view Bool MATERIALIZED kind = 'page_view';

-- The events of people that make sessions, on the days of the range, each with its visitor. by_id tells whether the visitor
-- is an id or a daily hash: an id that was only minted counts once it has come back.
CREATE VIEW IF NOT EXISTS {{.Database}}.people_events {{.OnCluster}} AS
SELECT
    if(by_id, visitor_id, daily_hash) AS visitor,
    visitor_kind IN ('cookie', 'provided')
        OR visitor_kind = 'minted' AND visitor_id IN (SELECT visitor_id FROM {{.Database}}.visitors WHERE site_id = {site:String} AND returned) AS by_id,
    site_day, occurred_at, event_id, is_page_view, name, page_path, channel, source, medium, campaign, campaign_key
FROM {{.Database}}.visitor_events
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND NOT is_bot
  AND visitor != toUUID('00000000-0000-0000-0000-000000000000');

-- The events from one day before the range to one day after it, each with its session: the visitor, and the instant and
-- the id of the session's first event (session is the three as one text). starts is true for that one, second for the next one of the session; ms_before is
-- the time since the one before in the session. So sums over events are sums over sessions, and nothing has to be grouped.
-- A stretch is what lies between two gaps of more than 30 minutes. A session is a stretch, or the part of one that begins
-- when an event carries another campaign than was last carried in the stretch.
CREATE VIEW IF NOT EXISTS {{.Database}}.session_events {{.OnCluster}} AS
WITH
    compared AS
    (
        SELECT
            *,
            dateDiff('millisecond', anyLast(occurred_at) OVER earlier, occurred_at) AS since_last,
            since_last > 30 * 60 * 1000                                             AS after_gap,
            anyLastIf(campaign_key, campaign_key != 0) OVER earlier                 AS last_carried,
            anyLastIf(occurred_at, campaign_key != 0) OVER earlier                  AS last_carried_at
        FROM {{.Database}}.people_events(site={site:String}, from=subtractDays({from:Date}, 1), to=addDays({to:Date}, 1))
        WINDOW earlier AS (PARTITION BY visitor ORDER BY occurred_at, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ),
    broken AS
    (
        SELECT
            *,
            -- What was carried before the stretch began does not count.
            after_gap OR campaign_key != 0 AND (campaign_key != last_carried OR last_carried_at < anyLastIf(occurred_at, after_gap) OVER so_far) AS starts
        FROM compared
        WINDOW so_far AS (PARTITION BY visitor ORDER BY occurred_at, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
SELECT
    visitor,
    concat(toString(visitor), ' ', toString(session_start), ' ', toString(session_event)) AS session,
    anyLastIf(occurred_at, starts) OVER so_far    AS session_start,
    anyLastIf(event_id, starts) OVER so_far       AS session_event,
    anyLastIf(site_day, starts) OVER so_far       AS session_day,
    anyLastIf(channel, starts) OVER so_far        AS session_channel,
    starts,
    NOT starts AND lagInFrame(starts) OVER so_far AS second,
    if(starts, 0, since_last)                     AS ms_before,
    occurred_at, event_id, is_page_view, page_path, source, medium, campaign
FROM broken
WINDOW so_far AS (PARTITION BY visitor ORDER BY occurred_at, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);

-- One row for each session whose day is in the range.
--   SELECT * FROM sessions(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.sessions {{.OnCluster}} AS
SELECT
    visitor,
    session_day,
    session_start                                               AS started_at,
    session_event                                               AS first_event,
    max(occurred_at)                                            AS ended_at,
    count()                                                     AS events,
    countIf(is_page_view)                                       AS page_views,
    argMinIf(page_path, (occurred_at, event_id), is_page_view)  AS entry_page,
    argMaxIf(page_path, (occurred_at, event_id), is_page_view)  AS exit_page,
    sum(ms_before) / 1000                                       AS seconds,
    events = 1                                                  AS bounce,
    session_channel                                             AS channel,
    anyIf(source, starts)                                       AS source,
    anyIf(medium, starts)                                       AS medium,
    anyIf(campaign, starts)                                     AS campaign
FROM {{.Database}}.session_events(site={site:String}, from={from:Date}, to={to:Date})
WHERE session_day BETWEEN {from:Date} AND {to:Date}
GROUP BY visitor, session_day, session_start, session_event, session_channel;

-- Sessions by day; machine_events are of that day.
--   SELECT * FROM sessions_daily(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.sessions_daily {{.OnCluster}} AS
SELECT
    day,
    sum(begun)                                    AS sessions,
    sum(began)                                    AS visitors,
    sum(views)                                    AS page_views,
    toUInt64(sum(begun) - sum(continued))         AS bounces,
    if(sessions = 0, NULL, bounces / sessions)    AS bounce_rate,
    if(sessions = 0, NULL, sum(ms) / sessions / 1000) AS average_seconds,
    sum(machines)                                 AS machine_events
FROM
(
    SELECT
        session_day AS day, countIf(starts) AS begun, uniqExactIf(visitor, starts) AS began, countIf(is_page_view) AS views,
        countIf(second) AS continued, sum(ms_before) AS ms, toUInt64(0) AS machines
    FROM {{.Database}}.session_events(site={site:String}, from={from:Date}, to={to:Date})
    WHERE session_day BETWEEN {from:Date} AND {to:Date}
    GROUP BY day
    UNION ALL
    SELECT site_day AS day, 0, 0, 0, 0, 0, count()
    FROM {{.Database}}.visitor_events
    WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND is_bot
    GROUP BY day
)
GROUP BY day
ORDER BY day;

-- The same by day and channel of the session; machine_events are of that day and channel.
--   SELECT * FROM channel_daily(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.channel_daily {{.OnCluster}} AS
SELECT
    day,
    channel,
    sum(begun)                                    AS sessions,
    sum(began)                                    AS visitors,
    sum(views)                                    AS page_views,
    toUInt64(sum(begun) - sum(continued))         AS bounces,
    if(sessions = 0, NULL, bounces / sessions)    AS bounce_rate,
    if(sessions = 0, NULL, sum(ms) / sessions / 1000) AS average_seconds,
    sum(machines)                                 AS machine_events
FROM
(
    SELECT
        session_day AS day, session_channel AS channel, countIf(starts) AS begun, uniqExactIf(visitor, starts) AS began, countIf(is_page_view) AS views,
        countIf(second) AS continued, sum(ms_before) AS ms, toUInt64(0) AS machines
    FROM {{.Database}}.session_events(site={site:String}, from={from:Date}, to={to:Date})
    WHERE session_day BETWEEN {from:Date} AND {to:Date}
    GROUP BY day, channel
    UNION ALL
    SELECT site_day AS day, channel, 0, 0, 0, 0, 0, count()
    FROM {{.Database}}.visitor_events
    WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND is_bot
    GROUP BY day, channel
)
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
