//go:build integration

package audiences_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/audiences"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/suppression"
)

var people = []string{"anna", "bert", "cleo", "dora", "emil", "fred", "gina"}

func TestWhoEntersAndLeavesIsToldWithTheReason(t *testing.T) {
	w := newWorld(t)
	w.segment(func(*store.Segment) {})
	w.segment(func(s *store.Segment) { s.Segment, s.Stream = "silent", false })
	w.segment(func(s *store.Segment) { s.Segment, s.AfterMs = "slow", hours(1) })
	w.store(hit{visitor: "anna", step: "enter"}) // before the stream has ever run
	w.rounds()
	w.requireTold(people, "anna entered carts")

	w.later(time.Second)
	w.store(hit{visitor: "bert", step: "enter", product: "tea"}, hit{visitor: "cleo", step: "enter"}, hit{visitor: "dora", step: "enter"}, hit{visitor: "emil", step: "enter"},
		hit{visitor: "bert", step: "enter", segment: "silent"}, hit{visitor: "fred", step: "enter", segment: "slow"}, hit{visitor: "gina", step: "refuse"})
	w.rounds()
	require.Equal(t, []string{"tea"}, w.of("bert").Products)
	require.Equal(t, w.now.Add(24*time.Hour).Format("2006-01-02T15:04:05.000Z"), w.of("bert").EndsAt)
	w.requireTold(people, "bert entered carts", "cleo entered carts", "dora entered carts", "emil entered carts")
	w.rounds()
	w.requireTold(people)

	w.later(time.Minute)
	w.store(hit{visitor: "bert", step: "leave"}, hit{visitor: "cleo", step: "refuse"}, hit{visitor: "anna", step: "enter"})
	w.wish(suppression.Profiling, visitor("dora"), suppression.Always)
	w.takeWishes()
	w.rounds()
	w.requireTold(people, "bert left carts left", "cleo left carts refused", "dora left carts suppressed")
	entered := w.one("SELECT count() FROM %s.audience_changes WHERE type = 'audience_entered'")
	require.EqualValues(t, 5, entered)

	// A wish that is taken back, an event that comes too late and changes the past, a membership that begins by itself.
	w.later(time.Hour)
	w.wish(suppression.Profiling, visitor("dora"), nil)
	w.takeWishes()
	w.store(hit{visitor: "emil", step: "leave", ago: time.Hour - time.Second})
	w.rounds()
	w.requireTold(people, "dora entered carts", "emil left carts left", "fred entered slow")

	// Of anna a new event has moved the end.
	w.later(22*time.Hour + 59*time.Minute)
	w.rounds()
	w.requireTold(people, "dora left carts expired", "fred left slow expired")
	w.later(time.Minute)
	w.rounds()
	w.requireTold(people, "anna left carts expired")
	require.EqualValues(t, w.one("SELECT count() FROM %s.audience_changes"), w.one("SELECT uniqExact(change_id) FROM %s.audience_changes"))
}

// of returns what was told last of a visitor.
func (w *world) of(name string) (last audiences.Message) {
	for _, m := range w.told {
		if m.VisitorID == visitor(name) {
			last = m
		}
	}
	return last
}

// takeWishes makes suppressed_visitors what the list says, as the running process does within a second.
func (w *world) takeWishes() {
	w.t.Helper()
	w.restart()
}

func TestWhoeverIsHeldOutIsNeverTold(t *testing.T) {
	w := newWorld(t)
	w.segment(func(s *store.Segment) { s.HoldoutPermille = 200 })
	var hits []hit
	for i := range 200 {
		hits = append(hits, hit{visitor: fmt.Sprint(i), step: "enter"})
	}
	w.store(hits...)
	w.rounds()
	held := w.one("SELECT countIf(cityHash64('shop', 'carts', visitor_id) % 1000 < 200) FROM %s.segment_hits")
	require.NotZero(t, held)
	require.Len(t, w.told, 200-int(held))
	require.Zero(t, w.one("SELECT count() FROM %s.audience_changes WHERE cityHash64('shop', 'carts', visitor_id) % 1000 < 200"))
}

func TestAChangedRuleAndOneThatIsGoneAreTold(t *testing.T) {
	w := newWorld(t)
	w.segment(func(*store.Segment) {})
	w.store(hit{visitor: "anna", step: "enter"}, hit{visitor: "bert", step: "enter", ago: 2 * time.Hour})
	w.rounds()
	w.requireTold(people, "anna entered carts", "bert entered carts")
	w.later(time.Second)
	w.segment(func(s *store.Segment) { s.LivesMs = hours(1) })
	w.rounds()
	w.requireTold(people, "bert left carts changed")
	w.later(time.Second)
	w.segment(func(s *store.Segment) { s.LivesMs = hours(3) })
	w.rounds()
	w.requireTold(people, "bert entered carts")
	w.later(time.Second)
	w.segment(func(s *store.Segment) { s.LivesMs, s.AfterMs = hours(3), hours(1) })
	w.rounds()
	w.requireTold(people, "anna left carts changed")
	w.later(time.Second)
	w.segment(func(s *store.Segment) { s.LivesMs, s.State = hours(3), store.SegmentRemoved })
	w.rounds()
	w.requireTold(people, "bert left carts changed")
}

func TestWhatWasMissedIsToldWithinADay(t *testing.T) {
	w := newWorld(t)
	w.segment(func(s *store.Segment) { s.LivesMs = hours(100) })
	w.store(hit{visitor: "anna", step: "enter"})
	w.rounds()
	w.requireTold(people, "anna entered carts")
	// As an erasure of others, or rows that are stored late, would do.
	require.NoError(t, w.conn.Exec(t.Context(), "DELETE FROM "+w.database+".visitor_facts WHERE true SETTINGS lightweight_deletes_sync = 2"))
	w.rounds()
	w.requireTold(people)
	w.later(24 * time.Hour)
	w.rounds()
	w.requireTold(people, "anna left carts left")
}

