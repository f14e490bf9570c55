-- oldest consumer: 1
-- What visitors did with products, the products that sites sell, and which of them to show to whom; docs/audiences.md defines
-- every word used here.

-- One row for each visitor and product, of events that may feed audiences: the newest of everything, so that order and
-- repetition of events do not matter.
CREATE TABLE IF NOT EXISTS {{.Facts}}.product_interest {{.OnCluster}}
(
    site_id    LowCardinality(String),
    visitor_id UUID,
    product    String,
    viewed_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'the newest; 1970-01-01 for none',
    carted_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    bought_at  SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    first_at   SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'the oldest of all these events',
    views      SimpleAggregateFunction(groupUniqArrayArray(100), Array(UInt64)) COMMENT 'hashes of events, at most 100',
    carts      SimpleAggregateFunction(groupUniqArrayArray(100), Array(UInt64)),
    purchases  SimpleAggregateFunction(groupUniqArrayArray(100), Array(UInt64)),
    price      SimpleAggregateFunction(max, String) COMMENT 'the newest of one piece: moment, currency and micros, as in 2026-11-24 10:20:00.000 EUR 4900000',
    category   SimpleAggregateFunction(max, String) COMMENT 'the newest: moment and name',
    expires_at SimpleAggregateFunction(max, DateTime)
)
ENGINE = {{.FactsEngine "AggregatingMergeTree"}}
ORDER BY (site_id, visitor_id, product)
TTL expires_at
SETTINGS {{.Window}};

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Facts}}.product_interest_view {{.OnCluster}} TO {{.Facts}}.product_interest AS
{{.InterestFacts (print .Facts ".events") "true"}};

--   SELECT * FROM product_interest_of(site = 'shop', visitor = '0190b5ad-…')
CREATE VIEW IF NOT EXISTS {{.Database}}.product_interest_of {{.OnCluster}} AS
SELECT
    product, state, newest AS newest_at,
    if(viewed = 0, NULL, viewed) AS viewed_at,
    if(carted = 0, NULL, carted) AS carted_at,
    if(bought = 0, NULL, bought) AS bought_at,
    if(all_count, length(i.views), NULL) AS views,
    if(all_count, length(i.carts), NULL) AS carts,
    if(all_count, length(i.purchases), NULL) AS purchases,
    if(price_currency = '', NULL, i.price_micros) AS price_micros,
    price_currency AS currency,
    if(price_currency = '', NULL, toDateTime64(price_time, 3, 'UTC')) AS price_at,
    category_name AS category
FROM
(
{{.Interest "visitor_id = {visitor:UUID}" "now64(3, 'UTC')"}}
) AS i
WHERE NOT (SELECT argMax(wished, position) FROM {{.Database}}.suppressed_visitors WHERE id_hash = cityHash64({visitor:UUID}))
ORDER BY newest_at DESC, product;

-- What a site sells, from its product feed (docs/imports.md). A partition is one feed, put in place as a whole.
CREATE TABLE IF NOT EXISTS {{.Database}}.products {{.OnCluster}}
(
    site_id       LowCardinality(String),
    product_id    String,
    title         String CODEC(ZSTD(1)),
    link          String CODEC(ZSTD(1)),
    image_link    String CODEC(ZSTD(1)),
    price_micros  Int64,
    currency      LowCardinality(String) COMMENT 'of both prices',
    sale_micros   Nullable(Int64) COMMENT 'the price from sale_from until before sale_until',
    sale_from     DateTime64(3, 'UTC'),
    sale_until    DateTime64(3, 'UTC'),
    availability  Enum8('in_stock' = 1, 'out_of_stock' = 2, 'preorder' = 3, 'backorder' = 4),
    category      String COMMENT 'product_type, else google_product_category',
    item_group_id String,
    line          UInt32 COMMENT 'of the file',
    feed_id       UUID,
    imported_at   DateTime64(3, 'UTC'),

    PROJECTION by_category (SELECT site_id, category, price_micros, product_id, availability ORDER BY site_id, category, price_micros),
    PROJECTION by_group (SELECT site_id, item_group_id, product_id, availability, category, price_micros ORDER BY site_id, item_group_id)
)
ENGINE = {{.Engine "MergeTree"}}
PARTITION BY site_id
ORDER BY (site_id, product_id)
SETTINGS {{.Window}}, index_granularity = 1024;

