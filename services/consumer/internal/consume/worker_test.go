package consume

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
)

// partStore is ClickHouse of which a test replaces single answers; the replacements take the calls that it can see.
type partStore struct {
	Store
	insert func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error
	recent func(ctx context.Context) error
	fill   func(ctx context.Context, r store.Range) error
	// calls are all, inserts those of Insert.
	calls, inserts atomic.Int64
}

func (s *partStore) Insert(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
	s.calls.Add(1)
	s.inserts.Add(1)
	if s.insert != nil {
		return s.insert(ctx, token, rows)
	}
	return s.Store.Insert(ctx, token, rows)
}

func (s *partStore) FillViews(ctx context.Context, r store.Range, declared time.Time) error {
	s.calls.Add(1)
	if s.fill != nil {
		return s.fill(ctx, r)
	}
	return s.Store.FillViews(ctx, r, declared)
}

func (s *partStore) RecentEvents(ctx context.Context, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error {
	s.calls.Add(1)
	if s.recent != nil {
		if err := s.recent(ctx); err != nil {
			return err
		}
	}
	return s.Store.RecentEvents(ctx, p, below, since, yield)
}

// partPositions are positions of which a test replaces the commits.
type partPositions struct {
	Positions
	commit  func(ctx context.Context, c Committed) error
	commits atomic.Int64
}

func (p *partPositions) Commit(ctx context.Context, c Committed) error {
	p.commits.Add(1)
	if p.commit != nil {
		return p.commit(ctx, c)
	}
	return p.Positions.Commit(ctx, c)
}

// inVirtualTime runs a test with a world in which nothing fails by itself and the group's position is 0, idle.
func inVirtualTime(t *testing.T, do func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1, 0)
		w.group.position = Committed{Metadata: idle}
		defer w.tell(t)
		defer func() {
			for _, p := range w.processes {
				p.cancel()
			}
			w.running.Wait()
			w.inFlight.Wait()
		}()
		do(t, w)
	})
}

// events appends page views with ids from..to, all recorded now.
func (w *world) events(from, to int) {
	for id := from; id <= to; id++ {
		m := recordOf(0, time.Now(), hit(id))
		w.log.append(&m)
	}
}

// run starts a worker under a new generation.
func (w *world) run(t *testing.T, with ...func(*Deps)) *process {
	t.Helper()
	return w.start(t, w.group.next(), euroRules, simLimits, with...)
}

func endsSoon(t *testing.T, p *process) error {
	t.Helper()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(time.Second):
		require.Fail(t, "still running")
		return nil
	}
}

// until waits for a condition in virtual time.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for range 10_000 {
		synctest.Wait()
		if condition() {
			return
		}
		rest(50 * time.Millisecond)
	}
	require.Fail(t, "did not happen: "+what)
}

func (w *world) stored() int {
	w.house.mu.Lock()
	defer w.house.mu.Unlock()
	return len(w.house.events.rows)
}

// TestCommitCutOffMakesTheMemberLeave: a commit that may still land is never forgotten, whatever the worker was doing.
func TestCommitCutOffMakesTheMemberLeave(t *testing.T) {
	for name, number := range map[string]int64{
		"when it begins": 1, "when it declares": 2, "when it declares again after a failed insert": 3, "when it commits idle": 4,
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.events(1, 3)
				positions, failing := &partPositions{}, &partStore{}
				failing.insert = func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
					if failing.inserts.Load() == 1 {
						return errAway
					}
					return failing.Store.Insert(ctx, token, rows)
				}
				p := w.run(t, func(d *Deps) {
					positions.Positions, failing.Store = d.Positions, d.Store
					d.Positions, d.Store = positions, failing
					positions.commit = func(ctx context.Context, c Committed) error {
						if positions.commits.Load() == number {
							return hang(ctx)
						}
						return positions.Positions.Commit(ctx, c)
					}
				})
				until(t, "the commit", func() bool { return positions.commits.Load() == number })
				p.cancel()
				require.ErrorIs(t, endsSoon(t, p), ErrPositionUnknown)
			})
		})
	}
}

