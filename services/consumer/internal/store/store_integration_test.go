//go:build integration

package store_test

import (
	"context"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestABatchInsertedTwiceUnderItsTokenIsStoredOnceInTableAndViews(t *testing.T) {
	d := migrated(t)
	rows := batch(100, 1000)
	for range 3 {
		require.NoError(t, d.Insert(within(t), "token", rows))
	}
	require.EqualValues(t, 1000, d.number("SELECT count() FROM %s.events"))
	require.EqualValues(t, 1000, d.number("SELECT sum(events) FROM %s.traffic_daily"))
	require.EqualValues(t, 1000, d.number("SELECT sum(events) FROM %s.visitor_days"))
	require.EqualValues(t, 1, d.number("SELECT count() FROM system.parts WHERE database = '%s' AND table = 'events' AND active"), "a batch must be one part")
}

// A server that starts anew loads its views as ATTACH does.
func TestABatchIsRecognisedByEveryViewAfterTheServerHasLoadedThemAnew(t *testing.T) {
	d := migrated(t)
	for _, table := range d.named("engine LIKE '%MergeTree'") {
		d.exec("SYSTEM STOP MERGES " + d.name + "." + table)
		t.Cleanup(func() { d.exec("SYSTEM START MERGES " + d.name + "." + table) })
	}
	rows := batch(0, 500)
	require.NoError(t, d.Insert(within(t), "token", rows))
	const parts = "SELECT sum(cityHash64(table, name)) FROM system.parts WHERE database = '%s' AND active"
	before := d.number(parts)
	for _, view := range d.named("engine = 'MaterializedView'") {
		d.exec("DETACH TABLE " + d.name + "." + view)
		d.exec("ATTACH TABLE " + d.name + "." + view)
	}
	require.NoError(t, d.Insert(within(t), "token", rows))
	require.Equal(t, before, d.number(parts))
	require.NoError(t, d.Insert(within(t), "another", rows))
	require.NotEqual(t, before, d.number(parts), "a batch that is not recognised makes parts")
}

// named are the tables and views of which the condition holds.
func (d db) named(condition string) (names []string) {
	d.t.Helper()
	require.NoError(d.t, d.conn.QueryRow(d.t.Context(), "SELECT groupArray(name) FROM system.tables WHERE database = ? AND "+condition, d.name).Scan(&names))
	require.Greater(d.t, len(names), 10)
	return names
}

// breakView makes a view that refuses everything while table switch has a row.
func (d db) breakView() (mend func()) {
	d.exec("CREATE TABLE " + d.name + ".broken (x UInt8) ENGINE = MergeTree ORDER BY x SETTINGS non_replicated_deduplication_window = 100000")
	d.exec("INSERT INTO " + d.name + ".broken VALUES (1)")
	d.exec("CREATE TABLE " + d.name + ".zz_target (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100000")
	d.exec("CREATE MATERIALIZED VIEW " + d.name + ".zz_view TO " + d.name + ".zz_target AS SELECT count() + throwIf((SELECT count() FROM " + d.name + ".broken) > 0) AS n FROM " + d.name + ".events")
	return func() { d.exec("TRUNCATE TABLE " + d.name + ".broken") }
}

func TestAViewThatFailedIsFilledByTheRepeatedInsertAndNothingDoubles(t *testing.T) {
	d := migrated(t)
	mend := d.breakView()
	rows := batch(0, 500)
	require.Error(t, d.Insert(within(t), "token", rows))
	mend()
	for range 2 {
		require.NoError(t, d.Insert(within(t), "token", rows))
	}
	require.EqualValues(t, 500, d.number("SELECT count() FROM %s.events"))
	require.EqualValues(t, 500, d.number("SELECT sum(events) FROM %s.traffic_daily"))
	require.EqualValues(t, 500, d.number("SELECT sum(events) FROM %s.visitor_days"))
	require.EqualValues(t, 500, d.number("SELECT sum(n) FROM %s.zz_target"))
}

func TestViewsAreCompletedFromTheStoredRowsOfAFullBatch(t *testing.T) {
	d := migrated(t)
	mend := d.breakView()
	rows := batch(0, 50000)
	require.Error(t, d.Insert(within(t), "token", rows))
	require.EqualValues(t, 50000, d.number("SELECT count() FROM %s.events"), "the table must hold the block for this test to mean something")
	mend()
	for range 2 {
		require.NoError(t, d.CompleteViews(within(t), rangeOf(rows), "token"))
	}
	require.EqualValues(t, 50000, d.number("SELECT count() FROM %s.events"))
	require.EqualValues(t, 50000, d.number("SELECT sum(events) FROM %s.traffic_daily"))
	require.EqualValues(t, 50000, d.number("SELECT sum(n) FROM %s.zz_target"))
}

func TestABlockThatArrivesAfterItsDeadlineIsRefusedAndMayBeTriedAgain(t *testing.T) {
	d := migrated(t)
	rows := batch(0, 10)
	require.NoError(t, d.Insert(within(t), "token", rows))
	err := d.conn.Exec(t.Context(), "INSERT INTO "+d.name+".events SELECT * REPLACE (now64(3) - 1 AS insert_until, kafka_offset + 100 AS kafka_offset) FROM "+d.name+".events")
	require.ErrorContains(t, err, "in_time")
	require.EqualValues(t, 10, d.number("SELECT count() FROM %s.events"))
	require.EqualValues(t, 10, d.number("SELECT sum(events) FROM %s.traffic_daily"))
}

func TestAnInsertIntoAMissingTableIsRefusedAndAPassingLimitIsNot(t *testing.T) {
	d := migrated(t)
	d.exec("ALTER TABLE " + d.name + ".events MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1")
	d.exec("SYSTEM STOP MERGES " + d.name + ".events")
	require.NoError(t, d.Insert(within(t), "a", batch(0, 1)))
	err := d.Insert(within(t), "b", batch(1, 1))
	require.ErrorContains(t, err, "code: 252")
	require.NotErrorIs(t, err, store.ErrRefused)
	d.exec("DROP TABLE " + d.name + ".events SYNC")
	require.ErrorIs(t, d.Insert(within(t), "c", batch(2, 1)), store.ErrRefused)
}

func TestRowHasExactlyTheColumnsOfEvents(t *testing.T) {
	d := migrated(t)
	var columns []string
	require.NoError(t, d.conn.QueryRow(t.Context(), "SELECT groupArray(name) FROM system.columns WHERE database = ? AND table = 'events'", d.name).Scan(&columns))
	row := reflect.TypeFor[store.Row]()
	var fields []string
	for i := range row.NumField() {
		fields = append(fields, row.Field(i).Tag.Get("ch"))
	}
	require.ElementsMatch(t, columns, fields)
}

// TestEachRowKeepsItsOwnValues: rows go through one Row, and words through a dictionary.
func TestEachRowKeepsItsOwnValues(t *testing.T) {
	d := migrated(t)
	rows := batch(0, 7)
	for i := range rows {
		fillAll(&rows[i], []int{1, 1, 0, 2, 1, 0, 0}[i])
		rows[i].KafkaOffset = int64(i)
	}
	require.NoError(t, d.Insert(within(t), "token", rows))
	got, err := d.conn.Query(t.Context(), "SELECT * FROM "+d.name+".events ORDER BY kafka_offset")
	require.NoError(t, err)
	defer func() { require.NoError(t, got.Close()) }()
	for i := range rows {
		require.True(t, got.Next())
		var row store.Row
		require.NoError(t, got.ScanStruct(&row))
		row.InsertUntil = rows[i].InsertUntil
		fields := reflect.ValueOf(&row).Elem()
		for k := range fields.NumField() {
			if at, ok := fields.Field(k).Addr().Interface().(*time.Time); ok {
				*at = at.UTC()
			}
		}
		require.Equal(t, rows[i], row)
	}
	require.False(t, got.Next())
}

// fillAll gives every field of a row a value that tells n; 0 is the zero value.
func fillAll(row *store.Row, n int) {
	fields := reflect.ValueOf(row).Elem()
	for i := range fields.NumField() {
		switch field := fields.Field(i).Addr().Interface().(type) {
		case *string:
			*field = strings.Repeat("x", n)
		case *[]string:
			*field = slices.Repeat([]string{"x"}, n)
		case *[]uint8:
			*field = slices.Repeat([]uint8{9}, n)
		case *[]uint16:
			*field = slices.Repeat([]uint16{999}, n)
		case *[]int64:
			*field = slices.Repeat([]int64{7}, n)
		case *[]*int64:
			*field = make([]*int64, n)
			for k := range n - 1 {
				(*field)[k] = proto.Int64(8)
			}
		case **int64:
			*field = nil
			if n > 0 {
				*field = proto.Int64(int64(n))
			}
		case *map[string]string:
			*field = map[string]string{}
			for k := range n {
				(*field)[strings.Repeat("k", k)] = "v"
			}
		case *time.Time:
			*field = day.AddDate(0, 0, n)
		case *uuid.UUID:
			*field = uuid.UUID{15: byte(n)}
		case *bool:
			*field = n == 1
		case *int32:
			*field = int32(n)
		case *int64:
			*field = int64(n)
		case *uint64:
			*field = uint64(n)
		case *uint16:
			*field = uint16(10000 + n)
		default:
			panic(fields.Type().Field(i).Name)
		}
	}
	row.SegmentSteps = slices.Repeat([]string{"then"}, n) // its column takes three words only
}

func TestNoValueOfAnEventIsRefused(t *testing.T) {
	d := migrated(t)
	extreme := &onepxv1.Event{
		SiteId: "shop", Name: strings.Repeat("ü\x00", 1000), Kind: 99, ReceivedAtMs: math.MaxInt64, OccurredAtMs: math.MinInt64,
		EventId: []byte("short"), Visitor: &onepxv1.Visitor{VisitorId: make([]byte, 300), Kind: -7},
		Page:     &onepxv1.Page{Url: strings.Repeat("x", 1<<20), Title: "\xff\xfe"},
		Commerce: &onepxv1.Commerce{ValueMicros: proto.Int64(math.MinInt64), Items: []*onepxv1.Item{{}, {Id: "a", PriceMicros: new(int64)}}},
		Client:   &onepxv1.Client{ScreenWidth: math.MaxUint32},
		Props:    map[string]string{"": "", "a": "b\x00"}, Flags: []string{"", "x"},
	}
	rows := batch(0, 2)
	rows[0].Fill(extreme, enrich.Facts{SiteDay: day, RetentionDays: 395})
	rows[1].Fill(&onepxv1.Event{}, enrich.Facts{SiteDay: day, RetentionDays: 395})
	require.NoError(t, d.Insert(within(t), "token", rows))
	// Merging applies the retention.
	d.exec("OPTIMIZE TABLE " + d.name + ".events FINAL")
	require.EqualValues(t, 2, d.number("SELECT count() FROM %s.events"))
}

func TestRowsAreGoneWhenTheSiteKeepsThemNoLonger(t *testing.T) {
	d := migrated(t)
	rows := batch(0, 2)
	for i := range rows {
		rows[i].DeclaredAt = time.Now().UTC().AddDate(0, 0, -10)
		rows[i].RetentionDays = []uint16{9, 11}[i]
	}
	require.NoError(t, d.Insert(within(t), "token", rows))
	d.exec("OPTIMIZE TABLE " + d.name + ".events FINAL")
	require.EqualValues(t, 1, d.number("SELECT count() FROM %s.events"))
	require.EqualValues(t, 1, d.number("SELECT max(kafka_offset) FROM %s.events"))
}

func TestTheQuestionsOfTheProtocol(t *testing.T) {
	d := migrated(t)
	ctx := t.Context()
	last, err := d.LastRow(ctx, partition)
	require.NoError(t, err)
	require.Equal(t, store.Last{Offset: -1, BatchFirst: -1, HashedOffset: -1}, last)

	rows := batch(100, 10)
	rows[9].Outcome, rows[9].RecordHash, rows[9].EventID = store.OutcomeMissing, 0, uuid.UUID{}
	require.NoError(t, d.Insert(within(t), "token", rows))
	last, err = d.LastRow(ctx, partition)
	require.NoError(t, err)
	require.Equal(t, store.Last{Offset: 109, BatchFirst: 100, HashedOffset: 108, RecordHash: 109}, last)

	other, err := d.LastRow(ctx, store.Partition{Topic: partition.Topic, ID: 4})
	require.NoError(t, err)
	require.EqualValues(t, -1, other.Offset)

	n, err := d.CountRows(ctx, store.Range{Partition: partition, First: 95, Last: 104})
	require.NoError(t, err)
	require.EqualValues(t, 5, n)

	recent := map[store.EventKey]time.Time{}
	require.NoError(t, d.RecentEvents(ctx, partition, 105, rows[2].RecordTime, func(key store.EventKey, at time.Time) { recent[key] = at.UTC() }))
	require.Len(t, recent, 3, "offsets 102 to 104")
	require.Equal(t, rows[4].RecordTime, recent[store.EventKey{SiteID: "shop", EventID: rows[4].EventID}])

	ask := func(i int) store.EventKey { return store.EventKey{SiteID: "shop", EventID: rows[i].EventID} }
	seen, err := d.Seen(ctx, partition, 105, day, []store.EventKey{ask(3), ask(8), {SiteID: "shop", EventID: uuid.New()}})
	require.NoError(t, err)
	require.Len(t, seen, 1, "offset 108 is not below 105")
	require.Equal(t, rows[3].RecordTime, seen[ask(3)].UTC())

	require.NoError(t, d.SaveRules(ctx, "abc", "{}"))
	text, known, err := d.Rules(ctx, "abc")
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, "{}", text)
	_, known, err = d.Rules(ctx, "other")
	require.NoError(t, err)
	require.False(t, known)

	views, err := d.CountViews(ctx)
	require.NoError(t, err)
	require.Equal(t, 18, views)
}

