package model

import "slices"

// Kind is what may happen.
type Kind int

// The kinds of actions, with what A and B choose.
const (
	Step         Kind = iota // worker A does the next thing of the protocol; B chooses sizes
	Notice                   // worker A's heartbeat tells it that its generation is over
	Land                     // commit A reaches Kafka
	LandUnheard              // … but the answer gets lost
	GiveUpCommit             // the sender of commit A no longer waits; the commit may still land
	LoseCommit               // commit A never lands
	Progress                 // insert A fills one more target, B chooses which
	Fail                     // insert A ends where it is
	GiveUpInsert             // the sender of insert A no longer waits; the insert goes on
	Append                   // a record of event id A is published; B chooses time, gap and mark
	Tick                     // time passes, ticks[A]; B chooses the owner if the group changes
	Start                    // worker A starts, with rules B
	Crash                    // worker A dies
	Quit                     // worker A leaves the group and ends
	Pause                    // worker A is stopped (SIGSTOP)
	Resume                   // … and goes on
	Cut                      // worker A cannot reach Kafka
	Heal                     // … and can again
	Hiccup                   // worker A's heartbeat fails once: it rejoins under its member id
	Expire                   // Kafka's retention takes the first A records
	Kill                     // ClickHouse is killed and starts anew; bit i of B: insert i leaves a token without rows, A chooses where
	Wish                     // the suppression list changes for event id A
	Learn                    // worker A reads the suppression list
	Reset                    // an operator sets the group to offset A
	Delete                   // an operator deletes the group
	Restore                  // an operator puts back an earlier position, with its metadata
	Accept                   // an operator runs accept-offsets
	Remake                   // an operator makes the topic anew; with A=1 the group keeps its position
)

// Action is one step of a schedule.
type Action struct {
	Kind Kind
	A, B int
}

// ticks are the steps of time, in seconds, from one that changes nothing to one that outlives every window.
var ticks = []int64{1, 5, InsertDeadline + 1, InsertDeadline + ClockDifference + 1, SessionTimeout + 1, RepeatWindow + 60, RepeatHorizon + 60, 3 * 3600,
	OldDeclaration + 300, TokenLife + 60, 26 * 3600, 8 * day}

// Places in ticks: past the insert deadline, past the session timeout.
const (
	pastDeadline = 2
	pastSession  = 4
)

// Apply does the action; false if it is not possible now, and nothing has changed.
func (w *World) Apply(a Action) bool {
	done := w.apply(a)
	if w.prune {
		w.dropInert()
	}
	return done
}

func (w *World) apply(a Action) bool {
	switch {
	case a.Kind == Step || a.Kind == Notice || a.Kind >= Start && a.Kind <= Hiccup || a.Kind == Learn:
		return w.applyWorker(&w.Workers[a.A%len(w.Workers)], a)
	case a.Kind >= Land && a.Kind <= LoseCommit:
		return len(w.Commits) > 0 && w.applyCommit(a.A%len(w.Commits), a.Kind)
	case a.Kind >= Progress && a.Kind <= GiveUpInsert:
		return len(w.Inserts) > 0 && w.applyInsert(a.A%len(w.Inserts), a)
	case a.Kind >= Reset:
		return w.applyOperator(a)
	}
	switch a.Kind {
	case Append:
		w.publish(a.A, a.B)
	case Tick:
		w.tick(ticks[a.A%len(ticks)], a.B)
	case Kill:
		w.kill(a)
	case Wish:
		w.say("the suppression list changes for id %d", a.A)
		w.Wishes = append(w.Wishes, a.A)
	case Expire:
		// Of a topic made anew nothing expires: with the last stored record gone too, nobody could tell.
		if w.ghost.remade || w.Topic.Start == w.Topic.End {
			return false
		}
		w.Topic.Start = min(w.Topic.Start+1+a.A, w.Topic.End)
		w.say("Kafka's retention: the log starts at %d", w.Topic.Start)
	}
	return true
}

