package pipeline

// FactsWithoutEvents are statements after which lookups know what is inserted into tables of facts without the events that it is of: views
// that fill visitor_facts from them, by the rules of its own view of events.
func FactsWithoutEvents() []string {
	const view, to, none = "CREATE MATERIALIZED VIEW onepx.", " TO onepx.visitor_facts AS SELECT site_id, visitor_id, ", "toDateTime64(0, 3, 'UTC')"
	return []string{
		view + "facts_of_refusals" + to + "'refused' AS fact, CAST([], 'Array(String)') AS subject, refused_at AS newest_at, '' AS detail, expires_at FROM onepx.profile_refusals",
		view + "facts_of_shares" + to + "said.1 AS fact, CAST([], 'Array(String)') AS subject, said.2 AS newest_at, '' AS detail, expires_at FROM onepx.share_consents " +
			"ARRAY JOIN [('shared', allowed_at), ('unshared', refused_at)] AS said WHERE newest_at > " + none,
		view + "facts_of_hits" + to + "'hit' AS fact, [toString(segment), toString(version), toString(step), product, toString(nth), toString(event_id), " +
			"ifNull(toString(value_micros), ''), ifNull(toString(item_micros), ''), toString(toUnixTimestamp64Milli(occurred_at)), toString(cityHash64(site_id, segment, visitor_id) % 1000)] AS subject, occurred_at AS newest_at, '' AS detail, expires_at FROM onepx.segment_hits",
		view + "facts_of_ads" + to + "'ad' AS fact, [toString(site_day), toString(campaign), toString(event_id), toString(toUnixTimestamp64Milli(occurred_at))] AS subject, occurred_at AS newest_at, '' AS detail, expires_at " +
			"FROM onepx.touches WHERE kind = 'view' AND campaign != ''",
		view + "facts_of_products" + to + "did.1 AS fact, [product] AS subject, did.2 AS newest_at, did.3 AS detail, expires_at FROM onepx.product_interest " +
			"ARRAY JOIN [('viewed', viewed_at, ''), ('carted', carted_at, ''), ('bought', bought_at, ''), ('price', if(price = '', " + none + ", now64(3, 'UTC')), price), " +
			"('category', if(category = '', " + none + ", now64(3, 'UTC')), category)] AS did WHERE newest_at > " + none,
	}
}
