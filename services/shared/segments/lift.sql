{{- /* What retargeting brings, as docs/audiences.md, Lift, defines it. Instants as in memberships.sql. */ -}}

{{- /* The levels in which is found when a visitor is first a member in the range, as those of memberships.sql.

  ordered: the hits as (key, instant, step, event, worth); a stop comes before what is of its instant. everywhere: the stops of all keys. */ -}}
{{define "ordered"}}arraySort(arrayFilter(h -> h.2 > refused_ms, seen)) AS ordered,
    arraySort(arrayMap(h -> h.2, arrayFilter(h -> multiIf(h.3 != 'leave', false, h.1 != '', false, h.2 <= refused_ms, false, this.same_product), seen))) AS everywhere{{end}}
{{- /* With the number of the stops of all keys until then as a part of the key. */ -}}
{{define "numbered"}}arrayMap(h -> ((h.1, arrayCount(stop -> stop <= h.2, everywhere)), h.2, h.3, h.4, h.5), ordered) AS numbered{{end}}
{{- /* spans: what a key has from one stop to the next. */ -}}
{{define "spans"}}arraySplit((h, before) -> if(h.3 = 'leave', true, h.1 != before.1), numbered, arrayPopBack(arrayPushFront(numbered, numbered[1]))) AS spans{{end}}
{{- /* Of each span the instant after which its hits count, and the one at which it is over: the next stop, or the end of the range. */ -}}
{{define "bounds"}}arrayMap(span -> greatest(if(span[1].3 = 'leave', span[1].2, 0), everywhere[span[1].1.2]), spans) AS begins,
    arrayMap((span, next) -> least(to_ms + 1,
        if(next.1 = span[1].1, next.2, to_ms + 1),
        if(span[1].1.2 < length(everywhere), everywhere[span[1].1.2 + 1], to_ms + 1)),
        spans, arrayPopFront(arrayPushBack(arrayMap(span -> (span[1].1, span[1].2), spans), (('', toUInt32(4294967295)), toInt64(0))))) AS overs{{end}}
{{define "entered_in_spans"}}arrayMap((span, begin) -> arrayReverse(arrayFilter(h -> if(h.3 = 'enter', h.2 > begin, false), span)), spans, begins) AS entered{{end}}
{{define "counted_in_spans"}}arrayMap(e -> arraySlice(arrayFilter((h, nth) -> nth = 1, e, arrayEnumerateUniq(e.4)), 1, {{.MostHits}}), entered) AS counted{{end}}
{{- /* Of each span the first instant of the range at which the visitor is in by it, 0 if there is none. What happens is put in order as by
  "newest" of memberships.sql, at last 4 the span is over. The state: times, value, until when then may follow, the newest instant that
  lets in, the first instant. */ -}}
{{define "firsts"}}arrayMap((c, span, over) -> arrayFold((now, x) -> (
        now.1 + x.3,
        now.2 + x.4,
        multiIf(x.2 != 3, now.3, now.1 > this.times_most, toInt64(0), now.2 > this.value_most, toInt64(0),
            now.1 < this.times_least, now.3, now.2 < this.value_least, now.3, x.1 + this.then_within_ms),
        multiIf(x.2 = 1, if(x.1 <= now.3, x.1, now.4), x.2 != 3, now.4, now.1 > this.times_most, toInt64(0), now.2 > this.value_most, toInt64(0),
            this.has_then, now.4, now.1 < this.times_least, now.4, now.2 < this.value_least, now.4, x.1),
        multiIf(now.5 != 0, now.5, now.4 = 0, now.5, greatest(now.4 + this.after_ms, from_ms) < least(now.4 + this.lives_ms, x.1), greatest(now.4 + this.after_ms, from_ms), now.5)),
        arraySort(arrayConcat(
            arrayFilter(x -> x.1 < over, arrayMap(h -> (h.2 + this.within_ms, 0, toInt64(-1), -h.5), c)),
            arrayMap(h -> (h.2, 1, toInt64(0), toInt128(0)), arrayFilter(h -> if(this.has_then, h.3 = 'then', false), span)),
            arrayMap(h -> (h.2, 2, toInt64(1), h.5), c),
            arrayMap(h -> (h.2, 3, toInt64(0), toInt128(0)), c),
            [(over, 4, toInt64(0), toInt128(0))])),
        (toInt64(0), toInt128(0), toInt64(0), toInt64(0), toInt64(0))).5, counted, spans, overs) AS firsts{{end}}
{{define "first"}}arrayMin(arrayFilter(first -> first != 0, firsts)) AS first_ms{{end}}

{{define "hits_of_lift"}}SELECT visitor_id, refused_ms, seen
FROM
(
    SELECT
        visitor_id,
        groupArray((if(this.same_product, product, ''), ms, step, event_id, toInt128(ifNull(if(this.same_product, item_micros, value_micros), 0)))) AS seen
    FROM (SELECT *, toUnixTimestamp64Milli(occurred_at) AS ms FROM {{.Hits}})
    WHERE site_id = {site:String} AND segment = {segment:String} AND version = this.version AND ms > from_ms - this.reach_ms AND ms <= to_ms
      AND if(this.same_product, step = 'leave' OR product != '', nth = 0)
    GROUP BY visitor_id
) AS s
LEFT ANY JOIN ({{template "refusals" .}}) AS r USING visitor_id{{end}}

