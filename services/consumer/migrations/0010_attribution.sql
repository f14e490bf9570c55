-- oldest consumer: 1
{{define "nobody"}}toUUID('00000000-0000-0000-0000-000000000000'){{end}}
-- Conversions with their person and the touches that they may be credited to; docs/questions.md, Person, Touch and Path.
--   SELECT * FROM conversion_paths(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.conversion_paths {{.OnCluster}} AS
WITH
    -- Whoever may be the person of a conversion, and the ids and hashes of all their visitors. More than needed does no harm:
    -- the exact rule follows.
    hits AS
    (
        SELECT visitor_id, if(visitor_kind IN ('minted', 'daily_hash'), daily_hash, {{template "nobody"}}) AS hash, visitor_kind, user_key
        FROM {{.Database}}.conversion_hits
        WHERE site_id = {site:String} AND NOT is_bot AND outcome = 'event' AND (site_day BETWEEN {from:Date} - 1 AND {to:Date} + 1 OR order_id IN
        (
            SELECT order_id FROM {{.Database}}.conversion_hits
            WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND order_id != ''
        ))
    ),
    hit_keys AS
    (
        SELECT user_key FROM {{.Database}}.identities
        WHERE site_id = {site:String} AND (visitor_id IN (SELECT visitor_id FROM hits) OR daily_hash IN (SELECT hash FROM hits))
        UNION DISTINCT
        SELECT user_key FROM hits WHERE user_key != {{template "nobody"}}
    ),
    linked AS
    (
        SELECT visitor_id, if(visitor_kind IN ('minted', 'daily_hash'), daily_hash, {{template "nobody"}}) AS hash, visitor_kind
        FROM {{.Database}}.identities WHERE site_id = {site:String} AND user_key IN hit_keys
    ),
    ids AS
    (
        SELECT visitor_id FROM hits WHERE visitor_id != {{template "nobody"}}
        UNION DISTINCT
        SELECT visitor_id FROM linked WHERE visitor_id != {{template "nobody"}}
    ),
    hashes AS
    (
        SELECT hash FROM hits WHERE hash != {{template "nobody"}}
        UNION DISTINCT
        SELECT hash FROM linked WHERE hash != {{template "nobody"}}
    ),
    -- Minted ids that were kept: browsers or the site have sent them back. For the others the daily hash counts.
    returned AS (SELECT visitor_id FROM {{.Database}}.visitors WHERE site_id = {site:String} AND returned),
    -- The user keys of each visitor in order; of several at one instant the first.
    keys AS
    (
        SELECT
            multiIf(visitor_kind IN ('cookie', 'provided') OR visitor_kind = 'minted' AND visitor_id IN returned, visitor_id, daily_hash) AS visitor,
            arraySort(groupArray((occurred_at, event_id, user_key))) AS all,
            arrayFilter((k, before, i) -> i = 1 OR k.1 != before.1, all, arrayPopBack(arrayPushFront(all, all[1])), arrayEnumerate(all)) AS given
        FROM {{.Database}}.identities
        WHERE site_id = {site:String} AND (visitor_id IN ids OR visitor_kind IN ('minted', 'daily_hash') AND daily_hash IN hashes)
        GROUP BY visitor
    ),
    candidates AS
    (
        SELECT
            multiIf(visitor_kind IN ('cookie', 'provided') OR visitor_kind = 'minted' AND visitor_id IN returned, visitor_id, daily_hash) AS visitor,
            (occurred_at, event_id, kind, user_key, channel, source, medium, campaign, creative, placement, click_id) AS touch
        FROM {{.Database}}.touches
        WHERE site_id = {site:String}
          AND site_day BETWEEN {from:Date} - 2 - (SELECT max(click_window_days) FROM {{.Database}}.conversion_hits WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date}) AND {to:Date} + 1
          AND (visitor_id IN ids OR visitor_kind IN ('minted', 'daily_hash') AND daily_hash IN hashes OR user_key != {{template "nobody"}} AND user_key IN hit_keys)
    ),
    -- Reloads of a landing page and direct visits in between are no touches; views always are.
    visitor_touches AS
    (
        SELECT visitor, arraySort(groupArray(touch)) AS ordered, arrayFilter(t -> t.3 != 'view', ordered) AS clicks,
            arrayConcat(
                arrayFilter((t, before, i) -> i = 1 OR t.1 > before.1 + toIntervalMinute(30) OR t.3 != 'direct' AND (t.6, t.7, t.8, t.11) != (before.6, before.7, before.8, before.11),
                    clicks, arrayPopBack(arrayPushFront(clicks, clicks[1])), arrayEnumerate(clicks)),
                arrayFilter(t -> t.3 = 'view', ordered)) AS kept
        FROM candidates
        WHERE visitor != {{template "nobody"}}
        GROUP BY visitor
        UNION ALL
        SELECT visitor, [touch], [touch], [touch] FROM candidates WHERE visitor = {{template "nobody"}}
    ),
    person_touches AS
    (
        SELECT multiIf(
                touch.4 != {{template "nobody"}}, touch.4,
                visitor != {{template "nobody"}} AND arrayExists(k -> k.1 BETWEEN touch.1 AND touch.1 + toIntervalDay(30), given), arrayFirst(k -> k.1 >= touch.1, given).3,
                visitor != {{template "nobody"}} AND arrayExists(k -> k.1 < touch.1, given), arrayLast(k -> k.1 < touch.1, given).3,
                visitor) AS person, arraySort(groupArray(touch)) AS touches
        FROM visitor_touches
        LEFT ANY JOIN keys USING visitor
        ARRAY JOIN kept AS touch
        GROUP BY person
    ),
    conversions AS
    (
        SELECT
            c.*,
            multiIf(
                who_user_key != {{template "nobody"}}, who_user_key,
                visitor != {{template "nobody"}} AND arrayExists(k -> k.1 BETWEEN who_at AND who_at + toIntervalDay(30), given), arrayFirst(k -> k.1 >= who_at, given).3,
                visitor != {{template "nobody"}} AND arrayExists(k -> k.1 < who_at, given), arrayLast(k -> k.1 < who_at, given).3,
                visitor) AS person
        FROM (SELECT *, multiIf(who_kind IN ('cookie', 'provided') OR who_kind = 'minted' AND who_visitor_id IN returned, who_visitor_id, who_daily_hash) AS visitor FROM {{.Database}}.valued_conversions(site = {site:String}, from = {from:Date}, to = {to:Date})) AS c
        LEFT ANY JOIN keys USING visitor
    )