-- What tailored and tailored_of share. They have the queries members (visitor_id, products, held_out), interest (rows of
-- visitors and products), by_id and by_group (the products of the feed that visitors may have seen, by their own id and by
-- that of their group), stock (what is in stock, by category and price), and has_feed.
--
-- Candidates are what a visitor may be shown: the products of the membership, then other ones that are not bought, newest
-- first. Of each follows what to show in its place; the first one of which anything follows is it.
{{define "tailored_choice"}}SELECT visitor_id, held_out, chosen.1 AS product_id, chosen.2 AS why, chosen.3 AS seen, chosen.4 AS seen_micros, chosen.5 AS seen_currency
FROM
(
    SELECT
        visitor_id, any(held_out) AS held_out,
        argMin((shown, why, seen, seen_micros, seen_currency), rank) AS chosen
    FROM
    (
        SELECT
            visitor_id, held_out, rank, seen, seen_micros, seen_currency,
            multiIf(
                NOT has_feed, seen,
                available, found,
                below.product_id = '', above.product_id,
                above.product_id = '', below.product_id,
                near - below.price_micros <= above.price_micros - near, below.product_id, above.product_id) AS shown,
            multiIf(NOT has_feed, 'no_feed', available, state, 'same_category') AS why
        FROM
        (
            SELECT
                visitor_id, held_out, rank, seen, state, seen_micros, seen_currency,
                if(i.product_id != '', i.product_id, g.product_id) AS found,
                if(i.product_id != '', i.available, g.available) AS available,
                multiIf(available OR NOT has_feed, '', i.category != '', i.category, g.category != '', g.category, seen_category) AS category,
                multiIf(i.product_id != '', i.price_micros, g.product_id != '', g.price_micros, seen_micros) AS near
            FROM
            (
                SELECT
                    visitor_id, held_out, rank,
                    candidate.1 AS seen, candidate.2 AS state, candidate.3 AS seen_micros, candidate.4 AS seen_currency, candidate.5 AS seen_category
                FROM
                (
                    SELECT
                        m.visitor_id AS visitor_id, m.held_out AS held_out,
                        arraySlice(arrayConcat(
                            arrayMap(p -> if(has(v.known.1, p), v.known[indexOf(v.known.1, p)], (p, 'matched', toInt64(0), '', '')), m.products),
                            arrayFilter(k -> k.2 != 'bought' AND NOT has(m.products, k.1), v.known)), 1, 10) AS candidates
                    FROM members AS m
                    LEFT ANY JOIN
                    (
                        SELECT visitor_id, arrayMap(k -> k.3, arraySort(groupArray((
                            -toUnixTimestamp64Milli(newest), product, (product, state, price_micros, price_currency, category_name))))) AS known
                        FROM interest
                        GROUP BY visitor_id
                    ) AS v ON v.visitor_id = m.visitor_id
                )
                ARRAY JOIN candidates AS candidate, arrayEnumerate(candidates) AS rank
            ) AS c
            LEFT ANY JOIN by_id AS i ON i.product_id = c.seen
            LEFT ANY JOIN by_group AS g ON g.item_group_id = c.seen
        ) AS f
        ASOF LEFT JOIN stock AS below ON below.category = f.category AND below.price_micros <= f.near
        ASOF LEFT JOIN stock AS above ON above.category = f.category AND above.price_micros >= f.near
        WHERE shown != ''
    )
    GROUP BY visitor_id
){{end}}

{{define "by_id"}}SELECT product_id, availability != 'out_of_stock' AS available, category, price_micros FROM {{.Database}}.products WHERE site_id = {site:String}{{end}}
{{define "by_group"}}SELECT
            item_group_id,
            max(availability != 'out_of_stock') AS available,
            if(available, minIf(products.product_id, availability != 'out_of_stock'), min(products.product_id)) AS product_id,
            min(products.category) AS category,
            min(products.price_micros) AS price_micros
        FROM {{.Database}}.products
        WHERE site_id = {site:String} AND item_group_id != ''{{end}}
{{define "stock"}}SELECT category, price_micros, min(products.product_id) AS product_id FROM {{.Database}}.products WHERE site_id = {site:String} AND availability = 'in_stock' AND category != ''{{end}}

{{define "tailored"}}SELECT
    c.visitor_id AS visitor_id, c.product_id AS product_id, d.title AS title, d.link AS link, d.image_link AS image_link,
    multiIf(
        c.why = 'no_feed', if(c.seen_currency = '', NULL, c.seen_micros),
        d.sale_micros IS NOT NULL AND d.sale_from <= moment AND moment < d.sale_until, d.sale_micros,
        d.price_micros) AS price_micros,
    if(c.why = 'no_feed', c.seen_currency, d.currency) AS currency,
    if(c.seen_currency != '' AND c.seen_currency = currency, c.seen_micros, NULL) AS price_seen_micros,
    if(c.why NOT IN ('no_feed', 'same_category') AND price_seen_micros != price_micros, 'price_changed', c.why) AS reason,
    c.held_out AS held_out,
    c.seen AS seen_product_id
