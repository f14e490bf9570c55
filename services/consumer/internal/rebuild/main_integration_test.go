//go:build integration

package rebuild_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/rebuild"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/internal/storetest"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	partition = store.Partition{Topic: "onepx.events", ID: 0}
	day       = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
)

const (
	oldGoals = "sites: [{id: shop, timezone: Europe/Berlin, currency: EUR}, {id: blog, timezone: UTC, currency: USD}]"
	newGoals = `sites: [{id: shop, timezone: Europe/Berlin, currency: EUR, goals: [{id: thanks, url: /thanks, value: "5"}]}, {id: blog, timezone: UTC, currency: USD}]`
)

// world is a fresh database on the real ClickHouse of ONEPX_TEST_CLICKHOUSE, and a group whose position the test writes.
type world struct {
	t        *testing.T
	conn     driver.Conn
	database string
	events   *store.Store
	tables   *store.Rebuilds
	position consume.Position
	lines    []string
	// saved is called after each step.
	saved func(store.Step) error
	// asked is called before each look at the position.
	asked func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	conn, schema := storetest.Fresh(t, clickhouseconn.OfConsumers)
	w := &world{t: t, conn: conn, database: schema.Database, events: store.New(conn, schema), tables: store.NewRebuilds(conn, schema)}
	w.saved, w.asked = func(store.Step) error { return nil }, func() {}
	w.idle(0)
	return w
}

// idle puts the position at an offset, with no declared batch; declared declares a batch.
func (w *world) idle(offset int64) { w.declared(offset, offset-1) }

func (w *world) declared(first, last int64) {
	w.position = consume.Position{Partition: partition, First: first, Last: last, Committed: true}
}

// insert stores purchases on a thank-you page at the offsets first to last, by the goal purchase. It can be repeated.
func (w *world) insert(first, last int64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	err := w.events.Insert(ctx, fmt.Sprint("token-", first, "-", last), func(yield func(*store.Row) bool) {
		for offset := first; offset <= last; offset++ {
			row := purchase(offset)
			if !yield(&row) {
				return
			}
		}
	})
	require.NoError(w.t, err)
}

// purchase is the row of an offset: every third is of the blog, the others of the shop.
func purchase(offset int64) store.Row {
	at := day.Add(10*time.Hour + time.Duration(offset)*time.Millisecond)
	row := store.Row{
		KafkaTopic: partition.Topic, KafkaPartition: int32(partition.ID), KafkaOffset: offset, RecordTime: at, RecordHash: uint64(offset) + 1,
		BatchDay: day, DeclaredAt: at, Outcome: store.OutcomeEvent, SiteID: "shop", EventID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, offset)),
		Kind: "order", Name: "purchase", ReceivedAt: at, OccurredAt: at, SiteDay: day, URL: "https://shop.example/thanks", OrderID: fmt.Sprint("T-", offset),
		Currency: "EUR", SiteCurrency: "EUR", Channel: "Direct", RetentionDays: 3650, Rules: "r",
		GoalIDs: []string{"purchase"}, GoalOncePer: []string{"order"}, GoalValues: []string{"event"}, GoalValueMicros: []*int64{nil},
		GoalCurrencies: []string{"EUR"}, GoalClickWindowDays: []uint8{30}, GoalViewWindowDays: []uint8{1},
	}
	if offset%3 == 2 {
		row.SiteID = "blog"
	}
	return row
}

// rebuild applies the goals of a configuration to the day.
func (w *world) rebuild(config string, change ...func(*rebuild.Request)) error {
	w.t.Helper()
	rules, enricher := enricherOf(w.t, config)
	request := rebuild.Request{From: day, To: day}
	for _, c := range change {
		c(&request)
	}
	w.lines = nil
	return rebuild.Goals(w.t.Context(), rebuild.Deps{
		Tables: w.tables, Rules: rules, Enricher: enricher, InsertDeadline: 10 * time.Millisecond,
		Now: func() time.Time { return day.Add(12 * time.Hour) },
		Positions: func(context.Context) ([]consume.Position, error) {
			w.asked()
			return []consume.Position{w.position}, nil
		},
		Say:   func(format string, args ...any) { w.lines = append(w.lines, fmt.Sprintf(format, args...)) },
		Saved: func(step store.Step) error { return w.saved(step) },
	}, request)
}

// enrichers are those of the configurations; they take long to make.
var enrichers = map[string]*enrich.Enricher{}

func enricherOf(t *testing.T, config string) (enrich.Rules, *enrich.Enricher) {
	t.Helper()
	parsed, err := siteconfig.Parse("f", []byte(config))
	require.NoError(t, err)
	rules := enrich.NewRules(parsed)
	if enrichers[config] == nil {
		enrichers[config], err = enrich.New(rules)
		require.NoError(t, err)
	}
	return rules, enrichers[config]
}

// hits are the offsets of the hits in order, by site and goal.
func (w *world) hits() map[string][]int64 {
	w.t.Helper()
	rows, err := w.conn.Query(w.t.Context(), "SELECT concat(site_id, ' ', goal), arraySort(groupArray(kafka_offset)) FROM "+w.database+".conversion_hits GROUP BY ALL")
	require.NoError(w.t, err)
	defer rows.Close()
	all := map[string][]int64{}
	for rows.Next() {
		var goal string
		var offsets []int64
		require.NoError(w.t, rows.Scan(&goal, &offsets))
		all[goal] = offsets
	}
	require.NoError(w.t, rows.Err())
	return all
}

func (w *world) exec(query string) {
	w.t.Helper()
	require.NoError(w.t, w.conn.Exec(w.t.Context(), strings.ReplaceAll(query, "%s", w.database)))
}

// tablesLike are the names of the tables that begin like conversion_hits.
func (w *world) tablesLike() (names []string) {
	w.t.Helper()
	require.NoError(w.t, w.conn.QueryRow(w.t.Context(), "SELECT arraySort(groupArray(name)) FROM system.tables WHERE database = ? AND startsWith(name, 'conversion_hits')", w.database).Scan(&names))
	return names
}
