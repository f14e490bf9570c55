package store

import (
	"context"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/onepx/onepx/services/shared/segments"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Preview is what an audience would be by a rule that no consumer knows.
type Preview struct {
	Size Size
	// Days are the last ones of the site, up to today.
	Days []Day
	// Samples are members, those whose membership lasts longest first.
	Samples []Member
}

// previewSamples is how many members a preview names.
const previewSamples = 10

// Preview judges the stored events by the rule: those that matter now, and within the last days.
func (s *Store) Preview(ctx context.Context, site *siteconfig.Site, rule siteconfig.Segment, now time.Time, days int) (Preview, error) {
	today := now.In(site.Timezone)
	first := today.AddDate(0, 0, 1-days)
	reach := time.Duration(rule.Within) + time.Duration(rule.ThenWithin) + time.Duration(rule.Lives)
	source := segments.Preview(s.database, site, rule, first.AddDate(0, 0, -1).Add(-reach))
	ctx = clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{
		"site": site.ID, "segment": rule.ID, "at": now.UTC().Format("2006-01-02 15:04:05.000"),
		"from": first.Format(time.DateOnly), "to": today.Format(time.DateOnly),
	}))
	var p Preview
	members := "(" + segments.Members(source) + ")"
	row := s.conn.QueryRow(ctx, "SELECT countIf(NOT held_out) AS members, countIf(NOT held_out AND minted) AS minted_members, countIf(held_out) AS held_out_members FROM "+members)
	if err := row.ScanStruct(&p.Size); err != nil {
		return p, failed("count members", err)
	}
	if err := s.conn.Select(ctx, &p.Days, "SELECT day, members, minted, enters, exits, expiries FROM ("+segments.Sizes(source)+") ORDER BY day"); err != nil {
		return p, failed("count members by day", err)
	}
	err := s.conn.Select(ctx, &p.Samples, "SELECT visitor_id, products, qualified_at, ends_at, minted FROM "+members+" WHERE NOT held_out ORDER BY ends_at DESC, visitor_id LIMIT "+strconv.Itoa(previewSamples))
	if err != nil {
		return p, failed("list members", err)
	}
	return p, nil
}
