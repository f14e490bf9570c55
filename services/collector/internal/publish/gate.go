package publish

import (
	"sync/atomic"
	"time"
)

// probeEvery is how often one event may try whether Kafka is back, and how long Kafka must have acknowledged nothing for a
// failure to mean that it is away: one partition without a leader fails while the others go on.
const probeEvery = time.Second

// spoolProbeEvery is how long nothing from the spool must have tried before a visitor's event does: the spool may be empty, or
// its disk broken, and then Kafka must come back into use all the same.
const spoolProbeEvery = 10 * time.Second

// gate keeps events from queueing for a Kafka that is away. The zero value with a clock is open.
type gate struct {
	now func() time.Time

	away      atomic.Bool
	lastWork  atomic.Int64 // Unix ns of the last acknowledgment
	lastProbe atomic.Int64 // Unix ns when an event tried last while away
}

// isAway tells whether Kafka is away as far as we know.
func (g *gate) isAway() bool { return g.away.Load() }

// probe tells whether an event may go to Kafka although it is away: when none has for so long.
func (g *gate) probe(every time.Duration) bool {
	now, last := g.now().UnixNano(), g.lastProbe.Load()
	return passed(last, now, every) && g.lastProbe.CompareAndSwap(last, now)
}

// passed tells whether so much time is between two moments, in Unix ns. A machine's clock that was set back in between says
// nothing; then enough has passed, or nothing would try until it has caught up.
func passed(from, to int64, d time.Duration) bool { return to < from || to-from >= int64(d) }

// probing notes that an event is trying.
func (g *gate) probing() { g.lastProbe.Store(g.now().UnixNano()) }

// worked notes an acknowledgment.
func (g *gate) worked() {
	g.lastWork.Store(g.now().UnixNano())
	g.away.Store(false)
}

// failed notes a failure.
func (g *gate) failed() {
	now := g.now().UnixNano()
	if !passed(g.lastWork.Load(), now, probeEvery) {
		return
	}
	if !g.away.Swap(true) {
		g.lastProbe.Store(now)
	}
}