// TestEventIDsAreFilledFromEvents where the view has missed a range, and filling them twice changes nothing.
func TestEventIDsAreFilledFromEvents(t *testing.T) {
	d := migrated(t)
	ctx := t.Context()
	rows := batch(100, 10)
	require.NoError(t, d.Insert(within(t), "token", rows))
	d.exec("TRUNCATE TABLE " + d.name + ".event_ids")
	keys := []store.EventKey{{SiteID: "shop", EventID: rows[3].EventID}, {SiteID: "shop", EventID: rows[8].EventID}}
	seen, err := d.Seen(ctx, partition, 200, day, keys)
	require.NoError(t, err)
	require.Empty(t, seen)
	for range 2 {
		require.NoError(t, d.FillEventIDs(ctx, store.Range{Partition: partition, First: 100, Last: 105}))
		seen, err = d.Seen(ctx, partition, 200, day, keys)
		require.NoError(t, err)
		require.Len(t, seen, 1, "offset 108 is not of the range")
		require.Equal(t, rows[3].RecordTime, seen[keys[0]].UTC())
	}
}

func TestManyEventIDsAreAskedForInOneQuery(t *testing.T) {
	d := migrated(t)
	rows := batch(0, 50000)
	require.NoError(t, d.Insert(within(t), "token", rows))
	keys := make([]store.EventKey, len(rows))
	for i := range rows {
		keys[i] = store.EventKey{SiteID: "shop", EventID: rows[i].EventID}
	}
	seen, err := d.Seen(context.Background(), partition, 50000, day, keys)
	require.NoError(t, err)
	require.Len(t, seen, len(rows))
}