SELECT
    goal, site_day, occurred_at, event_id, order_id, net_micros, gross_micros, currency, rate_missing, flags, hits, visitor, person,
    arrayFilter(t -> t.3 != 'view' AND t.1 BETWEEN occurred_at - toIntervalDay(click_window_days) AND occurred_at, touches) AS clicks,
    arrayFilter(t -> t.3 = 'view' AND t.1 BETWEEN occurred_at - toIntervalDay(view_window_days) AND occurred_at, touches) AS views,
    if(arrayExists(t -> t.3 = 'click', clicks) OR empty(views), clicks, views) AS credited,
    arrayMap(t -> if(t.3 = 'direct', (t.1, 'direct', 'Direct', '', '', '', '', ''), (t.1, t.3, t.5, t.6, t.7, t.8, t.9, t.10)), credited) AS touches_or_none,
    notEmpty(credited) AS with_touch,
    if(with_touch, touches_or_none, [(occurred_at, 'direct', 'Direct', '', '', '', '', '')]) AS path
FROM conversions
LEFT ANY JOIN person_touches ON person_touches.person = conversions.person AND conversions.person != {{template "nobody"}};

-- What each touch of each conversion gets, in whole micros, by one model or (model not given) by all of them; docs/questions.md,
-- Models and Credits.
--   SELECT * FROM credits(site = 'shop', from = '2026-11-01', to = '2026-11-30', model = 'linear', goal = 'purchase')
CREATE VIEW IF NOT EXISTS {{.Database}}.credits {{.OnCluster}} AS
WITH
    weighted AS
    (
        SELECT
            goal, site_day, event_id, currency, rate_missing, path, model,
            toInt128(coalesce(net_micros, 0)) AS worth,
            arrayEnumerate(path) AS positions,
            length(path) AS n,
            multiIf(
                model = 'first', arrayMap(i -> toUInt64(i = 1), positions),
                model = 'last' OR NOT arrayExists(t -> t.2 != 'direct', path) AND model = 'last_non_direct', arrayMap(i -> toUInt64(i = n), positions),
                model = 'last_non_direct', arrayMap(i -> toUInt64(i = arrayLastIndex(t -> t.2 != 'direct', path)), positions),
                model = 'linear' OR model = 'position' AND n <= 2, arrayMap(i -> toUInt64(1), positions),
                model = 'position', arrayMap(i -> toUInt64(if(i = 1 OR i = n, 2 * (n - 2), 1)), positions),
                arrayMap(t -> toUInt64(round(1e9 * exp2(-dateDiff('millisecond', t.1, occurred_at) / 604800000))), path)) AS weights,
            toInt256(arraySum(weights)) AS whole,
            toInt256(abs(worth)) AS amount,
            arrayMap(w -> intDiv(amount * w, whole), weights) AS worth_floors,
            arrayMap(w -> amount * w % whole, weights) AS worth_rests,
            arraySlice(arraySort((i, rest) -> (-rest, i), positions, worth_rests), 1, toUInt32(amount - arraySum(worth_floors))) AS worth_rounded_up,
            arrayMap((f, i) -> toInt128(f + has(worth_rounded_up, i)), worth_floors, positions) AS worth_shares,
            toInt256(1000000) AS one,
            arrayMap(w -> intDiv(one * w, whole), weights) AS conversion_floors,
            arrayMap(w -> one * w % whole, weights) AS conversion_rests,
            arraySlice(arraySort((i, rest) -> (-rest, i), positions, conversion_rests), 1, toUInt32(one - arraySum(conversion_floors))) AS conversion_rounded_up,
            arrayMap((f, i) -> toInt128(f + has(conversion_rounded_up, i)), conversion_floors, positions) AS conversion_shares
        FROM {{.Database}}.conversion_paths(site = {site:String}, from = {from:Date}, to = {to:Date})
        ARRAY JOIN if({model:Nullable(String)} IS NULL, ['first', 'last', 'last_non_direct', 'linear', 'position', 'time_decay'], [assumeNotNull({model:Nullable(String)})]) AS model
        WHERE ({goal:Nullable(String)} IS NULL OR goal = {goal:Nullable(String)})
          AND throwIf(NOT has(['first', 'last', 'last_non_direct', 'linear', 'position', 'time_decay'], coalesce({model:Nullable(String)}, 'last')), 'unknown model: write first, last, last_non_direct, linear, position or time_decay') = 0
    )
SELECT
    goal, site_day, event_id, currency, rate_missing, model,
    touch.1 AS touched_at, touch.2 AS kind, touch.3 AS channel, touch.4 AS source, touch.5 AS medium, touch.6 AS campaign, touch.7 AS creative, touch.8 AS placement,
    sign(worth) * worth_share AS credit_micros,
    conversion_share AS conversion_micros
FROM weighted
ARRAY JOIN path AS touch, weights AS weight, worth_shares AS worth_share, conversion_shares AS conversion_share
WHERE weight > 0;
