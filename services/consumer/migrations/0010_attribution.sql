-- oldest consumer: 1
{{define "hash"}}if(visitor_kind IN ('minted', 'daily_hash'), daily_hash, toUUID('00000000-0000-0000-0000-000000000000')){{end}}
-- Conversions with their person and the touches that they may be credited to; docs/questions.md, Person, Touch and Path.
--   SELECT * FROM conversion_paths(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.conversion_paths {{.OnCluster}} AS
WITH
    -- Whoever may be the person of a conversion, and the ids and hashes of all their visitors. More than needed does no harm:
    -- the exact rule follows.
    hits AS
    (
        SELECT visitor_id, {{template "hash"}} AS hash, user_key
        FROM {{.Database}}.conversion_hits
        WHERE site_id = {site:String} AND NOT is_bot AND outcome = 'event' AND (site_day BETWEEN {from:Date} - 1 AND {to:Date} + 1 OR order_id IN
        (
            SELECT order_id FROM {{.Database}}.conversion_hits
            WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND order_id != ''
        ))
    ),
    hit_ids AS (SELECT arrayJoin([visitor_id, hash]) AS id FROM hits WHERE id != {{.NoID}}),
    hit_keys AS
    (
        SELECT user_key FROM {{.Database}}.identities
        WHERE site_id = {site:String} AND (visitor_id IN hit_ids OR {{template "hash"}} IN hit_ids)
        UNION DISTINCT
        SELECT user_key FROM hits WHERE user_key != {{.NoID}}
    ),
    -- Ids and hashes in one list: no id is a hash of another visitor.
    ids AS
    (
        SELECT id FROM hit_ids
        UNION ALL
        SELECT arrayJoin([visitor_id, {{template "hash"}}]) AS id FROM {{.Database}}.identities
        WHERE site_id = {site:String} AND user_key IN hit_keys AND id != {{.NoID}}
    ),
    -- The user keys of each visitor in order; of several at one instant the first.
    keys AS
    (
        SELECT visitor, arrayFilter((k, before, i) -> i = 1 OR k.1 != before.1, all, arrayPopBack(arrayPushFront(all, all[1])), arrayEnumerate(all)) AS given
        FROM
        (
            SELECT {{.Visitor "visitor_kind" "visitor_id" "daily_hash"}} AS visitor, arraySort(groupArray((occurred_at, event_id, user_key))) AS all
            FROM {{.Database}}.identities
            WHERE site_id = {site:String} AND (visitor_id IN ids OR {{template "hash"}} IN ids)
            GROUP BY visitor
        )
    ),
    candidates AS
    (
        SELECT
            {{.Visitor "visitor_kind" "visitor_id" "daily_hash"}} AS visitor,
            (occurred_at, event_id, kind, user_key, channel, source, medium, campaign, creative, placement, click_id) AS touch
        FROM {{.Database}}.touches
        WHERE site_id = {site:String}
          AND site_day BETWEEN {from:Date} - 2 - (SELECT max(click_window_days) FROM {{.Database}}.conversion_hits WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date}) AND {to:Date} + 1
          AND (visitor_id IN ids OR {{template "hash"}} IN ids OR user_key != {{.NoID}} AND user_key IN hit_keys)
    ),
    -- Reloads of a landing page and direct visits in between are no touches; views always are. A touch without a visitor follows none.
    visitor_touches AS
    (
        SELECT
            visitor,
            arrayConcat(
                arrayFilter((t, before, i) -> i = 1 OR t.1 > before.1 + toIntervalMinute(30) OR t.3 != 'direct' AND (t.6, t.7, t.8, t.11) != (before.6, before.7, before.8, before.11),
                    clicks, arrayPopBack(arrayPushFront(clicks, clicks[1])), arrayEnumerate(clicks)),
                views) AS kept
        FROM
        (
            SELECT visitor, arraySort(groupArrayIf(touch, touch.3 != 'view')) AS clicks, groupArrayIf(touch, touch.3 = 'view') AS views
            FROM candidates
            GROUP BY visitor, if(visitor = {{.NoID}}, touch.2, {{.NoID}})
        )
    ),
    person_touches AS
    (
        SELECT {{.Person "touch.4" "visitor" "touch.1" "given"}} AS person, arraySort(groupArray(touch)) AS touches
        FROM visitor_touches
        LEFT ANY JOIN keys USING visitor
        ARRAY JOIN kept AS touch
        GROUP BY person
    ),
    conversions AS
    (
        SELECT
            c.*,
            {{.Person "who_user_key" "visitor" "who_at" "given"}} AS person
        FROM (SELECT *, {{.Visitor "who_kind" "who_visitor_id" "who_daily_hash"}} AS visitor FROM {{.Database}}.valued_conversions(site = {site:String}, from = {from:Date}, to = {to:Date})) AS c
        LEFT ANY JOIN keys USING visitor
    )
