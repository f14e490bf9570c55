//go:build integration

package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestQuestionsOnVisitsOfASiteWithoutEventsHaveNoRows(t *testing.T) {
	d := migrated(t)
	for _, q := range visitQuestions[:4] {
		require.Empty(t, d.ask(q.columns, q.view, 1, 30, q.more), q.view)
	}
	require.Equal(t, []string{"1 /a 0 null null 0", "2 /b 0 null null 0"}, d.ask("step; name; visitors; share_of_first; share_of_previous; machine_events", "funnel", 1, 30, ", steps=['/a', '/b']"))
}

func TestMachinesAreLeftOutOfVisitsAndShownBesideThem(t *testing.T) {
	d := migrated(t)
	d.add(
		page("24 10:00:00", "/a"), page("24 10:01:00", "/b", machine), page("24 10:02:00", "/a", machine, from("news", "email", "may")),
		page("25 10:00:00", "/a", machine), page("25 11:00:00", "/a", machine, named("impression", "impression")),
	)
	require.Equal(t, []string{"2026-11-24 1 1 1 1 0 2", "2026-11-25 0 0 0 null null 1"},
		d.ask("day; sessions; visitors; page_views; bounce_rate; average_seconds; machine_events", "sessions_daily", 1, 30, ""))
	require.Equal(t, []string{"2026-11-24 Direct 1 1", "2026-11-24 Email 0 1", "2026-11-25 Direct 0 1"}, d.ask("day; channel; sessions; machine_events", "channel_daily", 1, 30, ""))
	require.Equal(t, []string{"2026-11-24 1 1 0 0 0 2", "2026-11-25 0 0 0 0 null 1"},
		d.ask("day; visitors; new; returning; cookieless; cookieless_share; machine_events", "new_vs_returning", 1, 30, ""))
	require.Equal(t, []string{"/a 1 2", "/b 0 1"}, d.ask("name; visitors; machine_events", "funnel", 1, 30, ", steps=['/a', '/b']"))
}

func TestAVisitorIsNewOnTheDayOfTheFirstEventEver(t *testing.T) {
	d := migrated(t)
	d.add(
		page("20 10:00:00", "/", by("cookie", "old", "h1")),
		page("24 10:00:00", "/", by("cookie", "old", "h2")),
		page("24 10:00:01", "/", by("minted", "anna", "h3")),
		page("24 10:00:02", "/", by("minted", "lost-1", "h4")), page("24 10:00:03", "/", by("minted", "lost-2", "h4")),
		page("24 10:00:04", "/", by("daily_hash", "", "h5")),
		page("24 10:00:05", "/", by("provided", "carl", "h6")), page("24 10:00:06", "/", by("provided", "carl", "h7")),
	)
	const columns = "day; visitors; new; returning; cookieless; cookieless_share"
	require.Equal(t, []string{"2026-11-24 5 1 1 3 0.6"}, d.ask(columns, "new_vs_returning", 24, 25, ""), "anna's cookie has not come back yet")
	d.add(page("26 10:00:00", "/", by("cookie", "anna", "h8")))
	require.Equal(t, []string{"2026-11-24 5 2 1 2 0.4"}, d.ask(columns, "new_vs_returning", 24, 25, ""))
	require.Equal(t, []string{"2026-11-26 1 0 1 0 0"}, d.ask(columns, "new_vs_returning", 26, 26, ""))
	d.add(page("23 10:00:00", "/", by("provided", "carl", "h6")))
	require.Equal(t, []string{"2026-11-24 5 1 2 2 0.4"}, d.ask(columns, "new_vs_returning", 24, 24, ""), "a late event makes carl an old friend")
}

func TestSessionsAreCountedByTheChannelTheyBeganWith(t *testing.T) {
	d := migrated(t)
	d.add(
		page("24 10:00:00", "/", clickID("x")), page("24 10:10:00", "/", referredBy("blog")), page("24 12:00:00", "/"),
		page("24 12:00:00", "/", by("cookie", "bert", "b")), page("25 12:00:00", "/", clickID("y")),
	)
	require.Equal(t, []string{"2026-11-24 Direct 2 2 2 2 1 0", "2026-11-24 Paid Search 1 1 2 0 0 600", "2026-11-25 Paid Search 1 1 1 1 1 0"},
		d.ask("day; channel; sessions; visitors; page_views; bounces; bounce_rate; average_seconds", "channel_daily", 24, 25, ""))
}

