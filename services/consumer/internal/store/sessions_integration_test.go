//go:build integration

package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// change makes an event of the shop what a test needs.
type change = func(*store.Row)

// page is a page view by Anna, whose cookie is known, at a time such as "24 10:00:00.000" of November 2026.
func page(at, path string, changes ...change) store.Row {
	row := batch(0, 1)[0]
	row.Transport, row.VisitorKind, row.VisitorID, row.DailyHash, row.PagePath = "gif", "cookie", id("anna"), id("hash"), path
	row.OccurredAt = when(at)
	row.SiteDay = row.OccurredAt.Truncate(24 * time.Hour)
	row.EventID = id(at + path)
	for _, c := range changes {
		c(&row)
	}
	return row
}

func when(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", "2026-11-"+text)
	if err != nil {
		panic(err)
	}
	return t
}

func by(kind, visitorID, hash string) change { return visitor(kind, visitorID, hash) }

func from(source, medium, campaign string) change {
	return func(r *store.Row) {
		r.Source, r.Medium, r.Campaign, r.UTMSource, r.Channel = source, medium, campaign, source, "Email"
	}
}

func clickID(clickID string) change {
	return func(r *store.Row) { r.Source, r.Medium, r.ClickID, r.Channel = "google", "cpc", clickID, "Paid Search" }
}

func referredBy(source string) change {
	return func(r *store.Row) { r.Source, r.Medium, r.Channel = source, "referral", "Referral" }
}

func named(kind, name string) change { return func(r *store.Row) { r.Kind, r.Name = kind, name } }

func machine(r *store.Row) { r.IsBot = true }

// add stores events as one batch.
func (d db) add(rows ...store.Row) {
	d.t.Helper()
	first := d.number("SELECT count() FROM %s.events")
	for i := range rows {
		rows[i].KafkaOffset, rows[i].RecordHash = first+int64(i), uint64(first)+uint64(i)+1
		rows[i].BatchFirst, rows[i].BatchLast = first, first+int64(len(rows))-1
	}
	require.NoError(d.t, d.Insert(within(d.t), fmt.Sprint("token-", first), rows))
}

// ask returns the rows of a question, each as its columns (given with `; ` between) with a space between; `view` is as in `sessions(…)`, with the range
// of days of November 2026 and more parameters.
func (d db) ask(columns, view string, from, to int, more string) []string {
	d.t.Helper()
	return d.askSite("shop", columns, view, from, to, more)
}

func (d db) askSite(site, columns, view string, from, to int, more string) []string {
	d.t.Helper()
	texts := strings.Split(columns, "; ")
	for i, c := range texts {
		texts[i] = "ifNull(toString(" + c + "), 'null')"
	}
	query := fmt.Sprintf("SELECT concatWithSeparator(' ', %s, '') FROM %s.%s(site='%s', from=toDate('2026-11-01') + %d, to=toDate('2026-11-01') + %d%s)",
		strings.Join(texts, ", "), d.name, view, site, from-1, to-1, more)
	rows, err := d.conn.Query(d.t.Context(), query)
	require.NoError(d.t, err, query)
	defer func() { require.NoError(d.t, rows.Close()) }()
	lines := []string{}
	for rows.Next() {
		var line string
		require.NoError(d.t, rows.Scan(&line))
		lines = append(lines, strings.TrimSuffix(line, " "))
	}
	require.NoError(d.t, rows.Err())
	return lines
}

// sessionsOf lists the sessions of a site on days 23 to 26: day and time of the first event, events, channel.
func (d db) sessionsOf(site string) []string {
	d.t.Helper()
	const columns = "formatDateTime(started_at, '%d %H:%i'); events; channel"
	lines := d.askSite(site, columns, "sessions", 23, 26, "")
	var all []string
	for _, line := range d.askSite(site, columns, "sessions", 1, 30, "") {
		if day := line[:2]; "23" <= day && day <= "26" {
			all = append(all, line)
		}
	}
	require.ElementsMatch(d.t, all, lines, "the range must not change what a session is")
	return lines
}