func (w *World) applyWorker(k *Worker, a Action) bool {
	if (k.Phase == Down) != (a.Kind == Start) {
		return false
	}
	switch a.Kind {
	case Step:
		return !k.Paused && w.step(k, 1+a.B%3, a.B)
	case Notice:
		if k.Paused || k.Cut || k.Phase == Join || k.Gen == w.Group.Gen && w.Group.member(k.Member) >= 0 {
			return false
		}
		w.sync(k)
	case Start:
		*k = Worker{Index: k.Index, Skew: k.Skew, Rules: RulesID{Text: a.B & 1, Binary: a.B >> 1 & 1}, Wishes: len(w.Wishes)}
		k.reset()
		k.Phase = Join
		w.say("w%d starts with rules %v", k.Index, k.Rules)
	case Crash:
		w.say("w%d is killed", k.Index)
		k.reset()
		k.Phase = Down
	case Quit:
		if k.Paused || k.Cut {
			return false
		}
		w.say("w%d leaves the group and ends", k.Index)
		w.leave(k, a.B)
		k.reset()
		k.Phase = Down
	case Pause, Resume:
		return w.set(&k.Paused, a.Kind == Pause, "w%d stopped: %v", k.Index)
	case Cut, Heal:
		return w.set(&k.Cut, a.Kind == Cut, "w%d cut off from Kafka: %v", k.Index)
	case Hiccup:
		if k.Paused || k.Cut || k.Phase == Join || k.Phase == Leave {
			return false
		}
		w.hiccup(k, a.B)
	case Learn:
		k.Wishes = len(w.Wishes)
	}
	return true
}

func (w *World) set(flag *bool, value bool, format string, worker int) bool {
	if *flag == value {
		return false
	}
	*flag = value
	w.say(format, worker, value)
	return true
}

// answer tells a worker what became of its message, if it still waits for that one.
func (w *World) answer(worker, seq int, a Answer) bool {
	k := &w.Workers[worker]
	if !k.waits() || k.Seq != seq || k.Answer != None {
		return false
	}
	k.Answer = a
	return true
}

// dropInert takes out messages that can change nothing any more and that nobody waits for: commits of past generations, and
// inserts of which every part is stored.
func (w *World) dropInert() {
	waiting := func(worker, seq int) bool {
		k := &w.Workers[worker]
		return k.waits() && k.Seq == seq && k.Answer == None
	}
	w.Commits = slices.DeleteFunc(w.Commits, func(c Commit) bool { return c.Gen != w.Group.Gen && !waiting(c.Worker, c.Seq) })
	w.Inserts = slices.DeleteFunc(w.Inserts, func(in Insert) bool {
		for _, target := range in.Left {
			if in.Fill || len(w.rowsOf(&in, target)) > 0 && !w.remembered(target, in.Token, in.dayOf(target)) {
				return false
			}
		}
		return !waiting(in.Worker, in.Seq)
	})
}

func (w *World) applyCommit(i int, kind Kind) bool {
	c := w.Commits[i]
	switch kind {
	case GiveUpCommit:
		given := w.answer(c.Worker, c.Seq, Unknown)
		if given {
			w.say("w%d no longer waits for its commit of %s, which is still on its way", c.Worker, c.Pos)
		}
		return given
	case LoseCommit:
		w.say("w%d's commit of %s is lost", c.Worker, c.Pos)
		w.answer(c.Worker, c.Seq, Unknown)
	default:
		if w.Workers[c.Worker].Cut {
			return false
		}
		answer := Refused
		if w.landCommit(c) {
			answer = OK
		}
		if kind == LandUnheard {
			w.say("… w%d does not hear of it", c.Worker)
			answer = Unknown
		}
		w.answer(c.Worker, c.Seq, answer)
	}
	w.Commits = slices.Delete(w.Commits, i, i+1)
	return true
}

func (w *World) applyInsert(i int, a Action) bool {
	in := &w.Inserts[i]
	switch a.Kind {
	case GiveUpInsert:
		given := w.answer(in.Worker, in.Seq, Unknown)
		if given {
			w.say("w%d no longer waits for its insert of [%d..%d], which goes on", in.Worker, in.A, in.B)
		}
		return given
	case Fail:
		w.say("w%d's insert of [%d..%d] fails", in.Worker, in.A, in.B)
		w.answer(in.Worker, in.Seq, Unknown)
	case Progress:
		if w.progress(in, a.B) {
			if len(in.Left) > 0 {
				return true
			}
			w.answer(in.Worker, in.Seq, OK)
		} else {
			w.answer(in.Worker, in.Seq, Unknown)
		}
	}
	w.Inserts = slices.Delete(w.Inserts, i, i+1)
	return true
}

