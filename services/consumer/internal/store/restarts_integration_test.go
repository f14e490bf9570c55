//go:build integration

package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// ofEveryView is a batch of which each view makes rows.
func ofEveryView(first int64) []store.Row {
	rows := batch(first, 200)
	kinds := []string{"page_view", "custom", "identify", "order", "impression", "sync", "email_open"}
	for i := range rows {
		plain := rows[i]
		row := &rows[i]
		fillAll(row, 1+i%3)
		row.KafkaTopic, row.KafkaPartition, row.KafkaOffset, row.BatchFirst, row.BatchLast, row.BatchDay = plain.KafkaTopic, plain.KafkaPartition, plain.KafkaOffset, first, first+199, plain.BatchDay
		row.RecordTime, row.DeclaredAt, row.OccurredAt, row.ReceivedAt, row.EventID = plain.RecordTime, plain.DeclaredAt, plain.OccurredAt.AddDate(0, 0, i%40), plain.ReceivedAt, plain.EventID
		row.SiteDay, row.VisitorID, row.VisitorKind, row.RetentionDays, row.IsBot = day.AddDate(0, 0, i%40), uuid.NewSHA1(uuid.Nil, fmt.Append(nil, first, i%7)), "cookie", 395, i%11 == 0
		row.SiteID, row.Outcome, row.Kind, row.Name, row.Transport = "shop", store.OutcomeEvent, kinds[i%len(kinds)], "view_item", "gif"
		row.ConsentProfile, row.ConsentShare = i%3 != 0, i%9 != 1
		row.Props = map[string]string{"partner": "adnet", "partner_uid": plain.EventID.String()}
		row.Account = `{"collector": "` + plain.EventID.String() + `"}`
		row.UserKey, row.RecipientKey = uuid.UUID{15: byte(i%5 + 1)}, uuid.UUID{15: byte(i%7 + 1)}
		switch {
		case i%23 == 1:
			row.Outcome, row.TallyHits = store.OutcomeTally, 5
		case i%23 == 2:
			row.Outcome = store.OutcomeAccount
		case i%23 == 3:
			row.Outcome = store.OutcomeDuplicate
		}
	}
	return rows
}

// filled is what a view has filled of its table.
func (d db) filled(view string) string {
	table := strings.TrimSuffix(view, "_view")
	switch table {
	case "ledger_minutes":
		return fmt.Sprint(d.number("SELECT sum(kafka_offset) FROM %s.ledger_minutes FINAL"))
	case "event_ids": // ids may be there twice
		return fmt.Sprint(d.number("SELECT sum(kafka_offset) FROM (SELECT DISTINCT * FROM %s.event_ids)"))
	}
	return d.contents(table)
}

// Each batch is missed by every other view, and the next one by the others. Another partition is far ahead.
func TestWhatAViewMissedIsFilledByWhatItsTableHas(t *testing.T) {
	d, whole := migrated(t), fresh(t).migrate()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	views := d.named("engine = 'MaterializedView'")
	ahead := ofEveryView(10_000)
	for i := range ahead {
		ahead[i].KafkaPartition++
	}
	require.NoError(t, whole.Insert(ctx, "ahead", ahead))
	require.NoError(t, d.Insert(ctx, "ahead", ahead))
	for batch := range 3 {
		rows := ofEveryView(int64(batch * 200))
		require.NoError(t, whole.Insert(ctx, fmt.Sprint("token ", batch), rows))
		var missing []string
		for i, view := range views {
			if i%2 == batch%2 {
				missing = append(missing, view)
				d.exec("DETACH TABLE " + d.name + "." + view)
			}
		}
		require.NoError(t, d.Insert(ctx, fmt.Sprint("token ", batch), rows))
		for _, view := range missing {
			d.exec("ATTACH TABLE " + d.name + "." + view)
			require.NotEqual(t, whole.filled(view), d.filled(view), "no row of this batch is for %s", view)
		}
		require.NoError(t, d.FillViews(ctx, rangeOf(rows), day))
		for _, view := range views {
			require.Equal(t, whole.filled(view), d.filled(view), view)
		}
	}
}

