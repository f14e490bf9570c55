package publish_test

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/account"
	"github.com/onepx/onepx/services/collector/internal/publish"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partitions = 3

// patience is how long these tests wait for what must happen.
const patience = 20 * time.Second

// impatience is the publisher's where Kafka does not answer; long enough for one that does, on a busy machine.
const impatience = time.Second

// clock stands still until a test moves it.
type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_795_608_000, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

type fixture struct {
	*publish.Publisher
	broker *kafkatest.Broker
	clock  *clock
	config publish.Config
}

func start(t *testing.T, change func(*publish.Config)) fixture {
	t.Helper()
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicEvents: partitions})
	kafkaSettings := kafkaconn.Settings{Brokers: []string{broker.Addr()}, ClientID: "onepx"}
	transport, err := kafkaSettings.Transport()
	require.NoError(t, err)
	f := fixture{broker: broker, clock: &clock{}}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	f.config = publish.Config{
		Addr: kafkaSettings.Addr(), Transport: transport, InFlight: 64, Timeout: patience, MaxEventBytes: 100_000, Counts: account.NewCounts(),
		Outage: telemetry.NewOutageLog(log, "kafka", time.Now), Now: f.clock.now,
	}
	if change != nil {
		change(&f.config)
	}
	f.Publisher = publish.New(f.config)
	t.Cleanup(func() {
		broker.Resume()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, f.Close(ctx))
		transport.CloseIdleConnections()
	})
	return f
}

// event returns an event with an id of its own that goes to the partition.
func event(t *testing.T, number, partition int) *onepxv1.Event {
	t.Helper()
	ev := &onepxv1.Event{Schema: 1, SiteId: "shop", ReceivedAtMs: 1, EventId: make([]byte, 16)}
	for salt := uint64(0); ; salt++ {
		binary.BigEndian.PutUint64(ev.EventId, uint64(number))
		binary.BigEndian.PutUint64(ev.EventId[8:], salt)
		if (kafka.Murmur2Balancer{}).Balance(kafka.Message{Key: eventlog.Key(ev)}, 0, 1, 2) == partition {
			return ev
		}
	}
}

func (f fixture) records(t *testing.T) []kafka.Message {
	t.Helper()
	return f.broker.Records(t, eventlog.TopicEvents)
}

func TestWhatIsAcknowledgedIsInTheTopicOnce(t *testing.T) {
	f := start(t, nil)
	const callers, each = 8, 25
	var wait sync.WaitGroup
	for caller := range callers {
		wait.Go(func() {
			for i := range each {
				number := caller*each + i
				if word := f.Publish(t.Context(), event(t, number, number%partitions)); word != "" {
					t.Errorf("event %d: %s", number, word)
				}
			}
		})
	}
	wait.Wait()
	seen := map[uint64]bool{}
	for _, record := range f.records(t) {
		ev, err := eventlog.Decode(record.Value)
		require.NoError(t, err)
		number := binary.BigEndian.Uint64(ev.EventId)
		require.False(t, seen[number])
		seen[number] = true
		require.EqualValues(t, number%partitions, record.Partition, "the key decides the partition, as it does for Java clients")
		require.Equal(t, eventlog.Key(ev), record.Key)
		require.Equal(t, f.clock.now().UnixMilli(), record.Time.UnixMilli(), "the record time is the moment of publishing")
	}
	require.Len(t, seen, callers*each)
	require.Zero(t, f.InFlight())
}

// sampled is the context of a request that is traced.
func sampled(t *testing.T) context.Context {
	t.Helper()
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	return trace.ContextWithSpanContext(t.Context(), span)
}

