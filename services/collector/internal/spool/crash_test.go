package spool_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/spool"
)

const (
	crashDir     = "SPOOL_CRASH_DIR"   // makes the test binary the program that is killed; names the spool
	crashFirst   = "SPOOL_CRASH_FIRST" // the number that its first writer begins with
	crashDrain   = "SPOOL_CRASH_DRAIN" // whether it drains
	crashWriters = 8
	crashStride  = 1_000_000_000 // writer w counts from first + w*crashStride
	crashRound   = 10_000        // more than a writer appends before it is killed
)

// crashChild appends, and drains if it is told to, until it is killed. It says what it knows, a line at a time: a line that was written is read
// by the parent, whatever happens to this process.
//
//	stored N     Append of record N returned nil
//	read A B …   Next returned these
//	removed      ack of the last read returned nil
//	lost N       Config.Lost was told of N records
func crashChild(dir string) {
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	first, err := strconv.Atoi(os.Getenv(crashFirst))
	var l lost
	cfg := onDisk(dir, &l)
	cfg.Lost = func(loss spool.Loss) { say("lost %d %s %v", loss.Records, loss.Segment, loss.Cause) }
	var s *spool.Spool
	if err == nil {
		s, err = spool.Open(cfg)
	}
	if err != nil {
		say("error %v", err)
		return
	}
	var appending sync.WaitGroup
	for w := range crashWriters {
		appending.Go(func() {
			for n := first + w*crashStride; ; n++ {
				if err := s.Append(context.Background(), numbered(n)); err != nil {
					say("error %v", err)
					return
				}
				say("stored %d", n)
			}
		})
	}
	if os.Getenv(crashDrain) == "" {
		appending.Wait()
	}
	for {
		records, ack, err := s.Next(context.Background())
		line := "read"
		for _, r := range records {
			n, wrong := number(r)
			if wrong != nil {
				err = wrong
			}
			line += fmt.Sprintf(" %d", n)
		}
		if err != nil {
			say("error %v", err)
			return
		}
		say("%s", line)
		if err := ack(); err != nil {
			say("error %v", err)
			return
		}
		say("removed")
	}
}

// story is what the children said.
type story struct {
	stored, removed map[int]bool
	seen            map[int]bool
	reading         []int       // what was read last and not known to be removed
	last            map[int]int // by writer, the last record seen for the first time
}

// tell takes one line.
func (s *story) tell(t *testing.T, line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "stored":
		n, err := strconv.Atoi(rest)
		require.NoError(t, err)
		s.stored[n] = true
	case "read":
		s.reading = s.reading[:0]
		for _, field := range strings.Fields(rest) {
			n, err := strconv.Atoi(field)
			require.NoError(t, err)
			s.read(t, n)
		}
	case "removed":
		for _, n := range s.reading {
			s.removed[n] = true
		}
	default:
		t.Fatalf("a child said: %s", line)
	}
}

func (s *story) read(t *testing.T, n int) {
	require.False(t, s.removed[n], "record %d was removed durably", n)
	s.reading = append(s.reading, n)
	if !s.seen[n] {
		writer := n / crashStride
		require.Greater(t, n, s.last[writer], "record %d comes after a later one of its writer", n)
		s.last[writer], s.seen[n] = n, true
	}
}

// run runs a child and kills it after it has said a number of lines.
func (s *story) run(t *testing.T, dir string, first, lines int, drain string) {
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir, crashFirst+"="+strconv.Itoa(first), crashDrain+"="+drain)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	said := bufio.NewScanner(out)
	for ; said.Scan(); lines-- {
		if lines == 0 {
			var l lost
			_, err := spool.Open(onDisk(dir, &l))
			require.ErrorIs(t, err, spool.ErrInUse, "while another process has it")
			require.NoError(t, child.Process.Kill())
		}
		s.tell(t, said.Text()) // and what it said before it died
	}
	require.NoError(t, said.Err())
	require.ErrorContains(t, child.Wait(), "killed")
}

func TestKillAtAnyMomentLosesNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 4))
	dir := t.TempDir() + "/spool"
	s := story{stored: map[int]bool{}, removed: map[int]bool{}, seen: map[int]bool{}, last: map[int]int{}}
	for round := range 25 * *rounds {
		s.run(t, dir, round*crashRound+1, rng.IntN(600), []string{"", "yes", "yes"}[rng.IntN(3)])
	}
	var l lost
	survivor := open(t, onDisk(dir, &l))
	for _, n := range drain(t, survivor) {
		s.read(t, n)
	}
	for n := range s.stored {
		require.True(t, s.seen[n], "record %d is lost", n)
	}
	require.NoError(t, survivor.Close())
	require.Empty(t, l.losses)
	t.Logf("stored %d, read %d, removed %d", len(s.stored), len(s.seen), len(s.removed))
}
