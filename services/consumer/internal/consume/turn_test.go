package consume

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// taken are turns of which others hold all.
func taken(t *testing.T) *semaphore.Weighted {
	t.Helper()
	turns := NewTurns()
	require.True(t, turns.TryAcquire(turnMaking+turnSending))
	return turns
}

// TestNothingIsDeclaredOutOfTurn, and a worker that waits for its turn holds no more than a part of a batch.
func TestNothingIsDeclaredOutOfTurn(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		turns := taken(t)
		cursors := &countingLog{}
		w.events(1, 100)
		p := w.run(t, func(d *Deps) {
			cursors.Log, d.Log, d.Turns = d.Log, cursors, turns
			d.Limits.BatchRows, d.Limits.BatchBytes = 50, 1<<20
		})
		rest(time.Minute)
		require.Zero(t, w.stored())
		require.Equal(t, Committed{Metadata: idle}, w.group.get())
		require.Less(t, cursors.read, 10, "records of 100 bytes, of which 512 may wait")
		turns.Release(turnMaking + turnSending)
		until(t, "all is stored", func() bool { return w.stored() == 100 })
		require.Equal(t, 2, batches(w), "once it has the turn, a batch takes what Kafka holds already")
		p.stop()
		require.NoError(t, endsSoon(t, p))
		require.True(t, turns.TryAcquire(turnMaking+turnSending), "what was taken is given back")
	})
}

func batches(w *world) int {
	firsts := map[int64]bool{}
	for _, row := range w.house.events.rows {
		firsts[row.BatchFirst] = true
	}
	return len(firsts)
}

// countingLog counts the records that are read.
type countingLog struct {
	Log
	read int
}

func (l *countingLog) Open(offset int64) (Cursor, error) {
	cursor, err := l.Log.Open(offset)
	return &countingCursor{cursor, l}, err
}

type countingCursor struct {
	Cursor
	log *countingLog
}

func (c *countingCursor) Next(ctx context.Context) (kafka.Message, error) {
	m, err := c.Cursor.Next(ctx)
	if err == nil {
		c.log.read++
	}
	return m, err
}

// TestWaitingForATurnEnds when the process stops, with an idle position, and when the generation ends.
func TestWaitingForATurnEnds(t *testing.T) {
	for name, end := range map[string]func(p *process){
		"the process stops":   func(p *process) { p.stop() },
		"the generation ends": func(p *process) { p.cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.events(1, 3)
				p := w.run(t, func(d *Deps) { d.Turns = taken(t) })
				rest(time.Minute)
				end(p)
				require.NoError(t, endsSoon(t, p))
				require.Equal(t, Committed{Metadata: idle}, w.group.get())
				require.Zero(t, w.stored())
			})
		})
	}
}

// TestRecoveryWaitsForATurnToo, and leaves the declaration as it is when the process stops meanwhile.
func TestRecoveryWaitsForATurnToo(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.events(1, 3)
		first := w.run(t, func(d *Deps) {
			d.Store = &partStore{Store: d.Store, insert: func(ctx context.Context, _ string, _ iter.Seq[*store.Row]) error { return hang(ctx) }}
		})
		until(t, "the declaration", func() bool { return w.group.get().Metadata != idle })
		declared := w.group.get()
		first.cancel()
		require.NoError(t, endsSoon(t, first))
		waiting := w.run(t, func(d *Deps) { d.Turns = taken(t) })
		rest(time.Minute)
		waiting.stop()
		require.NoError(t, endsSoon(t, waiting))
		require.Equal(t, declared, w.group.get())
		w.run(t)
		until(t, "all is stored", func() bool { return w.stored() == 3 })
	})
}

// TestABatchOnItsWayLetsAnotherBeMade, but not two, and a failed insert keeps nothing while its worker waits to try again.
func TestABatchOnItsWayLetsAnotherBeMade(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.events(1, 3)
		turns, failing, sending := NewTurns(), &partStore{}, false
		failing.insert = func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
			require.False(t, turns.TryAcquire(turnMaking), "its rows are being made")
			all := cloned(rows)
			sending = turns.TryAcquire(turnMaking)
			require.False(t, turns.TryAcquire(1))
			turns.Release(turnMaking)
			if failing.inserts.Load() == 1 {
				return errAway
			}
			return failing.Store.Insert(ctx, token, func(yield func(*store.Row) bool) {
				for i := range all {
					yield(&all[i])
				}
			})
		}
		w.run(t, func(d *Deps) { failing.Store, d.Store, d.Turns = d.Store, failing, turns })
		until(t, "the insert that fails", func() bool { return failing.inserts.Load() == 1 })
		require.True(t, sending)
		require.True(t, turns.TryAcquire(turnMaking+turnSending), "it pauses before it tries again")
		turns.Release(turnMaking + turnSending)
		until(t, "all is stored", func() bool { return w.stored() == 3 })
	})
}
