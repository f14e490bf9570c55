{{- /* Who is in which segment, as docs/audiences.md, Membership, defines it. Instants are Int64, in ms since 1970; 0 = never. */ -}}

{{define "asked"}}toUnixTimestamp64Milli(ifNull({at:Nullable(DateTime64(3, 'UTC'))}, now64(3))){{end}}

{{- /* What a row of the table segments says for the views. reach_ms: older hits don't matter. newest_decides: any enter lets in. */ -}}
{{define "rule"}}CAST((version, same_product, times_min, if(times_max = 0, {{.MostHits}}, times_max), within_ms,
            ifNull(toInt128(value_min_micros), -{{.Unbounded}}), ifNull(toInt128(value_max_micros), {{.Unbounded}}),
            has_then, then_within_ms, after_ms, lives_ms, holdout_permille,
            within_ms + if(has_then, then_within_ms, 0) + lives_ms,
            times_min <= 1 AND times_max = 0 AND value_min_micros IS NULL AND value_max_micros IS NULL AND NOT has_then),
        'Tuple(version String, same_product Bool, times_least Int64, times_most Int64, within_ms Int64,
            value_least Int128, value_most Int128,
            has_then Bool, then_within_ms Int64, after_ms Int64, lives_ms Int64, holdout_permille UInt16,
            reach_ms Int64,
            newest_decides Bool)'){{end}}
{{- /* Rows of one moment are put in the order in which the consumer takes them. */ -}}
{{define "newest_row"}}(saved_at, segments.version, segments.rule){{end}}

{{define "rule_of_segment"}}SELECT argMaxIf(says, newest, if({version:Nullable(String)} IS NULL, state = 'active', version = {version:Nullable(String)}))
        FROM (SELECT version, state, {{template "newest_row"}} AS newest, {{template "rule" .}} AS says FROM {{.Database}}.segments WHERE site_id = {site:String} AND segment = {segment:String})
        HAVING {version:Nullable(String)} IS NOT NULL OR argMax(state, newest) != 'removed'{{end}}
{{define "zone_of_segment"}}SELECT argMax(timezone, {{template "newest_row"}}) FROM {{.Database}}.segments WHERE site_id = {site:String} AND segment = {segment:String}{{end}}
{{define "rules_of_site"}}SELECT segment, argMaxIf({{template "rule" .}}, {{template "newest_row"}}, state = 'active') AS rule
        FROM {{.Database}}.segments WHERE site_id = {site:String}
        GROUP BY segment
        HAVING argMax(state, {{template "newest_row"}}) != 'removed'{{end}}

{{define "refusals"}}SELECT visitor_id, toUnixTimestamp64Milli(max(refused_at)) AS refused_ms FROM {{.Database}}.profile_refusals WHERE site_id = {site:String}{{.Visitors}} GROUP BY visitor_id{{end}}
{{define "suppressed"}}SELECT id_hash FROM {{.Database}}.suppressed_visitors{{.Hashes}} GROUP BY id_hash HAVING argMax(wished, position){{end}}

{{- /* The hits of a segment by visitor, at one instant or, with ARRAY JOIN, at several. */ -}}
{{define "seen_of_segment"}}SELECT
    visitor_id, at_ms, refused_ms, minted, seen, steps, newest_leave_of_all, this AS rule
