package consume

import (
	"strings"
	"time"

	"github.com/google/uuid"

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

// window remembers which events of one partition were recorded lately, in memory: two generations, each spanning at least
// rebuildHorizon of record time unless there are too many events for that.
type window struct {
	current, previous generation
	// limit is how many events each of the generations may hold.
	limit int
	// newest is the latest record time seen; since is where current begins, completeSince where the whole window does.
	newest, since, completeSince time.Time
}

// generation has events with their latest record times. Its entries are small, and hold no pointers that the garbage
// collector would have to follow: there are many of them.
type generation struct {
	sites map[string]uint32
	// nanos are Unix times, which can be of the years 1678 to 2262; recordTime stays within.
	nanos map[eventOfSite]int64
}

// eventOfSite is an EventKey with the number that its site has in the generation.
type eventOfSite struct {
	id   uuid.UUID
	site uint32
}

func newGeneration() generation {
	return generation{map[string]uint32{}, map[eventOfSite]int64{}}
}

// add keeps the latest of several record times.
func (g generation) add(key store.EventKey, at time.Time) {
	site, ok := g.sites[key.SiteID]
	if !ok {
		site = uint32(len(g.sites)) //nolint:gosec // there are no more sites than events, and of these limit
		g.sites[strings.Clone(key.SiteID)] = site
	}
	event, nanos := eventOfSite{key.EventID, site}, at.UnixNano()
	if known, ok := g.nanos[event]; !ok || nanos > known {
		g.nanos[event] = nanos
	}
}

func (g generation) latest(key store.EventKey) (time.Time, bool) {
	site, ok := g.sites[key.SiteID]
	if !ok {
		return time.Time{}, false
	}
	nanos, ok := g.nanos[eventOfSite{key.EventID, site}]
	return time.Unix(0, nanos).UTC(), ok
}

// newWindow returns a window that is to be filled with all events recorded at or after since.
func newWindow(limit int, since time.Time) *window {
	return &window{current: newGeneration(), limit: limit, since: since, completeSince: since}
}

// add notes an event. Of several records the latest record time is kept.
func (w *window) add(key store.EventKey, at time.Time) {
	if at.After(w.newest) {
		w.newest = at
	}
	if w.newest.Sub(w.since) > rebuildHorizon || len(w.current.nanos) >= w.limit {
		w.previous, w.current = w.current, newGeneration()
		w.completeSince, w.since = w.since, w.newest
	}
	w.current.add(key, at)
}

// latest returns the latest record time of the event; false when the window does not know it.
func (w *window) latest(key store.EventKey) (time.Time, bool) {
	a, inCurrent := w.current.latest(key)
	b, inPrevious := w.previous.latest(key)
	if inPrevious && (!inCurrent || b.After(a)) {
		return b, true
	}
	return a, inCurrent
}

// covers tells whether the window knows every event within the short horizon before the record time.
func (w *window) covers(at time.Time) bool {
	return at.Add(-shortHorizon).After(w.completeSince)
}