// TestNothingIsReadBeforeAnotherOwnerCannotInsertAnyMore: without a position nobody tells who was at work last.
func TestNothingIsReadBeforeAnotherOwnerCannotInsertAnyMore(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.group.position = Committed{Offset: -1}
		w.events(1, 3)
		p := w.run(t)
		rest(simDeadline - time.Millisecond)
		require.NoError(t, w.house.insert("of the owner before", []store.Row{rowAt(0, w)}, time.Now().Add(time.Second), complete))
		until(t, "the rest is stored", func() bool { return w.stored() == 3 })
		require.Equal(t, listed{store.Range{Partition: partition, First: 0, Last: 2}, whyOffsetsLost}, w.house.rebuild[0])
		p.stop()
		require.NoError(t, endsSoon(t, p))
	})
}

// rowAt is the row of a record of the log, as another worker would have stored it in a batch of its own.
func rowAt(offset int64, w *world) store.Row {
	m := *w.log.records[offset]
	b := &batch{Range: store.Range{Partition: partition, First: offset, Last: offset}, records: []kafka.Message{m}}
	maker := newMaker()
	maker.window = newWindow(10, time.Now().Add(-time.Hour))
	made, err := makeAll(noContext, maker.rowMaker(b), b)
	if err != nil {
		panic(err)
	}
	return made.rows[0]
}

// TestStopLetsAnInsertFinish, and then commits idle; the end of a generation cuts it off.
func TestStopLetsAnInsertFinish(t *testing.T) {
	slow := func(s *partStore) func(context.Context, string, iter.Seq[*store.Row]) error {
		return func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
			if err := wait(ctx, 2*time.Second); err != nil {
				return err
			}
			return s.Store.Insert(ctx, token, rows)
		}
	}
	begin := func(t *testing.T, w *world) *process {
		w.events(1, 3)
		inserting := &partStore{}
		p := w.run(t, func(d *Deps) {
			inserting.Store, d.Store = d.Store, inserting
			inserting.insert = slow(inserting)
		})
		until(t, "the insert begins", func() bool { return inserting.inserts.Load() > 0 })
		return p
	}
	t.Run("the process stops", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			p := begin(t, w)
			p.stop()
			<-p.ended
			require.NoError(t, p.err)
			require.Equal(t, 3, w.stored())
			require.Equal(t, Committed{Offset: 3, Metadata: idle}, w.group.get())
		})
	})
	t.Run("the generation ends", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			p := begin(t, w)
			p.cancel()
			require.NoError(t, endsSoon(t, p))
			require.Zero(t, w.stored())
			require.NotEqual(t, idle, w.group.get().Metadata, "the next owner finishes it")
		})
	})
}

// TestStopDoesNotWaitForClickHouse: what is declared is finished by the next owner, whoever that is.
func TestStopDoesNotWaitForClickHouse(t *testing.T) {
	away := func(context.Context, string, iter.Seq[*store.Row]) error { return errAway }
	t.Run("while an insert is tried again", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			w.events(1, 3)
			failing := &partStore{insert: away}
			p := w.run(t, func(d *Deps) { failing.Store, d.Store = d.Store, failing })
			rest(time.Minute)
			p.stop()
			require.NoError(t, endsSoon(t, p))
		})
	})
	t.Run("while it begins", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			w.away(&w.houseBack, time.Hour)
			p := w.run(t)
			rest(time.Minute)
			p.stop()
			<-p.ended
			require.NoError(t, p.err)
			require.Less(t, time.Since(w.started), time.Minute+simDeadline+time.Second)
		})
	})
	t.Run("while it waits for the inserts of an owner before", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			w.group.position = Committed{Offset: -1}
			p := w.run(t)
			rest(time.Second)
			p.stop()
			require.NoError(t, endsSoon(t, p))
		})
	})
}

