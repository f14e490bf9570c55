//go:build integration

package store_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

const (
	burstColumns = "day; visitor; hits; page_views; busiest_minute; median_interval_seconds; arrayStringConcat(rules, ','); first_at; last_at; user_agent"
	ivtColumns   = "day; class; verdict; hits; page_views; share; day_invalid_share; day_suspected_share"
)

// limits are the parameters of burst_visitors.
type limits struct{ perMinute, perDay, intervals int }

func (l limits) String() string {
	return fmt.Sprintf(", hits_per_minute=%d, page_views_per_day=%d, regular_intervals=%d", l.perMinute, l.perDay, l.intervals)
}

func TestBurstsAndInvalidTrafficAreThoseOfTheDefinitions(t *testing.T) {
	const seeds, events, firstDay, lastDay = 6, 900, 24, 25
	few := limits{perMinute: 6, perDay: 25, intervals: 5}
	d := migrated(t)
	sites := map[string][]store.Row{}
	var all []store.Row
	for seed := range uint64(seeds) {
		site := fmt.Sprint("site", seed)
		sites[site] = someTraffic(rand.New(rand.NewPCG(seed, 7)), site, events)
		all = append(all, sites[site]...)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	d.add(all[:len(all)/3]...)
	d.add(all[len(all)/3:]...)
	seen := map[string]int{}
	for site, rows := range sites {
		bursts := burstsOf(rows, firstDay, lastDay, few)
		require.ElementsMatch(t, linesOf(bursts), d.askSite(site, burstColumns, "burst_visitors", firstDay, lastDay, few.String()), site)
		require.Equal(t, ivtOf(rows, firstDay, lastDay, bursts), d.askSite(site, ivtColumns, "ivt_daily", firstDay, lastDay, few.String()), site)
		untold := burstsOf(rows, firstDay, lastDay, limits{perMinute: 120, perDay: 500, intervals: 20})
		require.ElementsMatch(t, linesOf(untold), d.askSite(site, burstColumns, "burst_visitors", firstDay, lastDay, ""), site)
		require.Equal(t, ivtOf(rows, firstDay, lastDay, untold), d.askSite(site, ivtColumns, "ivt_daily", firstDay, lastDay, ""), site)
		for _, b := range bursts {
			seen[b.rules]++
		}
	}
	for _, rule := range []string{"minute", "day", "regular"} {
		require.NotZero(t, seen[rule], "the traffic has no visitor of rule %s alone: %v", rule, seen)
	}
}

func TestABurst(t *testing.T) {
	d := migrated(t)
	impression, play, mail := named("impression", "impression"), named("custom", "play"), named("email_open", "email_open")
	for name, c := range map[string]struct {
		rows []store.Row
		want []string
	}{
		"is more than 120 hits within a minute":              {every(500*time.Millisecond-5*time.Millisecond, 121, play), []string{"minute 121 0"}},
		"is none with the last one a minute after the first": {every(500*time.Millisecond, 121, play), nil},
		"is none with 120 at one instant":                    {every(0, 120, play), nil},
		"may be of impressions":                              {every(0, 121, impression), []string{"minute 121 0"}},
		"is more than 500 page views a day":                  {uneven(501), []string{"day 501 501"}},
		"is none with 500":                                   {uneven(500), nil},
		"is of page views that come as a clock ticks":        {every(5*time.Minute, 21), []string{"regular 21 21"}},
		"is none with fewer than 20 intervals":               {every(5*time.Minute, 20), nil},
		"is none at intervals below a second":                {every(999*time.Millisecond, 21), nil},
		"is none of heartbeats that are no page views":       {every(10*time.Second, 100, play), nil},
		"is none of machines, which have classes already":    {every(0, 121, play, machine, class("crawler")), nil},
		"is none of servers":                                 {every(0, 121, play, func(r *store.Row) { r.Transport = "server" }), nil},
		"is none of mails":                                   {every(0, 121, mail), nil},
		"is none of repeats":                                 {every(0, 121, play, func(r *store.Row) { r.Outcome = store.OutcomeDuplicate }), nil},
		"is none of nobody":                                  {every(0, 121, play, func(r *store.Row) { r.VisitorKind, r.VisitorID, r.DailyHash = "none", uuid.Nil, uuid.Nil }), nil},
		"is of a browser that drops its cookie each time":    {every(0, 121, play, func(r *store.Row) { by("minted", r.EventID.String(), "h")(r) }), []string{"minute 121 0"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := d
			d.t = t
			for i := range c.rows {
				c.rows[i].SiteID = name
				if c.rows[i].TrafficClass == "" {
					c.rows[i].TrafficClass = enrich.ClassPerson
				}
			}
			d.add(c.rows...)
			require.ElementsMatch(t, c.want, d.askSite(name, "arrayStringConcat(rules, ','); hits; page_views", "burst_visitors", 23, 26, ""))
		})
	}
}

// The example of docs/quality.md, and thresholds that would make suspects of all.
func TestTheQualityOfADaysTraffic(t *testing.T) {
	d := migrated(t)
	person := class("person")
	rows := append(uneven(40), every(time.Minute, 21, by("cookie", "clock", "c"), func(r *store.Row) {
		r.UserAgent = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	})...)
	for i := range rows {
		person(&rows[i])
	}
	rows = append(rows, every(time.Minute, 4, class("mail_proxy"), named("email_open", "email_open"))...)
	rows = append(rows, every(time.Minute, 12, machine, class("crawler"))...)
	d.add(append(rows, every(time.Minute, 3, machine, class("datacenter"))...)...)
	require.Equal(t, []string{
		"2026-11-24 person valid 40 40 0.5 0.1875 0.2625", "2026-11-24 burst suspected 21 21 0.2625 0.1875 0.2625", "2026-11-24 crawler invalid 12 12 0.15 0.1875 0.2625",
		"2026-11-24 mail_proxy valid 4 0 0.05 0.1875 0.2625", "2026-11-24 datacenter invalid 3 3 0.0375 0.1875 0.2625",
	}, d.ask(ivtColumns, "ivt_daily", 24, 24, ""))
	require.Equal(t, []string{"2026-11-24 21 21 1 60 regular"}, d.ask("day; hits; page_views; busiest_minute; median_interval_seconds; arrayStringConcat(rules, ',')", "burst_visitors", 24, 24, ""))
	for _, parameter := range []string{"hits_per_minute=0", "page_views_per_day=1", "regular_intervals=1"} {
		for _, view := range []string{"burst_visitors", "ivt_daily"} {
			query := fmt.Sprintf("SELECT * FROM %s.%s(site='shop', from='2026-11-01', to='2026-11-30', %s)", d.name, view, parameter)
			require.ErrorContains(t, d.conn.Exec(t.Context(), query), "at least 2", parameter)
		}
	}
}

func class(name string) change { return func(r *store.Row) { r.TrafficClass = name } }

// every is n events by Anna from 10:00 on day 24, so far apart; page views unless changed.
func every(apart time.Duration, n int, changes ...change) []store.Row {
	rows := make([]store.Row, n)
	for i := range rows {
		rows[i] = page("24 10:00:00", "/")
		rows[i].EventID, rows[i].OccurredAt = id(fmt.Sprint("event", i, apart)), rows[i].OccurredAt.Add(time.Duration(i)*apart)
		for _, c := range changes {
			c(&rows[i])
		}
	}
	return rows
}

// uneven is n page views by Anna on day 24, as people have them.
func uneven(n int) []store.Row {
	rows := every(time.Minute, n)
	for i := range rows {
		rows[i].OccurredAt = when("24 00:00:00").Add(time.Duration(i) * time.Minute).Add(time.Duration(i%7) * 8 * time.Second)
	}
	return rows
}

// someTraffic are events of all classes and of visitors of all kinds on about four days, some of whom hurry, stay long or come as
// a clock ticks; instants coincide.
func someTraffic(r *rand.Rand, site string, n int) []store.Row {
	gaps := [][]time.Duration{
		{0, time.Second, 20 * time.Second, 60 * time.Second, 5 * time.Hour},
		{10 * time.Second, 12 * time.Second, 2 * time.Minute, 3 * time.Hour},
		{7 * time.Minute, 11 * time.Minute, 40 * time.Minute, 2 * time.Hour},
		{70 * time.Minute, 70*time.Minute + time.Second, 73 * time.Minute, 70 * time.Minute, 70 * time.Minute, 74 * time.Minute},
		{500 * time.Millisecond, 59 * time.Second, 61 * time.Second, 8 * time.Hour},
	}
	clocks := make([]time.Time, 12)
	for i := range clocks {
		clocks[i] = when("23 12:00:00").Add(time.Duration(r.IntN(36*3600)) * time.Second)
	}
	rows := make([]store.Row, n)
	for i := range rows {
		who := r.IntN(len(clocks))
		pace := gaps[who%len(gaps)]
		clocks[who] = clocks[who].Add(pace[r.IntN(len(pace))])
		eventID := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, site, i))
		ticks := who%len(gaps) == 3
		kind := []string{"page_view", "page_view", "page_view", "custom", "impression", "email_open"}[r.IntN(6)]
		if ticks {
			kind = "page_view"
		}
		rows[i] = page("24 10:00:00", "/", named(kind, kind), visitorOfKind(r, who, eventID), class(enrich.ClassPerson))
		rows[i].SiteID, rows[i].EventID, rows[i].OccurredAt = site, eventID, clocks[who]
		rows[i].SiteDay = clocks[who].Truncate(24 * time.Hour)
		rows[i].UserAgent = fmt.Sprint("agent", i%3)
		if !ticks && r.IntN(8) == 0 {
			rows[i].TrafficClass = enrich.TrafficClasses[r.IntN(len(enrich.TrafficClasses))]
			rows[i].IsBot = slices.Index(enrich.TrafficClasses, rows[i].TrafficClass) > 2
		}
		switch r.IntN(30) {
		case 0:
			rows[i].Outcome = store.OutcomeDuplicate
		case 1:
			rows[i].Transport = "server"
		}
	}
	return rows
}

