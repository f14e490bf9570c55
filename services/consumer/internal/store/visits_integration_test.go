//go:build integration

package store_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// visits of the questions that the property test asks, each with its columns.
var visitQuestions = []struct{ view, columns, more string }{
	{"sessions", "visitor; session_day; started_at; first_event; ended_at; events; page_views; entry_page; exit_page; seconds; bounce; channel; source; campaign", ""},
	{"sessions_daily", "day; sessions; visitors; page_views; bounces; bounce_rate; average_seconds; converting_sessions; machine_events; round(average_seconds, 6)", ""},
	{"channel_daily", "day; channel; sessions; visitors; page_views; bounces; bounce_rate; average_seconds; converting_sessions; machine_events", ""},
	{"new_vs_returning", "day; visitors; new; returning; cookieless; cookieless_share; machine_events", ""},
	{"funnel", "step; name; visitors; share_of_first; share_of_previous; machine_events", ", steps=['/a', 'play', '/a', '/b'], window_days=1"},
}

func TestAnswersOnVisitsDependOnNeitherOrderNorBatchesAndAreThoseOfTheDefinitions(t *testing.T) {
	const seeds, events, firstDay, lastDay = 8, 500, 24, 25
	d := migrated(t)
	inOrder := map[string][]store.Row{}
	var all, shuffled []store.Row
	for seed := range uint64(seeds) {
		site := fmt.Sprint("site", seed)
		inOrder[site] = someVisits(rand.New(rand.NewPCG(seed, 1)), site, events)
		all = append(all, inOrder[site]...)
		for _, row := range inOrder[site] {
			row.SiteID = "late " + site
			shuffled = append(shuffled, row)
		}
	}
	d.add(all...)
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	for len(shuffled) > 0 {
		n := min(1+r.IntN(1500), len(shuffled))
		d.add(shuffled[:n]...)
		shuffled = shuffled[n:]
	}
	for site, rows := range inOrder {
		t.Run(site, func(t *testing.T) {
			t.Parallel()
			d := d.of(t)
			answers := map[string][]string{}
			for _, q := range visitQuestions {
				want := d.askSite(site, q.columns, q.view, firstDay, lastDay, q.more)
				require.NotEmpty(t, want)
				got := d.askSite("late "+site, q.columns, q.view, firstDay, lastDay, q.more)
				require.ElementsMatch(t, want, got, q.view)
				answers[q.view] = want
			}
			v := visitsOf(rows)
			require.ElementsMatch(t, v.sessions(firstDay, lastDay), answers["sessions"])
			require.Equal(t, v.funnel(firstDay, lastDay), columnsOf(answers["funnel"], 2))
			require.ElementsMatch(t,
				d.askSite(site, "session_day; count(); uniqExact(visitor); sum(page_views); sum(bounce); round(avg(seconds), 6)", "sessions", firstDay, lastDay, ") GROUP BY (session_day"),
				columnsOf(answers["sessions_daily"], 0, 1, 2, 3, 4, 9))
		})
	}
}

// columnsOf are some columns of the lines of an answer without texts.
func columnsOf(lines []string, columns ...int) []string {
	var all []string
	for _, line := range lines {
		values := strings.Split(line, " ")
		var some []string
		for _, c := range columns {
			some = append(some, values[c])
		}
		all = append(all, strings.Join(some, " "))
	}
	return all
}

// someVisits are events of a dozen visitors of all kinds on about six days, in the order of time. Gaps and campaigns are such
// that everything that ends a session comes up, and instants coincide.
func someVisits(r *rand.Rand, site string, n int) []store.Row {
	minute := time.Minute
	gaps := []time.Duration{0, 0, time.Millisecond, 5 * minute, 20 * minute, 30 * minute, 30*minute + time.Millisecond, 40 * minute, 5 * time.Hour, 9 * time.Hour}
	kinds := []change{named("page_view", "page_view"), named("page_view", "page_view"), named("page_view", "page_view"), named("custom", "play"), named("identify", "identify"),
		named("order", "purchase"), named("order", "refund"), named("impression", "impression")}
	campaigns := []change{func(*store.Row) {}, func(*store.Row) {}, func(*store.Row) {}, referredBy("blog"), from("news", "email", "may"), clickID("x"), clickID("y")}
	clocks := make([]time.Time, 12)
	for i := range clocks {
		clocks[i] = when("22 00:00:00").Add(time.Duration(r.IntN(36*3600)) * time.Second)
	}
	rows := make([]store.Row, n)
	for i := range rows {
		who := r.IntN(len(clocks))
		clocks[who] = clocks[who].Add(gaps[r.IntN(len(gaps))])
		eventID := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, site, i))
		rows[i] = page("24 10:00:00", []string{"/a", "/b", "/ü", ""}[r.IntN(4)], kinds[r.IntN(len(kinds))], campaigns[r.IntN(len(campaigns))], visitorOfKind(r, who, eventID))
		rows[i].SiteID, rows[i].EventID, rows[i].OccurredAt = site, eventID, clocks[who]
		rows[i].SiteDay = clocks[who].Truncate(24 * time.Hour)
		rows[i].IsBot = r.IntN(20) == 0
		if r.IntN(20) == 0 {
			rows[i].Transport = "server"
		}
	}
	slices.SortStableFunc(rows, func(a, b store.Row) int { return a.OccurredAt.Compare(b.OccurredAt) })
	return rows
}

