//go:build integration

package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// events are so many rows of events from the offset on, published in the minute after 10:00.
func events(first int64, n, minute int) []store.Row {
	rows := batch(first, n)
	for i := range rows {
		rows[i].RecordTime = rows[i].RecordTime.Add(time.Duration(minute) * time.Minute)
		rows[i].DeclaredAt = rows[i].RecordTime
	}
	return rows
}

// claim is what an account says of one minute after 10:00.
func claim(minute int, records uint64, first, last int64) *onepxv1.Published {
	return &onepxv1.Published{
		MinuteMs: day.Add(10*time.Hour + time.Duration(minute)*time.Minute).UnixMilli(), Partition: int32(partition.ID), Records: records, FirstOffset: first, LastOffset: last,
	}
}

// told is the row of an account; acknowledged is its own number unless it is set.
func told(offset int64, collector string, sequence uint64, claims ...*onepxv1.Published) []store.Row {
	name := id(collector)
	rows := batch(offset, 1)
	rows[0].SiteID, rows[0].Outcome, rows[0].Kind, rows[0].Name = "", store.OutcomeAccount, "", ""
	at := day.Add(10*time.Hour + time.Duration(sequence+1)*time.Minute)
	rows[0].FillAccount(&onepxv1.Event{
		EventId: name[:], ReceivedAtMs: at.UnixMilli(), OccurredAtMs: at.Add(-time.Minute).UnixMilli(),
		Account: &onepxv1.Account{Collector: name[:], Sequence: sequence, Acknowledged: sequence, Published: claims},
	})
	return rows
}

// spooled is an account of which those before lie in a spool only.
func spooled(offset int64, collector string, sequence uint64) []store.Row {
	rows := told(offset, collector, sequence)
	name := id(collector)
	rows[0].FillAccount(&onepxv1.Event{EventId: name[:], ReceivedAtMs: 1, OccurredAtMs: 1, Account: &onepxv1.Account{Collector: name[:], Sequence: sequence, Acknowledged: 1}})
	return rows
}

// accountCases are batches of one topic each, and what ledger_gaps says of it.
var accountCases = map[string]struct {
	batches [][]store.Row
	want    []string
}{
	"accounts that say what is there": {
		batches: [][]store.Row{events(100, 20, 0), events(120, 10, 1), told(130, "a", 0, claim(0, 20, 100, 119)), told(131, "a", 1, claim(1, 10, 120, 129))},
	},
	"two collectors in one minute, one of which tells it in two parts": {
		batches: [][]store.Row{
			events(100, 20, 0), told(120, "b", 0, claim(0, 7, 100, 119)), told(121, "c", 0, claim(0, 10, 101, 118)), told(122, "b", 1, claim(0, 3, 110, 111)),
		},
	},
	"a record that Kafka acknowledged and replaced by another": {
		batches: [][]store.Row{events(100, 20, 0), events(120, 2, 1), told(122, "d", 0, claim(0, 22, 100, 121)), told(123, "d", 1, claim(1, 2, 120, 121))},
		want:    []string{"fewer than published 100 121 2 10:00"},
	},
	"records that expired before they were read": {
		batches: [][]store.Row{events(100, 10, 0), expired(110, 10), told(120, "e", 0, claim(0, 20, 100, 119))},
		want:    []string{"fewer than published 100 119 10 10:00"},
	},
	"a hole explains what lacks": {
		batches: [][]store.Row{events(100, 10, 0), events(115, 5, 0), told(120, "f", 0, claim(0, 20, 100, 119))},
		want:    []string{"missing 110 114 5 00:00"},
	},
	"records that no row came of, at the end": {
		batches: [][]store.Row{events(100, 20, 0), told(120, "g", 0, claim(0, 20, 100, 119), claim(0, 10, 121, 130))},
		want:    []string{"not stored 121 130 10 10:00"},
	},
	"an account that came after two days, with nothing in the partition since": {
		batches: [][]store.Row{daysBefore(2, events(100, 20, 0)), elsewhere(told(120, "m", 0, claim(0, 20, 100, 119)))},
	},
	"an account of a partition without a row": {
		batches: [][]store.Row{elsewhere(told(120, "n", 0, claim(0, 20, 100, 119)))},
		want:    []string{"not stored 100 119 20 10:00"},
	},
	"rows that no collector tells of": {
		batches: [][]store.Row{events(100, 20, 0), told(120, "h", 0, claim(0, 12, 100, 111))},
		want:    []string{"unknown 100 119 8 10:00"},
	},
	"an account that is missing": {
		batches: [][]store.Row{told(100, "i", 0), told(101, "i", 3), told(102, "i", 4)},
		want:    []string{"account missing 100 101 2 10:01"},
	},
	"an account that is the first and missing": {
		batches: [][]store.Row{told(100, "j", 1)},
		want:    []string{"account missing 100 100 1 10:01"},
	},
	"an account that is still in a spool":      {batches: [][]store.Row{told(100, "k", 0), spooled(101, "k", 2), spooled(102, "k", 3)}},
	"an account that came twice counts once":   {batches: [][]store.Row{events(100, 20, 0), told(120, "l", 0, claim(0, 20, 100, 119)), told(121, "l", 0, claim(0, 20, 100, 119))}},
	"rows from before collectors had accounts": {batches: [][]store.Row{events(100, 20, -60)}},
}