func TestOnlyTheRecordOfASampledRequestCarriesItsTrace(t *testing.T) {
	f := start(t, nil)
	unsampled := trace.SpanContextFromContext(sampled(t)).WithTraceFlags(0)
	require.Empty(t, f.Publish(sampled(t), event(t, 1, 0)))
	require.Empty(t, f.Publish(t.Context(), event(t, 2, 0)))
	require.Empty(t, f.Publish(trace.ContextWithSpanContext(t.Context(), unsampled), event(t, 3, 0)))
	records := f.records(t)
	require.Equal(t, []kafka.Header{{Key: "traceparent", Value: []byte("00-01000000000000000000000000000000-0200000000000000-01")}}, records[0].Headers)
	require.Empty(t, records[1].Headers)
	require.Empty(t, records[2].Headers)
}

func TestAnEventOfAVisitorWhoLeftIsStoredAllTheSame(t *testing.T) {
	f := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, f.Publish(ctx, event(t, 1, 0)))
	require.Len(t, f.records(t), 1)
}

func TestAShortFailureIsRetried(t *testing.T) {
	f := start(t, nil)
	fault := f.broker.FailProduces(2, kerr.NotLeaderForPartition)
	require.Empty(t, f.Publish(t.Context(), event(t, 1, 0)))
	require.EqualValues(t, 2, fault.Hits())
	require.Len(t, f.records(t), 1)
}

func TestAnEventWaitsOnlyForItsOwnPartition(t *testing.T) {
	f := start(t, nil)
	f.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{1}, Err: kerr.NotEnoughReplicas, Count: -1})
	words := make(chan reason.Reason, 1)
	go func() { words <- f.Publish(t.Context(), event(t, 1, 1)) }()
	require.Eventually(t, func() bool { return f.InFlight() == 1 }, patience, time.Millisecond)
	require.Empty(t, f.Publish(t.Context(), event(t, 2, 0)))
	require.Equal(t, reason.KafkaUnavailable, <-words)
	require.Empty(t, f.Publish(t.Context(), event(t, 3, 2)), "one partition without a leader does not close the gate for the others")
}

func TestTooManyOnTheirWay(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.InFlight = 2 })
	f.broker.Silence()
	words := make(chan reason.Reason, 2)
	for i := range 2 {
		go func() { words <- f.Publish(t.Context(), event(t, i, i)) }()
	}
	require.Eventually(t, func() bool { return f.InFlight() == 2 }, patience, time.Millisecond)
	require.Equal(t, reason.Overloaded, f.Publish(t.Context(), event(t, 3, 0)))
	f.broker.Resume()
	<-words
	<-words
}

func TestWhoIsKeptOutByAnOutageIsToldSo(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.InFlight, c.Timeout = 1, impatience })
	require.Empty(t, f.Publish(t.Context(), event(t, 0, 0)))
	f.clock.advance(2 * time.Second)
	f.broker.Silence()
	require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 1, 0)))
	require.Equal(t, 1, f.InFlight(), "all places are held by events that wait for Kafka")
	require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 2, 0)))
}

// recordOverhead is what the publisher allows for Kafka's part of a record.
const recordOverhead = 256

func TestAnEventTooLargeForKafka(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.MaxEventBytes = 2000 })
	ev := event(t, 1, 0)
	ev.Name = strings.Repeat("x", 2000)
	require.Equal(t, reason.EventTooLarge, f.Publish(t.Context(), ev))
	ev.Name = strings.Repeat("x", 1600)
	require.Empty(t, f.Publish(t.Context(), ev))
	// Whether a request is traced must not decide whether its event is too large.
	size := func() int { return proto.Size(ev) + len(eventlog.Key(ev)) + recordOverhead }
	ev.Name = strings.Repeat("x", len(ev.GetName())+2000-size())
	require.Equal(t, 2000, size())
	require.Empty(t, f.Publish(sampled(t), ev), "the largest")
	ev.Name += "x"
	require.Equal(t, reason.EventTooLarge, f.Publish(sampled(t), ev))
	require.Equal(t, reason.EventTooLarge, f.Publish(t.Context(), ev))
	require.Zero(t, f.InFlight())
}

