package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// The times of the simulation.
const (
	simSession  = 12 * time.Second
	simDeadline = 5 * time.Second
)

var simLimits = Limits{
	BatchRows: 8, BatchBytes: 4096, WaitingBytes: 512, FlushAge: 300 * time.Millisecond, InsertGap: 200 * time.Millisecond,
	IdleAfter: 2 * time.Second, InsertDeadline: simDeadline, TokenLife: 6 * time.Hour, WindowEvents: 20,
}

// world is everything outside of the workers: one partition in Kafka, the group's position in it, and ClickHouse. It runs
// in the virtual time of synctest, and its chances are those of the seed.
type world struct {
	seed  uint64
	log   *simLog
	group *simGroup
	house *clickHouse
	// inFlight are requests on their way, whether or not somebody waits for the answer; running are the workers, producing
	// those who append to the log.
	inFlight, running, producing sync.WaitGroup

	mu        sync.Mutex
	random    *rand.Rand
	chaos     int // percent: 0 = nothing fails
	started   time.Time
	kafkaBack time.Time
	houseBack time.Time
	viewBack  time.Time
	wishes    []kafka.Message // the topic of the suppression list
	processes []*process
	letters   map[int64]reason.Reason
	inserts   map[string][]listSpan
	stops     []string
	trace     []string
	// rare tells that something has happened after which ranges may be listed for rebuild.
	rare bool
}

// listSpan says between which positions of the suppression list a block was made.
type listSpan struct{ low, high int64 }

func newWorld(seed uint64, chaos int) *world {
	return &world{
		seed: seed, log: newSimLog(), group: &simGroup{}, house: newClickHouse(), random: rand.New(rand.NewPCG(seed, 7)),
		chaos: chaos, started: time.Now(), letters: map[int64]reason.Reason{}, inserts: map[string][]listSpan{},
	}
}

// say adds to the story of the run, which is printed when it ends badly.
func (w *world) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%12s ", time.Since(w.started).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

// pick returns a number below n.
func (w *world) pick(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

func (w *world) upTo(d time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.random.Int64N(int64(d)))
}

// unlucky is true in the given percentage of cases, scaled by the chaos of the run.
func (w *world) unlucky(percent int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(10_000) < percent*w.chaos
}

func (w *world) calm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.chaos, w.kafkaBack, w.houseBack, w.viewBack = 0, time.Time{}, time.Time{}, time.Time{}
}

// stopped are the reasons of the partitions that have stopped.
func (w *world) stopped() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.stops)
}

// away lets something be away for a while.
func (w *world) away(back *time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*back = time.Now().Add(d)
}

func (w *world) kafkaIsAway() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.kafkaBack)
}

func (w *world) houseIsAway() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.houseBack)
}

func (w *world) viewIsBroken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.viewBack)
}

// wish adds to the topic of the suppression list; each process learns of it a little later.
func (w *world) wish(kind suppression.Kind, id []byte, suppressed bool) {
	w.mu.Lock()
	m := kafka.Message{Key: suppression.Key(kind, id), Offset: int64(len(w.wishes))}
	if suppressed {
		m.Value = []byte("1")
	}
	w.wishes = append(w.wishes, m)
	w.mu.Unlock()
	for _, p := range w.processes {
		delay := w.upTo(3 * time.Second)
		w.inFlight.Go(func() {
			rest(delay)
			p.learn()
		})
	}
}

// process is one consumer with the partition, for the length of a generation.
type process struct {
	*world
	name       string
	set        ruleSet
	list       *suppression.List
	generation int
	ctx        context.Context //nolint:containedctx // the process's life
	cancel     func()
	stopping   context.Context //nolint:containedctx // the wish to stop
	stop       func()
	ended      chan struct{}
	err        error
	lost       chan struct{} // closed when the group has given up on it
	committing atomic.Bool   // a commit is on its way
	// under mu of the world:
	dead, frozen bool
	known        int64 // wishes learnt
	listAt       int64 // position of the list at the last commit
}

var errDead = errors.New("this process was killed")

// learn applies the wishes that the process does not know yet.
func (p *process) learn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ; p.known < int64(len(p.wishes)); p.known++ {
		p.list.Apply(p.wishes[p.known])
	}
}

func (p *process) noteList() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listAt = p.list.Now().Position
}

func (p *process) noteInsert(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inserts[token] = append(p.inserts[token], listSpan{p.listAt, p.list.Now().Position})
}

// step is where a process may be frozen or found dead: before each call to the outside.
func (p *process) step(ctx context.Context, what string) error {
	if p.unlucky(1) && what != "next" {
		p.freeze(what)
	}
	p.mu.Lock()
	dead := p.dead
	p.mu.Unlock()
	if dead {
		<-p.ctx.Done()
		return errDead
	}
	return ctx.Err()
}

// freeze stops the process where it is, as a signal or a machine that is moved does. The group gives up on it after the
// session timeout; it learns that a moment after it has woken up.
func (p *process) freeze(what string) {
	length := p.upTo(4 * simSession)
	p.say("%s: frozen before %s for %s", p.name, what, length)
	p.setFrozen(true)
	rest(min(length, simSession))
	if length > simSession {
		p.giveUp()
		rest(length - simSession)
		noticed := p.upTo(time.Second)
		p.inFlight.Go(func() {
			rest(noticed)
			p.cancel()
		})
	}
	p.setFrozen(false)
	p.say("%s: wakes up", p.name)
}

func (p *process) giveUp() {
	select {
	case <-p.lost:
	default:
		close(p.lost)
	}
}

func (p *process) setFrozen(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = on
}

func (p *process) isFrozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen
}

func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.cancel()
}

// start runs a worker under the generation; with may replace its parts.
func (w *world) start(t testing.TB, generation int, set ruleSet, limits Limits, with ...func(*Deps)) *process {
	p := &process{world: w, name: fmt.Sprintf("p%d", len(w.processes)), set: set, list: suppression.New(), generation: generation,
		ended: make(chan struct{}), lost: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.stopping, p.stop = context.WithCancel(context.Background())
	p.learn()
	w.house.saveRules(set)
	w.mu.Lock()
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	w.say("%s: starts in generation %d with %s, position %v, list at %d", p.name, generation, set.rules.Sites["shop"].Currency, w.group.get(), p.known)
	deps := Deps{
		Partition: partition, Log: simReader{p}, Positions: simPositions{p}, Store: simStore{p}, DeadLetters: simLetters{p},
		Suppressions: p.list, Rules: set.rules, Enricher: set.enricher, Limits: limits, Turns: NewTurns(),
		Now: time.Now, Elapsed: func() time.Duration { return time.Since(w.started) },
		Logger: slog.New(&storyteller{process: p}), Metrics: noMetrics(t), Tracer: noTracer,
	}
	for _, change := range with {
		change(&deps)
	}
	worker := NewWorker(deps)
	w.running.Go(func() {
		p.err = worker.Run(p.ctx, p.stopping)
		w.say("%s: ended: %v", p.name, p.err)
		close(p.ended)
	})
	return p
}

// storyteller is a slog.Handler that adds to the story and notes partitions that stop.
type storyteller struct {
	slog.Handler
	process *process
}

func (*storyteller) Enabled(context.Context, slog.Level) bool { return true }

func (s *storyteller) WithAttrs([]slog.Attr) slog.Handler { return s }

func (s *storyteller) Handle(_ context.Context, r slog.Record) error {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	s.process.say("%s: log: %s", s.process.name, text)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "reason" {
			s.process.mu.Lock()
			s.process.stops = append(s.process.stops, a.Value.String())
			s.process.mu.Unlock()
		}
		return true
	})
	return nil
}
