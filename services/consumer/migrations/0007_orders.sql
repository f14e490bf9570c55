-- oldest consumer: 1
-- What orders brought. docs/questions.md has the definitions (Order, Currency); they are computed here once:
-- exchange_rates -> order_folds -> order_lines -> revenue_ledger, and order_folds -> order_nets. Amounts are whole micros.

-- Imported by `consumer import rates`; the last import of a day and currency counts.
CREATE TABLE IF NOT EXISTS {{.Database}}.currency_rates {{.OnCluster}}
(
    day         Date,
    currency    LowCardinality(String),
    rate        Decimal(38, 12) COMMENT 'units of the currency for one euro',
    imported_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{.Engine "ReplacingMergeTree" "imported_at"}}
ORDER BY (currency, day)
SETTINGS {{.Window}};

-- Imported by `consumer import costs`; source, medium and campaign in lower case.
CREATE TABLE IF NOT EXISTS {{.Database}}.ad_costs {{.OnCluster}}
(
    site_id     LowCardinality(String),
    day         Date,
    source      String,
    medium      String,
    campaign    String,
    currency    LowCardinality(String),
    cost_micros Int64,
    imported_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{.Engine "ReplacingMergeTree" "imported_at"}}
ORDER BY (site_id, day, source, medium, campaign, currency)
SETTINGS {{.Window}};