{{- /* 1.96 standard errors, the 97.5th percentile of the normal distribution, and its square. */ -}}
{{define "z"}}1.959963984540054{{end}}
{{define "zz"}}3.8414588206941245{{end}}

{{define "lift"}}WITH
    assumeNotNull(({{.Rule}})) AS this,
    ifNull(nullIf(({{.Zone}}), ''), 'UTC') AS zone,
    toUnixTimestamp64Milli(toDateTime64(toString(toDate32({from:Date})), 3, zone)) AS from_ms,
    least(toUnixTimestamp64Milli(toDateTime64(toString(addDays(toDate32({to:Date}), 1)), 3, zone)) - 1, toUnixTimestamp64Milli(now64(3))) AS to_ms
SELECT
    goal, exposed, held_out, exposed_converted, held_out_converted,
    if(exposed = 0, NULL, e.1) AS exposed_rate,
    if(held_out = 0, NULL, h.1) AS held_out_rate,
    if(exposed * held_out = 0, NULL, e.1 - h.1) AS lift,
    if(exposed * held_out = 0, NULL, e.1 - h.1 - sqrt(pow(e.1 - e.2 + e.3, 2) + pow(h.2 + h.3 - h.1, 2))) AS lift_low,
    if(exposed * held_out = 0, NULL, e.1 - h.1 + sqrt(pow(e.2 + e.3 - e.1, 2) + pow(h.1 - h.2 + h.3, 2))) AS lift_high,
    if(exposed * held_out_converted = 0, NULL, e.1 / h.1 - 1) AS lift_relative,
    toDecimal128(exposed_micros, 6) / 1000000 AS exposed_revenue,
    toDecimal128(held_out_micros, 6) / 1000000 AS held_out_revenue,
    if(exposed = 0, NULL, exposed_micros / exposed / 1000000) AS exposed_revenue_per_visitor,
    if(held_out = 0, NULL, held_out_micros / held_out / 1000000) AS held_out_revenue_per_visitor,
    machine_hits
FROM
(
    -- e, h: the share of the arm, and the middle and half the width of Wilson's interval of it
    SELECT
        *,
        (exposed_converted / exposed, (2 * exposed_converted + {{template "zz"}}) / (2 * (exposed + {{template "zz"}})),
            {{template "z"}} * sqrt({{template "zz"}} + 4 * exposed_converted * (1 - exposed_converted / exposed)) / (2 * (exposed + {{template "zz"}}))) AS e,
        (held_out_converted / held_out, (2 * held_out_converted + {{template "zz"}}) / (2 * (held_out + {{template "zz"}})),
            {{template "z"}} * sqrt({{template "zz"}} + 4 * held_out_converted * (1 - held_out_converted / held_out)) / (2 * (held_out + {{template "zz"}}))) AS h
    FROM
    (
        SELECT
            goal, machine_hits,
            arraySum(s -> if(s.1, 0, if(s.2 = '', s.3, 0)), sums) AS exposed,
            arraySum(s -> if(s.1, if(s.2 = '', s.3, 0), 0), sums) AS held_out,
            arraySum(s -> if(s.1, 0, if(s.2 = goal, s.3, 0)), sums) AS exposed_converted,
            arraySum(s -> if(s.1, if(s.2 = goal, s.3, 0), 0), sums) AS held_out_converted,
            arraySum(s -> if(s.1, 0, if(s.2 = goal, s.4, 0)), sums) AS exposed_micros,
            arraySum(s -> if(s.1, if(s.2 = goal, s.4, 0), 0), sums) AS held_out_micros
        FROM
        (
            SELECT toString(conversion_hits.goal) AS goal, countIf(outcome = 'event' AND is_bot) AS machine_hits
            FROM {{.Database}}.conversion_hits
            WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date}
              AND ({goal:Nullable(String)} IS NULL OR conversion_hits.goal = {goal:Nullable(String)})
            GROUP BY goal
        ) AS g
        CROSS JOIN
        (
            -- (held out, goal, visitors, their value); without a goal: all visitors
            SELECT groupArray((held, converted_to, visitors, micros)) AS sums
            FROM
            (
                SELECT held, each.1 AS converted_to, count() AS visitors, sum(each.2) AS micros
                FROM
                (
                    SELECT held, arrayJoin(arrayConcat([('', toInt128(0))], arrayMap(g -> (g, arraySum(c -> if(c.1 = g, c.3, 0), converted)), arrayDistinct(converted.1)))) AS each
                    FROM
                    (
                        SELECT
                            cityHash64({site:String}, {segment:String}, visitor_id) % 1000 < this.holdout_permille AS held,
                            arrayFilter(c -> c.2 > first_ms, theirs) AS converted
                        FROM ({{.ByAll}}) AS cohort
                        LEFT ANY JOIN
                        (
                            SELECT who_visitor_id AS visitor_id, groupArray((toString(goal), toUnixTimestamp64Milli(occurred_at), if(rate_missing, toInt128(0), ifNull(net_micros, toInt128(0))))) AS theirs
                            FROM {{.Database}}.valued_conversions(site = {site:String}, from = {from:Date}, to = {to:Date})
                            GROUP BY visitor_id
                        ) AS c USING visitor_id
                        WHERE if(first_ms = 0, false, cityHash64(visitor_id) NOT IN ({{template "suppressed" .}}))
                    )
                )
                GROUP BY held, converted_to
            )
        ) AS a
    )
)
ORDER BY goal{{end}}
