package model

import "slices"

// kill ends ClickHouse and starts it anew. What is inside dies. A target notes a token a moment before it has the rows: of each
// insert the next target may remember the token and never get them, as B chooses.
func (w *World) kill(a Action) {
	w.say("ClickHouse is killed and starts anew")
	for i := range w.Inserts {
		in := &w.Inserts[i]
		if a.B>>i&1 == 1 {
			w.orphan(in, a.A)
		}
		w.answer(in.Worker, in.Seq, Unknown)
	}
	w.Inserts = nil
	w.Store.Started = w.Now
	w.Store.Starts++
}

// orphan notes the token of an insert in the next target that has not got it, without the rows.
func (w *World) orphan(in *Insert, choice int) {
	if in.Fill || !w.takes(in) {
		return
	}
	for len(in.Left) > 0 {
		target := w.nextTarget(in, choice)
		if len(w.rowsOf(in, target)) > 0 && !w.remembered(target, in.Token, in.dayOf(target)) {
			w.say("… target %d remembers the token of w%d's insert of [%d..%d], without the rows", target, in.Worker, in.A, in.B)
			w.remember(target, in.Token, in.dayOf(target))
			return
		}
	}
}

// ask finds out whether the tokens of the range may lie. It opens the connection of the insert first, so that whoever gets the insert
// has been asked. ClickHouse counts its start back from its clock of now, so it may tell a later one than the last time.
func (w *World) ask(k *Worker, choice int) {
	b := &k.Batch
	if !b.Restarted {
		b.Server = w.Store.Starts
		b.Restarted = w.restarted(b, w.Store.Started+int64(choice%2*ClockDifference))
		if b.Restarted {
			w.say("w%d hears that ClickHouse has started since [%d..%d] was declared", k.Index, b.A, b.B)
			b.Server, k.Phase = 0, Renew
			return
		}
	}
	k.Phase = Check
	if b.Cause != "" || b.Restarted {
		k.Phase = Decide
	}
}

func (w *World) restarted(b *Batch, started int64) bool {
	if w.Rules.RestartKept && b.Meta.Again > 0 {
		return true
	}
	since := b.Meta.DeclaredAt
	if w.Rules.RestartForClocks {
		since -= ClockDifference
	}
	return w.Rules.RestartSeen && started >= since
}

// renew commits the declaration again. Where tokens may lie it waits until nothing of the range is under way and takes a new one, as
// only the rows then tell what is stored. Others' inserts are no younger than the generation.
func (w *World) renew(k *Worker) bool {
	b := &k.Batch
	if b.Restarted {
		if w.Rules.QuietFirst && w.Now <= max(k.Since, b.Sent)+w.wait() {
			return false
		}
		b.renewToken(w.Rules)
	}
	w.lease(k)
	if !w.Rules.RenewFirst {
		k.Phase = Again
		return true
	}
	if !w.Rules.KeepDeclaredAt {
		b.Meta.DeclaredAt = w.wallClock(k)
	}
	w.sendCommit(k, b.position(), RenewWait)
	return true
}

func (b *Batch) renewToken(r Rules) {
	switch {
	case r.NewToken && r.DeclaredAgain:
		b.Meta.Again++
	case r.NewToken:
		b.Untold++
	}
}

// stepFill gives the views what they lack of the stored rows.
func (w *World) stepFill(k *Worker) {
	b := &k.Batch
	switch {
	case k.Phase == Fill && w.Rules.Deadline && w.Now > b.Deadline:
		k.Phase = Renew
	case k.Phase == Fill:
		b.Left = b.Deadline - w.Now
		w.send(k, Insert{Fill: true, Left: []int{ViewA, ViewBEven, ViewBOdd}}, FillWait)
		w.say("w%d fills what views lack of [%d..%d]", k.Index, b.A, b.B)
	case k.Answer == OK:
		k.Phase = Done
	default:
		k.Phase = Renew
	}
}

// fillView adds to a view what it lacks of the stored rows. Views know their rows' offsets.
func (w *World) fillView(in *Insert, target int) {
	in.Rows = w.Store.between(in.A, in.B)
	for _, r := range w.rowsOf(in, target) {
		if !slices.ContainsFunc(w.Store.Facts[target], func(f Fact) bool { return f.Offset == r.Offset }) {
			w.say("w%d's statement fills offset %d into view %d", in.Worker, r.Offset, target)
			w.Store.Facts[target] = append(w.Store.Facts[target], Fact{r.Offset, r.Rules})
		}
	}
}