// publish appends a record: its time may lie behind, offsets may be skipped, it may be marked as replayed.
func (w *World) publish(id, choice int) {
	t := &w.Topic
	offset := t.End
	if gap := choice % 32; gap < 4 {
		offset += 1 + gap
	}
	lag := [...]int64{0, 0, 0, 5 * 60, MaxDisorder}[choice/32%5]
	r := Record{Offset: offset, Time: w.Now - lag, ID: id % 4, Replayed: choice/160%4 == 3, Hash: w.next()}
	t.Records = append(t.Records, r)
	t.End = offset + 1
	w.ghost.maxEnd = max(w.ghost.maxEnd, t.End)
	w.say("record %d: event id %d, %d s old%s", offset, r.ID, lag, when(r.Replayed, ", replayed"))
}

// tick lets time pass: heartbeats of the living arrive, the silent leave the group, ClickHouse forgets old tokens.
func (w *World) tick(d int64, pref int) {
	w.Now += d
	w.say("%d seconds pass", d)
	for i := range w.Group.Members {
		m := &w.Group.Members[i]
		if k := w.Workers[m.Worker]; k.Phase != Down && !k.Paused && !k.Cut && k.Member == m.ID {
			m.Seen = w.Now
		}
	}
	w.expel(pref)
	w.forget()
}

// applyOperator is what people do by hand. Kafka lets them change a group only while it is empty.
func (w *World) applyOperator(a Action) bool {
	if a.Kind == Remake {
		return w.remake(a.A%2 == 1)
	}
	if len(w.Group.Members) > 0 {
		return false
	}
	switch a.Kind {
	case Reset:
		w.Group.Position = Position{Set: true, Offset: a.A % (w.Topic.End + 2)}
		w.ghost.moved = true
		w.say("operator: group reset to %d", w.Group.Position.Offset)
	case Delete:
		w.Group = Group{EmptySince: w.Group.EmptySince}
		w.ghost.moved, w.ghost.accepted = false, nil
		w.say("operator: group deleted")
	case Restore:
		return w.restore(a.A)
	case Accept:
		w.ghost.accepted = nil
		return w.accept()
	}
	return true
}

// restore puts back a position that the group once had. It is seen only by the rows beyond it, so the last range must be stored
// and nothing in flight, and its token the last one that was declared: the limit that docs/adr/0001-exactly-once.md names.
func (w *World) restore(choice int) bool {
	p := w.Group.Position
	if !p.Set || len(w.ghost.accepted) == 0 || len(w.Inserts) > 0 || w.ghost.moved ||
		p.Meta.Mark == Declared && len(w.Store.between(p.Offset, p.Meta.B)) == 0 {
		return false
	}
	p = w.ghost.accepted[choice%len(w.ghost.accepted)]
	if slices.ContainsFunc(w.ghost.accepted, func(q Position) bool { return q.Offset == p.Offset && q.Meta.Again > p.Meta.Again }) {
		return false
	}
	end := p.Offset
	if p.Meta.Mark == Declared {
		end = p.Meta.B + 1
	}
	last, _ := w.Store.last(false)
	w.Group.Position, w.ghost.moved = p, last.Offset >= end
	w.say("operator: position put back to %s", p)
	return true
}

// remake makes the topic anew. Nobody can tell where nothing but missing offsets was stored of the old one, so that is left out.
func (w *World) remake(keep bool) bool {
	_, stored := w.Store.last(true)
	if whole := w.Topic.Start == 0 && len(w.Topic.Records) == w.Topic.End; !whole && !stored {
		return false
	}
	w.Topic = Topic{Epoch: w.Topic.Epoch + 1}
	w.ghost.remade, w.ghost.changed = true, stored
	w.ghost.first, w.ghost.accepted = 0, nil
	if !keep {
		w.Group.Position, w.ghost.moved = Position{}, false
	}
	w.say("operator: the topic is made anew%s", when(keep, ", the group keeps its position"))
	return true
}
