package model

import "slices"

// stepAssigned goes from the group's position to the first range of this assignment: look, repeat, judge, recover.
func (w *World) stepAssigned(k *Worker) bool {
	switch k.Phase {
	case WaitEmpty:
		if w.Rules.WaitWithoutOffset && w.Now < k.Since+w.wait() {
			return false
		}
		k.Phase = Look
	case Look:
		w.look(k)
	case Repeat:
		k.Batch = Batch{A: k.Fetched.Offset, B: k.Fetched.Meta.B, Meta: k.Fetched.Meta}
		if !w.Rules.KeepDeclaredAt {
			k.Batch.Meta.DeclaredAt = w.wallClock(k)
		}
		w.lease(k)
		w.sendCommit(k, k.Batch.position(), RepeatWait)
	case RepeatWait:
		next := Judge
		if !w.Rules.LookFirst {
			next = Look
		}
		w.commitAnswered(k, next, Repeat)
	case Judge:
		w.judge(k)
	case ListEmpty:
		if w.Rules.ListWithoutOffset {
			w.listFromLastBatch()
		}
		k.Phase = StartEmpty
	case StartEmpty:
		w.startEmpty(k)
	case Recover:
		w.recover(k)
	case List:
		if w.Rules.ListFirst {
			w.list(k)
		}
		k.Phase = Ask
	case Decide:
		w.decide(k)
	}
	return true
}

// wait is how long no insert can be under way any more of those who have lost the partition.
func (w *World) wait() int64 {
	if !w.Rules.WaitForClocks {
		return InsertDeadline
	}
	return InsertDeadline + ClockDifference
}

// look asks events for its last rows. The repeated commit comes after it: if that is taken, nobody else can have gone on since the
// position was fetched, so what was seen belongs to it. (To commit first and once more before the alarm is as good.)
func (w *World) look(k *Worker) {
	last, _ := w.Store.last(false)
	k.Last, k.Changed, k.Epoch = last.Offset, w.topicChanged(), w.Topic.Epoch
	k.moved = k.moved || w.ghost.moved
	w.say("w%d looks: the last row is %d", k.Index, k.Last)
	k.Phase = Judge
	if k.Fetched.Set && w.Rules.RepeatBeforeStop && w.Rules.LookFirst {
		k.Phase = Repeat
	} else if k.Fetched.Set && !w.Rules.RepeatBeforeStop {
		k.Batch = Batch{A: k.Fetched.Offset, B: k.Fetched.Meta.B, Meta: k.Fetched.Meta}
		w.lease(k)
	}
}

// topicChanged compares the last stored record with Kafka's, unless Kafka no longer holds it. A row at an offset that Kafka has
// not given out says the same.
func (w *World) topicChanged() bool {
	if last, _ := w.Store.last(false); last.Offset >= w.Topic.End {
		return true
	}
	last, ok := w.Store.last(true)
	if !ok || last.Offset < w.Topic.Start {
		return false
	}
	rec, ok := w.Topic.at(last.Offset)
	return !ok || rec.Hash != last.Hash
}

func (w *World) judge(k *Worker) {
	m := k.Fetched.Meta
	end := k.Fetched.Offset // first offset that must have no row
	if m.Mark == Declared {
		end = m.B + 1
	}
	switch {
	case k.Changed && w.Rules.TopicCheck:
		w.stop(k, TopicChanged)
	case !k.Fetched.Set:
		k.Phase = ListEmpty
	case k.Last >= end && w.Rules.RowsBeyondStop:
		w.stop(k, OffsetsMoved)
	case m.Mark != Declared:
		k.Pos, k.Idled, k.Phase = k.Fetched.Offset, m.Mark == Idle, Ready
	case !w.Rules.ClosedRange:
		k.Pos, k.Phase = k.Fetched.Offset, Ready
	case !w.Rules.RecoverAssigned:
		k.Pos, k.Phase = m.B+1, Ready
	default:
		k.Phase = Recover
	}
}

// startEmpty is the start of a group that has no position.
func (w *World) startEmpty(k *Worker) {
	k.Pos, k.Idled, k.Phase = w.Topic.Start, false, Ready
	if k.Last >= 0 && w.Rules.StartAfterRows {
		k.Pos = k.Last + 1
	}
	if len(w.Store.Rows) == 0 {
		w.ghost.first = k.Pos
	}
	w.say("w%d starts at %d", k.Index, k.Pos)
}

