package publish

import (
	"sync/atomic"
	"time"
)

// probeEvery is how often one event may try whether Kafka is back, and how long Kafka must have acknowledged nothing for a
// failure to mean that it is away: one partition without a leader fails while the others go on.
const probeEvery = time.Second

// gate keeps events from queueing for a Kafka that is away. The zero value with a clock is open.
type gate struct {
	now func() time.Time

	away      atomic.Bool
	lastWork  atomic.Int64 // Unix ns of the last acknowledgment
	lastProbe atomic.Int64 // Unix ns when the last one was let through while away
}

// isAway tells whether Kafka is away as far as we know.
func (g *gate) isAway() bool { return g.away.Load() }

// enter tells whether an event may go to Kafka.
func (g *gate) enter() bool {
	if !g.isAway() {
		return true
	}
	now, last := g.now().UnixNano(), g.lastProbe.Load()
	return now-last >= int64(probeEvery) && g.lastProbe.CompareAndSwap(last, now)
}

// worked notes an acknowledgment.
func (g *gate) worked() {
	g.lastWork.Store(g.now().UnixNano())
	g.away.Store(false)
}

// failed notes a failure.
func (g *gate) failed() {
	now := g.now().UnixNano()
	if now-g.lastWork.Load() < int64(probeEvery) {
		return
	}
	if !g.away.Swap(true) {
		g.lastProbe.Store(now)
	}
}