func TestAFunnelCounts(t *testing.T) {
	d := migrated(t)
	cart, play := named("custom", "cart"), named("custom", "play")
	for name, c := range map[string]struct {
		steps  string
		events []store.Row
		want   string
	}{
		"steps in their order, whatever lies between": {
			"'/a', 'cart', '/ü'", []store.Row{page("24 10:00:00", "/a"), page("24 10:01:00", "/x"), page("24 10:02:00", "", cart), page("24 10:03:00", "/ü")}, "1 1 1",
		},
		"nothing when the order is another":                {"'/a', 'cart'", []store.Row{page("24 10:00:00", "", cart), page("24 10:01:00", "/a")}, "1 0"},
		"no later step without those before":               {"'/a', 'cart', '/b'", []store.Row{page("24 10:00:00", "/a"), page("24 10:01:00", "/b")}, "1 0 0"},
		"one event for one step only":                      {"'/a', '/a', '/a'", []store.Row{page("24 10:00:00", "/a"), page("24 10:01:00", "/a")}, "1 1 0"},
		"pages by page views and events by name":           {"'/a', 'cart'", []store.Row{page("24 10:00:00", "/a"), page("24 10:01:00", "cart"), page("24 10:02:00", "/a", play)}, "1 0"},
		"no event whose name looks like a page":            {"'/a'", []store.Row{page("24 10:00:00", "/b", named("custom", "/a"))}, "0"},
		"a step at the last instant of the window":         {"'/a', '/b'", []store.Row{page("24 10:00:00", "/a"), page("25 10:00:00", "/b")}, "1 1"},
		"no step after the window":                         {"'/a', '/b'", []store.Row{page("24 10:00:00", "/a"), page("25 10:00:00.001", "/b")}, "1 0"},
		"the window from the last beginning that leads on": {"'/a', 'play', '/b'", []store.Row{page("24 10:00:00", "/a"), page("24 12:00:00", "/a"), page("24 13:00:00", "", play), page("25 11:00:00", "/b")}, "1 1 1"},
		"the window from a beginning before the step": {
			"'/a', 'play', '/b'", []store.Row{page("24 10:00:00", "/a"), page("24 11:00:00", "", play), page("24 12:00:00", "/a"), page("25 11:00:00", "/b")}, "1 1 0",
		},
		"each visitor": {
			"'/a', '/b'", []store.Row{page("24 10:00:00", "/a"), page("24 10:01:00", "/b", by("cookie", "bert", "b")), page("24 10:02:00", "/a", by("cookie", "carl", "c")), page("24 10:03:00", "/b", by("cookie", "carl", "c"))}, "2 1",
		},
		"a browser that refuses cookies as one": {"'/a', '/b'", []store.Row{page("24 10:00:00", "/a", by("minted", "m1", "h")), page("24 10:02:00", "/b", by("minted", "m2", "h"))}, "1 1"},
		"the days of the range only":            {"'/a', '/b'", []store.Row{page("22 23:59:59", "/a"), page("23 00:00:00", "/a", by("cookie", "bert", "b")), page("27 00:00:00", "/b", by("cookie", "bert", "b"))}, "1 0"},
	} {
		t.Run(name, func(t *testing.T) {
			d := d.of(t)
			for i := range c.events {
				c.events[i].SiteID = name
			}
			d.add(c.events...)
			lines := d.askSite(name, "visitors", "funnel", 23, 26, ", window_days=1, steps=["+c.steps+"]")
			require.Equal(t, c.want, strings.Join(lines, " "))
		})
	}
}

func TestAFunnelShowsSharesAndTakesAWeekUnlessTold(t *testing.T) {
	d := migrated(t)
	for i, visitor := range []string{"a", "b", "c", "d"} {
		known := by("cookie", visitor, visitor)
		d.add(page("10 10:00:00", "/a", known), page(fmt.Sprintf("%d 10:00:00", 15+i), "/b", known), page(fmt.Sprintf("%d 10:00:00", 16+i), "/c", known))
	}
	require.Equal(t, []string{"1 /a 4 1 null", "2 /b 3 0.75 0.75", "3 /c 2 0.5 0.6666666666666666"},
		d.ask("step; name; visitors; share_of_first; share_of_previous", "funnel", 1, 30, ", steps=['/a', '/b', '/c']"))
}

func TestAFunnelRefusesWhatItCannotAnswer(t *testing.T) {
	d := migrated(t)
	for parameters, want := range map[string]string{
		"steps=[]": "steps: between 1 and 10 are needed",
		"steps=['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11']": "steps: between 1 and 10 are needed",
		"steps=['a', '']":             "steps: a step is empty",
		"steps=['a'], window_days=0":  "window_days: must lie between 1 and 90",
		"steps=['a'], window_days=91": "window_days: must lie between 1 and 90",
	} {
		query := fmt.Sprintf("SELECT count() FROM %s.funnel(site='shop', from='2026-11-01', to='2026-11-30', %s)", d.name, parameters)
		require.ErrorContains(t, d.conn.Exec(t.Context(), query), want, parameters)
	}
}
