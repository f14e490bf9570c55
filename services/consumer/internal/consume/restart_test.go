package consume

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// TestABatchInWhichClickHouseWasKilled: what a killed server leaves of a block, and what is then stored of it. A target may know the
// token without having the rows.
func TestABatchInWhichClickHouseWasKilled(t *testing.T) {
	for name, c := range map[string]struct {
		before int // the target that was being filled: 0 is events, 1 and 2 are views
		orphan bool
		how    func(*Declaration)
		why    string
		again  bool // under a new token
	}{
		"before it was in events":                   {0, false, nil, "", true},
		"while it came into events":                 {0, true, nil, "", true},
		"before the first view":                     {1, false, nil, "", false},
		"while it came into the first view":         {1, true, nil, "", false},
		"while it came into the second view":        {2, true, nil, "", false},
		"when all was stored":                       {3, false, nil, "", false},
		"while it came into events, by other rules": {0, true, func(d *Declaration) { d.Rules = newerRules.rules.Hash() }, whyOtherRules, true},
		"while it came into a view, by other rules": {1, true, func(d *Declaration) { d.Rules = newerRules.rules.Hash() }, whyOtherRules, false},
		"while it came into events, long ago":       {0, true, func(d *Declaration) { d.At = d.At.Add(-simLimits.TokenLife) }, whyOld, true},
	} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.house.saveRules(newerRules)
				w.events(1, 4)
				w.declared(0, 3, func(d *Declaration) {
					if c.how != nil {
						c.how(d)
					}
				})
				d, err := parseDeclaration(partition, 0, w.group.get().Metadata)
				require.NoError(t, err)
				rest(time.Second)
				w.house.die(d.Token(), w.rowsOf(*d), time.Now().Add(time.Second), c.before, c.orphan)
				w.run(t)
				until(t, "it is done", func() bool { return w.group.get() == Committed{Offset: 4, Metadata: idle} })
				require.Equal(t, 4, w.stored())
				for i := range w.house.views {
					require.Len(t, w.house.views[i].rows, 4, "view %d", i)
				}
				_, again := w.house.events.tokens[d.Token()+"/1"]
				require.Equal(t, c.again, again)
				if c.why == "" {
					require.Empty(t, w.house.rebuild)
				} else {
					require.Equal(t, []listed{{d.Range, c.why}}, w.house.rebuild)
				}
			})
		})
	}
}

// TestAnInsertThatIsUnderWayWhenClickHouseHasStartedAnewCountsOnce: the owner before has sent its block to the new server, and it takes
// as long as it may.
func TestAnInsertThatIsUnderWayWhenClickHouseHasStartedAnewCountsOnce(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		rest(time.Hour)
		w.events(1, 4)
		w.declared(0, 3)
		d, err := parseDeclaration(partition, 0, w.group.get().Metadata)
		require.NoError(t, err)
		w.house.die("", nil, time.Now(), 0, false)
		end := time.Now().Add(simLimits.InsertDeadline)
		w.inFlight.Go(func() {
			rest(simLimits.InsertDeadline - time.Millisecond)
			require.NoError(t, w.house.insert(d.Token(), w.rowsOf(*d), end, complete))
		})
		w.run(t)
		until(t, "it is done", func() bool { return w.group.get() == Committed{Offset: 4, Metadata: idle} })
		require.Equal(t, 4, w.stored())
		require.NotContains(t, w.house.events.tokens, d.Token()+"/1")
	})
}

// TestViewsThatAreFilledForLongAreFilledOnce: the statement has found out what they lack, and its sender has given it up.
func TestViewsThatAreFilledForLongAreFilledOnce(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.events(1, 4)
		w.declared(0, 3)
		d, err := parseDeclaration(partition, 0, w.group.get().Metadata)
		require.NoError(t, err)
		w.house.die(d.Token(), w.rowsOf(*d), time.Now().Add(time.Second), 1, true)
		sent := false
		w.run(t, func(deps *Deps) {
			inner := deps.Store
			deps.Store = &partStore{Store: inner, fill: func(ctx context.Context, r store.Range) error {
				if sent {
					return inner.FillViews(ctx, r, d.At)
				}
				sent = true
				end := deadlineOf(ctx)
				w.inFlight.Go(func() {
					rest(time.Until(end) - time.Millisecond)
					w.house.mu.Lock()
					defer w.house.mu.Unlock()
					w.house.views[0].rows = append(w.house.views[0].rows, w.rowsOf(*d)...)
				})
				return errHouseAway
			}}
		})
		until(t, "it is done", func() bool { return w.group.get() == Committed{Offset: 4, Metadata: idle} })
		w.inFlight.Wait()
		require.Len(t, w.house.views[0].rows, 4)
	})
}

// TestATokenIsNotTrustedByAServerThatStartsMeanwhile: it was running still when the batch was declared, and when it was declared again.
func TestATokenIsNotTrustedByAServerThatStartsMeanwhile(t *testing.T) {
	for name, inherited := range map[string]bool{"a batch of its own": false, "a batch of the owner before": true} {
		t.Run(name, func(t *testing.T) {
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.events(1, 4)
				if inherited {
					w.declared(0, 3)
				}
				rest(time.Minute)
				killed := false
				w.run(t, func(deps *Deps) {
					inner := deps.Store
					deps.Store = &partStore{Store: inner, insert: func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
						if !killed {
							killed = true
							rest(time.Second)
							w.house.die(token, nil, time.Now().Add(time.Second), 0, true)
						}
						return inner.Insert(ctx, token, rows)
					}}
				})
				until(t, "it is done", func() bool { return w.group.get() == Committed{Offset: 4, Metadata: idle} })
				require.Equal(t, 4, w.stored())
				require.Len(t, w.house.views[0].rows, 4)
			})
		})
	}
}

// TestABatchWithANewTokenIsNotTakenForOneOfTheOld, whatever ClickHouse says of its start: the owner before may have taken the token
// before it found the rows.
func TestABatchWithANewTokenIsNotTakenForOneOfTheOld(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.events(1, 4)
		w.declared(0, 3)
		d, err := parseDeclaration(partition, 0, w.group.get().Metadata)
		require.NoError(t, err)
		require.ErrorIs(t, w.house.insert(d.Token(), w.rowsOf(*d), time.Now().Add(time.Second), 1), errView)
		d.Again = 1
		w.group.set(Committed{Offset: 0, Metadata: d.Metadata()})
		w.run(t)
		until(t, "it is done", func() bool { return w.group.get() == Committed{Offset: 4, Metadata: idle} })
		require.Equal(t, 4, w.stored())
		for i := range w.house.views {
			require.Len(t, w.house.views[i].rows, 4, "view %d", i)
		}
	})
}

// TestViewsThatCannotBeFilledAreListed, and the partition goes on.
func TestViewsThatCannotBeFilledAreListed(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.events(1, 4)
		w.declared(0, 3)
		d, err := parseDeclaration(partition, 0, w.group.get().Metadata)
		require.NoError(t, err)
		w.house.die(d.Token(), w.rowsOf(*d), time.Now().Add(time.Second), 2, true)
		w.run(t, func(deps *Deps) {
			deps.Store = &partStore{Store: deps.Store, fill: func(context.Context, store.Range) error { return context.DeadlineExceeded }}
		})
		until(t, "it is done", func() bool { return w.group.get() == Committed{Offset: 4, Metadata: idle} })
		require.Equal(t, 4, w.stored())
		require.Equal(t, []listed{{d.Range, whyUnfilled}}, w.house.rebuild)
		require.Len(t, w.house.filled.rows, 4, "what is a repeat must be known")
	})
}
