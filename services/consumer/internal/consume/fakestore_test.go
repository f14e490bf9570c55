package consume

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// target is events or the table behind a materialised view: rows, and the tokens of the blocks it has taken. A view is
// shown here by the rows that reached it.
type target struct {
	rows   []store.Row
	tokens map[string]time.Time
}

// take adds the block unless its token is known.
func (t *target) take(token string, block []store.Row, now time.Time) {
	if _, known := t.tokens[token]; known {
		return
	}
	t.tokens[token] = now
	t.rows = append(t.rows, block...)
}

// listed is a range whose views may be wrong until they are rebuilt.
type listed struct {
	store.Range
	why string
}

// clickHouse is an imitation of ClickHouse with a table and two views that never fails by itself. It implements Store as
// *store.Store does, query by query.
type clickHouse struct {
	mu     sync.Mutex
	events target
	views  [2]target
	// The second view fills event_ids; filled are the rows that were added to it beside the view.
	filled  target
	rules   map[string]string
	rebuild []listed
	asked   int // questions by Seen
	// tokenLife is how long a token is remembered.
	tokenLife time.Duration
	// started is when the server was started anew after it was killed.
	started time.Time
}

func newClickHouse() *clickHouse {
	c := &clickHouse{rules: map[string]string{}, tokenLife: 100_000 * time.Second / 4}
	c.events.tokens = map[string]time.Time{}
	for i := range c.views {
		c.views[i].tokens = map[string]time.Time{}
	}
	return c
}

var (
	errLate = errors.New("VIOLATED_CONSTRAINT: in_time")
	errView = errors.New("a view threw")
)

// complete is the number of views to fill that makes a whole insert.
const complete = 2

// insert is one block on its way through the table and its views; only the first so many views are reached.
func (c *clickHouse) insert(token string, block []store.Row, until time.Time, views int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !until.After(now) {
		return errLate
	}
	for _, target := range []*target{&c.events, &c.views[0], &c.views[1]} {
		for token, at := range target.tokens {
			if now.Sub(at) > c.tokenLife {
				delete(target.tokens, token)
			}
		}
	}
	c.events.take(token, block, now)
	for i := range views {
		c.views[i].take(token, viewOf(i, block), now)
	}
	if views < complete {
		return errView
	}
	return nil
}

// die kills the server in the middle of an insert: what comes before the target (0 is events) has the block, and the target itself
// may know its token without having the rows.
func (c *clickHouse) die(token string, block []store.Row, until time.Time, before int, orphan bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.started = now
	if !until.After(now) {
		return
	}
	for i, target := range []*target{&c.events, &c.views[0], &c.views[1]} {
		rows := block
		if i > 0 {
			rows = viewOf(i-1, block)
		}
		if i < before {
			target.take(token, rows, now)
		} else if i == before && orphan {
			target.take(token, nil, now)
		}
	}
}

func (c *clickHouse) Started(context.Context) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started, nil
}

func (c *clickHouse) checkStarted(ctx context.Context) error {
	started, _ := c.Started(ctx)
	if at, limited := store.MustHaveStartedBefore(ctx); limited && !started.Before(at) {
		return store.ErrRestarted
	}
	return nil
}

func (c *clickHouse) FillViews(ctx context.Context, r store.Range, _ time.Time) error {
	return c.fill(r, deadlineOf(ctx), complete)
}

// fill gives the first so many views what they lack of the range.
func (c *clickHouse) fill(r store.Range, until time.Time, views int) error {
	rows := c.of(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !until.After(time.Now()) {
		return nil
	}
	for i := range views {
		for _, row := range viewOf(i, rows) {
			if !slices.ContainsFunc(c.views[i].rows, func(have store.Row) bool { return have.KafkaOffset == row.KafkaOffset }) {
				c.views[i].rows = append(c.views[i].rows, row)
			}
		}
	}
	if views < complete {
		return errView
	}
	return nil
}

// add stores rows in the table and in both views.
func (c *clickHouse) add(rows ...store.Row) {
	c.events.rows = append(c.events.rows, rows...)
	for i := range c.views {
		c.views[i].rows = append(c.views[i].rows, viewOf(i, rows)...)
	}
}

// viewOf is what a view makes of a block: the first keeps what counts, the second also repeats.
func viewOf(i int, block []store.Row) []store.Row {
	return slices.DeleteFunc(slices.Clone(block), func(r store.Row) bool {
		return r.Outcome != store.OutcomeEvent && (i == 0 || r.Outcome != store.OutcomeDuplicate)
	})
}

// deadlineOf is until when ClickHouse may take a block.
func deadlineOf(ctx context.Context) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		panic("an insert needs a deadline")
	}
	return deadline
}

