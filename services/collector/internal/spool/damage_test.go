package spool_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

// stored makes a spool of records 1 to n in a new directory and returns its files.
func stored(t testing.TB, n int) (cfg spool.Config, l *lost, paths []string) {
	t.Helper()
	l = new(lost)
	cfg = onDisk(t.TempDir(), l)
	s := open(t, cfg)
	appendAll(t, s, 1, n)
	require.NoError(t, s.Close())
	return cfg, l, segments(t, cfg.Dir)
}

// clone copies a spool to a new directory.
func clone(t testing.TB, cfg spool.Config) (copied spool.Config, l *lost, paths []string) {
	t.Helper()
	l = new(lost)
	copied = onDisk(t.TempDir(), l)
	require.NoError(t, os.CopyFS(copied.Dir, os.DirFS(cfg.Dir)))
	return copied, l, segments(t, copied.Dir)
}

// rewrite changes a file as damage would: in place, without anybody noticing.
func rewrite(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(data), 0o600))
}

// recordsIn returns the numbers of the records that lie in the first size bytes of a file, or in all of it.
func recordsIn(t testing.TB, path string, size int) (numbers []int) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	records := record.NewReader(bytes.NewReader(data[:min(size, len(data))]), 0)
	for {
		rec, err := records.Next()
		if err != nil {
			return numbers
		}
		frame, err := io.ReadAll(rec)
		if err != nil {
			return numbers
		}
		r, err := spool.Decode(frame[8:])
		require.NoError(t, err)
		n, err := number(r)
		require.NoError(t, err)
		numbers = append(numbers, n)
	}
}

func TestDamageInTheMiddleCostsItsBlockAndIsCountedExactly(t *testing.T) {
	const block = 32 * kib
	whole, _, _ := stored(t, 1000)
	for name, damage := range map[string]func([]byte, *rand.Rand) []byte{
		"one bit": func(b []byte, rng *rand.Rand) []byte { b[rng.IntN(len(b))] ^= 1 << rng.IntN(8); return b },
		"100 bytes": func(b []byte, rng *rand.Rand) []byte {
			for i, at := 0, rng.IntN(len(b)-100); i < 100; i++ {
				b[at+i] = byte(rng.Uint32())
			}
			return b
		},
		"a sector of zeros":      func(b []byte, rng *rand.Rand) []byte { clear(b[rng.IntN(len(b)/512)*512:][:512]); return b },
		"the end is missing":     func(b []byte, rng *rand.Rand) []byte { return b[:rng.IntN(len(b))] },
		"nothing but zeros":      func(b []byte, _ *rand.Rand) []byte { clear(b); return b },
		"nothing":                func([]byte, *rand.Rand) []byte { return nil },
		"a block is there twice": func(b []byte, _ *rand.Rand) []byte { return append(bytes.Clone(b[:block]), b...) },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 4 * *rounds {
				rng := rand.New(rand.NewPCG(uint64(seed), 2))
				cfg, l, paths := clone(t, whole)
				hit := rng.IntN(len(paths) - 1) // the newest is another matter, see the next test
				mayMiss := recordsIn(t, paths[hit], 1<<30)
				rewrite(t, paths[hit], func(b []byte) []byte { return damage(b, rng) })

				s := open(t, cfg)
				require.Equal(t, 1000, s.Len())
				got := drain(t, s)
				require.IsIncreasing(t, got)
				require.Equal(t, 1000, len(got)+l.records(), "seed %d", seed)
				for _, loss := range l.losses {
					require.Equal(t, filepath.Base(paths[hit])[:20], loss.Segment[:20])
				}
				have := map[int]bool{}
				for _, n := range got {
					have[n] = true
				}
				for n := 1; n <= 1000; n++ {
					require.True(t, have[n] || n >= mayMiss[0] && n <= mayMiss[len(mayMiss)-1], "record %d lies in another file", n)
				}
				require.Empty(t, segments(t, cfg.Dir))
				require.NoError(t, s.Close())
			}
		})
	}
}

