package store

import "strings"

// interestColumns are those of product_interest, in the order of InterestFacts.
const interestColumns = "site_id, visitor_id, product, viewed_at, carted_at, bought_at, first_at, views, carts, purchases, price, category, expires_at"

// InterestFacts is a template function: the query that fills product_interest from the rows of events for which the condition
// holds. The names of events that count stand here and nowhere else; docs/audiences.md lists them.
func (s Schema) InterestFacts(condition string) string {
	return strings.NewReplacer("$db", s.Database, "$none", s.NoID(), "$condition", condition).Replace(`SELECT
    site_id, visitor_id, item.1 AS product,
    maxIf(occurred_at, step = 'viewed') AS viewed_at,
    maxIf(occurred_at, step = 'carted') AS carted_at,
    maxIf(occurred_at, step = 'bought') AS bought_at,
    min(occurred_at) AS first_at,
    groupUniqArrayIf(100)(cityHash64(event_id, occurred_at), step = 'viewed') AS views,
    groupUniqArrayIf(100)(cityHash64(event_id, occurred_at), step = 'carted') AS carts,
    groupUniqArrayIf(100)(cityHash64(event_id, occurred_at), step = 'bought') AS purchases,
    max(if(item.2 IS NULL, CAST((0, 0, ''), 'Tuple(at DateTime64(3, \'UTC\'), micros Int64, currency String)'), CAST((occurred_at, assumeNotNull(item.2), currency), 'Tuple(at DateTime64(3, \'UTC\'), micros Int64, currency String)'))) AS price,
    max(if(item.3 = '', CAST((0, ''), 'Tuple(at DateTime64(3, \'UTC\'), name String)'), CAST((occurred_at, item.3), 'Tuple(at DateTime64(3, \'UTC\'), name String)'))) AS category,
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM
(
    SELECT *, multiIf(name IN ('view_item', 'product_view'), 'viewed', name = 'add_to_cart', 'carted', name = 'purchase', 'bought', '') AS step
    FROM $db.events
    WHERE outcome = 'event' AND NOT is_bot AND consent_profile AND visitor_id != $none AND notEmpty(items.id) AND $condition
)
ARRAY JOIN arrayZip(items.id, items.price_micros, items.category) AS item
WHERE step != '' AND item.1 != ''
GROUP BY site_id, visitor_id, product`)
}

// Interest is a template function: the products that visitors have looked at, put in the cart or bought until the moment $at,
// one row for each visitor and product, without what was done until a refusal. The condition chooses visitors; the query has
// the parameter site. A moment of 1970-01-01 is none, as is a currency or category that is empty.
func (s Schema) Interest(condition, at string) string {
	return strings.NewReplacer("$db", s.Database, "$condition", condition, "$at", at).Replace(`SELECT
    visitor_id, product,
    if(viewed > refused AND viewed <= $at, viewed, toDateTime64(0, 3, 'UTC')) AS viewed_at,
    if(carted > refused AND carted <= $at, carted, toDateTime64(0, 3, 'UTC')) AS carted_at,
    if(bought > refused AND bought <= $at, bought, toDateTime64(0, 3, 'UTC')) AS bought_at,
    greatest(viewed_at, carted_at, bought_at) AS newest_at,
    multiIf(bought_at >= greatest(viewed_at, carted_at), 'bought', carted_at > bought_at, 'carted', 'viewed') AS state,
    if(i.first > refused, view_count, NULL) AS views,
    if(i.first > refused, cart_count, NULL) AS carts,
    if(i.first > refused, purchase_count, NULL) AS purchases,
    if(newest_price.1 > refused AND newest_price.1 <= $at, newest_price, CAST((0, 0, ''), 'Tuple(at DateTime64(3, \'UTC\'), micros Int64, currency String)')) AS price,
    if(newest_category.1 > refused AND newest_category.1 <= $at, newest_category.2, '') AS category
FROM
(
    SELECT
        visitor_id, product,
        max(product_interest.viewed_at) AS viewed, max(product_interest.carted_at) AS carted, max(product_interest.bought_at) AS bought,
        min(product_interest.first_at) AS first,
        toNullable(length(groupUniqArrayArray(100)(product_interest.views))) AS view_count,
        toNullable(length(groupUniqArrayArray(100)(product_interest.carts))) AS cart_count,
        toNullable(length(groupUniqArrayArray(100)(product_interest.purchases))) AS purchase_count,
        max(product_interest.price) AS newest_price, max(product_interest.category) AS newest_category
    FROM $db.product_interest
    WHERE site_id = {site:String} AND $condition
    GROUP BY visitor_id, product
) AS i
LEFT ANY JOIN
(
    SELECT visitor_id AS refuser, max(refused_at) AS refused
    FROM $db.profile_refusals
    WHERE site_id = {site:String} AND $condition
    GROUP BY visitor_id
    HAVING refused <= $at
) AS r ON r.refuser = i.visitor_id
WHERE newest_at > toDateTime64(0, 3, 'UTC')`)
}
