package consume

import (
	"time"

	"github.com/bits-and-blooms/bloom/v3"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// history knows which events of one partition were recorded during the last longHorizon, so that ClickHouse need not be
// asked for each new one. It is a row of Bloom filters: it may take a new event for a known one, once in some thousand
// times, but never the other way round; whatever it takes for known is asked of ClickHouse, which is exact. It takes about
// 2.5 bytes an event.
type history struct {
	// filters are in the order in which they were filled.
	filters []*historyFilter
	newest  time.Time
	// completeSince is the record time after which it knows every event.
	completeSince time.Time
}

type historyFilter struct {
	events          *bloom.BloomFilter
	count, capacity uint
	newest          time.Time
}

const (
	// filterEvents is how many events one filter holds at most; old filters are dropped whole. The first one is small, and
	// each next one twice as large: a quiet partition takes little memory.
	filterEvents      = 1 << 20
	filterEventsFirst = 1 << 12
	// filterMistakes is the share of new events that one full filter takes for known.
	filterMistakes = 1e-4
	// maxFilters bounds the memory of a partition to about 170 MB. A busier one forgets the oldest events of the horizon:
	// then ClickHouse is asked more often.
	maxFilters = 64
)

// add notes an event that was recorded at a time.
func (h *history) add(key store.EventKey, at time.Time) {
	if at.After(h.newest) {
		h.newest = at
	}
	last := h.last()
	if last == nil || last.count >= last.capacity {
		capacity := uint(filterEventsFirst)
		if last != nil {
			capacity = min(2*last.capacity, filterEvents)
		}
		last = &historyFilter{events: bloom.NewWithEstimates(capacity, filterMistakes), capacity: capacity}
		h.filters = append(h.filters, last)
	}
	last.events.Add(historyKey(key))
	last.count++
	if at.After(last.newest) {
		last.newest = at
	}
	for len(h.filters) > maxFilters || h.newest.Sub(h.filters[0].newest) > longHorizon+rebuildHorizon {
		h.completeSince = later(h.completeSince, h.filters[0].newest)
		h.filters = h.filters[1:]
	}
}

func (h *history) last() *historyFilter {
	if len(h.filters) == 0 {
		return nil
	}
	return h.filters[len(h.filters)-1]
}

// bytes is the memory that the filters take.
func (h *history) bytes() (total int64) {
	for _, f := range h.filters {
		total += int64(f.events.Cap() / 8) //nolint:gosec,mnd // bits of a filter of limited size
	}
	return total
}

// mayKnow is false only for events that were certainly not recorded during the horizon before the time.
func (h *history) mayKnow(key store.EventKey, at time.Time, horizon time.Duration) bool {
	if !at.Add(-horizon).After(h.completeSince) {
		return true
	}
	k := historyKey(key)
	for _, f := range h.filters {
		if f.events.Test(k) {
			return true
		}
	}
	return false
}

func historyKey(key store.EventKey) []byte {
	return append(append(make([]byte, 0, len(key.EventID)+len(key.SiteID)), key.EventID[:]...), key.SiteID...)
}
