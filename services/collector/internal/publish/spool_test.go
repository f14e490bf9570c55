package publish_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/onepx/onepx/services/collector/internal/publish"
	"github.com/onepx/onepx/services/collector/internal/spool"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

// spooled is one reason per event for the spool.
func spooled(n int) []reason.Reason {
	words := make([]reason.Reason, n)
	for i := range words {
		words[i] = reason.InSpool
	}
	return words
}

// startWithSpool starts a publisher with a spool on the file system, and a short patience with Kafka.
func startWithSpool(t *testing.T, fs vfs.FS, change func(*publish.Config)) fixture {
	t.Helper()
	s, err := spool.Open(spool.Config{
		Dir: "spool", QuotaBytes: 1 << 20, SegmentBytes: 64 << 10, BatchRecords: 100, BatchBytes: 1 << 20, Now: time.Now, FS: fs,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return start(t, func(c *publish.Config) {
		c.Spool, c.SpoolOutage, c.Timeout = s, c.Outage, impatience
		if change != nil {
			change(c)
		}
	})
}

// replay runs Replay until the test ends.
func (f fixture) replay(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Replay(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// lose makes Kafka silent and lets the publisher notice.
func (f fixture) lose(t *testing.T) {
	t.Helper()
	require.Empty(t, f.Publish(t.Context(), event(t, 9000, 0)))
	f.clock.advance(2 * time.Second)
	f.broker.Silence()
	require.Equal(t, reason.InSpool, f.Publish(t.Context(), event(t, 9001, 0)))
}

func TestWhileKafkaIsAwayEventsGoToTheSpoolAndFromThereToKafkaInOrder(t *testing.T) {
	f := startWithSpool(t, vfs.NewMem(), nil)
	f.lose(t)
	held := f.InFlight()
	for i := range 50 {
		require.Equal(t, reason.InSpool, f.Publish(t.Context(), event(t, i, 0)))
	}
	require.Equal(t, spooled(20), f.PublishAll(t.Context(), events(t, 50, 20)))
	require.Equal(t, held, f.InFlight(), "nothing new entered the Writer")
	require.Equal(t, 71, f.config.Spool.Len())
	require.NoError(t, f.SpoolReady())
	f.replay(t)
	f.broker.Resume()
	require.Eventually(t, func() bool { return f.config.Spool.Len() == 0 }, patience, time.Millisecond)
	require.Empty(t, f.Publish(t.Context(), event(t, 9002, 0)), "open again")

	var order []uint64
	for _, record := range f.records(t) {
		ev, err := eventlog.Decode(record.Value)
		require.NoError(t, err)
		if n := binary.BigEndian.Uint64(ev.EventId); n < 50 {
			require.True(t, eventlog.Replayed(record.Headers))
			order = append(order, n)
		}
	}
	require.Len(t, order, 50)
	require.IsIncreasing(t, order)
	require.EqualValues(t, 71, f.Replayed())
}

func TestTooManyOnTheirWayGoToTheSpool(t *testing.T) {
	f := startWithSpool(t, vfs.NewMem(), func(c *publish.Config) { c.InFlight, c.Timeout = 2, patience })
	f.broker.Silence()
	words := make(chan reason.Reason, 2)
	for i := range 2 {
		go func() { words <- f.Publish(t.Context(), event(t, i, i)) }()
	}
	require.Eventually(t, func() bool { return f.InFlight() == 2 }, patience, time.Millisecond)
	require.Equal(t, reason.InSpool, f.Publish(t.Context(), event(t, 3, 0)))
	f.broker.Resume()
	<-words
	<-words
}

func TestASpoolThatIsFull(t *testing.T) {
	f := startWithSpool(t, vfs.NewMem(), nil)
	f.lose(t)
	large := event(t, 1, 0)
	large.Name = strings.Repeat("x", 90_000)
	require.Eventually(t, func() bool { return f.Publish(t.Context(), large) == reason.SpoolFull }, patience, time.Millisecond)
	require.ErrorContains(t, f.SpoolReady(), "full")
	f.replay(t)
	f.broker.Resume()
	require.Eventually(t, func() bool { return f.SpoolReady() == nil }, patience, time.Millisecond)
}

func TestADiskThatFails(t *testing.T) {
	broken := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && !strings.HasSuffix(op.Path, "LOCK") {
			return errorfs.ErrInjected
		}
		return nil
	})
	toggle := errorfs.Toggle{Injector: broken}
	f := startWithSpool(t, errorfs.Wrap(vfs.NewMem(), &toggle), nil)
	toggle.On()
	require.Empty(t, f.Publish(t.Context(), event(t, 1, 0)))
	f.clock.advance(2 * time.Second)
	f.broker.Silence()
	require.Equal(t, reason.SpoolFailed, f.Publish(t.Context(), event(t, 2, 0)))
	require.ErrorContains(t, f.SpoolReady(), "disk")
	f.clock.advance(10 * time.Second)
	require.NoError(t, f.SpoolReady(), "one may try whether it works again")
	f.broker.Resume()
	require.Eventually(t, func() bool {
		f.clock.advance(10 * time.Second)
		return f.Publish(t.Context(), event(t, 3, 0)) == ""
	}, patience, time.Millisecond, "kafka comes back into use though nothing in the spool can find out")
}

func TestAnEventInTheSpoolThatKafkaRefusesForGood(t *testing.T) {
	var refused []error
	f := startWithSpool(t, vfs.NewMem(), func(c *publish.Config) {
		c.Unreplayable = func(err error) { refused = append(refused, err) }
	})
	f.lose(t)
	require.Equal(t, spooled(3), f.PublishAll(t.Context(), events(t, 0, 3)))
	require.NoError(t, f.config.Spool.Append(t.Context(), spool.Record{Key: []byte("k"), Value: make([]byte, 200_000)}))
	require.Equal(t, spooled(3), f.PublishAll(t.Context(), events(t, 3, 3)))
	f.broker.Resume()
	require.NoError(t, f.Drain(t.Context()))
	require.Len(t, refused, 1)
	require.EqualValues(t, 7, f.Replayed(), "the others are in kafka")
}

func TestADrainThatIsCutOffLosesNothing(t *testing.T) {
	fs := vfs.NewMem()
	f := startWithSpool(t, fs, nil)
	f.lose(t)
	require.Equal(t, spooled(30), f.PublishAll(t.Context(), events(t, 0, 30)))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, f.Drain(ctx), context.DeadlineExceeded)
	require.Equal(t, 31, f.config.Spool.Len())
	f.broker.Resume()
	fault := f.broker.FailProduces(7, kerr.NotEnoughReplicas)
	require.NoError(t, f.Drain(t.Context()))
	require.EqualValues(t, 7, fault.Hits())
	seen := map[string]bool{}
	for _, record := range f.records(t) {
		seen[string(record.Key)] = true
	}
	for _, ev := range events(t, 0, 30) {
		require.True(t, seen[string(eventlog.Key(ev))], fmt.Sprint(ev.EventId))
	}
}

func TestABusySiteLeavesPlacesToOthers(t *testing.T) {
	f := start(t, func(c *publish.Config) { c.InFlight = 50 })
	require.Empty(t, f.Publish(t.Context(), event(t, 1000, 0))) // the Writer knows the partitions now
	release := f.hold()
	var words sync.Map
	var callers sync.WaitGroup
	begin := func(i int, site string) {
		ev := event(t, i, i%partitions)
		ev.SiteId = site
		callers.Go(func() { words.Store(i, f.Publish(t.Context(), ev)) })
	}
	for i := range 40 {
		begin(i, "busy")
	}
	require.Eventually(t, func() bool { return f.InFlight() == 40 }, patience, time.Millisecond)
	ev := event(t, 41, 0)
	ev.SiteId = "busy"
	require.Equal(t, reason.Overloaded, f.Publish(t.Context(), ev), "it has four times what is free")
	for i := range 8 {
		begin(100+i, "small")
	}
	require.Eventually(t, func() bool { return f.InFlight() == 48 }, patience, time.Millisecond)
	release()
	callers.Wait()
	for i := range 8 {
		word, _ := words.Load(100 + i)
		require.Contains(t, []any{reason.Reason("")}, word)
	}
}
