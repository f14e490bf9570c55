package store

import "strings"

// interestColumns are those of product_interest, in the order of InterestFacts.
const interestColumns = "site_id, visitor_id, product, viewed_at, carted_at, bought_at, first_at, views, carts, purchases, price, category, expires_at"

// interestStep is what an event does with its products. The names of events that count stand here and nowhere else; docs/audiences.md
// lists them.
const interestStep = "multiIf(name IN ('view_item', 'product_view'), 'viewed', name = 'add_to_cart', 'carted', name = 'purchase', 'bought', '')"

// interesting is the condition that an event may tell what its visitor is interested in.
func (s Schema) interesting() string {
	return "NOT is_bot AND consent_profile AND visitor_kind IN ('cookie', 'minted', 'provided') AND visitor_id != " + s.NoID() + " AND notEmpty(items.id)"
}

// InterestFacts is a template function: the query that fills product_interest from the rows of a table of events for which the
// condition holds.
func (s Schema) InterestFacts(events, condition string) string {
	return strings.NewReplacer("$events", events, "$step", interestStep, "$interesting", s.interesting(), "$condition", condition).Replace(`SELECT
    site_id, visitor_id, item.1 AS product,
    maxIf(occurred_at, step = 'viewed') AS viewed_at,
    maxIf(occurred_at, step = 'carted') AS carted_at,
    maxIf(occurred_at, step = 'bought') AS bought_at,
    min(occurred_at) AS first_at,
    groupUniqArrayIf(100)(cityHash64(event_id, occurred_at), step = 'viewed') AS views,
    groupUniqArrayIf(100)(cityHash64(event_id, occurred_at), step = 'carted') AS carts,
    groupUniqArrayIf(100)(cityHash64(event_id, occurred_at), step = 'bought') AS purchases,
    max(if(item.2 IS NULL OR currency = '', '', concat(toString(occurred_at), ' ', currency, ' ', toString(item.2)))) AS price,
    max(if(item.3 = '', '', concat(toString(occurred_at), ' ', item.3))) AS category,
    max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM
(
    SELECT *, $step AS step
    FROM $events
    WHERE outcome = 'event' AND $interesting AND $condition
)
ARRAY JOIN arrayZip(items.id, items.price_micros, items.category) AS item
WHERE step != '' AND item.1 != ''
GROUP BY site_id, visitor_id, product`)
}

// Interest is a template function: the products that visitors have looked at, put in the cart or bought until the moment $at,
// one row for each visitor and product, without what was done until a refusal. The condition chooses visitors; the query has
// the parameter site. A moment of 1970-01-01 is none, as is a currency or category that is empty.
func (s Schema) Interest(condition, at string) string {
	return strings.NewReplacer("$interest", s.interest(condition), "$db", s.Database, "$condition", condition, "$at", at).Replace(`SELECT
    visitor_id, product,
    if(i.viewed_at > refused AND i.viewed_at <= $at, i.viewed_at, toDateTime64(0, 3, 'UTC')) AS viewed,
    if(i.carted_at > refused AND i.carted_at <= $at, i.carted_at, toDateTime64(0, 3, 'UTC')) AS carted,
    if(i.bought_at > refused AND i.bought_at <= $at, i.bought_at, toDateTime64(0, 3, 'UTC')) AS bought,
    greatest(viewed, carted, bought) AS newest,
    multiIf(bought >= viewed AND bought >= carted, 'bought', carted > bought, 'carted', 'viewed') AS state,
    first_at > refused AS all_count, i.views AS views, i.carts AS carts, i.purchases AS purchases,
    substring(i.price, 1, 23) AS price_time,
    if(price_time > toString(refused) AND price_time <= toString($at), splitByChar(' ', substring(i.price, 25)), []) AS price_words,
    price_words[1] AS price_currency,
    toInt64OrZero(price_words[2]) AS price_micros,
    substring(i.category, 1, 23) AS category_time,
    if(category_time > toString(refused) AND category_time <= toString($at), substring(i.category, 25), '') AS category_name
FROM ($interest) AS i
LEFT ANY JOIN
(
    SELECT visitor_id AS refuser, max(refused_at) AS refused
    FROM $db.profile_refusals
    WHERE site_id = {site:String} AND $condition
    GROUP BY visitor_id
    HAVING refused <= $at
) AS r ON r.refuser = i.visitor_id
WHERE newest > toDateTime64(0, 3, 'UTC')`)
}

// interest is the query of the rows of product_interest, one for each visitor and product, without expires_at.
func (s Schema) interest(condition string) string {
	from := s.Database + ".product_interest"
	where := " WHERE site_id = {site:String} AND " + condition
	if s.Cluster == "" {
		return "SELECT * FROM " + from + " FINAL" + where
	}
	// FINAL joins what one shard has.
	return "SELECT visitor_id, product, max(viewed_at) AS viewed_at, max(carted_at) AS carted_at, max(bought_at) AS bought_at, min(first_at) AS first_at, " +
		"groupUniqArrayArray(100)(views) AS views, groupUniqArrayArray(100)(carts) AS carts, groupUniqArrayArray(100)(purchases) AS purchases, " +
		"max(price) AS price, max(category) AS category FROM " + from + where + " GROUP BY visitor_id, product"
}
