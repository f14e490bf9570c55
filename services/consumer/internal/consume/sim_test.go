package consume

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/suppression"
)

// simRounds is how many schedules the normal run tries; ONEPX_SIM_ROUNDS tries more, ONEPX_SIM_SEED always the same one:
// what happens at one instant may happen in another order the next time.
const simRounds = 500

// TestEveryOffsetIsStoredOnceWhateverFails runs real workers against a Kafka and a ClickHouse that lose answers, take blocks
// late, fail in the middle of views and go away, while processes are killed, frozen, cut off, restarted with other rules and
// stopped; and checks in the end that every offset is one row and every view holds it once.
func TestEveryOffsetIsStoredOnceWhateverFails(t *testing.T) {
	first, step, rounds := uint64(1), uint64(1), uint64(number(t, "ONEPX_SIM_ROUNDS", simRounds))
	if seed := number(t, "ONEPX_SIM_SEED", 0); seed != 0 {
		first, step = uint64(seed), 0
	}
	for round := range rounds {
		seed := first + round*step
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { schedule(t, seed) })
		})
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// schedule is one run: generations that end in all kinds of ways, then a quiet one that finishes.
func schedule(t *testing.T, seed uint64) {
	w := newWorld(seed, 0)
	w.chaos = []int{0, 30, 100, 200}[w.pick(4)]
	w.group.position = []Committed{{Offset: -1}, {Offset: 0, Metadata: idle}}[w.pick(2)]
	w.rare = w.group.position.Offset < 0
	defer w.tell(t)
	generation := w.group.next()
	for range 3 + w.pick(9) {
		w.misfortune()
		p := w.start(t, generation, w.anyRules(), w.anyLimits())
		w.produce(w.pick(25), w.anyTime())
		if w.end(p, w.anyTime()) {
			generation = w.group.next()
		}
		w.pass()
	}
	w.calm()
	w.produce(1, time.Second)
	w.producing.Wait()
	w.finish(t, w.start(t, w.group.next(), w.anyRules(), simLimits))
	w.check(t)
}

// finish waits until the last process has nothing to do any more, and ends all others.
func (w *world) finish(t *testing.T, last *process) {
	_, end := w.log.bounds()
	for range 600 {
		if w.group.get() == (Committed{Offset: end, Metadata: idleAt(int64(len(w.wishes)))}) {
			break
		}
		rest(time.Second)
	}
	for _, p := range w.processes {
		p.stop()
	}
	<-last.ended
	for _, p := range w.processes {
		p.cancel()
	}
	w.running.Wait()
	w.inFlight.Wait()
	require.Empty(t, w.stopped())
	require.NoError(t, last.err)
	require.Equal(t, Committed{Offset: end, Metadata: idleAt(int64(len(w.wishes)))}, w.group.get())
}

// end lets the process work for a while and then ends its generation in some way. It tells whether the next generation is
// another one: a follower of a group that joins again under its old member id, after an error that only it has seen, gets
// the old one back.
func (w *world) end(p *process, after time.Duration) (next bool) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-p.lost:
		return true
	case <-timer.C:
	}
	how := w.pick(4)
	for how != 0 && p.isFrozen() {
		select {
		case <-p.ended:
		case <-p.lost:
			return true
		case <-time.After(100 * time.Millisecond):
		}
	}
	switch how {
	case 0:
		w.say("%s: killed", p.name)
		p.kill()
		rest(w.upTo(simSession))
	case 1:
		w.say("%s: asked to stop", p.name)
		p.stop()
		select {
		case <-p.ended:
		case <-p.lost:
		case <-time.After(simDeadline):
			p.cancel()
		}
	case 2:
		w.say("%s: rebalanced away", p.name)
		p.cancel()
	default:
		for i := 0; i < 200 && !p.committing.Load(); i++ { // the most delicate moment
			rest(10 * time.Millisecond)
		}
		w.say("%s: has lost its connection to the coordinator", p.name)
		p.cancel()
		select {
		case <-p.ended:
			return p.err != nil && !errors.Is(p.err, ErrGenerationOver) || w.pick(2) == 0
		case <-p.lost:
		}
	}
	return true
}

