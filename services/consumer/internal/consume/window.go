package consume

import (
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// The horizons of repetition, by record time.
const (
	// shortHorizon covers repeats that we make ourselves: a publisher that sends again because the answer was lost. Every
	// record is held against it.
	shortHorizon = 15 * time.Minute
	// longHorizon covers repeats that clients make, and records that lay in a spool.
	longHorizon = 7 * 24 * time.Hour
	// rebuildHorizon is how far back the window is read at the start: the short horizon plus as much for record times that
	// are out of order (collectors' clocks differ).
	rebuildHorizon = 2 * shortHorizon
)

// window remembers which events of one partition were recorded lately, in memory: two maps, each spanning at least
// rebuildHorizon of record time unless there are too many events for that.
type window struct {
	current, previous map[store.EventKey]time.Time
	// limit is how many events each of the maps may hold.
	limit int
	// newest is the latest record time seen; since is where current begins, completeSince where the whole window does.
	newest, since, completeSince time.Time
}

// newWindow returns a window that is to be filled with all events recorded at or after since.
func newWindow(limit int, since time.Time) *window {
	return &window{current: map[store.EventKey]time.Time{}, limit: limit, since: since, completeSince: since}
}

// add notes an event. Of several records the latest record time is kept.
func (w *window) add(key store.EventKey, at time.Time) {
	if at.After(w.newest) {
		w.newest = at
	}
	if w.newest.Sub(w.since) > rebuildHorizon || len(w.current) >= w.limit {
		w.previous, w.current = w.current, map[store.EventKey]time.Time{}
		w.completeSince, w.since = w.since, w.newest
	}
	if known, ok := w.current[key]; !ok || at.After(known) {
		w.current[key] = at
	}
}

// latest returns the latest record time of the event; false when the window does not know it.
func (w *window) latest(key store.EventKey) (time.Time, bool) {
	a, inCurrent := w.current[key]
	b, inPrevious := w.previous[key]
	if inPrevious && (!inCurrent || b.After(a)) {
		return b, true
	}
	return a, inCurrent
}

// covers tells whether the window knows every event within the short horizon before the record time.
func (w *window) covers(at time.Time) bool {
	return at.Add(-shortHorizon).After(w.completeSince)
}