-- In levels: what a level names twice would be computed, and analysed, twice in the same one.
SELECT
    * EXCEPT credited,
    notEmpty(credited) AS with_touch,
    if(empty(credited), [(occurred_at, 'direct', 'Direct', '', '', '', '', '')],
        arrayMap(t -> if(t.3 = 'direct', (t.1, 'direct', 'Direct', '', '', '', '', ''), (t.1, t.3, t.5, t.6, t.7, t.8, t.9, t.10)), credited)) AS path
FROM
(
    SELECT * EXCEPT (clicks, views), if(arrayExists(t -> t.3 = 'click', clicks) OR empty(views), clicks, views) AS credited
    FROM
    (
        SELECT
            goal, site_day, occurred_at, event_id, order_id, net_micros, gross_micros, currency, rate_missing, flags, hits, conversions.person AS person,
            arrayFilter(t -> t.3 != 'view' AND t.1 BETWEEN occurred_at - toIntervalDay(click_window_days) AND occurred_at, touches) AS clicks,
            arrayFilter(t -> t.3 = 'view' AND t.1 BETWEEN occurred_at - toIntervalDay(view_window_days) AND occurred_at, touches) AS views
        FROM conversions
        LEFT ANY JOIN person_touches ON person_touches.person = conversions.person AND conversions.person != {{.NoID}}
    )
);

-- What each touch of each conversion gets, in whole micros, by one model or (model not given) by all of them; docs/questions.md,
-- Models and Credits.
--   SELECT * FROM credits(site = 'shop', from = '2026-11-01', to = '2026-11-30', model = 'linear', goal = 'purchase')
CREATE VIEW IF NOT EXISTS {{.Database}}.credits {{.OnCluster}} AS
WITH
    ['first', 'last', 'last_non_direct', 'linear', 'position', 'time_decay'] AS models,
    weighted AS
    (
        SELECT
            goal, site_day, event_id, currency, rate_missing, path, model,
            toInt256(coalesce(net_micros, 0)) AS worth,
            toInt256(1000000) AS one,
            arrayEnumerate(path) AS positions,
            multiIf(
                model = 'first', arrayMap(i -> toUInt64(i = 1), positions),
                model = 'last' OR model = 'last_non_direct' AND NOT arrayExists(t -> t.2 != 'direct', path), arrayMap(i -> toUInt64(i = length(path)), positions),
                model = 'last_non_direct', arrayMap(i -> toUInt64(i = arrayLastIndex(t -> t.2 != 'direct', path)), positions),
                model = 'linear' OR model = 'position' AND length(path) <= 2, arrayMap(i -> toUInt64(1), positions),
                model = 'position', arrayMap(i -> toUInt64(if(i = 1 OR i = length(path), 2 * (length(path) - 2), 1)), positions),
                arrayMap(t -> toUInt64(round(1e9 * exp2(-dateDiff('millisecond', t.1, occurred_at) / 604800000))), path)) AS weights
        FROM {{.Database}}.conversion_paths(site = {site:String}, from = {from:Date}, to = {to:Date})
        ARRAY JOIN if({model:Nullable(String)} IS NULL, models, [assumeNotNull({model:Nullable(String)})]) AS model
        WHERE ({goal:Nullable(String)} IS NULL OR goal = {goal:Nullable(String)})
          AND throwIf(NOT has(models, coalesce({model:Nullable(String)}, 'last')), 'unknown model: write first, last, last_non_direct, linear, position or time_decay') = 0
    ),
    -- What is left of an amount after rounding down goes to the largest remainders: see the last level.
    rounded_down AS
    (
        SELECT
            * EXCEPT (worth, one), sign(worth) AS worth_sign, toInt256(arraySum(weights)) AS whole,
            arrayMap(w -> intDiv(abs(worth) * w, whole), weights) AS worth_shares,
            arrayMap(w -> abs(worth) * w % whole, weights) AS worth_rests,
            arrayMap(w -> intDiv(one * w, whole), weights) AS conversion_shares,
            arrayMap(w -> one * w % whole, weights) AS conversion_rests,
            toUInt32(abs(worth) - arraySum(worth_shares)) AS worth_left,
            toUInt32(one - arraySum(conversion_shares)) AS conversion_left
        FROM weighted
    ),
    shared AS
    (
        SELECT
            *,
            arraySlice(arraySort((i, rest) -> (-rest, i), positions, worth_rests), 1, worth_left) AS worth_up,
            arraySlice(arraySort((i, rest) -> (-rest, i), positions, conversion_rests), 1, conversion_left) AS conversion_up
        FROM rounded_down
    )
SELECT
    goal, site_day, event_id, currency, rate_missing, model,
    touch.1 AS touched_at, touch.2 AS kind, touch.3 AS channel, touch.4 AS source, touch.5 AS medium, touch.6 AS campaign, touch.7 AS creative, touch.8 AS placement,
    toInt128(worth_sign * (worth_share + has(worth_up, position))) AS credit_micros,
    toInt128(conversion_share + has(conversion_up, position)) AS conversion_micros
FROM shared
ARRAY JOIN path AS touch, positions AS position, weights AS weight, worth_shares AS worth_share, conversion_shares AS conversion_share
WHERE weight > 0;
