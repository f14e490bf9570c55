//go:build integration

package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATouchOfAnIDThatCameBackIsNotOfThoseWhoShareItsHash(t *testing.T) {
	d := migrated(t)
	micros := int64(5_000_000)
	d.add(
		page("24 10:00:00", "/", by("minted", "anna", "shared"), from("news", "email", "annas")),
		page("24 10:05:00", "/", by("minted", "lost", "shared"), from("news", "email", "theirs")),
		page("24 11:00:00", "/", by("daily_hash", "", "shared"), order("purchase", "7", &micros, "purchase")),
	)
	require.Equal(t, []string{"annas 1"}, d.ask("campaign; conversions", "campaign_revenue", 1, 30, ", model='first'"),
		"nobody knows yet that they were two")
	d.add(page("26 10:00:00", "/", by("cookie", "anna", "other")))
	require.Equal(t, []string{"theirs 1"}, d.ask("campaign; conversions", "campaign_revenue", 1, 30, ", model='first'"))
}

// The recipe of docs/questions.md, Large sites.
func TestAnAnswerCanBeKeptInATableThatIsRefreshed(t *testing.T) {
	d := migrated(t)
	d.add(page("24 10:00:00", "/a"), page("25 10:00:00", "/a"))
	require.NoError(t, d.conn.Exec(t.Context(), `CREATE MATERIALIZED VIEW `+d.name+`.kept REFRESH EVERY 1 HOUR ENGINE = MergeTree ORDER BY day AS
		SELECT * FROM `+d.name+`.sessions_daily(site = 'shop', from = toDate('2026-11-30') - 29, to = toDate('2026-11-30'))`))
	require.NoError(t, d.conn.Exec(t.Context(), "SYSTEM WAIT VIEW "+d.name+".kept"))
	require.Equal(t, []string{`"2026-11-24",1`, `"2026-11-25",1`}, d.lines("day, sessions", "kept"))
	d.add(page("26 10:00:00", "/a"))
	require.NoError(t, d.conn.Exec(t.Context(), "SYSTEM REFRESH VIEW "+d.name+".kept"))
	require.NoError(t, d.conn.Exec(t.Context(), "SYSTEM WAIT VIEW "+d.name+".kept"))
	require.Len(t, d.lines("day, sessions", "kept"), 3)
}
