package lookup

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// ErrBusy says that as many requests wait as may.
var ErrBusy = errors.New("too many lookups wait")

// maxBatch is how many visitors or ids one query asks for: as many as the view audiences_of is made for.
const maxBatch = 64

// batch is one query and those who wait for it.
type batch[ID comparable, Fact any] struct {
	ids []ID
	// full is closed when nobody fits in any more, done when the others are set.
	full, done chan struct{}
	facts      map[ID]Fact
	readAt     time.Time
	err        error
}

// batcher makes one query of the requests that come within a moment of each other. While all queries that may run at once
// are running, batches grow; so the more there is to do, the less each request costs. A Group is what one query can ask for
// together.
type batcher[Group, ID comparable, Fact any] struct {
	limits
	load func(ctx context.Context, of Group, ids []ID) (map[ID]Fact, error)

	mu      sync.Mutex
	open    map[Group]*batch[ID, Fact]
	running sync.WaitGroup
}

// limits are what all batchers share.
type limits struct {
	// window is how long a batch waits for more; timeout bounds it from its first request to its answer.
	window, timeout time.Duration
	// slots has a place for each query that may run at once, waiting one for each request that may wait.
	slots, waiting chan struct{}
	// loaded is told of each query's size.
	loaded func(ids int)
	now    func() time.Time
	ctx    context.Context //nolint:containedctx // of queries, which outlive each of the requests that they are for
}

func newBatcher[Group, ID comparable, Fact any](l limits, load func(ctx context.Context, of Group, ids []ID) (map[ID]Fact, error)) *batcher[Group, ID, Fact] {
	return &batcher[Group, ID, Fact]{limits: l, load: load, open: map[Group]*batch[ID, Fact]{}}
}

// get returns what is known of the id, and since when.
func (b *batcher[Group, ID, Fact]) get(ctx context.Context, of Group, id ID) (fact Fact, readAt time.Time, err error) {
	select {
	case b.waiting <- struct{}{}:
		defer func() { <-b.waiting }()
	default:
		return fact, readAt, ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	batch := b.join(of, id)
	select {
	case <-batch.done:
		return batch.facts[id], batch.readAt, batch.err
	case <-ctx.Done():
		return fact, readAt, ctx.Err()
	}
}

// join adds the id to the batch that is open, or begins one.
func (b *batcher[Group, ID, Fact]) join(of Group, id ID) *batch[ID, Fact] {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.open[of]
	if one == nil {
		one = &batch[ID, Fact]{full: make(chan struct{}), done: make(chan struct{})}
		b.open[of] = one
		b.running.Go(func() { b.run(of, one) })
	}
	if slices.Contains(one.ids, id) {
		return one
	}
	if one.ids = append(one.ids, id); len(one.ids) == maxBatch {
		delete(b.open, of)
		close(one.full)
	}
	return one
}

// run makes the query of a batch when it is full or its window is over, and there is a slot.
func (b *batcher[Group, ID, Fact]) run(of Group, one *batch[ID, Fact]) {
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
	b.loaded(len(one.ids))
	one.readAt = b.now()
	one.facts, one.err = b.load(ctx, of, one.ids)
}

// seal lets nobody join the batch any more.
func (b *batcher[Group, ID, Fact]) seal(of Group, one *batch[ID, Fact]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[of] == one {
		delete(b.open, of)
	}
}