func TestASessionIs(t *testing.T) {
	d := migrated(t)
	for name, c := range map[string]struct {
		events []store.Row
		want   []string
	}{
		"kept by a gap of exactly 30 minutes": {
			[]store.Row{page("24 10:00:00", "/"), page("24 10:30:00", "/")}, []string{"24 10:00 2 Direct"},
		},
		"ended by a gap of a millisecond more": {
			[]store.Row{page("24 10:00:00", "/"), page("24 10:30:00.001", "/")}, []string{"24 10:00 1 Direct", "24 10:30 1 Direct"},
		},
		"not ended by midnight": {
			[]store.Row{page("24 23:50:00", "/"), page("25 00:10:00", "/")}, []string{"24 23:50 2 Direct"},
		},
		"ended by another campaign": {
			[]store.Row{page("24 10:00:00", "/", from("news", "email", "may")), page("24 10:05:00", "/"), page("24 10:10:00", "/", from("news", "email", "june"))},
			[]string{"24 10:00 2 Email", "24 10:10 1 Email"},
		},
		"ended by another click id of the same campaign": {
			[]store.Row{page("24 10:00:00", "/", clickID("x")), page("24 10:05:00", "/", clickID("y"))},
			[]string{"24 10:00 1 Paid Search", "24 10:05 1 Paid Search"},
		},
		"kept by the same campaign again, whatever lies between": {
			[]store.Row{page("24 10:00:00", "/", clickID("x")), page("24 10:05:00", "/", referredBy("blog")), page("24 10:10:00", "/", clickID("x"))},
			[]string{"24 10:00 3 Paid Search"},
		},
		"ended by going back to the campaign before": {
			[]store.Row{page("24 10:00:00", "/", clickID("x")), page("24 10:05:00", "/", clickID("y")), page("24 10:10:00", "/", clickID("x"))},
			[]string{"24 10:00 1 Paid Search", "24 10:05 1 Paid Search", "24 10:10 1 Paid Search"},
		},
		"ended by a campaign that appears in a direct session, once": {
			[]store.Row{page("24 10:00:00", "/"), page("24 10:05:00", "/", clickID("x")), page("24 10:10:00", "/"), page("24 10:15:00", "/", clickID("x"))},
			[]string{"24 10:00 1 Direct", "24 10:05 3 Paid Search"},
		},
		"ended by the campaign of an earlier visit that comes up in a direct one": {
			[]store.Row{page("24 10:00:00", "/", clickID("x")), page("24 11:00:00", "/"), page("24 11:05:00", "/", clickID("x"))},
			[]string{"24 10:00 1 Paid Search", "24 11:00 1 Direct", "24 11:05 1 Paid Search"},
		},
		"not ended by another referrer": {
			[]store.Row{page("24 10:00:00", "/", referredBy("blog")), page("24 10:05:00", "/", referredBy("forum"))}, []string{"24 10:00 2 Referral"},
		},
		"one of a browser that refuses cookies, by its daily hash": {
			[]store.Row{page("24 10:00:00", "/", by("minted", "a", "h")), page("24 10:05:00", "/", by("minted", "b", "h")), page("24 10:06:00", "/", by("daily_hash", "", "h"))},
			[]string{"24 10:00 3 Direct"},
		},
		"one of a visitor whose cookie came back, much later too": {
			[]store.Row{
				page("24 10:00:00", "/", by("minted", "a", "h")), page("24 10:05:00", "/", by("minted", "b", "h")),
				page("29 10:05:00", "/", by("cookie", "a", "h2"), func(r *store.Row) { r.Transport = "server" }),
			},
			[]string{"24 10:00 1 Direct", "24 10:05 1 Direct"},
		},
		"made by page views, custom events, identify and purchases only, and by browsers": {
			[]store.Row{
				page("24 10:00:00", "/1", named("custom", "video")), page("24 10:20:00", "/2", named("identify", "identify")), page("24 10:40:00", "/3", named("order", "purchase")),
				page("24 11:05:00", "/4", named("order", "refund")), page("24 11:30:00", "/5", named("impression", "impression")), page("24 11:50:00", "/6", named("email_click", "email_click")),
				page("24 12:10:00", "/7", func(r *store.Row) { r.Transport = "server" }), page("24 12:20:00", "/8", func(r *store.Row) { r.Outcome = store.OutcomeDuplicate }),
				page("24 12:30:00", "/9", machine), page("24 12:35:00", "/10", by("none", "", ""), func(r *store.Row) { r.DailyHash = uuid.Nil }),
			},
			[]string{"24 10:00 3 Direct"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := d.of(t)
			for i := range c.events {
				c.events[i].SiteID = name
			}
			d.add(c.events...)
			require.ElementsMatch(t, c.want, d.sessionsOf(name))
		})
	}
}

