package spool_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

var errPowerLost = errors.New("power lost")

// outage is a file system whose power fails before its operation number at. What was not synced survives block by block
// and name by name, or does not, as the dice fall.
type outage struct {
	mem  *vfs.MemFS
	at   int
	rng  *rand.Rand
	luck int // percent of what was not synced that survives; the dice fall for it, too, when it is negative
	mu   sync.Mutex
	ops  int
	left *vfs.MemFS // what a machine finds that starts again
}

func (o *outage) fs() vfs.FS {
	return errorfs.Wrap(o.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.ops++
		if o.ops == o.at {
			luck := o.luck
			if luck < 0 {
				luck = o.rng.IntN(101)
			}
			o.left = o.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: luck, RNG: o.rng})
		}
		if o.ops >= o.at {
			return errPowerLost
		}
		return nil
	}))
}

// ledger is what the callers of the spool know.
type ledger struct {
	last    int          // the last number that was given to Append
	groups  []int        // groups[n] is which call of append gave it number n+1
	durable map[int]bool // Append returned nil, ack was not called
	gone    map[int]bool // ack returned nil
}

// use appends, reads, acknowledges and restarts at random until an operation meets the outage.
func (l *ledger) use(t *testing.T, cfg spool.Config, rng *rand.Rand) {
	s, err := spool.Open(cfg)
	for err == nil {
		switch rng.IntN(10) {
		default:
			err = l.append(t, s, 1+rng.IntN(8))
		case 0, 1, 2:
			if s.Len() > 0 {
				err = l.take(t, s)
			}
		case 3:
			if err = s.Close(); err == nil {
				s, err = spool.Open(cfg)
			}
		}
	}
	require.ErrorIs(t, err, errPowerLost)
	if s != nil {
		_ = s.Close() // it is dead; only its goroutine is of interest
	}
}

// append appends some records at once.
func (l *ledger) append(t *testing.T, s *spool.Spool, some int) error {
	results := make([]error, some)
	var appending sync.WaitGroup
	for i := range some {
		appending.Go(func() { results[i] = s.Append(t.Context(), numbered(l.last+1+i)) })
	}
	appending.Wait()
	for i, err := range results {
		if err == nil {
			l.durable[l.last+1+i] = true
		}
	}
	l.last += some
	l.groups = append(l.groups, slices.Repeat([]int{l.last}, some)...)
	return errors.Join(results...)
}

func (l *ledger) take(t *testing.T, s *spool.Spool) error {
	records, ack, err := s.Next(t.Context())
	if err != nil {
		return err
	}
	err = ack()
	for _, r := range records {
		n, wrong := number(r)
		require.NoError(t, wrong)
		delete(l.durable, n) // after an ack that failed it may be there or not
		if err == nil {
			l.gone[n] = true
		}
	}
	return err
}

// check empties what the outage left.
func (l *ledger) check(t *testing.T, mem *vfs.MemFS) {
	var losses lost
	s := open(t, small(mem, &losses))
	seen, group := map[int]bool{}, 0
	for _, n := range drain(t, s) {
		require.GreaterOrEqual(t, l.groups[n-1], group, "record %d comes after one that was appended later", n)
		group = l.groups[n-1]
		require.False(t, seen[n], "record %d comes twice", n)
		require.False(t, l.gone[n], "record %d was acknowledged", n)
		require.LessOrEqual(t, n, l.last, "record %d was never appended", n)
		seen[n] = true
	}
	for n := range l.durable {
		require.True(t, seen[n], "record %d is lost", n)
	}
	require.LessOrEqual(t, losses.records(), l.last-len(seen)-len(l.gone), "no more can be lost than there were")
	require.NoError(t, s.Close())
}

func TestPowerLossAtAnyOperationLosesNothing(t *testing.T) {
	for seed := range 300 * *rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		l := ledger{durable: map[int]bool{}, gone: map[int]bool{}}
		mem := vfs.NewCrashableMem()
		for range 1 + rng.IntN(3) { // an outage may hit what an outage left
			power := &outage{mem: mem, at: 1 + rng.IntN(150), rng: rng, luck: -1}
			var losses lost
			l.use(t, small(power.fs(), &losses), rng)
			mem = power.left
		}
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { l.check(t, mem) }) {
			return
		}
	}
}

// A crash can leave a newest segment in which nothing is. Numbers begin again at 1 once it is removed.
func TestAPowerLossAfterAnEmptySegmentWasRemovedLooksLikeNoLoss(t *testing.T) {
	for at := 1; ; at++ {
		mem := vfs.NewCrashableMem()
		var losses lost
		cfg := small(mem, &losses)
		require.NoError(t, mem.MkdirAll(cfg.Dir, 0o700))
		file, err := mem.Create(cfg.Dir+"/00000000000000000100-00000000000000000100.spool", vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		mem = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})

		power := &outage{mem: mem, at: at, rng: rand.New(rand.NewPCG(1, 1)), luck: 100}
		s, err := spool.Open(small(power.fs(), &losses))
		if err == nil {
			err = s.Append(t.Context(), numbered(1))
			_ = s.Close()
		}
		if power.left == nil {
			require.NoError(t, err)
			return // the power held to the end
		}
		s = open(t, small(power.left, &losses))
		require.LessOrEqual(t, s.Len(), 1, "power lost before operation %d", at)
		drain(t, s)
		require.Empty(t, losses.losses)
		require.NoError(t, s.Close())
	}
}