FROM choice AS c
LEFT ANY JOIN details AS d ON d.product_id = c.product_id{{end}}

--   SELECT * FROM tailored(site = 'shop', segment = 'cart_abandoners')
CREATE VIEW IF NOT EXISTS {{.Database}}.tailored {{.OnCluster}} AS
WITH
    coalesce({at:Nullable(DateTime64(3, 'UTC'))}, now64(3, 'UTC')) AS moment,
    {{template "has_feed" .}} AS has_feed,
    members AS (SELECT visitor_id, products, held_out FROM {{.Database}}.audience_members(site = {site:String}, segment = {segment:String}, at = {at:Nullable(DateTime64(3, 'UTC'))})),
    -- of more visitors than the members, but members need not be computed for it
    interest AS ({{.Interest (print "visitor_id IN (SELECT visitor_id FROM " .Database ".segment_hits WHERE site_id = {site:String} AND segment = {segment:String})") "moment"}}),
    by_id AS ({{template "by_id" .}}),
    by_group AS ({{template "by_group" .}} GROUP BY item_group_id),
    stock AS ({{template "stock" .}} GROUP BY category, price_micros),
    choice AS ({{template "tailored_choice" .}}),
    details AS (SELECT * FROM {{.Database}}.products WHERE site_id = {site:String})
{{template "tailored" .}};

-- The same of some visitors, of whom and of whose products little is read. A query that stands in another one twice is planned
-- and run twice, so choice_rows is a scalar, and what it reads of products follows from few tables.
--   SELECT * FROM tailored_of(site = 'shop', segment = 'cart_abandoners', visitors = ['0190b5ad-…'])
CREATE VIEW IF NOT EXISTS {{.Database}}.tailored_of {{.OnCluster}} AS
WITH
    coalesce({at:Nullable(DateTime64(3, 'UTC'))}, now64(3, 'UTC')) AS moment,
    {{template "has_feed" .}} AS has_feed,
    members AS
    (
        SELECT visitor_id, products, held_out
        FROM {{.Database}}.audiences_of(site = {site:String}, visitors = {visitors:Array(UUID)}, at = {at:Nullable(DateTime64(3, 'UTC'))})
        WHERE segment = {segment:String}
    ),
    interest AS ({{.Interest "visitor_id IN {visitors:Array(UUID)}" "moment"}}),
    (
        SELECT (groupUniqArray(seen.1), groupUniqArray(seen.2))
        FROM
        (
            SELECT (product, substring(product_interest.category, 25)) AS seen FROM {{.Database}}.product_interest WHERE site_id = {site:String} AND visitor_id IN {visitors:Array(UUID)}
            UNION ALL
            SELECT (product, '') FROM ({{.VisitorHits "site_id = {site:String} AND visitor_id IN {visitors:Array(UUID)} AND subject[1] = {segment:String}"}})
        )
    ) AS maybe_seen,
    by_id AS ({{template "by_id" .}} AND products.product_id IN maybe_seen.1),
    by_group AS ({{template "by_group" .}} AND item_group_id IN maybe_seen.1 GROUP BY item_group_id),
    (
        SELECT arrayConcat(groupUniqArray(category), maybe_seen.2)
        FROM
        (
            SELECT category FROM {{.Database}}.products WHERE site_id = {site:String} AND product_id IN maybe_seen.1
            UNION ALL
            SELECT category FROM {{.Database}}.products WHERE site_id = {site:String} AND item_group_id IN maybe_seen.1
        )
    ) AS categories,
    stock AS ({{template "stock" .}} AND category IN categories GROUP BY category, price_micros),
    (SELECT groupArray((visitor_id, product_id, why, seen, seen_micros, seen_currency, held_out)) FROM ({{template "tailored_choice" .}})) AS choice_rows,
    choice AS
    (
        SELECT c.1 AS visitor_id, c.2 AS product_id, c.3 AS why, c.4 AS seen, c.5 AS seen_micros, c.6 AS seen_currency, c.7 AS held_out
        FROM (SELECT arrayJoin(choice_rows) AS c)
    ),
    details AS (SELECT * FROM {{.Database}}.products WHERE site_id = {site:String} AND product_id IN choice_rows.2)
{{template "tailored" .}};

{{define "has_feed"}}(SELECT count() > 0 FROM {{.Database}}.products WHERE site_id = {site:String}){{end}}