// listFromLastBatch lists what the views may have got, or not got, of ranges that nobody can finish any more.
func (w *World) listFromLastBatch() {
	last, _ := w.Store.last(false)
	w.Store.Listed = append(w.Store.Listed, Range{last.A, w.ghost.maxEnd})
}

// recover makes the rows of the declared range again and finds out whether that can be right.
func (w *World) recover(k *Worker) {
	b := &k.Batch
	m := b.Meta
	first, _ := w.Topic.first(b.A, b.B)
	if w.Rules.DeclaredHash && (w.Topic.End <= b.B || w.Topic.Start <= b.A && first.Hash != m.Hash) {
		w.stop(k, TopicChanged)
		return
	}
	k.Wishes = max(k.Wishes, m.Wishes)
	b.Recovered, b.Cause = true, w.cause(k)
	rules := k.Rules
	if b.Cause == "" && w.Rules.DeclaredRules && w.canMake(k, m.Rules) {
		rules = m.Rules
	}
	b.Rows = w.makeRows(k, b.A, b.B, rules, k.Wishes)
	w.say("w%d makes the rows of [%d..%d] again%s", k.Index, b.A, b.B, when(b.Cause != "", ", exception: "+b.Cause))
	k.Phase = Ask
	if b.Cause != "" {
		k.Phase = List
	}
}

// cause says why the rows made now may differ from the declared ones, or why the token may be forgotten; "" if neither.
func (w *World) cause(k *Worker) string {
	m := k.Batch.Meta
	switch {
	case w.old(k):
		return "old"
	case w.Rules.ExpiredException && w.Topic.Start > k.Batch.A:
		return "expired"
	case w.Rules.RulesException && !w.canMake(k, m.Rules):
		return "rules"
	case w.Rules.SuppressionException && k.Wishes != m.Wishes:
		return "suppression"
	}
	return ""
}

func (w *World) old(k *Worker) bool {
	return w.Rules.OldException && w.wallClock(k)-k.Batch.Meta.DeclaredAt > OldDeclaration
}

func (w *World) canMake(k *Worker, r RulesID) bool {
	return r == k.Rules || r.Binary == k.Rules.Binary && w.Store.knows(r)
}

func (s *Store) knows(r RulesID) bool { return slices.Contains(s.Texts, r) }

func (w *World) list(k *Worker) {
	w.checkListed(k)
	w.say("w%d lists [%d..%d] for rebuild", k.Index, k.Batch.A, k.Batch.B)
	w.Store.Listed = append(w.Store.Listed, Range{k.Batch.A, k.Batch.B + 1})
}

// decide is what is inserted by an exception or after a restart: nothing but what the views lack if the rows are there, else the rows
// made now. What it reads counts only while nobody else can be storing the same offsets in other ranges, so before the deadline.
func (w *World) decide(k *Worker) {
	b := &k.Batch
	if w.Rules.ReadWithinLease && w.Now > b.Deadline {
		k.Phase = Renew
		return
	}
	stored := len(w.Store.between(b.A, b.B))
	k.Phase = Check
	switch {
	case stored == 0:
		b.Select = false
	case stored != b.B-b.A+1:
		w.broken("a range is partly there")
	case b.Cause != "" && w.old(k) && w.Rules.OldInsertsNothing:
		k.Phase = Done
	case b.Restarted && w.Rules.FillViews:
		k.Phase = Fill
	case b.Restarted:
		k.Phase = Done
	default:
		b.Select = true
	}
}

// accept is the operator's `topics accept-offsets`: with the group empty, and nothing of it in flight, go on behind the last row.
func (w *World) accept() bool {
	if len(w.Group.Members) > 0 || w.Rules.AcceptWaits && w.Now < w.Group.EmptySince+w.wait() || w.topicChanged() {
		return false
	}
	pos := Position{Set: true, Offset: w.Topic.Start, Meta: Meta{Mark: Idle}}
	if last, ok := w.Store.last(false); ok {
		pos.Offset = last.Offset + 1
	} else {
		w.ghost.first = w.Topic.Start
	}
	if w.Rules.AcceptLists {
		w.listFromLastBatch()
	}
	w.Group.Position, w.ghost.moved = pos, false
	w.say("operator: accept-offsets, position %s", pos)
	return true
}