// daysBefore moves the rows to an earlier day of storing.
func daysBefore(days int, rows []store.Row) []store.Row {
	for i := range rows {
		rows[i].BatchDay, rows[i].DeclaredAt = rows[i].BatchDay.AddDate(0, 0, -days), rows[i].DeclaredAt.AddDate(0, 0, -days)
	}
	return rows
}

// elsewhere moves the rows to another partition.
func elsewhere(rows []store.Row) []store.Row {
	for i := range rows {
		rows[i].KafkaPartition++
	}
	return rows
}

// expired are rows of offsets that Kafka does not hold any more.
func expired(first int64, n int) []store.Row {
	rows := batch(first, n)
	for i := range rows {
		rows[i].Outcome, rows[i].RecordTime, rows[i].RecordHash, rows[i].SiteID = store.OutcomeMissing, time.UnixMilli(0), 0, ""
	}
	return rows
}

func TestAccountsOfCollectorsAreHeldAgainstTheRows(t *testing.T) {
	d := migrated(t)
	for topic, tc := range accountCases {
		for i, rows := range tc.batches {
			for n := range rows {
				rows[n].KafkaTopic = topic
			}
			require.NoError(t, d.Insert(within(t), fmt.Sprint(topic, i), rows))
		}
	}
	for topic, tc := range accountCases {
		t.Run(topic, func(t *testing.T) {
			require.ElementsMatch(t, tc.want, d.of(t).answer("SELECT concatWithSeparator(' ', difference, first_offset, last_offset, offsets, formatDateTime(minute, '%H:%i')) FROM "+
				d.name+".ledger_gaps(from='2026-11-24', to='2026-11-24') WHERE kafka_topic = '"+topic+"'"))
		})
	}
	require.Equal(t, []string{"10:00 23 20 2"}, d.answer("SELECT concatWithSeparator(' ', formatDateTime(minute, '%H:%i'), rows, published, collectors) FROM "+
		d.name+".ledger(from='2026-11-24', to='2026-11-24') WHERE startsWith(kafka_topic, 'two collectors')"))
	require.Empty(t, d.answer("SELECT difference FROM "+d.name+".ledger_gaps(from='2026-11-25', to='2026-11-26')"), "other days")
}