-- The rate in force on each day, for days in the range: that of the day, else of the latest of the 7 days before. No row
-- where there is none. rate_pico is millionths of millionths of the currency for one euro.
{{define "exchange_rates"}}SELECT quoted + age AS day, toString(code) AS currency, toInt256(argMax(rate, quoted) * toDecimal256(1000000000000, 0)) AS rate_pico
FROM
(
    SELECT currency AS code, day AS quoted, argMax(currency_rates.rate, imported_at) AS rate
    FROM {{.Database}}.currency_rates
    WHERE day BETWEEN {{.DaysBefore "7"}} AND {to:Date} AND code != 'EUR'
    GROUP BY code, quoted
)
ARRAY JOIN range(8) AS age
WHERE quoted + age BETWEEN {from:Date} AND {to:Date}
GROUP BY day, code
UNION ALL
SELECT {from:Date} + number AS day, 'EUR' AS currency, toInt256(1000000000000) AS rate_pico
FROM numbers(toUInt64(greatest(dateDiff('day', {from:Date}, {to:Date}) + 1, 0))){{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.exchange_rates {{.OnCluster}} AS
{{template "exchange_rates" .}};




-- One row for each order with an entry in the range, all entries folded whatever their day. lines: the sale, then what
-- followed on it. An order that is one purchase in the site's currency needs no fold, and most are such.
{{define "order_folds"}}WITH
    (
        SELECT (groupArray(currency || toString(day)) AS keys, groupArray(rate_pico), arrayEnumerate(keys))
        FROM {{.Database}}.exchange_rates(
            from = (SELECT min(site_day) FROM {{.Database}}.order_entries WHERE site_id = {site:String}),
            to   = (SELECT max(site_day) FROM {{.Database}}.order_entries WHERE site_id = {site:String}))
        WHERE currency IN (SELECT DISTINCT arrayJoin([currency, site_currency]) FROM {{.Database}}.order_entries WHERE site_id = {site:String})
    ) AS rates,
    -- By a hash, which is faster than the text; orders that share one are told apart afterwards.
    folded AS
    (
        SELECT cityHash64(order_id) AS hash
        FROM {{.Database}}.order_entries
        WHERE site_id = {site:String} AND NOT is_bot AND order_id != ''
        GROUP BY hash
        HAVING countIf(site_day BETWEEN {from:Date} AND {to:Date}) > 0
           AND (count() > 1 OR max(entry != 'purchase' OR value_micros IS NOT NULL AND currency != site_currency))
    ),
    orders AS
    (
        SELECT
            order_id,
            arraySort(groupArray((
                occurred_at, event_id, toString(entry), site_day, toInt128(value_micros), value_unreadable, toString(currency),
                arrayZip(items.id, items.quantity_micros, items.price_micros), toString(site_currency)
            )::Tuple(at DateTime64(3, 'UTC'), event UUID, entry String, day Date, value Nullable(Int128), unreadable Bool, currency String,
                items Array(Tuple(id String, quantity Int128, price Nullable(Int128))), site_currency String))) AS entries
        FROM {{.Database}}.order_entries
        WHERE site_id = {site:String} AND NOT is_bot
          AND if(order_id != '',
                 cityHash64(order_id) IN (SELECT hash FROM folded),
                 site_day BETWEEN {from:Date} AND {to:Date} AND (entry != 'purchase' OR value_micros IS NOT NULL AND currency != site_currency))
        GROUP BY order_id, if(order_id = '', (kafka_topic, kafka_partition, kafka_offset), ('', 0, 0))
        HAVING countIf(site_day BETWEEN {from:Date} AND {to:Date}) > 0
    ),
    sales AS
    (
        SELECT
            order_id,
            entries[1].event AS first_event_id,
            arrayFilter(e -> e.entry = 'purchase', entries)  AS purchases,
            arrayFilter(e -> e.entry != 'purchase', entries) AS others,
            notEmpty(purchases) AS with_sale,
            arrayFirstIndex(p -> p.value IS NOT NULL, purchases) AS valued,
            if(with_sale, purchases[1].site_currency, others[1].site_currency) AS own_currency,
            -- Of each item that makes an amount: quantity, price (a missing one is the sale's, or NULL), whether it is the sale's.
            arrayMap(o -> arrayMap(i -> (i.quantity, ifNull(i.price, arrayFirst(s -> s.id = i.id, purchases[1].items).price), i.price IS NULL),
                                   if(o.entry = 'refund' AND o.value IS NULL AND NOT o.unreadable, o.items, [])), others) AS priced
        FROM orders
    ),
    -- What each entry does: set the sale to an amount, take an amount or all from it, or nothing since the amount is unknown.
    -- (Each level uses the columns of the one before: aliases of one level would be analysed again wherever they are used.)
    ops AS
    (
        SELECT
            order_id, first_event_id, purchases, with_sale, valued > 0 AS with_value, own_currency,
            arrayConcat(
                if(with_sale, [(purchases[1].event, 'sale', purchases[1].day, purchases[1].day, if(valued > 0, 'set', 'unknown'), ifNull(purchases[valued].value, 0), purchases[valued].currency)], []),
                arrayMap((o, p) -> (
                    o.event, o.entry, o.day, if(with_sale, purchases[1].day, o.day),
                    multiIf(
                        o.entry = 'cancel', 'all',
                        o.entry = 'restate', if(o.value IS NULL, 'unknown', 'set'),
                        o.value IS NOT NULL, 'take',
                        o.unreadable, 'unknown',
                        empty(p), 'all',
                        arrayExists(i -> i.2 IS NULL, p), 'unknown',
                        o.currency != purchases[1].currency AND arrayUniq(p.3) > 1, 'unknown',
                        'take'),
                    multiIf(
                        o.entry = 'restate', ifNull(o.value, 0),
                        o.value IS NOT NULL, toInt128(abs(o.value)),
                        arraySum(i -> toInt128(sign(ifNull(i.2, 0)) * intDiv(i.1 * abs(ifNull(i.2, 0)) + 500000, 1000000)), p)),
                    if(arrayExists(i -> i.3, p), purchases[1].currency, o.currency)), others, priced)
            )::Array(Tuple(event UUID, entry String, day Date, rate_day Date, op String, amount Int128, currency String)) AS steps
        FROM sales
    ),
    originals AS
    (
        SELECT
            * EXCEPT own_currency,
            arrayFirst(s -> s.op IN ('set', 'take'), steps).currency AS original,
            if(own_currency != '', own_currency, original) AS site_currency
        FROM ops
    ),
    rated AS
    (
        SELECT
            *,
            arrayMap(s -> (
                rates.2[transform(s.currency || toString(s.rate_day), rates.1, rates.3, toUInt32(0))],
                rates.2[transform(site_currency || toString(s.rate_day), rates.1, rates.3, toUInt32(0))]), steps) AS step_rates
        FROM originals
    ),
    priced_in AS
    (
        SELECT
            *,
            arrayExists((s, r) -> s.op IN ('set', 'take') AND s.currency != site_currency AND (r.1 = 0 OR r.2 = 0), steps, step_rates) AS rate_missing,
            if(rate_missing, original, site_currency) AS order_currency
        FROM rated
    ),
    converted AS
    (
        SELECT
            *,
            -- Rounded half away from zero; NULL where the amount is unknown or in a third currency.
            arrayMap((s, r) -> multiIf(
                s.op = 'all', 0,
                s.op = 'unknown', NULL,
                s.currency = order_currency, s.amount,
                rate_missing, NULL,
                {{.Converted "s.amount" "r.1" "r.2"}}), steps, step_rates) AS amounts
        FROM priced_in
    ),
    nets AS
    (
        SELECT
            *,
            arrayExists((s, amount) -> s.op = 'set' AND amount IS NOT NULL, steps, amounts) AS net_known,
            -- The amount of the sale as restated, and the net after each entry. What is left is the net, if above 0.
            arrayFold((acc, s, amount) -> (
                if(s.op = 'set', ifNull(amount, acc.1), acc.1),
                arrayPushBack(acc.2, multiIf(
                    s.op = 'all', if(acc.2[-1] < 0, acc.2[-1], toInt128(0)),
                    amount IS NULL, acc.2[-1],
                    s.op = 'set', acc.2[-1] + ifNull(amount, 0) - acc.1,
                    acc.2[-1] - ifNull(amount, 0)))), steps, amounts, (toInt128(0), [toInt128(0)])).2 AS net_after
        FROM converted
    )
SELECT
    order_id,
    purchases[1].event AS sale_event_id,
    first_event_id,
    with_sale,
    with_value,
    purchases[1].day AS sale_day,
    if(with_value, net_after[2], 0) AS gross_micros,
    net_after[-1] AS net_micros,
    net_known,
    order_currency AS currency,
    site_currency,
    rate_missing,
    arrayConcat(
        arrayMap((s, amount, n, before) -> (s.event, s.entry, s.day, n - before, amount IS NULL), steps, amounts, arrayPopFront(net_after), arrayPopBack(net_after)),
        arrayMap(p -> (p.event, 'repeat', p.day, toInt128(0), false), arrayPopFront(purchases))
    )::Array(Tuple(event UUID, entry String, day Date, amount Int128, unknown Bool)) AS lines
FROM nets
UNION ALL
SELECT
    order_id,
    event_id AS sale_event_id,
    event_id AS first_event_id,
    true AS with_sale,
    value_micros IS NOT NULL AS with_value,
    site_day AS sale_day,
    toInt128(ifNull(value_micros, 0)) AS gross_micros,
    gross_micros AS net_micros,
    with_value AS net_known,
    toString(if(order_entries.site_currency = '', order_entries.currency, order_entries.site_currency)) AS currency,
    currency AS site_currency,
    false AS rate_missing,
    [(event_id, 'sale', site_day, gross_micros, NOT with_value)]::Array(Tuple(event UUID, entry String, day Date, amount Int128, unknown Bool)) AS lines
FROM {{.Database}}.order_entries
WHERE site_id = {site:String} AND NOT is_bot AND site_day BETWEEN {from:Date} AND {to:Date}
  AND entry = 'purchase' AND (value_micros IS NULL OR order_entries.currency = order_entries.site_currency)
  AND (order_id = '' OR cityHash64(order_id) NOT IN (SELECT hash FROM folded)){{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.order_folds {{.OnCluster}} AS
{{template "order_folds" .}};

-- One row for each entry of those orders: sale, refund, cancel, restate, or repeat. amount_micros is what it adds to the net.
CREATE VIEW IF NOT EXISTS {{.Database}}.order_lines {{.OnCluster}} AS
SELECT
    order_id,
    line.event AS event_id,
    sale_event_id,
    line.entry AS entry,
    if(with_sale AND line.entry != 'repeat', folds.sale_day, line.day) AS sale_day,
    line.day AS day,
    line.amount AS amount_micros,
    if(line.entry = 'repeat', site_currency, folds.currency) AS currency,
    folds.rate_missing AND line.entry != 'repeat' AS rate_missing,
    line.entry = 'sale' AND NOT with_value AS without_value,
    line.entry != 'sale' AND line.unknown AS unknown_amount,
    NOT with_sale AS without_sale,
    line.entry = 'sale' AND net_micros < 0 AS over_refunded
FROM ({{template "order_folds" .}}) AS folds
ARRAY JOIN lines AS line;

-- One row for each of those orders. What is joined to it goes by the order id, without one by sale_event_id, which then is
-- the event's own also where there is no sale. gross_micros is NULL when the sale has no value, net_micros when no restatement has one either; what is
-- unknown is in the site's currency.
{{define "order_nets"}}SELECT
    order_id,
    if(order_id = '', first_event_id, folds.sale_event_id) AS sale_event_id,
    if(with_value, folds.gross_micros, NULL) AS gross_micros,
    if(net_known, folds.net_micros, NULL) AS net_micros,
    if(net_known, folds.currency, folds.site_currency) AS currency,
    folds.rate_missing AND net_known AS rate_missing,
    folds.net_micros < 0 AS over_refunded
FROM ({{template "order_folds" .}}) AS folds{{end}}
CREATE VIEW IF NOT EXISTS {{.Database}}.order_nets {{.OnCluster}} AS
{{template "order_nets" .}};

-- The ledger of a site by day of the sale and by day of booking.
--   SELECT * FROM revenue_ledger(site = 'shop', from = '2026-11-01', to = '2026-11-30')
CREATE VIEW IF NOT EXISTS {{.Database}}.revenue_ledger {{.OnCluster}} AS
WITH
    -- First by both days, so that only few rows are dated twice.
    sums AS
    (
        SELECT
            sale_day, day, entry, currency, rate_missing,
            count()                AS lines,
            sum(amount_micros)     AS micros,
            countIf(without_value)  AS without_value,
            countIf(unknown_amount) AS unknown_amounts,
            countIf(without_sale)   AS without_sale,
            countIf(over_refunded)  AS over_refunded
        FROM {{.Database}}.order_lines(site = {site:String}, from = {from:Date}, to = {to:Date})
        GROUP BY sale_day, day, entry, currency, rate_missing
        UNION ALL
        SELECT
            site_day, site_day AS day, 'machine', toString(if(order_entries.site_currency = '', order_entries.currency, order_entries.site_currency)) AS currency, false,
            count(), toInt128(0), 0, 0, 0, 0
        FROM {{.Database}}.order_entries
        WHERE site_id = {site:String} AND is_bot AND site_day BETWEEN {from:Date} AND {to:Date}
        GROUP BY site_day, currency
    )
SELECT
    dated_by,
    if(dated_by = 'sale', sale_day, sums.day) AS day,
    currency,
    rate_missing,
    sumIf(lines, entry = 'sale')                            AS orders,
    sumIf(micros, entry = 'sale') * toDecimal128('0.000001', 6)     AS sales,
    sumIf(micros, entry = 'restate') * toDecimal128('0.000001', 6)  AS restated,
    sumIf(-micros, entry = 'refund') * toDecimal128('0.000001', 6)  AS refunded,
    sumIf(-micros, entry = 'cancel') * toDecimal128('0.000001', 6)  AS cancelled,
    sum(micros) * toDecimal128('0.000001', 6)                       AS net,
    sum(sums.without_value)                                 AS without_value,
    sum(sums.unknown_amounts)                               AS unknown_amounts,
    sum(sums.without_sale)                                  AS without_sale,
    sum(sums.over_refunded)                                 AS over_refunded,
    sumIf(lines, entry = 'repeat')                          AS repeats,
    sumIf(lines, entry = 'machine')                         AS machine_entries
FROM sums
ARRAY JOIN ['sale', 'booking'] AS dated_by
WHERE if(dated_by = 'sale', sale_day, sums.day) BETWEEN {from:Date} AND {to:Date}
GROUP BY dated_by, day, currency, rate_missing
ORDER BY dated_by, day, currency, rate_missing;
