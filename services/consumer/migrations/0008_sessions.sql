-- oldest consumer: 1
-- Sessions and the reports on them. docs/questions.md defines every word used here.

-- The events of people that make sessions, on the days of the range, each with its visitor. by_id tells whether the visitor
-- is an id or a daily hash: an id that was only minted counts once it has come back.
CREATE VIEW IF NOT EXISTS {{.Database}}.people_events {{.OnCluster}} AS
SELECT
    if(by_id, visitor_id, daily_hash) AS visitor,
    visitor_kind IN ('cookie', 'provided')
        OR visitor_kind = 'minted' AND visitor_id IN (SELECT visitor_id FROM {{.Database}}.visitors WHERE site_id = {site:String} AND returned) AS by_id,
    site_day, occurred_at, event_id, kind, name, page_path, channel, source, medium, campaign, click_id, with_campaign
FROM {{.Database}}.visitor_events
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND NOT is_bot
  AND visitor != toUUID('00000000-0000-0000-0000-000000000000');

-- The events from one day before the range to one day after it, each with its session: the visitor, and the instant and
-- the id of the session's first event. starts is true for that one, second for the next of the session; seconds_before is the time since
-- the event before in the same session. So sums over events are sums over sessions, which nothing has to be grouped for.
-- A stretch is what lies between two gaps of more than 30 minutes. A session is a stretch, or the part of it that begins when
-- an event carries another campaign than the last carried in the stretch.
CREATE VIEW IF NOT EXISTS {{.Database}}.session_events {{.OnCluster}} AS
WITH
    compared AS
    (
        SELECT
            * EXCEPT (with_campaign),
            if(with_campaign, sipHash128(source, medium, campaign, click_id), '') AS carried,
            dateDiff('millisecond', anyLast(occurred_at) OVER earlier, occurred_at) AS ms_before,
            ms_before > 30 * 60 * 1000                                              AS after_gap,
            anyLastIf(carried, with_campaign) OVER earlier                          AS carried_last,
            anyLastIf(occurred_at, with_campaign) OVER earlier                      AS carried_at
        FROM {{.Database}}.people_events(site={site:String}, from=subtractDays({from:Date}, 1), to=addDays({to:Date}, 1))
        WINDOW earlier AS (PARTITION BY visitor ORDER BY occurred_at, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ),
    broken AS
    (
        SELECT
            *,
            -- What was carried before the stretch began does not count.
            after_gap OR carried != '' AND (carried != carried_last OR carried_at < anyLastIf(occurred_at, after_gap) OVER so_far) AS starts
        FROM compared
        WINDOW so_far AS (PARTITION BY visitor ORDER BY occurred_at, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
SELECT
    visitor,
    anyLastIf(occurred_at, starts) OVER so_far      AS session_start,
    anyLastIf(event_id, starts) OVER so_far         AS session_event,
    anyLastIf(site_day, starts) OVER so_far         AS session_day,
    anyLastIf(channel, starts) OVER so_far          AS session_channel,
    starts,
    NOT starts AND lagInFrame(starts) OVER so_far   AS second,
    if(starts, 0, ms_before)                        AS ms_in_session,
    site_day, occurred_at, event_id, kind, name, page_path, channel, source, medium, campaign, click_id
FROM broken
WINDOW so_far AS (PARTITION BY visitor ORDER BY occurred_at, event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);

-- One row for each session whose day is in the range.
--   SELECT * FROM sessions(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.sessions {{.OnCluster}} AS
SELECT
    visitor,
    any(e.session_day)                                               AS session_day,
    session_start                                                    AS started_at,
    session_event                                                    AS first_event,
    max(occurred_at)                                                 AS ended_at,
    count()                                                          AS events,
    countIf(kind = 'page_view')                                      AS page_views,
    argMinIf(page_path, (occurred_at, event_id), kind = 'page_view') AS entry_page,
    argMaxIf(page_path, (occurred_at, event_id), kind = 'page_view') AS exit_page,
    sum(ms_in_session) / 1000                                        AS seconds,
    events = 1                                                       AS bounce,
    any(session_channel)                                             AS channel,
    anyIf(e.source, starts)                                          AS source,
    anyIf(e.medium, starts)                                          AS medium,
    anyIf(e.campaign, starts)                                        AS campaign
FROM {{.Database}}.session_events(site={site:String}, from={from:Date}, to={to:Date}) AS e
WHERE e.session_day BETWEEN {from:Date} AND {to:Date}
GROUP BY visitor, session_start, session_event;