func TestOneFlippedBitCostsNoMoreThanItsBlock(t *testing.T) {
	l := new(lost)
	cfg := onDisk(t.TempDir(), l)
	cfg.SegmentBytes = mib
	s := open(t, cfg)
	appendAll(t, s, 1, 1000)
	require.NoError(t, s.Close())
	paths := segments(t, cfg.Dir)
	inBlock := len(recordsIn(t, paths[0], 32*kib)) + 1 // one goes on in the next block
	rewrite(t, paths[0], func(b []byte) []byte { b[100] ^= 4; return b })

	s = open(t, cfg)
	got := drain(t, s)
	require.Equal(t, sequence(inBlock+1, 1000), got)
	require.Len(t, l.losses, 1, "one report for one damage")
	require.EqualValues(t, inBlock, l.losses[0].Records)
	require.ErrorContains(t, l.losses[0].Cause, "damaged behind byte 0")
}

// A crash leaves the end of the newest file as far as the disk had come. Nothing of it was promised to anybody.
func TestATornTailIsCutOff(t *testing.T) {
	whole, _, _ := stored(t, 500)
	for name, tear := range map[string]func([]byte, *rand.Rand) []byte{
		"the file is shorter":           func(b []byte, rng *rand.Rand) []byte { return b[:rng.IntN(len(b)+1)] },
		"zeros follow":                  func(b []byte, rng *rand.Rand) []byte { return append(b, make([]byte, rng.IntN(100*kib))...) },
		"the last bytes are other ones": func(b []byte, rng *rand.Rand) []byte { b[len(b)-1-rng.IntN(min(len(b), 50))] ^= 0xff; return b },
		"something follows": func(b []byte, rng *rand.Rand) []byte {
			for range rng.IntN(1000) {
				b = append(b, byte(rng.Uint32()))
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 4 * *rounds {
				rng := rand.New(rand.NewPCG(uint64(seed), 3))
				cfg, l, paths := clone(t, whole)
				newest := paths[len(paths)-1]
				rewrite(t, newest, func(b []byte) []byte { return tear(b, rng) })
				left := recordsIn(t, newest, 1<<30)
				last := recordsIn(t, paths[len(paths)-2], 1<<30)
				want := last[len(last)-1] + len(left)

				s := open(t, cfg)
				require.Equal(t, want, s.Len())
				appendAll(t, s, 501, 510) // behind the tear
				require.NoError(t, s.Close())
				s = open(t, cfg) // the torn one is no longer the newest
				require.Equal(t, append(sequence(1, want), sequence(501, 510)...), drain(t, s))
				require.Empty(t, l.losses, "nothing was lost that was durable")
				require.NoError(t, s.Close())
			}
		})
	}
}

func TestWhatElseLiesInTheDirectory(t *testing.T) {
	cfg, l, paths := stored(t, 1000)
	for _, name := range []string{"notes.txt", "1-1.spool", "x-y.spool", ".spool", "00000000000000000000-0000000000000000000x.spool"} {
		require.NoError(t, os.WriteFile(filepath.Join(cfg.Dir, name), []byte("mine"), 0o600))
	}
	gone := recordsIn(t, paths[2], 1<<30)
	require.NoError(t, os.Remove(paths[2]))
	s := open(t, cfg)
	later := recordsIn(t, paths[4], 1<<30)
	require.NoError(t, os.Remove(paths[4])) // under the open spool
	got := drain(t, s)
	require.IsIncreasing(t, got)
	require.Len(t, got, 1000-len(gone)-len(later))
	require.Equal(t, len(gone)+len(later), l.records(), "files that somebody removed are losses, too")
	for _, loss := range l.losses {
		require.NotContains(t, fmt.Sprintf("%+v", loss.Cause), ".go:", "no stack in a log")
	}
	for _, name := range []string{"notes.txt", "1-1.spool", "x-y.spool"} {
		require.FileExists(t, filepath.Join(cfg.Dir, name))
	}
}

func TestARecordOfANewerVersionIsReadAsFarAsItIsKnown(t *testing.T) {
	known := numbered(5)
	b := append(spool.Encode(known), 0x52, 3, 'n', 'e', 'w', 0x58, 1, 0x65, 1, 2, 3, 4) // fields 10, 11 and 12
	got, err := spool.Decode(b)
	require.NoError(t, err)
	require.Equal(t, known.Value, got.Value)
	require.Equal(t, known.Headers, got.Headers)
}
