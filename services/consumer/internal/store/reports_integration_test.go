//go:build integration

package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// traffic is one row of the report.
type traffic struct {
	Day              time.Time `ch:"day"`
	Channel          string    `ch:"channel"`
	PageViews        int64     `ch:"page_views"`
	Events           int64     `ch:"events"`
	Visitors         uint64    `ch:"visitors"`
	DayVisitors      uint64    `ch:"day_visitors"`
	MachinePageViews int64     `ch:"machine_page_views"`
	MachineEvents    int64     `ch:"machine_events"`
	Duplicates       int64     `ch:"duplicates"`
}

func (d db) traffic(from, to string) []traffic {
	d.t.Helper()
	var rows []traffic
	require.NoError(d.t, d.conn.Select(d.t.Context(), &rows, fmt.Sprintf("SELECT * FROM %s.traffic(site='shop', from='%s', to='%s')", d.name, from, to)))
	for i := range rows {
		rows[i].Day = rows[i].Day.UTC()
	}
	return rows
}

// insertOne stores one event of the shop, changed as wanted.
func (d db) insertOne(offset int64, change func(*store.Row)) {
	d.t.Helper()
	rows := batch(offset, 1)
	rows[0].DailyHash = uuid.NewSHA1(uuid.Nil, []byte("nobody"))
	change(&rows[0])
	require.NoError(d.t, d.Insert(within(d.t), fmt.Sprint("token-", offset), rows))
}

func id(name string) uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte(name)) }

func visitor(kind, visitorID, hash string) func(*store.Row) {
	return func(r *store.Row) {
		r.VisitorKind, r.VisitorID, r.DailyHash = kind, uuid.UUID{}, id(hash)
		if visitorID != "" {
			r.VisitorID = id(visitorID)
		}
	}
}

func TestTrafficOfASiteWithoutEventsIsEmpty(t *testing.T) {
	require.Empty(t, migrated(t).traffic("2026-01-01", "2026-12-31"))
}

func TestTrafficCountsAMintedVisitorByDailyHashUntilTheCookieHasComeBack(t *testing.T) {
	d := migrated(t)
	// Anna's cookie comes back; Bert's browser drops it each time: three ids, one hash; Carl is given by the site; Dora
	// allows no id; of Emil nothing is known.
	for i, change := range []func(*store.Row){
		visitor("minted", "anna", "hash-a"), visitor("cookie", "anna", "hash-a"), visitor("cookie", "anna", "hash-other-network"),
		visitor("minted", "bert-1", "hash-b"), visitor("minted", "bert-2", "hash-b"), visitor("minted", "bert-3", "hash-b"),
		visitor("provided", "carl", "hash-c"),
		visitor("daily_hash", "", "hash-d"), visitor("daily_hash", "", "hash-d"),
		visitor("none", "", ""),
	} {
		d.insertOne(int64(i), change)
	}
	require.Equal(t, []traffic{{Day: day, Channel: "Direct", PageViews: 10, Events: 10, Visitors: 4, DayVisitors: 4}}, d.traffic("2026-11-24", "2026-11-24"))
}

func TestTrafficTakesACookieThatComesBackOnALaterDayForTheSamePerson(t *testing.T) {
	d := migrated(t)
	next := day.AddDate(0, 0, 1)
	d.insertOne(0, visitor("minted", "anna", "hash-1"))
	d.insertOne(1, visitor("minted", "other", "hash-1"))
	d.insertOne(2, func(r *store.Row) {
		visitor("cookie", "anna", "hash-2")(r)
		r.SiteDay = next
	})
	rows := d.traffic("2026-11-24", "2026-11-24")
	require.Len(t, rows, 1)
	require.EqualValues(t, 2, rows[0].Visitors, "anna by her id, the other by the hash")
}

func TestTrafficLeavesMachinesAndRepeatsOutAndShowsThemBeside(t *testing.T) {
	d := migrated(t)
	d.insertOne(0, visitor("cookie", "anna", "a"))
	d.insertOne(1, func(r *store.Row) { r.IsBot, r.VisitorID = true, id("robot") })
	d.insertOne(2, func(r *store.Row) { r.IsBot, r.Kind = true, "custom" })
	d.insertOne(3, func(r *store.Row) { r.Outcome, r.VisitorID = store.OutcomeDuplicate, id("anna") })
	d.insertOne(4, func(r *store.Row) { r.Outcome = store.OutcomeSuppressed })
	d.insertOne(5, func(r *store.Row) { r.Outcome = store.OutcomeDead })
	d.insertOne(6, func(r *store.Row) { r.Kind, r.VisitorID = "custom", id("anna") })
	require.Equal(t, []traffic{{
		Day: day, Channel: "Direct", PageViews: 1, Events: 2, Visitors: 1, DayVisitors: 1, MachinePageViews: 1, MachineEvents: 2, Duplicates: 1,
	}}, d.traffic("2026-11-24", "2026-11-24"))
}

