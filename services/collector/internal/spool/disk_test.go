package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

// faulty is a file system whose operations of some kinds fail while broken says so.
type faulty struct {
	vfs.FS
	broken atomic.Pointer[[]errorfs.OpKind]
	err    error
}

func newFaulty(fs vfs.FS, err error) *faulty {
	f := &faulty{err: err}
	f.FS = errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if kinds := f.broken.Load(); kinds != nil {
			for _, kind := range *kinds {
				if op.Kind == kind {
					return f.err
				}
			}
		}
		return nil
	}))
	return f
}

func (f *faulty) fail(kinds ...errorfs.OpKind) { f.broken.Store(&kinds) }
func (f *faulty) mend()                        { f.broken.Store(nil) }

func TestAnErrorOfTheDiskRefusesTheNewAndKeepsTheOld(t *testing.T) {
	for name, kinds := range map[string][]errorfs.OpKind{
		"no file can be made":        {errorfs.OpCreate, errorfs.OpFileWrite},
		"nothing can be written":     {errorfs.OpFileWrite},
		"nothing can be synced":      {errorfs.OpFileSync},
		"nothing works but to read":  {errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpRemove, errorfs.OpRename},
		"not even removing the file": {errorfs.OpFileSync, errorfs.OpRemove},
	} {
		for _, stored := range []int{0, 1, 25, 300} {
			t.Run(name, func(t *testing.T) {
				var l lost
				disk := newFaulty(vfs.NewMem(), syscall.ENOSPC)
				cfg := small(disk, &l)
				s := open(t, cfg)
				appendAll(t, s, 1, stored)

				disk.fail(kinds...)
				for range 3 {
					err := s.Append(t.Context(), numbered(9999))
					require.ErrorIs(t, err, spool.ErrDisk)
					require.ErrorIs(t, err, syscall.ENOSPC, "the disk's own word")
				}
				require.Equal(t, stored, s.Len())
				var got []int
				if stored > 0 {
					some, ack := next(t, s)
					got = some
					_ = ack() // may say that they can come back
				}

				disk.mend()
				appendAll(t, s, stored+1, stored+50)
				require.Equal(t, sequence(1, stored+50), append(got, drain(t, s)...))
				require.Empty(t, l.losses)
			})
		}
	}
}

func TestAFileThatFailedIsNotWrittenAgain(t *testing.T) {
	var l lost
	dir := t.TempDir()
	disk := newFaulty(vfs.Default, syscall.EIO)
	cfg := onDisk(dir, &l)
	cfg.FS = disk
	s := open(t, cfg)
	appendAll(t, s, 1, 3)
	disk.fail(errorfs.OpFileSync)
	require.ErrorIs(t, s.Append(t.Context(), numbered(4)), spool.ErrDisk)
	disk.mend()
	before := segments(t, dir)
	require.Len(t, before, 1)
	failed, err := os.ReadFile(before[0])
	require.NoError(t, err)
	appendAll(t, s, 5, 7)
	after := segments(t, dir)
	require.Len(t, after, 2)
	same, err := os.ReadFile(after[0])
	require.NoError(t, err)
	require.Equal(t, failed, same)
	require.NoError(t, s.Close())

	s = open(t, cfg)
	require.Equal(t, []int{1, 2, 3, 5, 6, 7}, drain(t, s))
	require.Empty(t, l.losses)
}

// segments returns the paths of the segments in dir, the oldest first.
func segments(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	require.NoError(t, err)
	return paths
}

func TestWhatWasRefusedLastMayComeBackAfterARestart(t *testing.T) {
	var l lost
	disk := newFaulty(vfs.NewMem(), syscall.EIO)
	cfg := small(disk, &l)
	s := open(t, cfg)
	appendAll(t, s, 1, 3)
	disk.fail(errorfs.OpFileSync)
	require.ErrorIs(t, s.Append(t.Context(), numbered(4)), spool.ErrDisk)
	disk.mend()
	require.NoError(t, s.Close())
	s = open(t, cfg)
	require.Equal(t, []int{1, 2, 3, 4}, drain(t, s))
	require.Empty(t, l.losses)
}