// burst is one row of burst_visitors.
type burst struct {
	day         time.Time
	hits, views int
	rules, line string
}

func linesOf(bursts []burst) []string {
	lines := make([]string, len(bursts))
	for i, b := range bursts {
		lines[i] = b.line
	}
	return lines
}

// burstsOf are the definitions of docs/quality.md, written down plainly.
func burstsOf(rows []store.Row, firstDay, lastDay int, l limits) []burst {
	returned := map[uuid.UUID]bool{}
	for _, row := range rows {
		if row.Outcome == store.OutcomeEvent && !row.IsBot && (row.VisitorKind == "cookie" || row.VisitorKind == "provided") {
			returned[row.VisitorID] = true
		}
	}
	type visitorDay struct {
		day     time.Time
		visitor uuid.UUID
	}
	days := map[visitorDay][]store.Row{}
	for _, row := range rows {
		who := row.DailyHash
		if returned[row.VisitorID] {
			who = row.VisitorID
		}
		if day := row.SiteDay.Day(); row.Outcome == store.OutcomeEvent && row.TrafficClass == enrich.ClassPerson && row.Transport == "gif" &&
			!strings.HasPrefix(row.Kind, "email_") && who != uuid.Nil && day >= firstDay && day <= lastDay {
			days[visitorDay{row.SiteDay, who}] = append(days[visitorDay{row.SiteDay, who}], row)
		}
	}
	var bursts []burst
	for key, hits := range days {
		if b, is := judge(hits, l); is {
			b.line = key.day.Format(time.DateOnly) + " " + key.visitor.String() + " " + b.line
			bursts = append(bursts, b)
		}
	}
	return bursts
}

