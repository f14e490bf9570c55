//go:build integration

package audiences_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/consumer/internal/audiences"
	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/internal/storetest"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/suppression"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	partition = store.Partition{Topic: "onepx.events", ID: 0}
	day       = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
)

// errKilled ends a round as a crash does.
var errKilled = errors.New("killed")

// world is a fresh database on the real ClickHouse of ONEPX_TEST_CLICKHOUSE, a clock, a suppression list and a topic.
type world struct {
	t        *testing.T
	conn     driver.Conn
	database string
	events   *store.Store
	list     *suppression.List
	stream   *audiences.Stream

	now    time.Time
	next   int64 // offset
	wishes int64 // offset in the list
	told   []audiences.Message
	// unread tells that the partition cannot be asked how far it is stored.
	unread bool
	// saved is called after each write.
	saved func(what string) error
	// publish is called before messages are written to the topic.
	publish func() error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	conn, schema := storetest.Fresh(t, clickhouseconn.OfConsumers)
	w := &world{
		t: t, conn: conn, database: schema.Database, events: store.New(conn, schema), list: suppression.New(), now: day.Add(10 * time.Hour),
		saved: func(string) error { return nil }, publish: func() error { return nil },
	}
	w.restart()
	return w
}

// restart is a new process.
func (w *world) restart() {
	w.t.Helper()
	metrics, err := audiences.NewMetrics(noop.NewMeterProvider().Meter(""))
	require.NoError(w.t, err)
	w.stream = audiences.New(audiences.Deps{
		Store: store.NewAudiences(w.conn, w.database), List: w.list,
		Stored: func(context.Context) ([]consume.Position, error) {
			if w.unread {
				return nil, errors.New("its position cannot be read")
			}
			return []consume.Position{{Partition: partition, First: w.next, Last: w.next - 1, Committed: true}}, nil
		},
		Publish: func(_ context.Context, messages []kafka.Message) error {
			if err := w.publish(); err != nil {
				return err
			}
			for _, message := range messages {
				var told audiences.Message
				require.NoError(w.t, json.Unmarshal(message.Value, &told))
				require.Equal(w.t, told.VisitorID.String(), string(message.Key))
				w.told = append(w.told, told)
			}
			return nil
		},
		Retention: func(string) time.Duration { return 395 * 24 * time.Hour }, Metrics: metrics, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return w.now }, Saved: func(what string) error { return w.saved(what) },
	})
	require.NoError(w.t, w.stream.Begin(w.t.Context()))
}

// rounds lets the stream do all there is. A process that is killed is started again.
func (w *world) rounds() {
	w.t.Helper()
	for more := true; more; {
		var err error
		more, err = w.stream.Round(w.t.Context())
		if errors.Is(err, errKilled) {
			w.restart()
			more, err = true, nil
		}
		require.NoError(w.t, err)
	}
}

// later moves the clock.
func (w *world) later(d time.Duration) { w.now = w.now.Add(d) }

// segment configures a segment of the shop; its name says which condition of events it has.
func (w *world) segment(change func(*store.Segment)) {
	w.t.Helper()
	s := store.Segment{SiteID: "shop", Segment: "carts", Version: "1", State: store.SegmentActive, TimesMin: 1, LivesMs: hours(24), WithinMs: hours(24), Stream: true, Rule: "{}", SavedAt: w.now}
	change(&s)
	require.NoError(w.t, w.events.SaveSegments(w.t.Context(), []store.Segment{s}))
}

func hours(n int64) int64 { return n * time.Hour.Milliseconds() }

// hit is an event now.
type hit struct {
	visitor string
	// step is enter, leave, or refuse for an event that does not allow profiling.
	step string
	// ago is how long ago it was.
	ago     time.Duration
	segment string
	product string
}

func visitor(name string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)) }

// store stores events as one batch.
func (w *world) store(hits ...hit) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	first := w.next
	w.next += int64(len(hits))
	require.NoError(w.t, w.events.Insert(ctx, fmt.Sprint("token-", first), func(yield func(*store.Row) bool) {
		for i, h := range hits {
			at := w.now.Add(-h.ago)
			row := store.Row{
				KafkaTopic: partition.Topic, KafkaPartition: int32(partition.ID), KafkaOffset: first + int64(i), RecordTime: at, RecordHash: 1,
				BatchFirst: first, BatchLast: w.next - 1, BatchDay: day, DeclaredAt: w.now, Outcome: store.OutcomeEvent, SiteID: "shop", EventID: uuid.New(),
				Kind: "custom", Name: h.step, ReceivedAt: at, OccurredAt: at, SiteDay: day, VisitorKind: "cookie", VisitorID: visitor(h.visitor),
				ConsentProfile: h.step != "refuse", SiteCurrency: "EUR", Channel: "Direct", RetentionDays: 3650, Rules: "r",
			}
			if row.ConsentProfile {
				if h.segment == "" {
					h.segment = "carts"
				}
				row.SegmentIDs, row.SegmentVersions, row.SegmentSteps = []string{h.segment}, []string{"1"}, []string{h.step}
				row.SegmentProducts, row.SegmentNth, row.SegmentItemMicros = []string{h.product}, []uint16{0}, []*int64{nil}
			}
			if !yield(&row) {
				return
			}
		}
	}))
}

// wish writes a record of the suppression list.
func (w *world) wish(kind suppression.Kind, id uuid.UUID, value []byte) {
	w.list.Apply(kafka.Message{Offset: w.wishes, Key: suppression.Key(kind, id[:]), Value: value})
	w.stream.Wished(kind, id[:], w.wishes)
	w.wishes++
}

// requireTold requires what was told since the last call, each as "visitor entered segment" or "visitor left segment reason".
func (w *world) requireTold(names []string, want ...string) {
	w.t.Helper()
	var got []string
	for _, m := range w.told {
		who := m.VisitorID.String()
		for _, name := range names {
			if visitor(name) == m.VisitorID {
				who = name
			}
		}
		got = append(got, strings.TrimSpace(who+" "+strings.TrimPrefix(m.Type, "audience_")+" "+m.Segment+" "+m.Reason))
	}
	w.told = nil
	slices.Sort(got)
	slices.Sort(want)
	require.Equal(w.t, want, got)
}

// one runs a query that returns one number; %s in it stands for the database.
func (w *world) one(query string) int64 {
	w.t.Helper()
	var n int64
	require.NoError(w.t, w.conn.QueryRow(w.t.Context(), "SELECT toInt64(("+strings.ReplaceAll(query, "%s", w.database)+"))").Scan(&n))
	return n
}
