package account

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

// Counts are what a collector has done since the last account. They may be added to from anywhere at once.
type Counts struct {
	// ended has every reason an event can end with; "" is that of a stored one.
	ended map[reason.Reason]*ending

	mu             sync.Mutex // guards what follows
	published      map[slot]*onepxv1.Published
	unacknowledged uint64
}

// ending counts the events that ended with a reason.
type ending struct {
	outcome string
	events  atomic.Uint64
}

// slot is a minute of record time, in ms, in a partition.
type slot struct {
	minute    int64
	partition int
}

// stored is the outcome of an event without a reason; the others are named as the effects of their reasons are.
const stored = "stored"

// NewCounts returns counts that are all 0.
func NewCounts() *Counts {
	c := &Counts{ended: map[reason.Reason]*ending{"": {outcome: stored}}, published: map[slot]*onepxv1.Published{}}
	for _, effect := range []reason.Effect{reason.Spooled, reason.Suppressed, reason.Ignored, reason.Rejected, reason.Lost} {
		for _, word := range reason.With(effect) {
			c.ended[word] = &ending{outcome: string(effect)}
		}
	}
	return c
}

// Ended counts an event that ended with the reason.
func (c *Counts) Ended(word reason.Reason) {
	if e, known := c.ended[word]; known {
		e.events.Add(1)
	}
}

// Published counts the records that Kafka has acknowledged; they have their partitions and offsets. Accounts are left out:
// one that counts the one before would never end.
func (c *Counts) Published(records []kafka.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range records {
		record := &records[i]
		if eventlog.IsAccount(record.Headers) {
			continue
		}
		at := slot{record.Time.Truncate(time.Minute).UnixMilli(), record.Partition}
		p, known := c.published[at]
		if !known {
			p = &onepxv1.Published{MinuteMs: at.minute, Partition: int32(at.partition), FirstOffset: record.Offset, LastOffset: record.Offset} //nolint:gosec // a partition number
			c.published[at] = p
		}
		p.Records++
		p.FirstOffset, p.LastOffset = min(p.FirstOffset, record.Offset), max(p.LastOffset, record.Offset)
	}
}

// Unacknowledged counts records that Kafka has not acknowledged.
func (c *Counts) Unacknowledged(records []kafka.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range records {
		if !eventlog.IsAccount(records[i].Headers) {
			c.unacknowledged++
		}
	}
}

// take returns what has been counted since the last time, in a fixed order, and false if that is nothing.
func (c *Counts) take() (*onepxv1.Account, bool) {
	a := &onepxv1.Account{}
	for word, e := range c.ended {
		if n := e.events.Swap(0); n > 0 {
			a.Ended = append(a.Ended, &onepxv1.Ended{Outcome: e.outcome, Reason: string(word), Events: n})
		}
	}
	slices.SortFunc(a.Ended, func(x, y *onepxv1.Ended) int { return cmp.Compare(x.GetReason(), y.GetReason()) })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.published {
		a.Published = append(a.Published, p)
	}
	clear(c.published)
	slices.SortFunc(a.Published, func(x, y *onepxv1.Published) int {
		return cmp.Or(cmp.Compare(x.GetMinuteMs(), y.GetMinuteMs()), cmp.Compare(x.GetPartition(), y.GetPartition()))
	})
	a.Unacknowledged, c.unacknowledged = c.unacknowledged, 0
	return a, len(a.GetEnded()) > 0 || len(a.GetPublished()) > 0 || a.GetUnacknowledged() > 0
}
