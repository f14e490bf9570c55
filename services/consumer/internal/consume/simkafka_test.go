package consume

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// simLog is one partition of the topic: records, holes where Kafka has none, and a start that moves.
type simLog struct {
	mu      sync.Mutex
	records []*kafka.Message // by offset; nil is a hole
	first   int64
	changed chan struct{}
}

func newSimLog() *simLog { return &simLog{changed: make(chan struct{})} }

// append adds a record, or a hole for nil, and gives it the next offset.
func (l *simLog) append(m *kafka.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m != nil {
		m.Offset = int64(len(l.records))
	}
	l.records = append(l.records, m)
	close(l.changed)
	l.changed = make(chan struct{})
}

// expire removes the records below the offset.
func (l *simLog) expire(below int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.first = max(l.first, min(below, int64(len(l.records))))
}

// replace makes the topic anew with the given records.
func (l *simLog) replace(records ...*kafka.Message) {
	l.mu.Lock()
	l.records, l.first = nil, 0
	l.mu.Unlock()
	for _, m := range records {
		l.append(m)
	}
}

func (l *simLog) bounds() (first, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first, int64(len(l.records))
}

// at returns the first record at the offset or after it that Kafka holds, or else what to wait for.
func (l *simLog) at(offset int64) (*kafka.Message, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := max(offset, l.first); i < int64(len(l.records)); i++ {
		if m := l.records[i]; m != nil {
			return m, nil
		}
	}
	return nil, l.changed
}

// simReader is the log as a process sees it; it implements Log.
type simReader struct{ *process }

var errKafkaAway = errors.New("kafka is away")

func (r simReader) Bounds(ctx context.Context) (first, end int64, err error) {
	if err := r.step(ctx, "bounds"); err != nil {
		return 0, 0, err
	}
	if r.kafkaIsAway() || r.unlucky(1) {
		return 0, 0, errors.Join(errKafkaAway, wait(ctx, r.upTo(2*time.Second)))
	}
	first, end = r.log.bounds()
	return first, end, nil
}

func (r simReader) Open(offset int64) (Cursor, error) {
	return &simCursor{r.process, offset}, nil
}

type simCursor struct {
	*process
	offset int64
}

func (c *simCursor) Next(ctx context.Context) (kafka.Message, error) {
	if err := c.step(ctx, "next"); err != nil {
		return kafka.Message{}, err
	}
	for {
		if c.kafkaIsAway() {
			if err := wait(ctx, 500*time.Millisecond); err != nil {
				return kafka.Message{}, err
			}
			continue
		}
		m, changed := c.log.at(c.offset)
		if m != nil {
			c.offset = m.Offset + 1
			found := *m
			_, found.HighWaterMark = c.log.bounds()
			return found, ctx.Err()
		}
		select {
		case <-ctx.Done():
			return kafka.Message{}, ctx.Err()
		case <-changed:
		}
	}
}

func (*simCursor) Close() error { return nil }

// simGroup is the coordinator: who may commit is who has the generation.
type simGroup struct {
	mu         sync.Mutex
	generation int
	position   Committed
}

func (g *simGroup) get() Committed {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.position
}

func (g *simGroup) set(c Committed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.position = c
}

// next begins a new generation.
func (g *simGroup) next() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.generation++
	return g.generation
}

func (g *simGroup) commit(generation int, c Committed) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if generation != g.generation {
		return fmt.Errorf("%w: %d, not %d", ErrGenerationOver, generation, g.generation)
	}
	g.position = c
	return nil
}

// simPositions are the committed positions as a process sees them; it implements Positions.
type simPositions struct{ *process }

func (p simPositions) Fetch(ctx context.Context) (Committed, error) {
	if err := p.step(ctx, "fetch"); err != nil {
		return Committed{}, err
	}
	if p.kafkaIsAway() || p.unlucky(2) {
		return Committed{}, errors.Join(errKafkaAway, wait(ctx, p.upTo(2*time.Second)))
	}
	return p.group.get(), nil
}

// Commit lands at once or late, or never, and its answer comes or does not, each without the other.
func (p simPositions) Commit(ctx context.Context, c Committed) error {
	p.noteList()
	if err := p.step(ctx, "commit"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	generation := p.generation
	delay, lost, silent := p.upTo(20*time.Millisecond), p.kafkaIsAway() || p.unlucky(2), p.unlucky(2)
	if p.unlucky(2) {
		delay = p.upTo(3 * commitTimeout)
	}
	answer := make(chan error, 1)
	defer p.committing.Store(false)
	p.committing.Store(true)
	p.inFlight.Go(func() {
		rest(delay)
		if lost {
			return
		}
		err := p.group.commit(generation, c)
		p.say("%s: commit %d %q: %v", p.name, c.Offset, c.Metadata, err)
		if !silent {
			answer <- err
		}
	})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		p.say("%s: commit %d %q: no answer", p.name, c.Offset, c.Metadata)
		return ctx.Err()
	}
}

// simLetters is the dead-letter topic; it implements DeadLetters.
type simLetters struct{ *process }

func (l simLetters) Publish(ctx context.Context, letters []DeadLetter) error {
	if err := l.step(ctx, "dead letters"); err != nil {
		return err
	}
	if l.kafkaIsAway() || l.unlucky(5) {
		return errors.Join(errKafkaAway, wait(ctx, l.upTo(time.Second)))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, letter := range letters {
		l.letters[letter.Record.Offset] = letter.Reason
	}
	return nil
}