func TestAPartitionThatCanBeReadOnlyAfterASweepIsToldAtOnce(t *testing.T) {
	w := newWorld(t)
	w.segment(func(*store.Segment) {})
	w.unread = true
	w.rounds()
	w.store(hit{visitor: "anna", step: "enter"})
	w.rounds()
	w.requireTold(people)
	w.unread = false
	w.rounds()
	w.requireTold(people, "anna entered carts")
}

// TestWhereverItIsKilledEachChangeIsToldUnderOneID kills the process after each of its writes, and before each of its
// messages.
func TestWhereverItIsKilledEachChangeIsToldUnderOneID(t *testing.T) {
	w := newWorld(t)
	w.segment(func(s *store.Segment) { s.LivesMs = hours(1) })
	w.rounds()
	for kill := 1; ; kill++ {
		names := []string{fmt.Sprint("in-", kill), fmt.Sprint("out-", kill), fmt.Sprint("no-", kill), fmt.Sprint("end-", kill)}
		w.told = nil
		killed := 0
		w.killAt(kill, &killed)
		w.store(hit{visitor: names[0], step: "enter"}, hit{visitor: names[1], step: "enter"}, hit{visitor: names[2], step: "enter"}, hit{visitor: names[3], step: "enter"})
		w.rounds()
		w.later(time.Minute)
		w.killAt(kill, &killed)
		w.store(hit{visitor: names[1], step: "leave"}, hit{visitor: names[2], step: "refuse"}, hit{visitor: names[0], step: "enter"})
		w.rounds()
		w.later(59 * time.Minute)
		w.killAt(kill, &killed)
		w.rounds()
		w.once()
		w.requireTold(names, names[0]+" entered carts", names[1]+" entered carts", names[2]+" entered carts", names[3]+" entered carts",
			names[1]+" left carts left", names[2]+" left carts refused", names[3]+" left carts expired")
		w.later(time.Hour)
		w.killAt(0, &killed)
		w.rounds()
		w.requireTold(names, names[0]+" left carts expired")
		if killed == 0 {
			require.Greater(t, kill, 7, "there are as many writes")
			return
		}
	}
}

// killAt lets the process be killed after a number of writes; 0 for never.
func (w *world) killAt(n int, killed *int) {
	count := func() error {
		if n--; n == 0 {
			*killed++
			return errKilled
		}
		return nil
	}
	w.saved, w.publish = func(string) error { return count() }, count
}

// once leaves out what was told already, as receivers do, and requires that the changes of each visitor alternate then.
func (w *world) once() {
	w.t.Helper()
	known, last := map[uuid.UUID]audiences.Message{}, map[uuid.UUID]string{}
	var left []audiences.Message
	for _, m := range w.told {
		if before, again := known[m.ID]; again {
			require.Equal(w.t, before, m)
			continue
		}
		known[m.ID] = m
		require.NotEqual(w.t, last[m.VisitorID], m.Type)
		last[m.VisitorID] = m.Type
		left = append(left, m)
	}
	w.told = left
}

func TestALargeBacklogIsToldInBoundedMemory(t *testing.T) {
	w := newWorld(t)
	w.segment(func(*store.Segment) {})
	w.rounds()
	const visitors = 20_000
	for first := 0; first < visitors; first += 10_000 {
		hits := make([]hit, 10_000)
		for i := range hits {
			hits[i] = hit{visitor: fmt.Sprint(first + i), step: "enter"}
		}
		w.store(hits...)
	}
	told := map[uuid.UUID]bool{}
	var most uint64
	w.saved = func(string) error {
		for _, m := range w.told {
			told[m.VisitorID] = true
		}
		w.told = nil
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		most = max(most, memory.HeapInuse)
		return nil
	}
	begun := time.Now()
	w.rounds()
	require.Len(t, told, visitors)
	t.Logf("%.0f visitors a second, heap up to %d MiB", visitors/time.Since(begun).Seconds(), most>>20)
	require.Less(t, most, uint64(150<<20))
}

func TestNothingIsToldOfWhoIsBeingErased(t *testing.T) {
	w := newWorld(t)
	w.segment(func(*store.Segment) {})
	w.rounds()
	w.store(hit{visitor: "anna", step: "enter"}, hit{visitor: "bert", step: "enter"})
	w.wish(suppression.Visitor.Erased(), visitor("anna"), suppression.Always)
	w.rounds()
	w.requireTold(people, "bert entered carts")
	require.Zero(t, w.one("SELECT count() FROM %s.audience_changes WHERE visitor_id = '"+visitor("anna").String()+"'"))

	// One whose change stands in the outbox already.
	w.store(hit{visitor: "cleo", step: "enter"}, hit{visitor: "dora", step: "enter"})
	w.publish = func() error {
		w.publish = func() error { return nil }
		w.wish(suppression.Visitor.Erased(), visitor("cleo"), suppression.Always)
		return errKilled
	}
	w.rounds()
	w.requireTold(people, "dora entered carts")

	// A later visit is a new matter.
	w.later(time.Minute)
	w.wish(suppression.Visitor.Erased(), visitor("anna"), suppression.Until(w.now))
	w.later(time.Minute)
	w.store(hit{visitor: "anna", step: "enter"})
	w.rounds()
	w.requireTold(people, "anna entered carts")
}