// misfortune is what may go wrong between two generations, or during the next one.
func (w *world) misfortune() {
	if w.unlucky(10) {
		w.away(&w.kafkaBack, w.upTo(time.Minute))
		w.say("kafka is away until %s", w.kafkaBack.Sub(w.started))
	}
	if w.unlucky(10) {
		w.away(&w.houseBack, w.upTo(time.Minute))
		w.say("clickhouse is away until %s", w.houseBack.Sub(w.started))
	}
	if w.unlucky(15) {
		w.away(&w.viewBack, w.upTo(time.Minute))
		w.say("views throw until %s", w.viewBack.Sub(w.started))
	}
	if w.seed%3 == 0 && w.unlucky(40) {
		w.rare = true
		w.wish(suppression.Visitor, idOf(w.pick(6)), w.pick(3) > 0)
	}
	if w.unlucky(4) {
		w.rare = true
		first, end := w.log.bounds()
		w.log.expire(first + int64(w.pick(int(end-first)+1)))
		w.say("kafka's log begins at %d", w.log.first)
	}
	if w.unlucky(3) || w.sleepers() && w.unlucky(30) {
		w.rare = true
		w.group.set(Committed{Offset: -1})
		w.say("the group's position has expired")
	}
}

// sleepers tells whether a process of an earlier generation has yet to wake up: one that lost the partition without a trace
// of its position being left must do no harm.
func (w *world) sleepers() bool {
	return slices.ContainsFunc(w.processes, (*process).isFrozen)
}

func (w *world) anyTime() time.Duration {
	return w.upTo([]time.Duration{time.Second, 10 * time.Second, time.Minute}[w.pick(3)])
}

// pass lets the time between two generations pass: mostly none.
func (w *world) pass() {
	if w.pick(8) == 0 {
		long := []time.Duration{time.Minute, 20 * time.Minute, 5 * time.Hour, 8 * time.Hour, 3 * 24 * time.Hour, 8 * 24 * time.Hour}[w.pick(6)]
		if long > time.Hour { // two of them may outlast a token
			w.rare = true
		}
		w.say("%s pass", long)
		rest(w.upTo(long))
	}
}

func (w *world) anyRules() ruleSet {
	// Making the enricher of other rules takes longer than all the rest: not every run does it.
	if w.seed%20 > 0 || w.pick(2) > 0 {
		return euroRules
	}
	set := []ruleSet{dollarRules, newerRules}[w.pick(2)]
	if set.rules.Enrichment == newerRules.rules.Enrichment {
		w.rare = true
	}
	return set
}

func (w *world) anyLimits() Limits {
	limits := simLimits
	limits.WindowEvents = []int{1, 5, 1000}[w.pick(3)]
	limits.BatchRows = []int{1, 3, 8}[w.pick(3)]
	return limits
}

// produce appends records over a time: events that repeat, bytes that are none, and holes.
func (w *world) produce(n int, over time.Duration) {
	w.producing.Go(func() {
		for range n {
			rest(w.upTo(over/time.Duration(n) + 1))
			w.log.append(w.anyRecord())
		}
		if n > 0 { // no reader sees a hole at the end
			w.log.append(w.record(w.pick(1000), 0))
		}
	})
}

func (w *world) anyRecord() *kafka.Message {
	at := time.Now().Add(-w.upTo(10 * time.Minute)).Truncate(time.Millisecond)
	switch w.pick(20) {
	case 0:
		return nil
	case 1:
		m := garbage(0, at)
		return &m
	case 2:
		m := newerSchema(0, at, w.pick(30))
		return &m
	case 3:
		return &kafka.Message{}
	}
	return w.record(w.pick(30), w.upTo(10*time.Minute))
}

func (w *world) record(id int, ago time.Duration) *kafka.Message {
	event := hit(id, byVisitor(w.pick(12)))
	if w.pick(4) == 0 {
		clientMade(event)
	}
	if w.pick(4) == 0 {
		event.SiteId = "blog"
	}
	m := recordOf(0, time.Now().Add(-ago).Truncate(time.Millisecond), event)
	if w.pick(6) == 0 {
		m.Headers = append(m.Headers, replayed)
	}
	return &m
}
