package store

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// rollupDays is how many days one query answers at most: the memory that attribution needs grows with its range.
const rollupDays = 31

// rollups are the tables of sums and the reports that fill them. What a report makes of a day does not depend on the range that
// it is asked for, but for sessions that last longer than a day (docs/questions.md, Session).
var rollups = []struct{ table, columns, answer string }{
	{
		"rolled_credits", "day, model, goal, currency, rate_missing, kind, channel, source, medium, campaign, creative, placement, credits, conversion_micros, credit_micros",
		`SELECT site_day, model, goal, currency, rate_missing, kind, channel, source, medium, campaign, if(kind = 'view', c.creative, '') AS creative,
			if(kind = 'view', c.placement, '') AS placement, sum(c.credits), sum(conversion_micros), sum(credit_micros)
		FROM %s.credits(site = {site:String}, from = {from:Date}, to = {to:Date}) AS c
		GROUP BY site_day, model, goal, currency, rate_missing, kind, channel, source, medium, campaign, creative, placement`,
	},
	{
		"rolled_impressions", "day, campaign, creative, placement, impressions, with_visit, by_machines",
		`SELECT day, campaign, creative, placement, impressions, with_visit, by_machines FROM %s.impression_sums(site = {site:String}, from = {from:Date}, to = {to:Date})`,
	},
	{
		"rolled_times", "day, goal, milliseconds, with_touch",
		`SELECT site_day, goal, dateDiff('millisecond', path[1].1, occurred_at), with_touch FROM %s.conversion_paths(site = {site:String}, from = {from:Date}, to = {to:Date})`,
	},
	{
		"rolled_sessions", "day, whole_day, channel, sessions, visitors, page_views, longer_sessions, milliseconds, converting_sessions, machine_events",
		`SELECT day, grouping(channel) AS whole_day, channel, sum(s.sessions), uniqExactMerge(s.visitors), sum(s.page_views), sum(s.longer_sessions), sum(s.milliseconds),
			sum(s.converting_sessions), sum(s.machine_events)
		FROM %s.session_sums(site = {site:String}, from = {from:Date}, to = {to:Date}) AS s
		GROUP BY GROUPING SETS ((day, channel), (day))`,
	},
	{
		// The report has also what lies around the range.
		"rolled_conversions", "day, goal, converting_sessions, without_session",
		`SELECT if(in_session, session_day, site_day) AS day, goal, uniqExactIf(session, in_session), countIf(NOT in_session)
		FROM
		(
			SELECT *, session != toUUID('00000000-0000-0000-0000-000000000000') AS in_session
			FROM %s.conversions_in_sessions(site = {site:String}, from = {from:Date}, to = {to:Date})
		)
		WHERE day BETWEEN {from:Date} AND {to:Date}
		GROUP BY day, goal`,
	},
	{
		"rolled_visitors", "day, visitors, new, returning, cookieless, cookieless_share, machine_events",
		`SELECT day, visitors, new, returning, cookieless, cookieless_share, machine_events FROM %s.new_vs_returning(site = {site:String}, from = {from:Date}, to = {to:Date})`,
	},
	{
		"rolled_traffic", "day, channel, page_views, events, visitors, day_visitors, machine_page_views, machine_events, duplicates",
		`SELECT day, channel, page_views, events, visitors, day_visitors, machine_page_views, machine_events, duplicates FROM %s.traffic(site = {site:String}, from = {from:Date}, to = {to:Date})`,
	},
}

// Rollup computes the sums of a site for the days from first to last, both included (midnights in UTC), and has the rollup views answer with them
// from then on. asOf is the moment of it, later than that of every run before. A run that fails leaves the views with what
// they had; what it has stored goes with the next run.
func (s *Store) Rollup(ctx context.Context, site string, first, last, asOf time.Time) error {
	at := clickhouse.Parameters{"site": site, "as_of": instantText(asOf)}
	for from := first; !from.After(last); from = from.AddDate(0, 0, rollupDays) {
		at["from"], at["to"] = from.Format(time.DateOnly), from.AddDate(0, 0, rollupDays-1).Format(time.DateOnly)
		if at["to"] > last.Format(time.DateOnly) {
			at["to"] = last.Format(time.DateOnly)
		}
		for _, r := range rollups {
			insert := fmt.Sprintf("INSERT INTO %s.%s (site_id, as_of, %s) SELECT {site:String}, toDateTime64({as_of:String}, 3, 'UTC'), * FROM ("+r.answer+")",
				s.database, r.table, r.columns, s.database)
			if err := s.execRollup(ctx, at, insert); err != nil {
				return fmt.Errorf("fill %s for %s from %s to %s: %w", r.table, site, at["from"], at["to"], err)
			}
		}
	}
	at["from"], at["to"] = first.Format(time.DateOnly), last.Format(time.DateOnly)
	err := s.execRollup(ctx, at, "INSERT INTO "+s.database+".rollups (site_id, as_of, from_day, to_day) SELECT {site:String}, toDateTime64({as_of:String}, 3, 'UTC'), {from:Date}, {to:Date}")
	if err != nil {
		return fmt.Errorf("record the rollup of %s: %w", site, err)
	}
	return s.dropRollups(ctx, site)
}

func (s *Store) execRollup(ctx context.Context, parameters clickhouse.Parameters, statement string) error {
	return s.conn.Exec(clickhouse.Context(ctx, clickhouse.WithParameters(parameters)), statement)
}

// dropRollups deletes the sums of a site but those of its last two runs: a question that began before the last one reads the
// one before.
func (s *Store) dropRollups(ctx context.Context, site string) error {
	var kept []struct {
		AsOf time.Time `ch:"as_of"`
	}
	asking := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"site": site}))
	if err := s.conn.Select(asking, &kept, "SELECT as_of FROM "+s.database+".rollups WHERE site_id = {site:String} ORDER BY as_of DESC LIMIT 2"); err != nil {
		return fmt.Errorf("read the rollups of %s: %w", site, err)
	}
	if len(kept) < 2 {
		return nil
	}
	parameters := clickhouse.Parameters{"site": site, "before": instantText(kept[1].AsOf)}
	tables := []string{"rollups"}
	for _, r := range rollups {
		tables = append(tables, r.table)
	}
	for _, table := range tables {
		err := s.execRollup(ctx, parameters, "DELETE FROM "+s.database+"."+table+" WHERE site_id = {site:String} AND as_of < toDateTime64({before:String}, 3, 'UTC')")
		if err != nil {
			return fmt.Errorf("delete old rows of %s: %w", table, err)
		}
	}
	return nil
}