func (c *clickHouse) Insert(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
	if err := c.checkStarted(ctx); err != nil {
		return err
	}
	return c.insert(token, cloned(rows), deadlineOf(ctx), complete)
}

func (c *clickHouse) CompleteViews(ctx context.Context, r store.Range, token string) error {
	return c.insert(token, c.of(r), deadlineOf(ctx), complete)
}

// of returns the stored rows of a range by offset.
func (c *clickHouse) of(r store.Range) []store.Row {
	c.mu.Lock()
	defer c.mu.Unlock()
	rows := slices.DeleteFunc(slices.Clone(c.events.rows), func(row store.Row) bool {
		return row.KafkaOffset < r.First || row.KafkaOffset > r.Last || !of(r.Partition, row)
	})
	slices.SortFunc(rows, func(a, b store.Row) int { return int(a.KafkaOffset - b.KafkaOffset) })
	return rows
}

func of(p store.Partition, row store.Row) bool {
	return row.KafkaTopic == p.Topic && int(row.KafkaPartition) == p.ID
}

func (c *clickHouse) CountRows(_ context.Context, r store.Range) (int64, error) {
	return int64(len(c.of(r))), nil
}

func (c *clickHouse) LastRow(_ context.Context, p store.Partition) (store.Last, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := store.Last{Offset: -1, BatchFirst: -1, HashedOffset: -1}
	for _, row := range c.events.rows {
		if !of(p, row) {
			continue
		}
		if row.KafkaOffset > last.Offset {
			last.Offset, last.BatchFirst = row.KafkaOffset, row.BatchFirst
		}
		if row.RecordHash != 0 && row.KafkaOffset > last.HashedOffset {
			last.HashedOffset, last.RecordHash = row.KafkaOffset, row.RecordHash
		}
	}
	return last, nil
}

// recorded yields the rows below the offset that the queries of RecentEvents, EventIDs and Seen look at.
func (c *clickHouse) recorded(t *target, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since = since.Truncate(time.Second) // as the driver writes it
	day := since.Truncate(24*time.Hour).AddDate(0, 0, -1)
	for _, row := range t.rows {
		if of(p, row) && row.KafkaOffset < below && !row.RecordTime.Before(since) && !row.BatchDay.Before(day) && row.EventID != (uuid.UUID{}) {
			yield(store.EventKey{SiteID: row.SiteID, EventID: row.EventID}, row.RecordTime)
		}
	}
}

func (c *clickHouse) RecentEvents(_ context.Context, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error {
	c.recorded(&c.events, p, below, since, yield)
	return nil
}

// EventIDs reads what the second view has made, which may lack what is listed for rebuild, and what was filled in.
func (c *clickHouse) EventIDs(_ context.Context, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error {
	c.recorded(&c.views[1], p, below, since, yield)
	c.recorded(&c.filled, p, below, since, yield)
	return nil
}

func (c *clickHouse) FillEventIDs(_ context.Context, r store.Range) error {
	rows := viewOf(1, c.of(r))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.filled.rows = append(c.filled.rows, rows...)
	return nil
}

func (c *clickHouse) Seen(ctx context.Context, p store.Partition, below int64, since time.Time, keys []store.EventKey) (map[store.EventKey]time.Time, error) {
	c.mu.Lock()
	c.asked++
	c.mu.Unlock()
	seen := map[store.EventKey]time.Time{}
	_ = c.EventIDs(ctx, p, below, since, func(key store.EventKey, at time.Time) {
		asked := slices.ContainsFunc(keys, func(k store.EventKey) bool { return k.EventID == key.EventID })
		if known, ok := seen[key]; asked && (!ok || at.After(known)) {
			seen[key] = at
		}
	})
	return seen, nil
}

func (c *clickHouse) Rules(_ context.Context, hash string) (string, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, known := c.rules[hash]
	return text, known, nil
}

func (c *clickHouse) ListForRebuild(_ context.Context, r store.Range, why string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rebuild = append(c.rebuild, listed{r, why})
	return nil
}

// saveRules keeps the text of rules, as a process does before it uses them.
func (c *clickHouse) saveRules(set ruleSet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rules[set.rules.Hash()] = set.rules.Text()
}

func (c *clickHouse) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d rows, %d and %d in the views, rebuild %v", len(c.events.rows), len(c.views[0].rows), len(c.views[1].rows), c.rebuild)
}
