package spool_test

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

// TestMain is also the program that the crash tests kill.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// rounds is for many nights of crashes: go test . -run 'PowerLoss|Kill' -rounds 100
var rounds = flag.Int("rounds", 1, "how many times as many crashes to try")

// patience is how long these tests wait for what must happen.
const patience = 20 * time.Second

const (
	kib = 1 << 10
	mib = 1 << 20
)

var start = time.UnixMilli(1_795_608_000_000)

// lost collects what Config.Lost was told.
type lost struct {
	mu     sync.Mutex
	losses []spool.Loss
}

func (l *lost) add(loss spool.Loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses = append(l.losses, loss)
}

func (l *lost) records() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, loss := range l.losses {
		n += int(loss.Records)
	}
	return n
}

// small is a spool in memory with segments of two blocks, so that tests reach every border.
func small(fs vfs.FS, l *lost) spool.Config {
	return spool.Config{
		Dir: "/spool", QuotaBytes: 64 * mib, SegmentBytes: 64 * kib, BatchRecords: 10, BatchBytes: 100 * kib,
		Now: func() time.Time { return start }, Lost: l.add, FS: fs,
	}
}

// onDisk is a spool in dir.
func onDisk(dir string, l *lost) spool.Config {
	cfg := small(vfs.Default, l)
	cfg.Dir = dir
	return cfg
}

func open(t testing.TB, cfg spool.Config) *spool.Spool {
	t.Helper()
	s, err := spool.Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// numbered returns record n. Its bytes follow from n: most records are as big as an event, some are bigger than a block.
func numbered(n int) spool.Record {
	rng := rand.New(rand.NewPCG(uint64(n), 0))
	size := rng.IntN(1000)
	if n%50 == 7 {
		size = 32*kib + rng.IntN(64*kib)
	}
	value := make([]byte, size+8)
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(value[i:], rng.Uint64())
	}
	return spool.Record{
		Key: fmt.Appendf(nil, "%d", n), Value: value,
		Headers: []kafka.Header{{Key: "traceparent", Value: fmt.Appendf(nil, "trace of %d", n)}},
	}
}

// number returns which record r is. It must be that record in full.
func number(r spool.Record) (n int, err error) {
	if _, err := fmt.Sscanf(string(r.Key), "%d", &n); err != nil {
		return 0, fmt.Errorf("key %q: %w", r.Key, err)
	}
	want := numbered(n)
	want.SpooledAt = r.SpooledAt
	if string(spool.Encode(r)) != string(spool.Encode(want)) {
		return 0, fmt.Errorf("record %d is not what was appended", n)
	}
	return n, nil
}

func appendAll(t testing.TB, s *spool.Spool, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		require.NoError(t, s.Append(t.Context(), numbered(n)), "record %d", n)
	}
}

// next returns the numbers of the first records.
func next(t testing.TB, s *spool.Spool) (numbers []int, ack func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	records, ack, err := s.Next(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, records)
	for _, r := range records {
		n, err := number(r)
		require.NoError(t, err)
		numbers = append(numbers, n)
	}
	return numbers, ack
}

// drain takes what is in the spool.
func drain(t testing.TB, s *spool.Spool) (numbers []int) {
	t.Helper()
	for s.Len() > 0 {
		some, ack := next(t, s)
		numbers = append(numbers, some...)
		require.NoError(t, ack())
	}
	return numbers
}

func sequence(from, to int) (numbers []int) {
	for n := from; n <= to; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

// gate is a file system whose fsyncs of segments wait while it is closed, and are counted.
type gate struct {
	vfs.FS
	closed chan struct{}
	syncs  atomic.Int64
}

func (g *gate) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := g.FS.Create(name, category)
	return gatedFile{file, g}, err
}

type gatedFile struct {
	vfs.File
	gate *gate
}

func (f gatedFile) Sync() error {
	f.gate.syncs.Add(1)
	if f.gate.closed != nil {
		<-f.gate.closed
	}
	return f.File.Sync()
}