func TestDrainingWhileTheDiskFailsNowAndThen(t *testing.T) {
	const writers, each = 8, 200
	var l lost
	var ops atomic.Int64
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpRename, errorfs.OpRemove:
			if ops.Add(1)%7 == 0 {
				return syscall.EIO
			}
		}
		return nil
	}))
	s := open(t, small(disk, &l))
	var appending sync.WaitGroup
	for w := range writers {
		appending.Go(func() {
			for n := w * each; n < (w+1)*each; {
				if err := s.Append(t.Context(), numbered(n)); err == nil {
					n++
				} else if !errors.Is(err, spool.ErrDisk) {
					t.Errorf("record %d: %v", n, err)
					return
				}
			}
		})
	}
	of := make([]int, writers)
	for got := 0; got < writers*each; {
		numbers, ack := next(t, s)
		for _, n := range numbers {
			require.Equal(t, of[n/each], n%each, "in the order of their writer, none twice, none that was refused")
			of[n/each]++
		}
		if err := ack(); err != nil {
			require.ErrorIs(t, err, spool.ErrDisk)
		}
		got += len(numbers)
	}
	appending.Wait()
	require.Zero(t, s.Len())
	require.Empty(t, l.losses)
}

func TestAnAckThatFailsDoesNotHoldUpTheDrain(t *testing.T) {
	var l lost
	disk := newFaulty(vfs.NewMem(), syscall.ENOSPC)
	cfg := small(disk, &l)
	s := open(t, cfg)
	appendAll(t, s, 1, 25)
	disk.fail(errorfs.OpRename)
	first, ack := next(t, s)
	require.ErrorIs(t, ack(), syscall.ENOSPC)
	second, ack := next(t, s)
	require.Equal(t, first[len(first)-1]+1, second[0], "the drain goes on")
	disk.mend()
	require.NoError(t, ack())
	require.NoError(t, s.Close())

	s = open(t, cfg)
	require.Equal(t, sequence(second[len(second)-1]+1, 25), drain(t, s), "a later ack makes up for it")
	require.Empty(t, l.losses)
}

func TestAPassingReadErrorLosesNothing(t *testing.T) {
	var l lost
	disk := newFaulty(vfs.NewMem(), syscall.EIO)
	s := open(t, small(disk, &l))
	appendAll(t, s, 1, 100)
	for _, kind := range []errorfs.OpKind{errorfs.OpFileReadAt, errorfs.OpOpen} {
		disk.fail(kind)
		for range 4 {
			_, _, err := s.Next(t.Context())
			require.ErrorIs(t, err, spool.ErrDisk)
		}
		disk.mend()
		_, _ = next(t, s)
	}
	require.Equal(t, sequence(1, 100), drain(t, s))
	require.Empty(t, l.losses)
}

func TestABadSectorCostsWhatLiesOnItAndNoMore(t *testing.T) {
	var l lost
	var bad atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if bad.Load() && op.Kind == errorfs.OpFileReadAt && op.Offset == 32*kib {
			return syscall.EIO
		}
		return nil
	}))
	s := open(t, small(disk, &l))
	appendAll(t, s, 1, 1000)
	bad.Store(true)
	var got []int
	for refused := 0; s.Len() > 0; {
		records, ack, err := s.Next(t.Context())
		if err != nil {
			refused++
			require.ErrorIs(t, err, syscall.EIO)
			require.Less(t, refused, 200, "it is given up")
			continue
		}
		for _, r := range records {
			n, err := number(r)
			require.NoError(t, err)
			got = append(got, n)
		}
		require.NoError(t, ack())
	}
	require.IsIncreasing(t, got)
	require.Equal(t, 1000, len(got)+l.records())
	require.Greater(t, len(got), 300)
	for _, loss := range l.losses {
		require.ErrorIs(t, loss.Cause, syscall.EIO)
	}
}

func TestAVolumeThatIsNotMountedIsNotMade(t *testing.T) {
	var l lost
	volume := filepath.Join(t.TempDir(), "volume")
	_, err := spool.Open(onDisk(filepath.Join(volume, "spool"), &l))
	require.ErrorContains(t, err, "parent of spool directory")
	require.NoDirExists(t, volume)
}