// TestOutagesAreWaitedForCalmly: no hot loop, and no records are taken in while they cannot be stored.
func TestOutagesAreWaitedForCalmly(t *testing.T) {
	t.Run("ClickHouse is away for an hour", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			w.events(1, 100)
			var back atomic.Bool
			positions, failing := &partPositions{}, &partStore{}
			failing.insert = func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
				if !back.Load() {
					return errAway
				}
				return failing.Store.Insert(ctx, token, rows)
			}
			p := w.run(t, func(d *Deps) {
				failing.Store, d.Store = d.Store, failing
				positions.Positions, d.Positions = d.Positions, positions
			})
			rest(time.Hour)
			require.Less(t, failing.calls.Load(), 3*int64(time.Hour/(retryMax/2))+20)
			require.Less(t, positions.commits.Load(), int64(time.Hour/(retryMax/2))+20)
			back.Store(true)
			until(t, "all is stored", func() bool { return w.stored() == 100 })
			require.Equal(t, time.Hour, time.Since(w.started).Truncate(time.Minute))
			p.stop()
			require.NoError(t, endsSoon(t, p))
		})
	})
	t.Run("Kafka is away for an hour", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			w.events(1, 3)
			positions := &partPositions{}
			p := w.run(t, func(d *Deps) { positions.Positions, d.Positions = d.Positions, positions })
			until(t, "it is idle", func() bool { return w.group.get() == Committed{Offset: 3, Metadata: idle} })
			w.away(&w.kafkaBack, time.Hour)
			rest(time.Hour)
			require.Less(t, positions.commits.Load(), int64(10))
			w.events(4, 5)
			until(t, "it goes on", func() bool { return w.stored() == 5 })
			p.stop()
			require.NoError(t, endsSoon(t, p))
		})
	})
}

// TestRecoveryThatIsSlowerThanTheDeadlineGetsDone: the deadline is for the insert, not for finding out what to insert.
func TestRecoveryThatIsSlowerThanTheDeadlineGetsDone(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.events(1, 3)
		slow := &partStore{recent: func(ctx context.Context) error { return wait(ctx, simDeadline+time.Second) }}
		slow.insert = func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
			if slow.inserts.Load() == 1 {
				return errAway
			}
			return slow.Store.Insert(ctx, token, rows)
		}
		p := w.run(t, func(d *Deps) { slow.Store, d.Store = d.Store, slow })
		until(t, "all is stored", func() bool { return w.stored() == 3 })
		p.stop()
		<-p.ended
		require.NoError(t, p.err)
	})
}

// TestGapsAreStoredInBatches: offsets that Kafka has no records for, before, between and after records.
func TestGapsAreStoredInBatches(t *testing.T) {
	t.Run("longer than a batch, before a record", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			for range 50 {
				w.log.append(nil)
			}
			w.events(1, 1)
			w.run(t)
			until(t, "all is stored", func() bool { return w.stored() == 51 })
			w.checkBatches(t, w.house.of(store.Range{Partition: partition, Last: 50}))
		})
	})
	t.Run("everything has expired and nothing follows", func(t *testing.T) {
		inVirtualTime(t, func(t *testing.T, w *world) {
			w.events(1, 20)
			w.log.expire(20)
			w.run(t)
			until(t, "all is idle", func() bool { return w.group.get() == Committed{Offset: 20, Metadata: idle} })
			for _, row := range w.house.of(store.Range{Partition: partition, Last: 19}) {
				require.Equal(t, string(reason.OffsetMissing), row.Reason)
			}
			require.Equal(t, 20, w.stored())
		})
	})
}

// TestErrorsThatAreNotOfTheContextMakeTheMemberLeave, rather than end the work of the partition in silence.
func TestErrorsOfTheLogMakeTheMemberLeave(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		broken := errors.New("reader is closed")
		p := w.run(t, func(d *Deps) { d.Log = brokenLog{d.Log, broken} })
		require.ErrorIs(t, endsSoon(t, p), broken)
	})
}

type brokenLog struct {
	Log
	err error
}

func (l brokenLog) Open(int64) (Cursor, error) { return nil, l.err }