func TestAnEventThatCannotBeEncodedIsADefect(t *testing.T) {
	f := start(t, nil)
	ev := event(t, 1, 0)
	ev.Name = "\xff"
	require.Equal(t, reason.InternalError, f.Publish(t.Context(), ev))
	require.Zero(t, f.InFlight())
}

func TestWhileKafkaIsAwayOneEventASecondTries(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.Timeout = impatience })
	require.Empty(t, f.Publish(t.Context(), event(t, 1, 0)))
	f.clock.advance(2 * time.Second)
	f.broker.Silence()
	require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 2, 0)))
	require.Equal(t, 1, f.InFlight(), "the Writer still tries it")
	for i := range 1000 {
		require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 10+i, 0)))
	}
	require.LessOrEqual(t, f.InFlight(), 1, "nothing new entered the Writer")
	f.clock.advance(time.Second)
	require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 3, 1)), "the probe of this second")
	require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 4, 1)), "the next waits for the next second")
	f.broker.Resume()
	require.Eventually(t, func() bool {
		f.clock.advance(time.Second)
		return f.Publish(t.Context(), event(t, 5, 2)) == ""
	}, patience, 10*time.Millisecond)
	require.Empty(t, f.Publish(t.Context(), event(t, 6, 2)), "open again")
}

func TestCloseWaitsForEventsWhoseCallersHaveGone(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.Timeout = time.Second })
	require.Empty(t, f.Publish(t.Context(), event(t, 1, 0)))
	f.clock.advance(2 * time.Second)
	f.broker.FailProduces(2, kerr.NotEnoughReplicas)
	f.broker.Silence()
	require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 2, 0)))
	require.Equal(t, 1, f.InFlight())
	f.broker.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, f.Close(ctx))
	require.Equal(t, reason.Stopping, f.Publish(t.Context(), event(t, 3, 0)))
}

func TestCloseGivesUpInTime(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.Timeout = impatience })
	f.broker.Silence()
	words := make(chan reason.Reason, 1)
	go func() { words <- f.Publish(t.Context(), event(t, 1, 0)) }()
	require.Eventually(t, func() bool { return f.InFlight() == 1 }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, f.Close(ctx), context.DeadlineExceeded)
	require.Equal(t, reason.Stopping, f.Publish(t.Context(), event(t, 2, 0)))
	require.Equal(t, reason.KafkaUnavailable, <-words)
}

func TestHealth(t *testing.T) {
	f := start(t, nil)
	health := publish.NewHealth(f.config)
	require.ErrorContains(t, health.Err(), "not asked yet")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { health.Watch(ctx); close(ended) }()
	require.Eventually(t, func() bool { return health.Err() == nil }, patience, time.Millisecond)
	f.broker.Silence()
	require.Eventually(t, func() bool { return health.Err() != nil }, patience, time.Millisecond)
	f.broker.Resume()
	require.Eventually(t, func() bool { return health.Err() == nil }, patience, time.Millisecond)
	cancel()
	<-ended
}

func TestSettleReturnsWhenKafkaHasAnsweredForAll(t *testing.T) {
	f := start(t, func(cfg *publish.Config) { cfg.Timeout = impatience })
	require.NoError(t, f.Settle(t.Context()), "there is nothing")
	f.broker.Silence()
	answered := make(chan reason.Reason)
	go func() { answered <- f.Publish(context.Background(), event(t, 1, 0)) }()
	require.Eventually(t, func() bool { return f.InFlight() == 1 }, patience, time.Millisecond)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, f.Settle(ended), "still on their way to kafka")
	f.broker.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, f.Settle(ctx))
	<-answered
	require.Zero(t, f.InFlight())
	require.Eventually(t, func() bool {
		f.clock.advance(time.Second) // the first event may have shown that Kafka is away, and only after a while is it tried again
		return f.Publish(t.Context(), event(t, 2, 0)) == ""
	}, patience, time.Millisecond, "it has given its places back")
}
