package segments

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

// The expressions of an item in queries: of String, String and Nullable(Int64). An event without items has one of two empty texts
// and NULL.
const (
	itemID       = "item.1"
	itemCategory = "item.2"
	itemPrice    = "item.3"
)

// expression is the condition over a row of events with one of its items; it is never NULL. Its bands are in the currency.
func expression(c *siteconfig.Condition, currency string) string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if c.Event != "" {
		add("name = %s", literal(c.Event))
	}
	if c.Value != nil {
		add("(currency = %s AND %s)", literal(currency), inBand(c.Value, "value_micros"))
	}
	if c.Products != nil {
		ids := make([]string, len(c.Products))
		for i, id := range c.Products {
			ids[i] = literal(id)
		}
		add("%s IN (%s)", itemID, strings.Join(ids, ", "))
	}
	if c.Category != "" {
		add("%s = %s", itemCategory, literal(c.Category))
	}
	if c.Price != nil {
		add("(currency = %s AND %s)", literal(currency), inBand(c.Price, itemPrice))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Props)) {
		add("props[%s] = %s", literal(name), literal(c.Props[name]))
	}
	if c.URL != "" {
		// ClickHouse's dot is a line's end too, Go's is not.
		add("(url != '' AND match(url, %s))", literal("(?-s)"+c.URL))
	}
	for i := range c.All {
		add("%s", expression(&c.All[i], currency))
	}
	if c.Any != nil {
		branches := make([]string, len(c.Any))
		for i := range c.Any {
			branches[i] = expression(&c.Any[i], currency)
		}
		add("(%s)", strings.Join(branches, " OR "))
	}
	if c.Not != nil {
		add("NOT %s", expression(c.Not, currency))
	}
	return "(" + strings.Join(all, " AND ") + ")"
}

func inBand(b *siteconfig.Band, column string) string {
	var bounds []string
	if b.Min != nil {
		bounds = append(bounds, fmt.Sprintf("%s >= %d", column, *b.Min))
	}
	if b.Max != nil {
		bounds = append(bounds, fmt.Sprintf("%s <= %d", column, *b.Max))
	}
	return "ifNull(" + strings.Join(bounds, " AND ") + ", false)"
}

// plain are the ASCII characters that mean nothing in a literal, to nobody who reads the statement.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _./:,;=&%+*#~()[]<>|^!"

// literal is a text as it stands in a statement, quoted so that neither ClickHouse nor its Go driver finds something else in it.
func literal(text string) string {
	var out strings.Builder
	out.WriteByte('\'')
	for i := range len(text) {
		if c := text[i]; c >= 0x80 || strings.IndexByte(plain, c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, `\x%02X`, c)
		}
	}
	out.WriteByte('\'')
	return out.String()
}

// takesPart is the condition that a row of events can be a hit; TakesPart says the same of an event.
const takesPart = "outcome = 'event' AND NOT is_bot AND consent_profile AND visitor_kind IN ('cookie', 'minted', 'provided') " +
	"AND visitor_id != toUUID('00000000-0000-0000-0000-000000000000')"

// HitsQuery is a query of the hits that rows of the table events would be under the definition, with the columns of segment_hits.
// where is a condition on the rows.
func HitsQuery(d *Definition, events, where string) string {
	var held, hits []string
	for _, s := range d.steps() {
		held = append(held, fmt.Sprintf("arrayFilter(item -> %s, of_items) AS %s_items", expression(s.condition, d.Currency), s.step))
		// Of items with equal ids, the first.
		hits = append(hits, fmt.Sprintf("arrayMap((item, k) -> ('%[1]s', item.1, toUInt16(k - 1), item.4), arrayFilter((item, k) -> k = 1, %[1]s_items, arrayEnumerateUniq(%[1]s_items.1)) AS %[1]s_firsts, arrayEnumerate(%[1]s_firsts))", s.step))
	}
	// Each query names no alias like a column of the one within: ClickHouse would put it into the conditions.
	return fmt.Sprintf(`SELECT
    site_id, %s AS segment, %s AS version, hit.1 AS step, visitor_kind, visitor_id, hit.2 AS product, hit.3 AS nth,
    occurred_at, event_id, if(currency = site_currency, value, NULL) AS value_micros, hit.4 AS item_micros,
    kafka_topic, kafka_partition, kafka_offset, toDateTime(declared_at) + toIntervalDay(retention_days) AS expires_at
FROM
(
    SELECT
        site_id, visitor_kind, visitor_id, occurred_at, event_id, currency, site_currency, value_micros AS value,
        kafka_topic, kafka_partition, kafka_offset, declared_at, retention_days,
        %s
    FROM
    (
        SELECT
            *,
            arrayMap((price, quantity) -> toInt256(price) * quantity + 500000, items.price_micros, items.quantity_micros) AS halves_up,
            arrayMap(n -> if(currency = site_currency, accurateCastOrNull(intDiv(n - positiveModulo(n, 1000000), 1000000), 'Int64'), NULL), halves_up) AS item_amounts,
            if(empty(items.id), [('', '', CAST(NULL AS Nullable(Int64)), CAST(NULL AS Nullable(Int64)))], arrayZip(items.id, items.category, items.price_micros, item_amounts)) AS of_items
        FROM %s
        WHERE %s AND (%s)
    )
)
ARRAY JOIN arrayConcat(%s) AS hit`, literal(d.ID), literal(d.Version), strings.Join(held, ",\n        "), events, takesPart, where, strings.Join(hits, ", "))
}