FROM
(
    SELECT
        visitor_id, at_ms,
        min(visitor_kind = 'minted') AS minted,
        groupArray({{template "hit"}}) AS seen,
        -- Of a key the greatest number is that of the newest enter or leave, of both at one instant that of the leave; without same_product there
        -- is one key, whose number is 0, and nothing is collected.
        if(tupleElement(this, 'same_product'),
            groupArrayIf(bitOr(bitShiftLeft(toUInt128(cityHash64(product)), 64), toUInt128(ms * 4 + if(step = 'leave', 2, 1))), step != 'then' AND product != ''),
            [toUInt128(maxIf(ms * 4 + if(step = 'leave', 2, 1), step != 'then'))]) AS steps,
        maxIf(ms, step = 'leave' AND product = '') AS newest_leave_of_all
    FROM (SELECT *, toUnixTimestamp64Milli(occurred_at) AS ms FROM {{.Hits}})
    {{.AtMany}}
    WHERE {{.If}} AND site_id = {site:String} AND segment = {segment:String} AND version = tupleElement(this, 'version') AND ms > at_ms - tupleElement(this, 'reach_ms') AND ms <= at_ms{{.Visitors}}
    GROUP BY visitor_id, at_ms
    -- they lie in the order of visitors
    SETTINGS optimize_aggregation_in_order = 1
) AS s
LEFT ANY JOIN ({{template "refusals" .}}) AS r USING visitor_id
-- who has refused is few against who is to be judged, which ClickHouse does not guess
SETTINGS query_plan_join_swap_table = 'false', enable_join_runtime_filters = 0{{end}}
{{define "hit"}}(product, toUnixTimestamp64Milli(occurred_at), event_id, step, nth, value_micros, item_micros){{end}}
{{define "refused"}}refused_ms{{end}}

{{- /* The levels in which rows are judged, each a query over the one before with the columns it needs: an expression that is named twice in
  one query is analysed twice, and so is what it names.

  stop_of_all: the last stop of all keys. keyed: the hits as (key, instant, event, step, product, worth), in order. */ -}}
{{define "keyed"}}greatest({{template "refused"}}, arrayMax(h -> if(h.4 = 'leave', if(h.1 = '', h.2, 0), 0), seen)) AS stop_of_all,
    arraySort(arrayMap(h -> (if(rule.same_product, h.1, ''), h.2, h.3, h.4, h.1, toInt128(ifNull(if(rule.same_product, h.7, h.6), 0))),
        arrayFilter(h -> if(h.2 <= at_ms - rule.reach_ms, false, if(h.5 = 0, true, rule.same_product)), seen))) AS keyed{{end}}
{{define "keys"}}arraySplit((h, nth) -> nth = 1, keyed, arrayEnumerateUniq(keyed.1)) AS keys{{end}}
{{define "stops"}}arrayMap(k -> greatest(stop_of_all, arrayMax(h -> if(h.4 = 'leave', h.2, 0), k)), keys) AS stops{{end}}
{{- /* Of each key the enters after its last stop, newest first. */ -}}
{{define "entered"}}arrayMap((k, stop) -> arrayReverse(arrayFilter(h -> multiIf(h.4 != 'enter', false, h.2 <= stop, false, h.1 != '', true, NOT rule.same_product), k)), keys, stops) AS entered{{end}}
{{define "counted"}}arrayMap(e -> arraySlice(arrayFilter((h, nth) -> nth = 1, e, arrayEnumerateUniq(e.3)), 1, {{.MostHits}}), entered) AS counted{{end}}
{{- /* Of each key the newest instant that lets in, 0 if there is none. What happens is put in order, at one instant: 0 a hit is out of the
  window, 1 a hit of then, 2 a hit counts, 3 the hits are judged. The state: times, value, until when then may follow, the instant. */ -}}
{{define "newest"}}arrayMap((c, k) -> arrayFold((now, x) -> (
        now.1 + x.3,
        now.2 + x.4,
        multiIf(x.2 < 3, now.3, now.1 > rule.times_most, toInt64(0), now.2 > rule.value_most, toInt64(0),
            now.1 < rule.times_least, now.3, now.2 < rule.value_least, now.3, x.1 + rule.then_within_ms),
        multiIf(x.2 = 1, if(x.1 <= now.3, x.1, now.4), x.2 < 3, now.4, now.1 > rule.times_most, toInt64(0), now.2 > rule.value_most, toInt64(0),
            rule.has_then, now.4, now.1 < rule.times_least, now.4, now.2 < rule.value_least, now.4, x.1)),
        arraySort(arrayConcat(
            arrayMap(h -> (h.2 + rule.within_ms, 0, toInt64(-1), -h.6), c),
            arrayMap(h -> (h.2, 1, toInt64(0), toInt128(0)), arrayFilter(h -> if(rule.has_then, h.4 = 'then', false), k)),
            arrayMap(h -> (h.2, 2, toInt64(1), h.6), c),
            arrayMap(h -> (h.2, 3, toInt64(0), toInt128(0)), c))),
        (toInt64(0), toInt128(0), toInt64(0), toInt64(0))).4, counted, keys) AS newest{{end}}

