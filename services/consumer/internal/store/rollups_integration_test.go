//go:build integration

package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rollup computes the sums of three days before noon of the given day.
func (d db) rollup(asOf time.Time) {
	d.t.Helper()
	require.NoError(d.t, d.Rollup(d.t.Context(), "shop", day.AddDate(0, 0, -1), day.AddDate(0, 0, 1), asOf))
}

func TestARollupAnswersAsOfItsLastCompleteRun(t *testing.T) {
	d := migrated(t)
	const columns = "day; sessions; visitors; page_views"
	d.add(page("24 10:00:00", "/"), page("24 10:10:00", "/a"), page("24 10:00:00", "/", by("cookie", "bert", "b")))
	d.rollup(day)
	before := []string{"2026-11-24 2 2 3"}
	require.Equal(t, before, d.ask(columns, "rollup_sessions_daily", 23, 25, ""))

	d.add(page("23 10:00:00", "/late"))
	require.Equal(t, before, d.ask(columns, "rollup_sessions_daily", 23, 25, ""))
	broken, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.Rollup(broken, "shop", day, day, day.Add(time.Hour)), context.Canceled)
	d.exec("INSERT INTO " + d.name + ".rolled_sessions (site_id, as_of, day, whole_day, sessions) VALUES ('shop', '2026-11-24 01:00:00', '2026-11-24', true, 99)")
	require.Equal(t, before, d.ask(columns, "rollup_sessions_daily", 23, 25, ""), "a run that broke off has no part in an answer")

	d.rollup(day.Add(2 * time.Hour))
	after := []string{"2026-11-23 1 1 1", "2026-11-24 2 2 3"}
	require.Equal(t, after, d.ask(columns, "rollup_sessions_daily", 23, 25, ""))
	require.Equal(t, []string{"2026-11-24 02:00:00.000"}, d.ask("as_of", "rollup_sessions_daily", 23, 23, ""))
	require.Equal(t, after[1:], d.ask(columns, "rollup_sessions_daily", 24, 24, ""), "any days of it")
	d.rollup(day.Add(3 * time.Hour))
	require.EqualValues(t, 2, d.number("SELECT uniqExact(as_of) FROM %s.rolled_sessions"), "the last run and the one before it are kept")
	require.EqualValues(t, 2, d.number("SELECT count() FROM %s.rollups"))
}

func TestARollupSaysWhatItCannotAnswer(t *testing.T) {
	d := migrated(t)
	fails := func(query, want string) {
		t.Helper()
		require.ErrorContains(t, d.conn.Exec(t.Context(), "SELECT * FROM "+d.name+"."+query), want)
	}
	const outside = "the range begins before the days of the rollup"
	fails("rollup_traffic(site='shop', from='2026-11-24', to='2026-11-24')", outside)
	d.rollup(day)
	fails("rollup_traffic(site='shop', from='2026-11-22', to='2026-11-24')", outside)
	fails("rollup_traffic(site='other', from='2026-11-24', to='2026-11-24')", outside)
	fails("rollup_campaign_revenue(site='shop', from='2026-11-22', to='2026-11-24')", outside)
	fails("rollup_roas(site='shop', from='2026-11-24', to='2026-11-24', model='best')", "unknown model")
	require.Empty(t, d.ask("day", "rollup_traffic", 23, 25, ""), "days without events have no rows")
}