func TestASessionTellsWhereItBeganWhereItEndedAndHowLongItTook(t *testing.T) {
	d := migrated(t)
	d.add(
		page("24 10:00:00", "", named("custom", "hello"), clickID("x")),
		page("24 10:00:10.5", "/größe/日本", clickID("x")),
		page("24 10:10:00", "/cart"),
		page("24 10:20:00.25", "", named("order", "purchase")),
		page("24 12:00:00", "", named("custom", "hello")),
	)
	const columns = "events; page_views; entry_page; exit_page; seconds; bounce; channel; source; medium; campaign"
	require.ElementsMatch(t, []string{
		"4 2 /größe/日本 /cart 1200.25 0 Paid Search google cpc ",
		"1 0   0 1 Direct   ",
	}, d.ask(columns, "sessions", 24, 24, ""))
	require.Equal(t, []string{"2026-11-24 2 1 2 1 0.5 600.125 0"},
		d.ask("day; sessions; visitors; page_views; bounces; bounce_rate; average_seconds; machine_events", "sessions_daily", 24, 24, ""))
}

func TestEventsOfTheSameInstantAreInTheOrderOfTheirIDs(t *testing.T) {
	d := migrated(t)
	// ClickHouse compares the second half of an id first.
	early, late := uuid.MustParse("ffffffff-ffff-4fff-8000-000000000001"), uuid.MustParse("00000000-0000-4000-8000-000000000002")
	d.add(
		page("24 10:00:00", "/late", clickID("x"), func(r *store.Row) { r.EventID = late }),
		page("24 10:00:00", "/early", func(r *store.Row) { r.EventID = early }),
	)
	require.ElementsMatch(t, []string{"/early 0 1 Direct", "/late 0 1 Paid Search"}, d.ask("entry_page; seconds; events; channel", "sessions", 24, 24, ""))
	require.Equal(t, []string{"1", "1"}, d.ask("visitors", "funnel", 24, 24, ", steps=['/early', '/late']"))
	require.Equal(t, []string{"1", "0"}, d.ask("visitors", "funnel", 24, 24, ", steps=['/late', '/early']"))
}

func TestASessionBelongsToTheDayOnWhichItBegan(t *testing.T) {
	d := migrated(t)
	d.add(
		page("23 23:50:00", "/a"), page("24 00:15:00", "/b"), page("24 00:40:00", "/c", clickID("x")), page("24 01:00:00", "/d"),
		page("25 23:59:00", "/e"), page("26 00:20:00", "/f"), page("26 00:50:00", "/g"),
	)
	columns := "formatDateTime(started_at, '%d %H:%i'); formatDateTime(ended_at, '%d %H:%i')"
	require.ElementsMatch(t, []string{"24 00:40 24 01:00", "25 23:59 26 00:50"}, d.ask(columns, "sessions", 24, 25, ""))
	require.ElementsMatch(t, []string{"23 23:50 24 00:15"}, d.ask(columns, "sessions", 23, 23, ""))
	require.Empty(t, d.ask(columns, "sessions", 26, 26, ""))
	require.Equal(t, []string{"2026-11-24 1 2", "2026-11-25 1 3"}, d.ask("day; sessions; page_views", "sessions_daily", 24, 26, ""))
}

func TestASessionGoesOnWhenTheClockIsPutBack(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	d := migrated(t)
	at := func(utc, path string) store.Row {
		return page("24 10:00:00", path, func(r *store.Row) {
			r.EventID, r.OccurredAt = id(utc), mustTime(utc)
			local := r.OccurredAt.In(berlin)
			r.SiteDay = time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)
		})
	}
	// 2:50, 2:10 and, 25 hours after the day began, 23:59 and 0:01 on the clocks of Berlin.
	d.add(at("2026-10-25T00:50:00Z", "/1"), at("2026-10-25T01:10:00Z", "/2"), at("2026-10-25T22:59:00Z", "/3"), at("2026-10-25T23:01:00Z", "/4"))
	require.Equal(t, []string{"2026-10-25 2 1 4 0 660"}, d.ask("day; sessions; visitors; page_views; bounces; average_seconds", "sessions_daily", -6, -5, ""))
}

func mustTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}