func judge(hits []store.Row, l limits) (burst, bool) {
	slices.SortFunc(hits, func(a, b store.Row) int {
		return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.EventID[8:], b.EventID[8:]), bytes.Compare(a.EventID[:8], b.EventID[:8]))
	})
	busiest := 0
	var views []time.Time
	for i, hit := range hits {
		n := 0
		for _, later := range hits[i:] {
			if later.OccurredAt.Sub(hit.OccurredAt) < time.Minute {
				n++
			}
		}
		busiest = max(busiest, n)
		if hit.Kind == "page_view" {
			views = append(views, hit.OccurredAt)
		}
	}
	var rules []string
	if busiest > l.perMinute {
		rules = append(rules, "minute")
	}
	if len(views) > l.perDay {
		rules = append(rules, "day")
	}
	median, regular := rhythm(views)
	if len(views)-1 >= l.intervals && regular {
		rules = append(rules, "regular")
	}
	last := hits[len(hits)-1]
	const instant = "2006-01-02 15:04:05.000"
	return burst{
		day: last.SiteDay, hits: len(hits), views: len(views), rules: strings.Join(rules, ","),
		line: fmt.Sprintf("%d %d %d %s %s %s %s %s", len(hits), len(views), busiest, median, strings.Join(rules, ","),
			hits[0].OccurredAt.Format(instant), last.OccurredAt.Format(instant), hits[0].UserAgent),
	}, len(rules) > 0
}

