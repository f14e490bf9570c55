package spool_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

func TestRecordsComeBackInOrder(t *testing.T) {
	var l lost
	s := open(t, small(vfs.NewMem(), &l))
	appendAll(t, s, 1, 1000) // many segments
	require.Equal(t, 1000, s.Len())
	require.Equal(t, sequence(1, 1000), drain(t, s))
	require.Zero(t, s.Len())
	require.Zero(t, s.Bytes(), "a segment that is emptied is removed")
	appendAll(t, s, 1001, 1010)
	require.Equal(t, sequence(1001, 1010), drain(t, s))
	require.Empty(t, l.losses)
}

func TestWhatIsNotAcknowledgedComesAgain(t *testing.T) {
	var l lost
	cfg := small(vfs.NewMem(), &l)
	s := open(t, cfg)
	appendAll(t, s, 1, 30)
	first, ack := next(t, s)
	again, _ := next(t, s)
	require.Equal(t, first, again)
	require.NoError(t, ack())
	require.NoError(t, ack(), "a second ack is no harm")
	second, ack := next(t, s)
	require.Equal(t, first[len(first)-1]+1, second[0])
	require.NoError(t, s.Close())
	require.ErrorIs(t, ack(), spool.ErrClosed, "the directory may be another process's now")

	s = open(t, cfg)
	require.Equal(t, 30-len(first), s.Len())
	require.Equal(t, sequence(second[0], 30), drain(t, s), "acknowledged ones stay away after a restart, the others do not")
	require.Empty(t, l.losses)
}

func TestEveryWayToStopInTheMiddleOfTheSpoolIsKept(t *testing.T) {
	var l lost
	cfg := small(vfs.NewMem(), &l)
	s := open(t, cfg)
	var got []int
	for n := 0; n < 400; n += 20 { // append, take one batch, restart
		appendAll(t, s, n+1, n+20)
		some, ack := next(t, s)
		got = append(got, some...)
		require.NoError(t, ack())
		require.NoError(t, s.Close())
		s = open(t, cfg)
		require.Equal(t, n+20-len(got), s.Len())
	}
	require.Equal(t, sequence(1, 400), append(got, drain(t, s)...))
	require.Empty(t, l.losses)
}

func TestBatchesAreBounded(t *testing.T) {
	var l lost
	cfg := small(vfs.NewMem(), &l)
	cfg.BatchRecords, cfg.BatchBytes = 3, 10*kib
	s := open(t, cfg)
	add := func(size int) {
		require.NoError(t, s.Append(t.Context(), spool.Record{Value: make([]byte, size)}))
	}
	for _, size := range []int{1, 2, 3, 4, 9 * kib, 2 * kib, 200 * kib, 5} {
		add(size)
	}
	var sizes [][]int
	for s.Len() > 0 {
		records, ack, err := s.Next(t.Context())
		require.NoError(t, err)
		var batch []int
		for _, r := range records {
			batch = append(batch, len(r.Value))
		}
		sizes = append(sizes, batch)
		require.NoError(t, ack())
	}
	require.Equal(t, [][]int{{1, 2, 3}, {4, 9 * kib}, {2 * kib}, {200 * kib}, {5}}, sizes)
}

func TestWaitersShareAnFsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lost
		disk := &gate{FS: vfs.NewMem(), closed: make(chan struct{})}
		s := open(t, small(disk, &l))
		var waiting sync.WaitGroup
		for n := range 100 {
			waiting.Go(func() { require.NoError(t, s.Append(t.Context(), numbered(n))) })
		}
		synctest.Wait() // one is in its fsync, the others wait
		require.EqualValues(t, 1, disk.syncs.Load())
		require.Zero(t, s.Len(), "nothing counts before it is durable")
		close(disk.closed)
		waiting.Wait()
		require.Equal(t, 100, s.Len())
		require.LessOrEqual(t, disk.syncs.Load(), int64(1+s.Bytes()/(64*kib)+1), "one for the first, one for the others in each segment")
		require.Len(t, drain(t, s), 100)
		require.NoError(t, s.Close())
	})
}

func TestAppendDoesNotWaitForAHangingDiskForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lost
		disk := &gate{FS: vfs.NewMem(), closed: make(chan struct{})}
		s := open(t, small(disk, &l))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		results := make(chan error, 2)
		go func() { results <- s.Append(ctx, numbered(1)) }() // hangs in its fsync
		synctest.Wait()
		go func() { results <- s.Append(ctx, numbered(2)) }() // waits for the first
		require.ErrorIs(t, <-results, context.DeadlineExceeded)
		require.ErrorIs(t, <-results, context.DeadlineExceeded)
		close(disk.closed)
		require.NoError(t, s.Append(t.Context(), numbered(3)))
		require.Equal(t, []int{1, 3}, drain(t, s), "what was being written may come back, what was not is not there")
		require.NoError(t, s.Close())
	})
}

func TestAFullSpoolRefusesTheNewAndKeepsTheOld(t *testing.T) {
	var l lost
	cfg := small(vfs.NewMem(), &l)
	cfg.QuotaBytes = 256 * kib
	s := open(t, cfg)
	stored := fill(t, s, 1, spool.ErrFull)
	require.LessOrEqual(t, s.Bytes(), cfg.QuotaBytes)
	require.Greater(t, s.Bytes(), cfg.QuotaBytes-100*kib)
	require.Equal(t, stored, s.Len())

	_, ack := next(t, s)
	require.NoError(t, ack())
	for s.Bytes() > 128*kib {
		_, ack := next(t, s)
		require.NoError(t, ack())
	}
	require.NoError(t, s.Append(t.Context(), numbered(1)), "there is room again")
	require.Empty(t, l.losses)
}