{{- /* current: the instants by which the visitor is a member, one of each key. */ -}}
{{define "lasts"}}multiIf(q = 0, false, q + rule.after_ms > at_ms, false, at_ms < q + rule.lives_ms){{end}}
{{define "current"}}arrayFilter(q -> {{template "lasts"}}, newest) AS current{{end}}
{{- /* The same where any enter lets in: of each key the newest of enter and leave tells. */ -}}
{{define "newest_steps"}}arrayReverseSort(steps) AS newest_steps, greatest({{template "refused"}}, newest_leave_of_all) AS stop_of_all_steps{{end}}
{{define "current_by_newest"}}arrayFilter(q -> if(q > stop_of_all_steps, {{template "lasts"}}, false), arrayMap(s -> toInt64(intDiv(bitAnd(s, toUInt64(-1)), 4)),
        arrayFilter((s, newer) -> if(bitAnd(s, 3) = 1, bitShiftRight(s, 64) != bitShiftRight(newer, 64), false),
            newest_steps, arrayPopBack(arrayPushFront(newest_steps, bitNot(toUInt128(0))))))) AS current{{end}}

{{define "products"}}arraySlice(arrayDistinct(arrayMap(p -> p.2, arraySort(if(rule.same_product,
        arrayMap((q, k) -> (-q, k[1].1), arrayFilter(q -> {{template "lasts"}}, newest), arrayFilter((k, q) -> {{template "lasts"}}, keys, newest)),
        arrayMap(h -> (-h.2, h.5), arrayFilter(h -> h.5 != '', counted[1])))))), 1, 10) AS products{{end}}
{{define "times"}}fromUnixTimestamp64Milli(arrayMax(current), 'UTC') AS qualified_at,
    fromUnixTimestamp64Milli(arrayMax(current) + rule.lives_ms, 'UTC') AS ends_at{{end}}
{{define "hits"}}toUInt64(arraySum(arrayMap((q, c) -> if({{template "lasts"}}, length(c), 0), newest, counted))) AS hits{{end}}

{{- /* From here on whole queries; the parameters of views that may be left out are Nullable. */ -}}

{{define "active_segments"}}SELECT * EXCEPT (state)
FROM {{.Database}}.segments
WHERE state = 'active' AND (site_id, segment) NOT IN
(
    SELECT site_id, segment FROM {{.Database}}.segments GROUP BY site_id, segment HAVING argMax(state, {{template "newest_row"}}) = 'removed'
)
ORDER BY site_id, segment, saved_at DESC, version DESC, rule DESC
LIMIT 1 BY site_id, segment{{end}}

{{- /* Two ways to the same: where any enter lets in, only what decides is read and compared. Of the other way nothing is read. */ -}}
{{define "members_at"}}SELECT visitor_id, at_ms, {{template "products"}}, {{template "times"}}, {{template "hits"}}, minted
FROM ({{.ByNewest}})
WHERE {{template "in" .}}
UNION ALL
SELECT visitor_id, at_ms, {{template "products"}}, {{template "times"}}, {{template "hits"}}, minted
FROM ({{.ByAll}})
WHERE {{template "in" .}}{{end}}
{{- /* One expression of both: else the suppressed would be looked for among all rows of hits. */ -}}
{{define "in"}}if(notEmpty(current), cityHash64(visitor_id) NOT IN ({{template "suppressed" .}}), false){{end}}

