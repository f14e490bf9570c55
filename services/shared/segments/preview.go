package segments

import (
	"fmt"
	"time"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Preview is where the memberships of a rule are found that no consumer knows: in the stored events of a site that occurred after
// since.
func Preview(database string, site *siteconfig.Site, s siteconfig.Segment, since time.Time) Source {
	d := NewDefinition(s, site.Currency)
	where := fmt.Sprintf("site_id = %s AND occurred_at > toDateTime64(%s, 3, 'UTC')", literal(site.ID), literal(since.UTC().Format("2006-01-02 15:04:05.000")))
	return Source{
		Database: database, Hits: "(" + HitsQuery(&d, database+".events", where) + ")",
		Rule: ruleOf(s, d.Version), Zone: "SELECT " + literal(site.Timezone.String()),
	}
}

// ruleOf is a query of the rule as a row of the table segments would say it.
func ruleOf(s siteconfig.Segment, version string) string {
	millis := func(span siteconfig.Span) int64 { return time.Duration(span).Milliseconds() }
	micros := func(bound *siteconfig.Micros) string {
		if bound == nil {
			return "CAST(NULL AS Nullable(Int64))"
		}
		return fmt.Sprintf("CAST(%d AS Nullable(Int64))", *bound)
	}
	least, most := micros(nil), micros(nil)
	if s.Value != nil {
		least, most = micros(s.Value.Min), micros(s.Value.Max)
	}
	rule := blocks{MostHits: MostHits, Unbounded: unbounded}.render("rule")
	return fmt.Sprintf("SELECT %s FROM (SELECT %s AS version, %t AS same_product, %d AS times_min, %d AS times_max, %d AS within_ms, %s AS value_min_micros, %s AS value_max_micros, "+
		"%t AS has_then, %d AS then_within_ms, %d AS after_ms, %d AS lives_ms, %d AS holdout_permille)",
		rule, literal(version), s.SameProduct, s.Times.Min, s.Times.Max, millis(s.Within), least, most,
		s.Then != nil, millis(s.ThenWithin), millis(s.After), millis(s.Lives), s.Holdout)
}