// fill appends from record n on until it is refused with want, and returns the number of the last that was taken.
func fill(t testing.TB, s *spool.Spool, n int, want error) int {
	t.Helper()
	for ; ; n++ {
		if err := s.Append(t.Context(), numbered(n)); err != nil {
			require.ErrorIs(t, err, want)
			return n - 1
		}
	}
}

func TestASmallerQuotaKeepsWhatIsThere(t *testing.T) {
	var l lost
	cfg := small(vfs.NewMem(), &l)
	s := open(t, cfg)
	appendAll(t, s, 1, 1000)
	require.NoError(t, s.Close())

	cfg.QuotaBytes, cfg.SegmentBytes = 128*kib, 32*kib
	s = open(t, cfg)
	require.Greater(t, s.Bytes(), cfg.QuotaBytes)
	require.ErrorIs(t, s.Append(t.Context(), numbered(1001)), spool.ErrFull)
	require.Equal(t, sequence(1, 1000), drain(t, s))
	appendAll(t, s, 1001, 1005)
	require.NoError(t, s.Close())

	cfg.QuotaBytes, cfg.SegmentBytes = 64*mib, mib
	s = open(t, cfg)
	appendAll(t, s, 1006, 2000)
	require.Equal(t, sequence(1001, 2000), drain(t, s))
	require.Empty(t, l.losses)
}

func TestOnlyOneSpoolHasTheDirectory(t *testing.T) {
	var l lost
	cfg := onDisk(t.TempDir()+"/spool", &l)
	s := open(t, cfg)
	_, err := spool.Open(cfg)
	require.ErrorIs(t, err, spool.ErrInUse)
	require.ErrorContains(t, err, cfg.Dir)
	require.NoError(t, s.Close())
	open(t, cfg)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for name, spoil := range map[string]func(*spool.Config){
		"a quota of one segment": func(c *spool.Config) { c.QuotaBytes = c.SegmentBytes },
		"segments of no size":    func(c *spool.Config) { c.SegmentBytes = 0 },
		"batches of no records":  func(c *spool.Config) { c.BatchRecords = 0 },
		"batches of no bytes":    func(c *spool.Config) { c.BatchBytes = -1 },
		"a file for a directory": func(c *spool.Config) { c.Dir = "/dev/null/spool" },
	} {
		t.Run(name, func(t *testing.T) {
			var l lost
			cfg := onDisk(t.TempDir()+"/spool", &l)
			spoil(&cfg)
			_, err := spool.Open(cfg)
			require.Error(t, err)
			require.NotErrorIs(t, err, spool.ErrInUse)
		})
	}
}

func TestAgeIsThatOfTheFirstRecord(t *testing.T) {
	var l lost
	now := start
	cfg := small(vfs.NewMem(), &l)
	cfg.BatchRecords = 1
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	require.Zero(t, s.OldestAge())
	appendAll(t, s, 1, 1)
	now = now.Add(time.Minute)
	appendAll(t, s, 2, 2)
	now = now.Add(time.Minute)
	require.Equal(t, 2*time.Minute, s.OldestAge())
	require.NoError(t, s.Close())

	s = open(t, cfg)
	require.Equal(t, 2*time.Minute, s.OldestAge(), "after a restart")
	records, ack, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Equal(t, start, records[0].SpooledAt)
	require.NoError(t, ack())
	_, ack = next(t, s)
	require.Equal(t, time.Minute, s.OldestAge())
	require.NoError(t, ack())
	require.Zero(t, s.OldestAge())
}

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lost
		s := open(t, small(vfs.NewMem(), &l))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := s.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		var waiting sync.WaitGroup
		waiting.Go(func() {
			numbers, ack := next(t, s)
			require.Equal(t, []int{1}, numbers)
			require.NoError(t, ack())
		})
		synctest.Wait()
		appendAll(t, s, 1, 1)
		waiting.Wait()

		waiting.Go(func() {
			_, _, err := s.Next(t.Context())
			require.ErrorIs(t, err, spool.ErrClosed)
		})
		synctest.Wait()
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "a second Close is no harm")
		waiting.Wait()
		require.ErrorIs(t, s.Append(t.Context(), numbered(2)), spool.ErrClosed)
	})
}

func TestManyAppendWhileItDrains(t *testing.T) {
	const writers, each = 32, 100
	var l lost
	s := open(t, onDisk(t.TempDir(), &l))
	var appending sync.WaitGroup
	for w := range writers {
		appending.Go(func() {
			for i := range each {
				if err := s.Append(t.Context(), numbered(w*each+i)); err != nil {
					t.Errorf("record %d of %d: %v", i, w, err)
				}
			}
		})
	}
	of := make([]int, writers)
	for got := 0; got < writers*each; {
		numbers, ack := next(t, s)
		for _, n := range numbers {
			require.Equal(t, of[n/each], n%each, "in the order of their writer, none doubled")
			of[n/each]++
		}
		require.NoError(t, ack())
		got += len(numbers)
	}
	appending.Wait()
	require.Zero(t, s.Len())
	require.Empty(t, l.losses)
}