// rhythm is the median of the intervals in seconds, the lower one of two, and whether nine of ten lie within a twentieth of it.
func rhythm(views []time.Time) (median string, regular bool) {
	if len(views) < 2 {
		return "null", false
	}
	var intervals []time.Duration
	for i := range views[1:] {
		intervals = append(intervals, views[i+1].Sub(views[i]))
	}
	slices.Sort(intervals)
	middle := intervals[(len(intervals)-1)/2]
	near := 0
	for _, interval := range intervals {
		if (interval - middle).Abs() <= middle/20 {
			near++
		}
	}
	return strconv.FormatFloat(middle.Seconds(), 'f', -1, 64), middle >= time.Second && 10*near >= 9*len(intervals)
}

// ivtOf is ivt_daily with these bursts.
func ivtOf(rows []store.Row, firstDay, lastDay int, bursts []burst) []string {
	type line struct {
		class, verdict string
		hits, views    int
	}
	days := map[time.Time]map[string]*line{}
	add := func(day time.Time, class, verdict string, hits, views int) {
		if days[day] == nil {
			days[day] = map[string]*line{}
		}
		if days[day][class] == nil {
			days[day][class] = &line{class: class, verdict: verdict}
		}
		days[day][class].hits += hits
		days[day][class].views += views
	}
	for _, row := range rows {
		if day := row.SiteDay.Day(); row.Outcome == store.OutcomeEvent && day >= firstDay && day <= lastDay {
			add(row.SiteDay, row.TrafficClass, map[bool]string{true: "invalid", false: "valid"}[row.IsBot], 1, map[bool]int{true: 1}[row.Kind == "page_view"])
		}
	}
	for _, b := range bursts {
		add(b.day, "person", "valid", -b.hits, -b.views)
		add(b.day, "burst", "suspected", b.hits, b.views)
	}
	var lines []string
	for _, day := range slices.SortedFunc(maps.Keys(days), time.Time.Compare) {
		classes := slices.SortedFunc(maps.Values(days[day]), func(a, b *line) int { return cmp.Or(cmp.Compare(b.hits, a.hits), cmp.Compare(a.class, b.class)) })
		sums := map[string]int{}
		for _, c := range classes {
			sums[c.verdict] += c.hits
		}
		total := float64(sums["valid"] + sums["invalid"] + sums["suspected"])
		share := func(n int) string { return strconv.FormatFloat(float64(n)/total, 'f', -1, 64) }
		for _, c := range classes {
			if c.hits != 0 {
				lines = append(lines, fmt.Sprintf("%s %s %s %d %d %s %s %s", day.Format(time.DateOnly), c.class, c.verdict, c.hits, c.views,
					share(c.hits), share(sums["invalid"]), share(sums["suspected"])))
			}
		}
	}
	return lines
}
