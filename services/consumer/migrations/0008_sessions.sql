-- oldest consumer: 1
-- Sessions and the reports on them. docs/questions.md defines every word used here.

-- Sorting the events of a month costs as much as its columns are wide, so what sessions compare is a number made when the row is stored.
ALTER TABLE {{.Facts}}.visitor_events {{.OnCluster}}
    ADD COLUMN IF NOT EXISTS campaign_key UInt128 MATERIALIZED if(with_campaign, reinterpretAsUInt128(sipHash128(source, medium, campaign, click_id)), 0) COMMENT '0 = carries no campaign',
    ADD COLUMN IF NOT EXISTS is_page_view Bool MATERIALIZED kind = 'page_view';

-- The events of people that make sessions, on the days of the range, each with its visitor. by_id tells whether the visitor
-- is an id or a daily hash: an id that was only minted counts once it has come back.
CREATE VIEW IF NOT EXISTS {{.Database}}.people_events {{.OnCluster}} AS
SELECT
    if(by_id, visitor_id, daily_hash) AS visitor,
    {{.Known "visitor_kind" "visitor_id"}} AS by_id,
    site_day, occurred_at, event_id, is_page_view, name, page_path, channel, source, medium, campaign, campaign_key
FROM {{.Database}}.visitor_events
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND NOT is_bot
  AND visitor != {{.NoID}};

-- The events from one day before the range to one day after it, each with its session: the visitor, and the instant and
-- the id of the session's first event. starts is true for that one, second for the next one of the session; ms_before is
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
        FROM {{.Database}}.people_events(site={site:String}, from={{.DaysBefore "1"}}, to={{.DaysAfter "1"}})
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

-- Visitors who had a hit of a goal on the days of the range, or one of an order that had a hit on them.
-- Windows over their events alone find the sessions of all conversions.
CREATE VIEW IF NOT EXISTS {{.Database}}.hit_visitors {{.OnCluster}} AS
SELECT {{.Visitor "visitor_kind" "visitor_id" "daily_hash"}} AS visitor
FROM {{.Database}}.conversion_hits
WHERE site_id = {site:String} AND outcome = 'event' AND NOT is_bot
  AND (site_day BETWEEN {from:Date} AND {to:Date}
    OR once_per = 'order' AND order_id IN (SELECT order_id FROM {{.Database}}.conversion_hits WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND order_id != ''));