{{define "members"}}WITH
    assumeNotNull(({{.Rule}})) AS this,
    {{template "asked"}} AS at_ms
SELECT visitor_id, products, qualified_at, ends_at, hits, cityHash64({site:String}, {segment:String}, visitor_id) % 1000 < this.holdout_permille AS held_out, minted
FROM ({{template "members_at" .}}){{end}}

{{define "audiences_of"}}SELECT
    visitor_id, segment, rule.version AS version, {{template "products"}}, {{template "times"}},
    cityHash64({site:String}, segment, visitor_id) % 1000 < rule.holdout_permille AS held_out
FROM ({{.ByAll}})
WHERE notEmpty(current) AND cityHash64(visitor_id) NOT IN ({{template "suppressed" .}})
ORDER BY visitor_id, segment{{end}}
{{define "seen_of_visitors"}}SELECT s.visitor_id AS visitor_id, s.segment AS segment, seen, refused_ms, rule, {{template "asked"}} AS at_ms
FROM
(
    SELECT visitor_id, segment, version, groupArray({{template "hit"}}) AS seen
    FROM ({{.OfVisitors}})
    WHERE toUnixTimestamp64Milli(occurred_at) <= {{template "asked"}}
    GROUP BY visitor_id, segment, version
) AS s
INNER JOIN ({{template "rules_of_site" .}}) AS d ON d.segment = s.segment AND d.rule.version = s.version
LEFT ANY JOIN ({{template "refusals" .}}) AS r ON r.visitor_id = s.visitor_id{{end}}

{{- /* ends: the last ms of the day before the first, then of each day, of the last one so far. */ -}}
{{define "sizes"}}WITH
    assumeNotNull(({{.Rule}})) AS this,
    ifNull(nullIf(({{.Zone}}), ''), 'UTC') AS zone,
    least({to:Date}, toDate(now64(3), zone)) AS last_day,
    arrayMap(i -> {from:Date} + i, range(toUInt32(greatest(toInt32(last_day) - toInt32({from:Date}) + 1, 0)))) AS days,
    arrayMap(i -> least(toUnixTimestamp64Milli(toDateTime64(toString(addDays(toDate32({from:Date}), i)), 3, zone)) - 1, toUnixTimestamp64Milli(now64(3))),
        range(toUInt32(length(days) + 1))) AS ends
SELECT days[nth] AS day, sum(c.members) AS members, sum(c.minted) AS minted, sum(c.enters) AS enters, sum(c.exits) AS exits, sum(c.expiries) AS expiries
FROM
(
    SELECT nth, toUInt64(0) AS members, toUInt64(0) AS minted, toUInt64(0) AS enters, toUInt64(0) AS exits, toUInt64(0) AS expiries FROM (SELECT arrayJoin(arrayEnumerate(days)) AS nth)
    UNION ALL
    SELECT change.1 AS nth, sum(change.2), sum(change.3), sum(change.4), sum(change.5), sum(change.6)
    FROM
    (
        -- at: (number of the end, end of the membership, minted) in order; number 1 is the day before the first.
        SELECT arrayJoin(arrayConcat(
            arrayMap((x, before) -> (x.1 - 1, 1, x.3, x.1 != before.1 + 1, 0, 0), at, arrayPushFront(arrayPopBack(at), (0, toInt64(0), 0))),
            arrayMap((x, after) -> (x.1, 0, 0, 0, x.1 + 1 != after.1 AND x.2 > ends[x.1 + 1], x.1 + 1 != after.1 AND x.2 <= ends[x.1 + 1]), at, arrayPushBack(arrayPopFront(at), (0, toInt64(0), 0))))) AS change
        FROM
        (
            SELECT visitor_id, arraySort(groupArray((toUInt32(indexOf(ends, at_ms)), toUnixTimestamp64Milli(ends_at), toUInt8(minted)))) AS at
            FROM ({{template "members_at" .}})
            GROUP BY visitor_id
        )
    )
    WHERE nth BETWEEN 1 AND length(days)
    GROUP BY nth
) AS c
GROUP BY nth
ORDER BY day{{end}}