func TestAnAccountSaysHowEventsEnded(t *testing.T) {
	d := migrated(t)
	name := uuid.MustParse("7d444840-9dc0-41d1-b245-5ffdce74fad2")
	d.insertOne(100, func(r *store.Row) {
		r.SiteID, r.Outcome = "", store.OutcomeAccount
		r.FillAccount(&onepxv1.Event{
			EventId: name[:], ReceivedAtMs: day.Add(90 * time.Second).UnixMilli(), OccurredAtMs: day.Add(30 * time.Second).UnixMilli(),
			Account: &onepxv1.Account{
				Collector: name[:], Sequence: 1<<64 - 1, Acknowledged: 7, Last: true, Unacknowledged: 3,
				Ended: []*onepxv1.Ended{
					{Outcome: "stored", Events: 41}, {Outcome: "rejected", Reason: "site_unknown", Events: 2}, {Outcome: "rejected", Reason: "rate_limited", Events: 3},
					{Outcome: "new", Reason: "newer", Events: 1},
				},
				Published: []*onepxv1.Published{claim(0, 40, 1, 50), {MinuteMs: -1 << 63, Partition: -1, Records: 2, LastOffset: 1<<63 - 1}},
			},
		})
	})
	require.Equal(t, []string{name.String() + " 00:00 18446744073709551615 46 41 5 0 {'newer':1,'rate_limited':3,'site_unknown':2} 42 3 true"},
		d.answer("SELECT concatWithSeparator(' ', collector, formatDateTime(minute, '%H:%i'), sequence, received, stored, rejected, lost, mapSort(reasons), published, unacknowledged, last) FROM "+
			d.name+".ledger_accounts(from='2026-11-24', to='2026-11-24')"))
	d.insertOne(101, func(r *store.Row) { r.SiteID, r.Outcome = "", store.OutcomeDuplicate })
	require.Zero(t, d.number("SELECT count() FROM %s.traffic_daily"), "it is no event, and nor is its repeat")
	require.Zero(t, d.number("SELECT count() FROM %s.ledger_views(from='2026-11-24', to='2026-11-24')"))
}

func TestTablesThatDifferFromEventsAreShown(t *testing.T) {
	d := migrated(t)
	disagreements := func() []string {
		return d.answer("SELECT concatWithSeparator(' ', table_name, kafka_partition, first_offset, last_offset, site_id, site_day, in_events, in_table) FROM " + d.name + ".ledger_views(from='2026-11-24', to='2026-11-24')")
	}
	require.Empty(t, disagreements(), "nothing is stored")
	kinds := []string{"page_view", "custom", "impression", "order", "email_open", "email_click", "email_unsubscribe", "email_delivery", "identify", "sync"}
	outcomes := []string{store.OutcomeEvent, store.OutcomeDuplicate, store.OutcomeTally, store.OutcomeSuppressed, store.OutcomeDead}
	rows := batch(100, 200)
	for i := range rows {
		r := &rows[i]
		r.Kind, r.Outcome, r.IsBot, r.Transport = kinds[i%10], outcomes[i/10%5], i/50%2 == 1, []string{"gif", "server"}[i/100]
		r.Name, r.Source, r.Referrer = r.Kind, []string{"", "news"}[i/10%2], []string{"", "https://search.example/"}[i/20%2]
		if r.Kind == "order" {
			r.Name, r.OrderID = []string{"purchase", "refund"}[i/10%2], fmt.Sprint(i)
		}
		if r.Outcome == store.OutcomeTally {
			r.TallyHits = 7
		}
		r.MailCampaignID = "autumn"
	}
	require.NoError(t, d.Insert(within(t), "token", rows))
	require.Empty(t, disagreements())
	d.exec("INSERT INTO " + d.name + ".traffic_daily (site_id, site_day, channel, duplicates) VALUES ('shop', '2026-11-24', 'Direct', 3)")
	d.exec("INSERT INTO " + d.name + ".order_entries SELECT * FROM " + d.name + ".order_entries WHERE kafka_offset = 103 SETTINGS insert_deduplicate = 0")
	d.exec("DELETE FROM " + d.name + ".touches WHERE kafka_offset BETWEEN 101 AND 103 SETTINGS lightweight_deletes_sync = 2")
	d.exec("DELETE FROM " + d.name + ".mail_hits WHERE kafka_offset = 104 SETTINGS lightweight_deletes_sync = 2")
	require.Equal(t, []string{
		"mail_hits 3 104 104  1970-01-01 16 15", "order_entries 3 103 253  1970-01-01 4 5", "touches 3 102 102  1970-01-01 5 4", "traffic_daily -1 -1 -1 shop 2026-11-24 80 83",
	}, disagreements())
}
