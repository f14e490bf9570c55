package telemetry

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// outageLogEvery is the least time between two lines about failures of one thing.
const outageLogEvery = 10 * time.Second

// OutageLog reports that something does not work without flooding the log: the
// first failure at once, then at most one line every ten seconds with the number
// of failures left out since the line before, and one line when it works again.
// A thing that flaps gets no more than two lines every ten seconds.
// It is safe for concurrent use, and Recovered is cheap enough to be called after
// every success.
type OutageLog struct {
	log  *slog.Logger
	what string
	now  func() time.Time

	failing atomic.Bool

	mu         sync.Mutex
	since      time.Time // first failure of this outage
	failures   int       // in this outage
	logged     time.Time // last line about a failure, of any outage
	suppressed int       // failures since that line
	announced  bool      // whether this outage has a line yet
}

// NewOutageLog returns a log for one thing, such as "kafka publish". now is the
// clock.
func NewOutageLog(log *slog.Logger, what string, now func() time.Time) *OutageLog {
	return &OutageLog{log: log, what: what, now: now}
}

// Failed notes one failure.
func (l *OutageLog) Failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if !l.failing.Swap(true) {
		l.since, l.failures, l.announced = now, 0, false
	}
	l.failures++
	if !l.logged.IsZero() && now.Sub(l.logged) < outageLogEvery {
		l.suppressed++
		return
	}
	l.log.Error(l.what+" fails", slog.Any("error", err), slog.Int("suppressed", l.suppressed))
	l.logged, l.suppressed, l.announced = now, 0, true
}

// Since is when the outage began that goes on; zero while the thing works.
func (l *OutageLog) Since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.failing.Load() {
		return time.Time{}
	}
	return l.since
}

// Recovered notes that the thing works, again or still.
func (l *OutageLog) Recovered() {
	if !l.failing.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.failing.Swap(false) || !l.announced {
		return
	}
	l.log.Info(l.what+" works again",
		slog.Int("failures", l.failures), slog.String("after", l.now().Sub(l.since).Round(time.Millisecond).String()))
}
