-- oldest consumer: 1
{{define "touched"}}site_id = {site:String}
          AND site_day BETWEEN {{.DaysBefore (printf "2 + (SELECT max(click_window_days) FROM %s.conversion_hits WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date})" .Database)}} AND {{.DaysAfter "1"}}{{end}}
-- Whoever may be the person of a conversion in the range: user keys, and the ids and hashes of all their visitors, as short ids.
-- More than needed does no harm, since the exact rule follows in conversion_paths.
CREATE VIEW IF NOT EXISTS {{.Database}}.conversion_ids {{.OnCluster}} AS
WITH
    hits AS
    (
        SELECT arrayJoin([visitor_id, hash, user_key]) AS one, {{.ShortID "one"}} AS id
        FROM (SELECT *, if(visitor_kind IN ('minted', 'daily_hash'), daily_hash, {{.NoID}}) AS hash FROM {{.Database}}.conversion_hits)
        WHERE site_id = {site:String} AND NOT is_bot AND outcome = 'event' AND one != {{.NoID}} AND (site_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}} OR order_id IN
        (
            SELECT order_id FROM {{.Database}}.conversion_hits
            WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND order_id != ''
        ))
    )
SELECT id FROM hits
UNION ALL
SELECT {{.ShortID "one"}} AS id FROM {{.Database}}.identities ARRAY JOIN [visitor_id, daily_hash, user_key] AS one
WHERE site_id = {site:String} AND one != {{.NoID}} AND user_key IN
(
    SELECT user_key FROM {{.Database}}.identities
    WHERE site_id = {site:String} AND arrayExists(i -> i IN (SELECT id FROM hits), [{{.ShortID "visitor_id"}}, {{.ShortID "daily_hash"}}, {{.ShortID "user_key"}}])
);

-- Conversions with their person; docs/questions.md, Person.
{{define "people"}}ids AS (SELECT id FROM {{.Database}}.conversion_ids(site = {site:String}, from = {from:Date}, to = {to:Date})),
    -- The user keys of each visitor in order; of several at one instant the first.
    keys AS
    (
        SELECT visitor, arrayFilter((k, before, i) -> if(i = 1, true, k.1 != before.1), all, arrayPopBack(arrayPushFront(all, all[1])), arrayEnumerate(all)) AS given
        FROM
        (
            SELECT {{.Visitor "visitor_kind" "visitor_id" "daily_hash"}} AS visitor, arraySort(groupArray((occurred_at, event_id, user_key))) AS all
            FROM {{.Database}}.identities
            WHERE site_id = {site:String} AND ({{.ShortID "visitor_id"}} IN ids OR {{.ShortID "daily_hash"}} IN ids)
            GROUP BY visitor
        )
    ),
    conversions AS
    (
        SELECT
            c.* EXCEPT (who_kind, who_visitor_id, who_daily_hash, of_order),
            {{.Person "who_user_key" "visitor" "who_at" "given"}} AS person
        FROM
        (
            SELECT *, {{.Visitor "who_kind" "who_visitor_id" "who_daily_hash"}} AS visitor
            FROM {{.Database}}.valued_conversions(site = {site:String}, from = {from:Date}, to = {to:Date})
        ) AS c
        LEFT ANY JOIN keys USING visitor
    ){{end}}
-- Conversions with their person and the touches that they may be credited to; docs/questions.md, Person, Touch and Path.
--   SELECT * FROM conversion_paths(site = 'shop', from = '2026-11-01', to = '2026-11-30')
{{define "conversion_paths"}}WITH
    {{template "people" .}},
    candidates AS
    (
        SELECT
            {{.Visitor "visitor_kind" "visitor_id" "daily_hash"}} AS visitor,
            (occurred_at, event_id, kind, user_key, mark, landing) AS touch,
            kind = 'view' AS is_view,
            if(visitor = {{.NoID}}, event_id, {{.NoID}}) AS alone
        FROM {{.Database}}.touches
        WHERE {{template "touched" .}}
          AND ({{.ShortID "visitor_id"}} IN ids OR {{.ShortID "daily_hash"}} IN ids OR {{.ShortID "user_key"}} IN ids)
    ),
    -- Reloads of a landing page and direct visits in between are no touches; views always are. A touch without a visitor follows none.
    visitor_touches AS
    (
        SELECT
            visitor,
            arrayConcat(
                arrayFilter((t, before, i) -> multiIf(i = 1, true, t.1 > before.1 + toIntervalMinute(30), true, t.3 = 'direct', false, t.6 != before.6),
                    clicks, arrayPopBack(arrayPushFront(clicks, clicks[1])), arrayEnumerate(clicks)),
                views) AS kept
        FROM
        (
            SELECT visitor, arraySort(groupArrayIf(touch, NOT is_view)) AS clicks, groupArrayIf(touch, is_view) AS views
            FROM candidates
            GROUP BY visitor, alone
        )
    ),
    person_touches AS
    (
        SELECT {{.Person "touch.4" "visitor" "touch.1" "given"}} AS person, arraySort(groupArray((touch.1, touch.2, touch.3, touch.5))) AS touches
        FROM (SELECT visitor, touch FROM visitor_touches ARRAY JOIN kept AS touch) AS single
        LEFT ANY JOIN keys USING visitor
        GROUP BY person
    )
