package lookup

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ErrBusy says that as many requests wait as may.
var ErrBusy = errors.New("too many lookups wait")

// maxBatch is how many visitors one query asks for: as many as the view audiences_of is made for.
const maxBatch = 64

// group is what one query can ask for together: visitors of a site, and what they saw on a day of it.
type group struct {
	site string
	// day is the site's date, YYYY-MM-DD.
	day string
}

// batch is one query and those who wait for it.
type batch struct {
	visitors []uuid.UUID
	// full is closed when nobody fits in any more, done when the others are set.
	full, done chan struct{}
	facts      map[uuid.UUID]Facts
	readAt     time.Time
	err        error
}

// batcher makes one query of the requests that come within a moment of each other. While all queries that may run at once
// are running, batches grow; so the more there is to do, the less each request costs.
type batcher struct {
	load func(ctx context.Context, of group, visitors []uuid.UUID) (map[uuid.UUID]Facts, error)
	// window is how long a batch waits for more; timeout bounds it from its first request to its answer.
	window, timeout time.Duration
	// slots has a place for each query that may run at once, waiting one for each request that may wait.
	slots, waiting chan struct{}
	// loaded is told of each query's size.
	loaded func(visitors int)

	mu      sync.Mutex
	open    map[group]*batch
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // of queries, which outlive each of the requests that they are for
	stop    context.CancelFunc
}

// get returns what is known of the visitor, and since when.
func (b *batcher) get(ctx context.Context, of group, visitor uuid.UUID) (Facts, time.Time, error) {
	select {
	case b.waiting <- struct{}{}:
		defer func() { <-b.waiting }()
	default:
		return Facts{}, time.Time{}, ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	batch := b.join(of, visitor)
	select {
	case <-batch.done:
		return batch.facts[visitor], batch.readAt, batch.err
	case <-ctx.Done():
		return Facts{}, time.Time{}, ctx.Err()
	}
}

// join adds the visitor to the batch that is open, or begins one.
func (b *batcher) join(of group, visitor uuid.UUID) *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.open[of]
	if one == nil {
		one = &batch{full: make(chan struct{}), done: make(chan struct{})}
		b.open[of] = one
		b.running.Go(func() { b.run(of, one) })
	}
	for _, other := range one.visitors {
		if other == visitor {
			return one
		}
	}
	if one.visitors = append(one.visitors, visitor); len(one.visitors) == maxBatch {
		delete(b.open, of)
		close(one.full)
	}
	return one
}

// run makes the query of a batch when it is full or its window is over, and there is a slot.
func (b *batcher) run(of group, one *batch) {
	defer close(one.done)
	ctx, cancel := context.WithTimeout(b.ctx, b.timeout)
	defer cancel()
	window := time.NewTimer(b.window)
	defer window.Stop()
	select {
	case <-window.C:
	case <-one.full:
	}
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		b.seal(of, one)
		one.err = ctx.Err()
		return
	}
	b.seal(of, one)
	b.loaded(len(one.visitors))
	one.readAt = time.Now()
	one.facts, one.err = b.load(ctx, of, one.visitors)
}

// seal lets nobody join the batch any more.
func (b *batcher) seal(of group, one *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[of] == one {
		delete(b.open, of)
	}
}

// close ends queries and returns when all have ended.
func (b *batcher) close() {
	b.stop()
	b.running.Wait()
}