// Sums of others are filled where they know up to which offset they go; all else of theirs is left alone, whatever it is.
func TestViewsOfOthersAreFilledWhereTheyTell(t *testing.T) {
	d := migrated(t)
	d.exec("CREATE TABLE " + d.name + ".`sums-1` (events UInt64, last_offsets Map(Int32, Int64)) ENGINE = MergeTree ORDER BY tuple()")
	d.exec("CREATE MATERIALIZED VIEW " + d.name + ".sums_view TO " + d.name + ".`sums-1` AS SELECT count() AS events, map(any(kafka_partition), max(kafka_offset)) AS last_offsets FROM " + d.name + ".events")
	d.exec("CREATE MATERIALIZED VIEW " + d.name + ".states ENGINE = AggregatingMergeTree ORDER BY site_id AS SELECT site_id, countState() AS n FROM " + d.name + ".events GROUP BY site_id")
	d.exec("CREATE MATERIALIZED VIEW " + d.name + ".texts ENGINE = MergeTree ORDER BY tuple() AS SELECT event_id, map('x', 1) AS last_offsets FROM " + d.name + ".events")
	require.NoError(t, d.Insert(within(t), "a", ofEveryView(0)))
	d.exec("DETACH TABLE " + d.name + ".sums_view")
	rows := ofEveryView(200)
	require.NoError(t, d.Insert(within(t), "b", rows))
	d.exec("ATTACH TABLE " + d.name + ".sums_view")
	for range 2 {
		require.NoError(t, d.FillViews(within(t), rangeOf(rows), day))
		require.EqualValues(t, 400, d.number("SELECT sum(events) FROM %s.`sums-1`"))
		require.EqualValues(t, 400, d.number("SELECT countMerge(n) FROM %s.states"))
		require.EqualValues(t, 400, d.number("SELECT count() FROM %s.texts"))
	}
}

func TestEveryViewOfOursIsFilled(t *testing.T) {
	d := migrated(t)
	lacking := "SELECT name FROM system.tables WHERE database = '%s' AND engine = 'MaterializedView' AND NOT has(" + fmt.Sprintf("['%s']", strings.Join(store.FilledTables(), "', '")) + ", target_table)"
	require.Empty(t, d.texts(lacking))
}

func TestNothingIsFilledAfterTheDeadline(t *testing.T) {
	d := migrated(t)
	rows := ofEveryView(0)
	d.exec("DETACH TABLE " + d.name + ".visitor_days_view")
	require.NoError(t, d.Insert(within(t), "token", rows))
	d.exec("ATTACH TABLE " + d.name + ".visitor_days_view")
	require.NoError(t, d.FillViews(&sentLate{Context: within(t)}, rangeOf(rows), day))
	require.EqualValues(t, 0, d.number("SELECT count() FROM %s.visitor_days"))
	require.NoError(t, d.FillViews(within(t), rangeOf(rows), day))
	require.Less(t, int64(0), d.number("SELECT count() FROM %s.visitor_days"))
}

// sentLate is the context of a statement that was held up until after its deadline: who asks first, when it is made, is told one that
// is over by now.
type sentLate struct {
	context.Context
	asked bool
}

func (s *sentLate) Deadline() (time.Time, bool) {
	if s.asked {
		return s.Context.Deadline()
	}
	s.asked = true
	return time.Now().Add(-time.Minute), true
}

func TestTheServersStartIsBeforeAllThatItDoes(t *testing.T) {
	d := migrated(t)
	started, err := d.Started(t.Context())
	require.NoError(t, err)
	require.WithinRange(t, started, time.Now().Add(-24*time.Hour), time.Now())
	again, err := d.Started(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, started, again, 2*time.Second)
}