// visitorOfKind is the visitor of an event: four with a cookie, the first of whose events may be minted; two given by the site;
// three that refuse cookies, two of them from one network; two without an id; one whom nothing is known of.
func visitorOfKind(r *rand.Rand, who int, eventID uuid.UUID) change {
	name := fmt.Sprint("visitor", who)
	switch {
	case who < 4:
		return by([]string{"minted", "cookie", "cookie"}[r.IntN(3)], name, name)
	case who < 6:
		return by("provided", name, name)
	case who < 9:
		return by("minted", eventID.String(), fmt.Sprint("network", min(who, 7)))
	case who < 11:
		return by("daily_hash", "", fmt.Sprint("network", who-2))
	default:
		return func(r *store.Row) { r.VisitorKind, r.VisitorID, r.DailyHash = "none", uuid.Nil, uuid.Nil }
	}
}

// visits are the events that make sessions of each visitor, in order: the definitions of docs/questions.md, written down plainly.
type visits map[uuid.UUID][]store.Row

func visitsOf(rows []store.Row) visits {
	returned := map[uuid.UUID]bool{}
	for _, row := range rows {
		returned[row.VisitorID] = returned[row.VisitorID] || !row.IsBot && (row.VisitorKind == "cookie" || row.VisitorKind == "provided")
	}
	v := visits{}
	for _, row := range rows {
		kind := row.Kind == "page_view" || row.Kind == "custom" || row.Kind == "identify" || row.Name == "purchase"
		if row.IsBot || row.Transport != "gif" || !kind {
			continue
		}
		who := row.DailyHash
		if row.VisitorID != uuid.Nil && returned[row.VisitorID] {
			who = row.VisitorID
		}
		if who != uuid.Nil {
			v[who] = append(v[who], row)
		}
	}
	for _, events := range v {
		slices.SortFunc(events, func(a, b store.Row) int {
			return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.EventID[8:], b.EventID[8:]), bytes.Compare(a.EventID[:8], b.EventID[:8]))
		})
	}
	return v
}

// sessions returns those that began on the days, as visitQuestions asks for them.
func (v visits) sessions(firstDay, lastDay int) []string {
	var lines []string
	for who, events := range v {
		var session []store.Row
		var carried string
		flush := func() {
			if len(session) > 0 && firstDay <= session[0].SiteDay.Day() && session[0].SiteDay.Day() <= lastDay {
				lines = append(lines, sessionLine(who, session))
			}
			session = nil
		}
		for i, e := range events {
			campaign := ""
			if e.UTMSource != "" || e.ClickID != "" {
				campaign = strings.Join([]string{e.Source, e.Medium, e.Campaign, e.ClickID}, "|")
			}
			gap := i == 0 || e.OccurredAt.Sub(events[i-1].OccurredAt) > 30*time.Minute
			if gap {
				carried = ""
			}
			if gap || campaign != "" && campaign != carried {
				flush()
			}
			carried = cmp.Or(campaign, carried)
			session = append(session, e)
		}
		flush()
	}
	return lines
}

func sessionLine(who uuid.UUID, session []store.Row) string {
	first, last := session[0], session[len(session)-1]
	var pages []string
	for _, e := range session {
		if e.Kind == "page_view" {
			pages = append(pages, e.PagePath)
		}
	}
	entry, exit, bounce := "", "", 0
	if len(pages) > 0 {
		entry, exit = pages[0], pages[len(pages)-1]
	}
	if len(session) == 1 {
		bounce = 1
	}
	const day, instant = "2006-01-02", "2006-01-02 15:04:05.000"
	return strings.TrimSuffix(fmt.Sprintln(who, first.SiteDay.Format(day), first.OccurredAt.Format(instant), first.EventID, last.OccurredAt.Format(instant),
		len(session), len(pages), entry, exit, last.OccurredAt.Sub(first.OccurredAt).Seconds(), bounce, first.Channel, first.Source, first.Campaign), "\n")
}

// funnel returns how many visitors reach each step of visitQuestions: all chains of events are tried.
func (v visits) funnel(firstDay, lastDay int) []string {
	steps := []func(store.Row) bool{isPage("/a"), func(e store.Row) bool { return e.Name == "play" }, isPage("/a"), isPage("/b")}
	reached := make([]int, len(steps))
	for _, events := range v {
		events = slices.DeleteFunc(slices.Clone(events), func(e store.Row) bool { return e.SiteDay.Day() < firstDay || e.SiteDay.Day() > lastDay })
		deepest := 0
		for i, e := range events {
			if steps[0](e) {
				deepest = max(deepest, chain(events[i:], steps))
			}
		}
		for k := range deepest {
			reached[k]++
		}
	}
	lines := make([]string, len(steps))
	for k, n := range reached {
		lines[k] = fmt.Sprint(n)
	}
	return lines
}

// chain returns how many steps can be reached within a day when the first event is the first step.
func chain(events []store.Row, steps []func(store.Row) bool) int {
	k := 1
	for _, e := range events[1:] {
		if k < len(steps) && steps[k](e) && e.OccurredAt.Sub(events[0].OccurredAt) <= 24*time.Hour {
			k++
		}
	}
	return k
}

func isPage(path string) func(store.Row) bool {
	return func(e store.Row) bool { return e.Kind == "page_view" && e.PagePath == path }
}
