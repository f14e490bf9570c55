-- oldest consumer: 1
-- Invalid traffic: what machines did, and visitors who come in bursts. docs/quality.md defines every word used here.

-- The events that bursts are made of, on the days of the range, each with its visitor.
CREATE VIEW IF NOT EXISTS {{.Database}}.burst_events {{.OnCluster}} AS
SELECT
    site_day, {{.Visitor "visitor_kind" "visitor_id" "daily_hash"}} AS visitor,
    occurred_at, event_id, events.kind = 'page_view' AS is_page_view, user_agent
FROM {{.Database}}.events
WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND outcome = 'event' AND traffic_class = 'person'
  AND transport IN ('gif', 'beacon') AND NOT startsWith(events.kind, 'email_')
  AND visitor != {{.NoID}};

-- Visitors who on a day of the range did what people hardly do. Few have so many events that they could: only theirs are put in order.
--   SELECT * FROM burst_visitors(site = 'shop', from = '2026-11-01', to = '2026-11-30', hits_per_minute = 60)
CREATE VIEW IF NOT EXISTS {{.Database}}.burst_visitors {{.OnCluster}} AS
WITH
    toUInt64(ifNull({hits_per_minute:Nullable(UInt32)}, 120))    AS most_a_minute,
    toUInt64(ifNull({page_views_per_day:Nullable(UInt32)}, 500)) AS most_a_day,
    toUInt64(ifNull({regular_intervals:Nullable(UInt32)}, 20))   AS intervals_needed,
    busy AS
    (
        SELECT site_day, visitor
        FROM {{.Database}}.burst_events(site = {site:String}, from = {from:Date}, to = {to:Date})
        WHERE throwIf(least(most_a_minute, most_a_day, intervals_needed) < 2, 'hits_per_minute, page_views_per_day, regular_intervals: at least 2') = 0
        GROUP BY site_day, visitor
        HAVING count() > most_a_minute OR countIf(is_page_view) > least(most_a_day, intervals_needed)
    ),
    days AS
    (
        SELECT
            site_day, visitor, count() AS events, min(occurred_at) AS began, max(occurred_at) AS ended, argMin(user_agent, (occurred_at, event_id)) AS agent,
            groupArray(toUnixTimestamp64Milli(occurred_at)) AS instants,
            -- Each event counts for a minute: +1 when it occurs, -1 a minute later, where that comes first.
            arrayMax(arrayCumSum(arrayMap(change -> change.2, arraySort(arrayConcat(
                arrayMap(at -> (at, 1), instants), arrayMap(at -> (at + 60000, -1), instants)))))) AS most_in_a_minute,
            arraySort(groupArrayIf(toUnixTimestamp64Milli(occurred_at), is_page_view)) AS views,
            arraySort(arrayPopFront(arrayDifference(views))) AS intervals,
            intervals[intDiv(length(intervals) + 1, 2)] AS median,
            arrayCount(interval -> 20 * abs(interval - median) <= median, intervals) AS near_median
        FROM {{.Database}}.burst_events(site = {site:String}, from = {from:Date}, to = {to:Date})
        WHERE (site_day, visitor) IN busy
        GROUP BY site_day, visitor
    )
SELECT
    site_day AS day, visitor, events AS hits, length(views) AS page_views, toUInt64(most_in_a_minute) AS busiest_minute,
    if(empty(intervals), NULL, median / 1000) AS median_interval_seconds,
    arrayFilter(rule -> rule != '', [
        if(busiest_minute > most_a_minute, 'minute', ''),
        if(page_views > most_a_day, 'day', ''),
        if(length(intervals) >= intervals_needed AND median >= 1000 AND 10 * near_median >= 9 * length(intervals), 'regular', '')]) AS rules,
    began AS first_at, ended AS last_at, agent AS user_agent
FROM days
WHERE notEmpty(rules)
ORDER BY day, hits DESC, visitor;

-- All hits by day and traffic class; those of people who come in bursts are a class of their own, which may be people.
--   SELECT * FROM ivt_daily(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.ivt_daily {{.OnCluster}} AS
SELECT
    day, class, verdict, n AS hits, views AS page_views,
    n / sum(n) OVER of_day                                AS share,
    sumIf(n, verdict = 'invalid') OVER of_day / sum(n) OVER of_day   AS day_invalid_share,
    sumIf(n, verdict = 'suspected') OVER of_day / sum(n) OVER of_day AS day_suspected_share
FROM
(
    SELECT day, class, verdict, toUInt64(sum(s.hits)) AS n, toUInt64(sum(s.page_views)) AS views
    FROM
    (
        SELECT
            site_day AS day, traffic_class AS class, if(is_bot, 'invalid', 'valid') AS verdict,
            toInt64(count()) AS hits, toInt64(countIf(events.kind = 'page_view')) AS page_views
        FROM {{.Database}}.events
        WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND outcome = 'event'
        GROUP BY day, class, verdict
        UNION ALL
        SELECT day, moved.1 AS class, moved.2 AS verdict, moved.3 * toInt64(hits) AS hits, moved.3 * toInt64(page_views) AS page_views
        FROM {{.Database}}.burst_visitors(site = {site:String}, from = {from:Date}, to = {to:Date}, hits_per_minute = {hits_per_minute:Nullable(UInt32)},
            page_views_per_day = {page_views_per_day:Nullable(UInt32)}, regular_intervals = {regular_intervals:Nullable(UInt32)})
        ARRAY JOIN [('person', 'valid', -1), ('burst', 'suspected', 1)] AS moved
    ) AS s
    GROUP BY day, class, verdict
    HAVING n != 0
)
WINDOW of_day AS (PARTITION BY day)
ORDER BY day, hits DESC, class;