func TestTrafficShowsChannelsOfADayAndCountsAVisitorOfTwoChannelsOnceForTheDay(t *testing.T) {
	d := migrated(t)
	d.insertOne(0, visitor("cookie", "anna", "a"))
	d.insertOne(1, visitor("cookie", "bert", "b"))
	d.insertOne(2, func(r *store.Row) {
		visitor("cookie", "anna", "a")(r)
		r.Channel = "Email"
	})
	d.insertOne(3, func(r *store.Row) { r.SiteID = "other" })
	require.Equal(t, []traffic{
		{Day: day, Channel: "Direct", PageViews: 2, Events: 2, Visitors: 2, DayVisitors: 2},
		{Day: day, Channel: "Email", PageViews: 1, Events: 1, Visitors: 1, DayVisitors: 2},
	}, d.traffic("2026-11-24", "2026-11-24"))
}

func TestTrafficDaysAreInclusive(t *testing.T) {
	d := migrated(t)
	for i := range 4 {
		d.insertOne(int64(i), func(r *store.Row) { r.SiteDay = day.AddDate(0, 0, i) })
	}
	rows := d.traffic("2026-11-25", "2026-11-26")
	require.Len(t, rows, 2)
	require.Equal(t, day.AddDate(0, 0, 1), rows[0].Day)
	require.Equal(t, day.AddDate(0, 0, 2), rows[1].Day)
}

func TestSessionActivityListsWhatOneVisitorDidInOrder(t *testing.T) {
	d := migrated(t)
	anna := func(minute int, name string) func(*store.Row) {
		return func(r *store.Row) {
			r.VisitorID, r.Name, r.OccurredAt, r.OS, r.Browser = id("anna"), name, day.Add(time.Duration(minute)*time.Minute), "Windows", "Chrome"
		}
	}
	d.insertOne(0, anna(5, "second"))
	d.insertOne(1, anna(1, "first"))
	d.insertOne(2, anna(9, "third"))
	d.insertOne(3, func(r *store.Row) {
		anna(2, "repeat")(r)
		r.Outcome = store.OutcomeDuplicate
	})
	d.insertOne(4, visitor("cookie", "bert", "b"))
	var names, systems []string
	require.NoError(t, d.conn.QueryRow(t.Context(), fmt.Sprintf(
		"SELECT groupArray(name), groupUniqArray(os || ' ' || browser) FROM %s.session_activity(site='shop', visitor='%s')", d.name, id("anna"))).Scan(&names, &systems))
	require.Equal(t, []string{"first", "second", "third"}, names)
	require.Equal(t, []string{"Windows Chrome"}, systems)
}

func TestTheOffsetLedgerShowsHolesAndDoubles(t *testing.T) {
	d := migrated(t)
	for _, offset := range []int64{10, 11, 13} {
		d.insertOne(offset, func(*store.Row) {})
	}
	rows := batch(11, 1)
	require.NoError(t, d.Insert(within(t), "another token", rows))
	require.EqualValues(t, 1, d.number("SELECT missing_rows FROM %s.offset_ledger"))
	require.EqualValues(t, 1, d.number("SELECT double_rows FROM %s.offset_ledger"))
}

func TestTheLedgerShowsTheRangeOfEachDifference(t *testing.T) {
	d := migrated(t)
	gaps := func(from, to int) []string {
		return d.answer(fmt.Sprintf("SELECT concatWithSeparator(' ', difference, first_offset, last_offset, offsets) FROM %s.ledger_gaps(from='2026-11-%d', to='2026-11-%d')", d.name, from, to))
	}
	require.Empty(t, gaps(24, 24), "nothing is stored")
	for i, first := range []int64{0, 10, 20, 30} {
		rows := batch(first, 10)
		for n := range rows {
			rows[n].BatchDay = day.AddDate(0, 0, i)
			rows[n].DeclaredAt = rows[n].BatchDay.Add(time.Hour)
		}
		require.NoError(t, d.Insert(within(t), fmt.Sprint(first), rows))
	}
	require.Empty(t, gaps(24, 27), "every offset is one row")
	d.exec("ALTER TABLE " + d.name + ".events DROP PARTITION '2026-11-25'")
	doubled := batch(33, 4)
	for n := range doubled {
		doubled[n].BatchDay = day.AddDate(0, 0, 3)
		doubled[n].DeclaredAt = doubled[n].BatchDay.Add(time.Hour)
	}
	require.NoError(t, d.Insert(within(t), "another token", doubled))
	require.Equal(t, []string{"missing 10 19 10", "double 33 36 4"}, gaps(24, 27))
	require.Equal(t, []string{"missing 10 19 10"}, gaps(25, 25), "a day without any row is seen from its neighbours")
	require.Equal(t, []string{"double 33 36 4"}, gaps(27, 27))
	require.EqualValues(t, 34, d.number("SELECT sum(rows) FROM %s.ledger(from='2026-11-24', to='2026-11-27')"))
	require.EqualValues(t, 30, d.number("SELECT groupBitmap(toUInt64(kafka_offset)) FROM %s.events"))
}
