-- oldest consumer: 1
{{define "hit"}}tuple(site_day, occurred_at, event_id, order_id, kind, value, value_micros, currency, site_currency, click_window_days, view_window_days){{end}}
-- The hits that count, by the scope of their goal, with a day in the range; docs/questions.md, Conversion. The who_ columns are
-- of the hit that tells whose conversion it is.
--   SELECT * FROM counted_hits(site = 'shop', from = '2026-11-01', to = '2026-11-30')
{{define "counted_hits"}}WITH
    people AS
    (
        SELECT
            *,
            (visitor_kind, visitor_id, daily_hash, user_key, occurred_at) AS who
        FROM {{.Database}}.conversion_hits
        WHERE site_id = {site:String} AND outcome = 'event' AND NOT is_bot
    ),
    -- order: the first of all hits with the order id, ever. Most orders have one hit, for which nothing is to be done; the others
    -- are found by a hash, which is faster than the text.
    repeated AS
    (
        SELECT cityHash64(goal, order_id) AS hash
        FROM people
        WHERE once_per = 'order' AND order_id != ''
        GROUP BY hash
        HAVING count() > 1 AND countIf(site_day BETWEEN {from:Date} AND {to:Date}) > 0
    ),
    orders AS
    (
        SELECT
            goal,
            argMin({{template "hit"}}, (occurred_at, event_id)) AS hit,
            if(countIf(known) > 0, argMinIf(who, (occurred_at, event_id), known), argMin(who, (occurred_at, event_id))) AS who,
            count() AS hits
        FROM (SELECT *, user_key != {{.NoID}} OR {{.VisitorOfHit (printf "daily_hash = %s" .NoID)}} != {{.NoID}} AS known FROM people)
        WHERE once_per = 'order' AND order_id != '' AND cityHash64(goal, order_id) IN (SELECT hash FROM repeated)
        GROUP BY goal, order_id
        UNION ALL
        SELECT goal, {{template "hit"}} AS hit, who, toUInt64(1)
        FROM people
        WHERE once_per = 'order' AND order_id != '' AND site_day BETWEEN {from:Date} AND {to:Date}
          AND cityHash64(goal, order_id) NOT IN (SELECT hash FROM repeated)
    ),
    -- event: the first, and each that is more than 48 hours later than the last that counted
    events AS
    (
        SELECT
            goal,
            arraySort(groupArray((occurred_at, {{template "hit"}}, who))) AS all,
            arrayFold((kept, hit) -> if(hit.1 > kept[-1] + toIntervalHour(48), arrayPushBack(kept, hit.1), kept), all, [all[1].1]) AS kept
        FROM people
        WHERE (once_per = 'event' OR once_per = 'order' AND order_id = '') AND (goal, event_id) IN
        (
            SELECT goal, event_id FROM {{.Database}}.conversion_hits
            WHERE site_id = {site:String} AND site_day BETWEEN {from:Date} AND {to:Date} AND (once_per = 'event' OR once_per = 'order' AND order_id = '')
        )
        GROUP BY goal, event_id
    ),
    -- session: the first in the session of the visitor; hits outside of sessions all count
    session_hits AS
    (
        SELECT *, {{.VisitorOfHit "once_per = 'session'"}} AS visitor
        FROM people
        WHERE once_per = 'session' AND site_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}}
    ),
    sessions AS
    (
        SELECT
            goal,
            argMin({{template "hit"}}, (occurred_at, event_id)) AS hit,
            argMin(who, (occurred_at, event_id)) AS who,
            count() AS hits
        FROM
        (
            -- The session that the hit's event belongs to is the last one that begins no later, in the order of events. That an
            -- event belongs to none and is of the instant at which a session begins is what the second search is for.
            SELECT
                *,
                arrayLast(s -> if((s.1, s.2) <= (occurred_at, event_id), s.3 >= occurred_at, false), theirs) AS last_begun,
                if(last_begun.2 = {{.NoID}}, arrayFirst(s -> if(s.1 <= occurred_at, s.3 >= occurred_at, false), theirs), last_begun) AS session
            FROM session_hits
            LEFT ANY JOIN
            (
                SELECT visitor, arraySort(groupArray((session_start, session_event, ended_at))) AS theirs
                FROM
                (
                    -- Sessions are dear: without such hits, no day is read.
                    SELECT visitor, session_start, session_event, max(occurred_at) AS ended_at
                    FROM {{.Database}}.session_events(site = {site:String}, from = {from:Date}, to = if(
                    (
                        SELECT count() FROM {{.Database}}.conversion_hits
                        WHERE site_id = {site:String} AND site_day BETWEEN {{.DaysBefore "1"}} AND {{.DaysAfter "1"}} AND once_per = 'session'
                    ) = 0, toDate(0), {to:Date}))
                    WHERE visitor IN (SELECT visitor FROM session_hits)
                    GROUP BY visitor, session_start, session_event
                )
                GROUP BY visitor
            ) AS of_visitor USING visitor
        )
        GROUP BY goal, visitor, if(session.2 = {{.NoID}}, (occurred_at, event_id, kafka_partition, kafka_offset), (session.1, session.2, 0, 0))
    )
