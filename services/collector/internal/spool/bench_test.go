package spool_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

// event is as big as most are.
func event() spool.Record {
	return spool.Record{Key: make([]byte, 16), Value: make([]byte, 400)}
}

func BenchmarkAppend(b *testing.B) {
	for _, waiters := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("waiters=%d", waiters), func(b *testing.B) {
			var l lost
			disk := &gate{FS: vfs.Default}
			cfg := onDisk(b.TempDir(), &l)
			cfg.FS, cfg.QuotaBytes, cfg.SegmentBytes = disk, 64<<30, 16*mib
			s := open(b, cfg)
			var taken atomic.Int64
			var appending sync.WaitGroup
			b.ResetTimer()
			for range waiters {
				appending.Go(func() {
					for taken.Add(1) <= int64(b.N) {
						if err := s.Append(b.Context(), event()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			appending.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			b.ReportMetric(float64(disk.syncs.Load())/float64(b.N), "fsyncs/append")
			require.NoError(b, s.Close())
		})
	}
}

func BenchmarkDrain(b *testing.B) {
	var l lost
	cfg := onDisk(b.TempDir(), &l)
	cfg.QuotaBytes, cfg.SegmentBytes, cfg.BatchRecords, cfg.BatchBytes = 64<<30, 16*mib, 1000, mib
	s := open(b, cfg)
	var taken atomic.Int64
	var appending sync.WaitGroup
	for range 1024 {
		appending.Go(func() {
			for taken.Add(1) <= int64(b.N) {
				if err := s.Append(b.Context(), event()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	appending.Wait()
	b.ResetTimer()
	for s.Len() > 0 {
		_, ack, err := s.Next(b.Context())
		require.NoError(b, err)
		require.NoError(b, ack())
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	require.NoError(b, s.Close())
}
