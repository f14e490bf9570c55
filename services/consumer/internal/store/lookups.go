package store

import "strings"

// factColumns are those of visitor_facts, in the order of the queries below.
const factColumns = "site_id, visitor_id, fact, subject, newest_at, detail, expires_at"

// hitSubject is the subject of a hit: of a tuple hit (segment, version, step, product, nth, item_micros), of value, which is the event's in the
// currency of the site, and of columns of the event. docs/audiences.md says who is held out.
const hitSubject = "[toString(hit.1), toString(hit.2), toString(hit.3), hit.4, toString(hit.5), toString(event_id), ifNull(toString(value), ''), ifNull(toString(hit.6), ''), " +
	"toString(toUnixTimestamp64Milli(occurred_at)), toString(cityHash64(site_id, hit.1, visitor_id) % 1000)]"

// VisitorFacts is a template function: the query that fills visitor_facts from the rows of a table of events for which the condition
// holds, by the rules of the tables that have the same facts.
func (s Schema) VisitorFacts(events, condition string) string {
	return strings.NewReplacer("$events", events, "$none", s.NoID(), "$condition", condition, "$subject", hitSubject, "$step", interestStep, "$interesting", s.interesting()).Replace(`SELECT
    site_id, visitor_id, said.1 AS fact, said.2 AS subject,
    max(occurred_at) AS newest_at, max(said.3) AS detail, max(toDateTime(declared_at) + toIntervalDay(retention_days)) AS expires_at
FROM
(
    SELECT
        *, if(currency = site_currency, value_micros, NULL) AS value, $step AS step,
        arrayConcat(
            if(consent_profile, [], [('refused', CAST([], 'Array(String)'), '')]),
            [(if(consent_share, 'shared', 'unshared'), CAST([], 'Array(String)'), '')],
            arrayMap(hit -> ('hit', $subject, ''), arrayZip(segments.id, segments.version, segments.step, segments.product, segments.nth, segments.item_micros)),
            if(kind = 'impression' AND NOT is_bot AND campaign != '',
                [('ad', [toString(site_day), toString(campaign), toString(event_id), toString(toUnixTimestamp64Milli(occurred_at))], '')], []),
            if(step != '' AND $interesting, arrayConcat(
                arrayMap(item -> (step, [item], ''), items.id),
                arrayMap((item, micros) -> ('price', [item], if(micros IS NULL OR currency = '', '', concat(toString(occurred_at), ' ', currency, ' ', toString(micros)))), items.id, items.price_micros),
                arrayMap((item, category) -> ('category', [item], if(category = '', '', concat(toString(occurred_at), ' ', category))), items.id, items.category)), [])) AS facts
    FROM $events
    WHERE outcome = 'event' AND visitor_id != $none AND $condition
)
ARRAY JOIN facts AS said
-- neither products without an id nor prices and categories that were not given
WHERE said.2 != [''] AND (said.1 NOT IN ('price', 'category') OR said.3 != '')
GROUP BY site_id, visitor_id, fact, subject`)
}

// HitFacts is the query of what visitor_facts has of rows of segment_hits.
func (s Schema) HitFacts(condition string) string {
	return strings.NewReplacer("$hits", s.Database+".segment_hits", "$none", s.NoID(), "$condition", condition, "$subject", hitSubject).Replace(`SELECT
    site_id, visitor_id, 'hit' AS fact, $subject AS subject, occurred_at AS newest_at, '' AS detail, expires_at
FROM (SELECT *, value_micros AS value, (segment, version, step, product, nth, item_micros) AS hit FROM $hits WHERE visitor_id != $none AND $condition)`)
}
