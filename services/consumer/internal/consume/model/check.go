package model

import "slices"

// checkStored is asked before rows enter events: is each new, and what the log says it is?
func (w *World) checkStored(in *Insert, rows []Row) {
	for _, r := range rows {
		if slices.ContainsFunc(w.Store.Rows, func(s Row) bool { return s.Offset == r.Offset }) {
			w.broken("offset %d is stored twice", r.Offset)
			return
		}
		if in.Epoch != w.Topic.Epoch { // rows of a topic that is gone; whoever comes next must see it
			w.ghost.changed = w.ghost.changed || r.Hash != 0
			continue
		}
		if want := w.reference(r, in.Rows); r.Outcome != want {
			w.broken("offset %d is stored as %s, it is %s", r.Offset, r.Outcome, want)
			return
		}
		keeps := r.Outcome == Duplicate || r.Outcome == Event
		if rec, ok := w.Topic.at(r.Offset); ok && r.Outcome != Missing && (r.Hash != rec.Hash || r.Time != rec.Time || keeps != (r.ID != 0)) {
			w.broken("the row of offset %d is not its record's", r.Offset)
		}
	}
}

// reference is the outcome of an offset by the whole log and what is stored below it, whoever asks and however often. Which of
// the suppression positions counted is the one thing taken from the row.
func (w *World) reference(r Row, batch []Row) Outcome {
	i := slices.IndexFunc(w.Topic.Records, func(x Record) bool { return x.Offset == r.Offset })
	if r.Offset >= w.Topic.End {
		return Event // not given out yet: no row is right
	}
	if i < 0 || r.Outcome == Missing && r.Offset < w.Topic.Start {
		return Missing
	}
	rec := w.Topic.Records[i]
	if rec.ID == 0 {
		return Dead
	}
	if w.suppressed(rec.ID, r.Wishes) {
		return Suppressed
	}
	within := int64(RepeatWindow)
	if rec.Replayed {
		within = ReplayHorizon
	}
	for _, below := range [][]Row{w.Store.Rows, batch} {
		for _, s := range below {
			if s.Offset < r.Offset && s.ID == rec.ID && rec.Time-s.Time <= within {
				return Duplicate
			}
		}
	}
	return Event
}

// String is the word in the database.
func (o Outcome) String() string {
	return [...]string{"missing", "dead", "suppressed", "duplicate", "event"}[o]
}

// checkCommit is asked before Kafka takes a commit: nobody may go on where a person has to look first.
func (w *World) checkCommit(c Commit) {
	if c.Again {
		return
	}
	if w.ghost.moved {
		w.broken("a worker went on after the position was changed by hand")
	}
	if w.ghost.changed && c.Epoch == w.Topic.Epoch {
		w.broken("a worker went on after the topic was made anew")
	}
}

// checkStop is asked when a worker stops: was there a reason since it fetched the position?
func (w *World) checkStop(k *Worker) {
	if k.Stop == OffsetsMoved && !k.moved || k.Stop == TopicChanged && !w.ghost.remade {
		w.broken("the partition stops without a reason: %s", k.Stop)
	}
}

// checkListed is asked before an exception lists its range: a rebuild is expensive, so there must be a reason.
func (w *World) checkListed(k *Worker) {
	b := k.Batch
	really := map[string]bool{
		"old":         w.Now-b.Meta.DeclaredAt > OldDeclaration-2*ClockDifference,
		"expired":     w.Topic.Start > b.A || w.ghost.remade,
		"rules":       b.Meta.Rules.Binary != k.Rules.Binary,
		"suppression": b.Meta.Wishes != k.Wishes,
	}
	if !really[b.Cause] {
		w.broken("a range is listed for rebuild without need: %s", b.Cause)
	}
}

// checkEnd is asked when all faults are over and nothing moves any more.
func (w *World) checkEnd() {
	for o := w.ghost.first; o < w.Topic.End; o++ {
		switch n := len(w.Store.between(o, o)); {
		case n == 0:
			w.broken("offset %d has no row", o)
		case n > 1:
			w.broken("offset %d is stored twice", o)
		}
	}
	w.checkViews()
	if p := w.Group.Position; p.Offset != w.Topic.End || p.Meta.Mark != Idle {
		w.broken("all is stored, yet the lag is not 0: %s of %d", p, w.Topic.End)
	}
}

// checkViews compares each view, offset by offset, with what it would be if it were made from events now.
func (w *World) checkViews() {
	for _, target := range []int{ViewA, ViewBEven, ViewBOdd} {
		var want, have []Fact
		in := Insert{Rows: w.Store.Rows}
		for _, r := range w.rowsOf(&in, target) {
			if !w.Store.listed(r.Offset) {
				want = append(want, Fact{r.Offset, r.Rules})
			}
		}
		for _, f := range w.Store.Facts[target] {
			if !w.Store.listed(f.Offset) {
				have = append(have, f)
			}
		}
		byOffset := func(a, b Fact) int { return a.Offset - b.Offset }
		slices.SortStableFunc(want, byOffset)
		slices.SortStableFunc(have, byOffset)
		if !slices.Equal(want, have) {
			w.broken("view %d differs from events: events says %v, the view %v", target, want, have)
			return
		}
	}
}
