package publish_test

import (
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/publish"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

// events returns n events with the numbers from first on, spread over the partitions in turn.
func events(t *testing.T, first, n int) []*onepxv1.Event {
	t.Helper()
	var list []*onepxv1.Event
	for i := range n {
		list = append(list, event(t, first+i, (first+i)%partitions))
	}
	return list
}

// hold keeps the broker from acting on records until the test calls what it returns.
func (f fixture) hold() (release func()) {
	held := make(chan struct{})
	cluster := f.broker.Cluster
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		cluster.SleepControl(func() { <-held })
		return nil, nil, false
	})
	return func() { close(held) }
}

// stored is one reason per event that is none.
func stored(n int) []reason.Reason { return make([]reason.Reason, n) }

func TestTheEventsOfARequestAreOnTheirWayAtOnce(t *testing.T) {
	f := start(t, nil)
	require.Empty(t, f.Publish(t.Context(), event(t, 1000, 0))) // the Writer knows the partitions now
	release := f.hold()
	words := make(chan []reason.Reason, 1)
	go func() { words <- f.PublishAll(t.Context(), events(t, 0, 20)) }()
	require.Eventually(t, func() bool { return f.InFlight() == 20 }, patience, time.Millisecond)
	release()
	require.Equal(t, stored(20), <-words)
	last := map[int]uint64{}
	for _, record := range f.records(t)[1:] {
		ev, err := eventlog.Decode(record.Value)
		require.NoError(t, err)
		number := binary.BigEndian.Uint64(ev.EventId) + 1
		require.Greater(t, number, last[record.Partition], "their order is kept")
		last[record.Partition] = number
	}
	require.Zero(t, f.InFlight())
}

func TestRequestsWithMoreEventsThanPlacesAllFinish(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.InFlight = 4 })
	const requests, each = 4, 30
	var wait sync.WaitGroup
	for request := range requests {
		wait.Go(func() {
			for i, word := range f.PublishAll(t.Context(), events(t, request*each, each)) {
				if word != "" {
					t.Errorf("event %d of request %d: %s", i, request, word)
				}
			}
		})
	}
	wait.Wait()
	require.Len(t, f.records(t), requests*each)
	require.Zero(t, f.InFlight())
}

func TestARequestWithManyEventsLeavesHalfOfThePlacesToOthers(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.InFlight = 4 })
	require.Empty(t, f.Publish(t.Context(), event(t, 1000, 0))) // the Writer knows the partitions now
	release := f.hold()
	many := make(chan []reason.Reason, 1)
	go func() { many <- f.PublishAll(t.Context(), events(t, 0, 10)) }()
	require.Eventually(t, func() bool { return f.InFlight() == 2 }, patience, time.Millisecond)
	single := make(chan reason.Reason, 2)
	for i := range 2 {
		go func() { single <- f.Publish(t.Context(), event(t, 100+i, i)) }()
	}
	require.Eventually(t, func() bool { return f.InFlight() == 4 }, patience, time.Millisecond)
	require.Equal(t, reason.Overloaded, f.Publish(t.Context(), event(t, 200, 0)))
	release()
	require.Empty(t, <-single)
	require.Empty(t, <-single)
	require.Equal(t, stored(10), <-many)
}

func TestEachEventOfARequestHasItsOwnFate(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.MaxEventBytes = 2000 })
	f.broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{1}, Err: kerr.NotEnoughReplicas, Count: -1})
	list := events(t, 0, 6)
	list[2].Name = strings.Repeat("x", 2000)
	list[3].Name = "\xff"
	require.Equal(t, []reason.Reason{"", reason.KafkaUnavailable, reason.EventTooLarge, reason.InternalError, reason.KafkaUnavailable, ""},
		f.PublishAll(t.Context(), list))
	require.Len(t, f.records(t), 2)
	require.Zero(t, f.InFlight())
}

func TestNoEventOfARequestWaitsLongerThanOneWould(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.InFlight, c.Timeout = 2, impatience })
	require.Empty(t, f.Publish(t.Context(), event(t, 0, 0)))
	f.clock.advance(2 * time.Second)
	f.broker.Silence()
	unavailable := []reason.Reason{reason.KafkaUnavailable, reason.KafkaUnavailable, reason.KafkaUnavailable}
	require.Equal(t, unavailable, f.PublishAll(t.Context(), events(t, 1, 3)))
	held := f.InFlight()
	require.LessOrEqual(t, held, 1)
	require.Equal(t, unavailable, f.PublishAll(t.Context(), events(t, 10, 3)), "while Kafka is away nobody waits")
	require.Equal(t, held, f.InFlight(), "nothing new entered the Writer")
}