SELECT goal, hit.1 AS site_day, hit.2 AS occurred_at, hit.3 AS event_id, hit.4 AS order_id, hit.5 AS kind, hit.6 AS value, hit.7 AS value_micros, hit.8 AS currency,
    hit.9 AS site_currency, once_per, hit.10 AS click_window_days, hit.11 AS view_window_days,
    who.1 AS who_kind, who.2 AS who_visitor_id, who.3 AS who_daily_hash, who.4 AS who_user_key, who.5 AS who_at, hits
FROM
(
    SELECT goal, 'order' AS once_per, hit, who, hits FROM orders
    UNION ALL
    SELECT goal, 'event', one.2 AS hit, one.3 AS who, toUInt64(countEqual(arrayMap(h -> arrayCount(k -> k <= h.1, kept), all), number)) AS hits
    FROM events ARRAY JOIN arrayMap(k -> arrayFirst(h -> h.1 = k, all), kept) AS one, arrayEnumerate(kept) AS number
    UNION ALL
    SELECT goal, 'session', hit, who, hits FROM sessions
    UNION ALL
    SELECT goal, 'hit', {{template "hit"}}, who, toUInt64(1)
    FROM people WHERE once_per = 'hit' AND site_day BETWEEN {from:Date} AND {to:Date}
)
WHERE site_day BETWEEN {from:Date} AND {to:Date}{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.counted_hits {{.OnCluster}} AS
{{template "counted_hits" .}};

-- What each conversion is worth in the currency of the site: the net of its order, or the value of the goal.
CREATE VIEW IF NOT EXISTS {{.Database}}.valued_conversions {{.OnCluster}} AS
WITH
    own_rates AS (SELECT currency AS own_currency, day AS own_day, rate_pico AS own_units FROM ({{template "exchange_rates" .}})),
    site_rates AS (SELECT currency AS site_rate_currency, day AS site_rate_day, rate_pico AS site_units FROM ({{template "exchange_rates" .}})),
    -- the value of a hit at the rate of its day; half a micro is rounded away from zero
    rated AS
    (
        SELECT
            hits.*,
            assumeNotNull(value_micros) AS amount,
            own_units, site_units,
            multiIf(value_micros IS NULL, 'none', currency = site_currency, 'site', own_units = 0, 'own', site_units = 0, 'own', 'rate') AS worth_in
        FROM ({{template "counted_hits" .}}) AS hits
        LEFT ANY JOIN own_rates ON own_currency = hits.currency AND own_day = hits.site_day
        LEFT ANY JOIN site_rates ON site_rate_currency = hits.site_currency AND site_rate_day = hits.site_day
    ),
    converted AS
    (
        SELECT
            * EXCEPT (amount, own_units, site_units, worth_in),
            worth_in = 'own' AS no_rate,
            multiIf(
                worth_in = 'none', NULL,
                worth_in = 'rate', {{.Converted "amount" "own_units" "site_units"}},
                toInt128(amount)) AS micros
        FROM rated
    ),
    -- (AND, OR and comparisons of tuples are avoided here: see store.Schema.Person.)
    joined AS
    (
        SELECT
            converted.*,
            if(converted.value = 'event', if(converted.kind = 'order', n.found, false), false) AS of_order,
            n.net_micros AS order_net, n.gross_micros AS order_gross, n.net_currency AS order_currency, n.rate_missing AS order_rate_missing,
            n.over_refunded AS over_refunded
        FROM converted
        LEFT ANY JOIN
        (
            SELECT order_id, if(order_id = '', sale_event_id, {{.NoID}}) AS sale,
                gross_micros, net_micros, currency AS net_currency, rate_missing, over_refunded, true AS found
            FROM ({{template "order_nets" .}})
        ) AS n ON n.order_id = converted.order_id AND n.sale = if(converted.order_id = '', converted.event_id, {{.NoID}})
    ),
    worth AS
    (
        SELECT
            * EXCEPT (currency, micros, no_rate, order_net, order_gross, order_currency, order_rate_missing),
            if(of_order, order_net, micros) AS net_micros,
            if(of_order, order_gross, micros) AS gross_micros,
            multiIf(of_order, order_currency, no_rate, currency, site_currency) AS worth_currency,
            if(of_order, order_rate_missing, no_rate) AS rate_missing
        FROM joined
    )
SELECT
    goal, site_day, occurred_at, event_id, order_id, click_window_days, view_window_days,
    who_kind, who_visitor_id, who_daily_hash, who_user_key, who_at, hits, of_order,
    net_micros, gross_micros, worth_currency AS currency, rate_missing,
    arrayConcat(if(value = 'event', if(net_micros IS NULL, ['value_unknown'], []), []), if(of_order, if(over_refunded, ['over_refunded'], []), [])) AS flags
FROM worth;
