package consume

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time of tests that need no virtual clock.
var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// partition is the one that all tests of a single worker store.
var partition = store.Partition{Topic: eventlog.TopicEvents, ID: 3}

// ruleSet are rules under which the site `shop` has the currency that names the set, so that a row shows by which rules it
// was made.
type ruleSet struct {
	rules    enrich.Rules
	enricher *enrich.Enricher
}

func newRuleSet(currency string) ruleSet {
	config, err := siteconfig.Parse("onepx.yaml", []byte("sites:\n  - {id: shop, timezone: Europe/Berlin, currency: "+currency+"}\n  - {id: blog, timezone: UTC, currency: "+currency+"}\n"))
	if err != nil {
		panic(err)
	}
	rules := enrich.NewRules(config)
	enricher, err := enrich.New(rules)
	if err != nil {
		panic(err)
	}
	return ruleSet{rules, enricher}
}

// The rules of tests. Those of a newer program can be read by its own processes only.
var (
	euroRules   = newRuleSet("EUR")
	dollarRules = newRuleSet("USD")
	newerRules  = func() ruleSet {
		set := newRuleSet("GBP")
		set.rules.Enrichment = "of a newer program"
		return set
	}()
)

func quietLogger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func noMetrics(t testing.TB) *Metrics {
	t.Helper()
	metrics, err := NewMetrics(noop.NewMeterProvider().Meter(""))
	require.NoError(t, err)
	return metrics
}

var noTracer = tracenoop.NewTracerProvider().Tracer("")

// idOf is an event, visitor or user id that is easy to tell apart.
func idOf(n int) []byte {
	id := make([]byte, 16)
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	id[0] = 0xee
	return id
}

func keyOf(site string, n int) store.EventKey {
	return store.EventKey{SiteID: site, EventID: uuid.UUID(idOf(n))}
}

// hit is a page view of the shop that the collector has given an id.
func hit(id int, options ...func(*onepxv1.Event)) *onepxv1.Event {
	event := &onepxv1.Event{
		Schema: 1, EventId: idOf(id), EventIdOrigin: onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR, SiteId: "shop",
		Kind: onepxv1.EventKind_EVENT_KIND_PAGE_VIEW, Name: "page_view",
		ReceivedAtMs: noon.UnixMilli(), OccurredAtMs: noon.UnixMilli(),
		Visitor: &onepxv1.Visitor{VisitorId: idOf(1000 + id), Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE},
	}
	for _, option := range options {
		option(event)
	}
	return event
}

func clientMade(event *onepxv1.Event) { event.EventIdOrigin = onepxv1.IdOrigin_ID_ORIGIN_CLIENT }

func ofSite(site string) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) { event.SiteId = site }
}

func byVisitor(n int) func(*onepxv1.Event) {
	return func(event *onepxv1.Event) { event.Visitor.VisitorId = idOf(n) }
}

// recordOf is the record of an event, as Kafka gives it.
func recordOf(offset int64, at time.Time, event *onepxv1.Event, headers ...kafka.Header) kafka.Message {
	value, err := proto.Marshal(event)
	if err != nil {
		panic(err)
	}
	return kafka.Message{Topic: partition.Topic, Partition: partition.ID, Offset: offset, Key: eventlog.Key(event), Value: value, Headers: headers, Time: at}
}

// garbage is a record that is no event.
func garbage(offset int64, at time.Time) kafka.Message {
	return kafka.Message{Topic: partition.Topic, Partition: partition.ID, Offset: offset, Value: []byte("no event"), Time: at}
}

var replayed = kafka.Header{Key: eventlog.HeaderReplayed, Value: []byte("1")}

// noContext is for calls of fakes that look at no context.
var noContext = context.Background()

// rest lets virtual time pass.
func rest(d time.Duration) { <-time.After(d) }

// wait lets time pass until the context ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