-- In levels: what a level names twice would be computed, and analysed, twice in the same one.
SELECT
    * EXCEPT credited,
    notEmpty(credited) AS with_touch,
    if(empty(credited), [(occurred_at, {{.NoID}}, CAST('direct', 'Enum8(\'click\' = 1, \'view\' = 2, \'direct\' = 3)'), toUInt64(0))], credited) AS path
FROM
(
    SELECT * EXCEPT (clicks, views), multiIf(empty(views), clicks, arrayExists(t -> t.3 = 'click', clicks), clicks, views) AS credited
    FROM
    (
        SELECT
            * EXCEPT (click_window_days, view_window_days, touches),
            arrayFilter(t -> if(t.3 != 'view', t.1 >= occurred_at - toIntervalDay(click_window_days), false), touches) AS clicks,
            arrayFilter(t -> if(t.3 = 'view', t.1 >= occurred_at - toIntervalDay(view_window_days), false), touches) AS views
        FROM
        (
            SELECT
                goal, site_day, occurred_at, event_id, order_id, net_micros, gross_micros, currency, rate_missing, flags, hits,
                click_window_days, view_window_days, conversions.person AS person,
                arrayFilter(t -> t.1 <= occurred_at, touches) AS touches
            FROM conversions
            LEFT ANY JOIN (SELECT * FROM person_touches WHERE person != {{.NoID}}) AS theirs ON theirs.person = conversions.person
        )
    )
){{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.conversion_paths {{.OnCluster}} AS
{{template "conversion_paths" .}};

-- What each touch of each conversion gets, in whole micros, by one model or (model not given) by all of them; docs/questions.md,
-- Models and Credits.
--   SELECT * FROM credits(site = 'shop', from = '2026-11-01', to = '2026-11-30', model = 'linear', goal = 'purchase')
{{define "model"}}[coalesce({model:Nullable(String)}, 'last_non_direct')]{{end}}
{{define "unknown_model"}}'unknown model: write first, last, last_non_direct, linear, position or time_decay'{{end}}
{{define "models"}}['first', 'last', 'last_non_direct', 'linear', 'position', 'time_decay']{{end}}
{{define "credits"}}WITH
    weighted AS
    (
        SELECT
            goal, site_day, event_id, currency, rate_missing, path, model,
            toInt256(coalesce(net_micros, 0)) AS worth,
            toInt256(1000000) AS one,
            arrayEnumerate(path) AS positions,
            length(path) AS touches,
            -- the last that is not direct, else the last
            arrayLastIndex(t -> t.3 != 'direct', path) AS last_other,
            if(last_other = 0, touches, last_other) AS last_non_direct,
            multiIf(
                model = 'first', arrayMap(i -> toUInt64(i = 1), positions),
                model = 'last', arrayMap(i -> toUInt64(i = touches), positions),
                model = 'last_non_direct', arrayMap(i -> toUInt64(i = last_non_direct), positions),
                model = 'linear', arrayMap(i -> toUInt64(1), positions),
                model = 'position', arrayMap(i -> toUInt64(multiIf(touches <= 2, 1, i = 1, 2 * (touches - 2), i = touches, 2 * (touches - 2), 1)), positions),
                arrayMap(t -> toUInt64(round(1e9 * exp2(-dateDiff('millisecond', t.1, occurred_at) / 604800000))), path)) AS weights
        FROM {{.Database}}.conversion_paths(site = {site:String}, from = {from:Date}, to = {to:Date})
        ARRAY JOIN models AS model
        WHERE ({goal:Nullable(String)} IS NULL OR goal = {goal:Nullable(String)})
          AND (SELECT throwIf(NOT hasAll({{template "models" .}}, models), {{template "unknown_model"}})) = 0
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
    ),
    credited AS
    (
        SELECT
            goal, site_day, event_id, currency, rate_missing, model,
            touch.1 AS touched_at, toString(touch.3) AS kind, touch.4 AS mark,
            toInt128(worth_sign * (worth_share + has(worth_up, position))) AS credit_micros,
            toInt128(conversion_share + has(conversion_up, position)) AS conversion_micros
        FROM shared
        ARRAY JOIN path AS touch, positions AS position, weights AS weight, worth_shares AS worth_share, conversion_shares AS conversion_share
        WHERE weight > 0
    )
SELECT
    credited.* EXCEPT mark,
    toUInt64(1) AS credits,
    if(mark = 0, 'Direct', names.channel) AS channel, source, medium, campaign, creative, placement
FROM credited
LEFT ANY JOIN
(
    SELECT mark AS named, channel, source, medium, campaign, creative, placement
    FROM {{.Database}}.touches
    WHERE {{template "touched" .}} AND mark != 0
    LIMIT 1 BY mark
) AS names ON named = mark{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.credits {{.OnCluster}} AS
WITH if({model:Nullable(String)} IS NULL, {{template "models" .}}, [assumeNotNull({model:Nullable(String)})]) AS models
SELECT * FROM ({{template "credits" .}});
