package publish_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/onepx/onepx/services/collector/internal/publish"
	"github.com/onepx/onepx/services/collector/internal/spool"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

func TestAnEventThatIsTooLargeForTheTopicIsRefusedAndNotSpooled(t *testing.T) {
	f := startWithSpool(t, vfs.NewMem(), nil)
	require.Empty(t, f.Publish(t.Context(), event(t, 1, 0)))
	f.clock.advance(2 * time.Second)
	fault := f.broker.FailProduces(1, kerr.MessageTooLarge)
	require.Equal(t, reason.EventTooLarge, f.Publish(t.Context(), event(t, 2, 0)))
	require.EqualValues(t, 1, fault.Hits())
	require.Zero(t, f.config.Spool.Len())
	require.Empty(t, f.Publish(t.Context(), event(t, 3, 0)), "kafka does not count as away")
}

func TestARecordFromTheSpoolIsNotLostWhenItsBatchWithOthersIsTooLarge(t *testing.T) {
	var refused atomic.Int64
	f := startWithSpool(t, vfs.NewMem(), func(c *publish.Config) {
		c.Unreplayable = func(error) { refused.Add(1) }
		c.Timeout = patience
	})
	require.Empty(t, f.Publish(t.Context(), event(t, 9000, 0)))
	fault := f.broker.Cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Count: -1,
		When: func(r kmsg.Request) bool { return recordsIn(r) > 1 },
	})
	ctx, cancel := context.WithCancel(t.Context())
	var visitor sync.WaitGroup
	visitor.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			f.Publish(ctx, event(t, n, 0)) // shares a batch with the record now and then
		}
	})
	ev := event(t, 8000, 0)
	require.NoError(t, f.config.Spool.Append(t.Context(), spool.Record{Key: eventlog.Key(ev), Value: []byte{1}}))
	drained := make(chan error, 1)
	go func() { drained <- f.Drain(t.Context()) }()
	require.Eventually(t, func() bool { return f.Replayed() > 0 || fault.Hits() > 0 }, patience, time.Millisecond, "alone, or together with a visitor's")
	cancel()
	visitor.Wait()
	require.NoError(t, <-drained)
	require.Zero(t, refused.Load())
	require.Positive(t, f.Replayed())
}

// recordsIn is how many records a produce request for one partition has.
func recordsIn(r kmsg.Request) int32 {
	var batch kmsg.RecordBatch
	produce, ok := r.(*kmsg.ProduceRequest)
	if !ok || batch.ReadFrom(produce.Topics[0].Partitions[0].Records) != nil {
		return 0
	}
	return batch.NumRecords
}

func TestARequestWithMoreEventsThanMayBeOnTheirWayIsSpooledAsAWhole(t *testing.T) {
	slow := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync {
			<-time.After(time.Millisecond)
		}
		return nil
	})
	f := startWithSpool(t, errorfs.Wrap(vfs.NewMem(), slow), func(c *publish.Config) { c.InFlight = 3 })
	f.lose(t)
	require.Equal(t, spooled(100), f.PublishAll(t.Context(), events(t, 0, 100)))
}

func TestAClockSetBackKeepsNothingAway(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.Timeout = impatience })
	require.Empty(t, f.Publish(t.Context(), event(t, 1, 0)))
	f.clock.advance(-time.Hour)
	f.broker.Silence()
	require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 2, 0)))
	require.Eventually(t, func() bool { return f.InFlight() == 0 }, patience, time.Millisecond, "the Writer has given up")
	require.Equal(t, reason.KafkaUnavailable, f.Publish(t.Context(), event(t, 3, 0)))
	require.Zero(t, f.InFlight(), "kafka counts as away")
	f.clock.advance(-time.Hour)
	f.broker.Resume()
	require.Empty(t, f.Publish(t.Context(), event(t, 4, 0)), "one may try")
}

func TestStoppingWhileKafkaIsAwayIsNoFailureIfTheEventsAreInTheSpool(t *testing.T) {
	f := startWithSpool(t, vfs.NewMem(), func(c *publish.Config) { c.Timeout = time.Second })
	f.lose(t)
	require.Equal(t, 1, f.InFlight(), "the Writer still tries it")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, f.Close(ctx))
	require.Equal(t, 1, f.config.Spool.Len(), "it is here too")
}
