// Package tally counts the hits of which nothing is stored because visitors wish so, and says once a minute how many there
// were: a record in place of events, on their way (proto Tally). So reports can tell how much they do not know, and nobody can
// tell whose hits these were. What a collector has counted since its last record is lost when it is killed.
package tally

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

// Every is how often the counts are published.
const Every = time.Minute

// Key is what hits have in common that are counted together.
type Key struct {
	Site   string
	Kind   onepxv1.EventKind
	Reason reason.Reason
	Signal onepxv1.ConsentSignal
}

// Publisher makes an event durable; "" and reason.InSpool say that it is.
type Publisher interface {
	Publish(ctx context.Context, event *onepxv1.Event) reason.Reason
}

// Counter counts. It may be used from anywhere at once.
type Counter struct {
	to   Publisher
	now  func() time.Time
	mu   sync.Mutex // guards hits
	hits map[Key]uint64
	// waiting are the events that are not durable yet.
	waiting []*onepxv1.Event
}

// New returns a counter that publishes with to; now is the clock.
func New(to Publisher, now func() time.Time) *Counter {
	return &Counter{to: to, now: now, hits: map[Key]uint64{}}
}

// Add counts one hit.
func (c *Counter) Add(key Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits[key]++
}

// Follow publishes the counts every minute until the context ends, and then once more.
func (c *Counter) Follow(ctx context.Context) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		c.Publish(ctx)
	}
}

// Publish publishes what has been counted since the last time, once what that one could not make durable is through: under
// its own event id, since nobody knows whether Kafka has it. To be called by one goroutine at a time.
func (c *Counter) Publish(ctx context.Context) {
	c.send(ctx)
	if len(c.waiting) == 0 {
		c.take()
		c.send(ctx)
	}
}

// send publishes the events that wait.
func (c *Counter) send(ctx context.Context) {
	c.waiting = slices.DeleteFunc(c.waiting, func(event *onepxv1.Event) bool {
		word := c.to.Publish(ctx, event)
		return word == "" || word == reason.InSpool
	})
}

// take makes events of the counts.
func (c *Counter) take() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, hits := range c.hits {
		c.waiting = append(c.waiting, c.event(key, hits))
	}
	clear(c.hits)
}

func (c *Counter) event(key Key, hits uint64) *onepxv1.Event {
	id, now := uuid.Must(uuid.NewV7()), c.now().UnixMilli() // NewV7 fails only without a source of randomness
	return &onepxv1.Event{
		Schema: eventlog.SchemaTally, EventId: id[:], EventIdOrigin: onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR,
		SiteId: key.Site, Kind: key.Kind, ReceivedAtMs: now, OccurredAtMs: now,
		Consent: &onepxv1.Consent{DecidedBy: key.Signal},
		Tally:   &onepxv1.Tally{Reason: string(key.Reason), Hits: hits},
	}
}