{{- /* sums: of each hit that counts its instant, and the times and the value there. lost: the last instant at which it was too much. */ -}}
{{define "explained"}}WITH
    assumeNotNull(({{.Rule}})) AS this,
    {{template "asked"}} AS at_ms,
    cityHash64({visitor:UUID}) IN ({{template "suppressed" .}}) AS suppressed,
    said AS
    (
        SELECT
            h.2 AS ms, h.3 AS event_id, toString(h.4) AS step, h.5 AS product,
            step = 'enter' AND has(c, h) AS counted,
            multiIf(
                step = 'leave', 'stops',
                step = 'enter' AND product = '' AND rule.same_product, 'no_product',
                ms <= stop, 'stopped',
                step = 'enter' AND NOT counted, if(has(c.3, event_id), 'repeated', 'beyond_limit'),
                ms = q, multiIf({{template "lasts"}}, 'lets_in', q + rule.after_ms > at_ms, 'waits', 'expired'),
                step = 'then', if(arrayExists(x -> x.1 > lost AND x.1 < ms AND ms <= x.1 + rule.then_within_ms AND x.2 >= rule.times_least AND x.3 >= rule.value_least, sums), 'follows', 'out_of_time'),
                arrayExists(x -> x.1 = ms AND (x.2 > rule.times_most OR x.3 > rule.value_most), sums), 'too_much',
                ms < lost, 'stopped',
                arrayExists(x -> x.1 = ms AND x.2 >= rule.times_least AND x.3 >= rule.value_least, sums), 'qualifies',
                'not_enough') AS note
        FROM
        (
            SELECT rule, at_ms, k, stop, c, q, sums, arrayMax(x -> if(x.2 > rule.times_most OR x.3 > rule.value_most, x.1, 0), sums) AS lost
            FROM
            (
                SELECT
                    rule, at_ms, k, stop, c, q,
                    arrayMap(h -> (h.2, arrayCount(x -> x.2 > h.2 - rule.within_ms AND x.2 <= h.2, c), arraySum(x -> if(x.2 > h.2 - rule.within_ms AND x.2 <= h.2, x.6, 0), c)), c) AS sums
                FROM ({{.ByAll}})
                ARRAY JOIN keys AS k, stops AS stop, counted AS c, newest AS q
            )
        )
        ARRAY JOIN k AS h
        UNION ALL
        SELECT
            refused_ms,
            ifNull((SELECT argMax(event_id, (occurred_at, event_id)) FROM {{.Database}}.events WHERE site_id = {site:String} AND visitor_id = {visitor:UUID} AND outcome = 'event' AND NOT consent_profile), toUUIDOrZero('')),
            'refusal', '', false, 'stops'
        FROM ({{template "refusals" .}})
    )
SELECT DISTINCT
    fromUnixTimestamp64Milli(ms, 'UTC') AS at, said.event_id AS event_id, step, product, counted, note,
    arrayFilter(x -> x != '', [if(consent_measure, 'measure', ''), if(consent_profile, 'profile', ''), if(consent_share, 'share', ''), if(consent_cookie, 'cookie', '')]) AS consent,
    consent_decided_by AS decided_by
FROM said
LEFT ANY JOIN
(
    SELECT event_id, consent_measure, consent_profile, consent_share, consent_cookie, consent_decided_by
    FROM {{.Database}}.events WHERE site_id = {site:String} AND visitor_id = {visitor:UUID} AND outcome = 'event'
) AS e ON e.event_id = said.event_id
WHERE NOT suppressed
ORDER BY at, event_id, step, product{{end}}
