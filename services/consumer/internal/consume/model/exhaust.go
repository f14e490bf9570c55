package model

import "hash/maphash"

// Small is a world small enough for every schedule to be tried.
type Small struct {
	Workers int
	Records []int // event ids, published before the first action
	Faults  int   // how many faults a schedule may have
	Ticks   int   // how often time may pass
}

// faults are the kinds that count against Small.Faults, besides Kill.
var faults = []Kind{GiveUpCommit, Fail, GiveUpInsert, Crash, Quit, Hiccup, Pause}

type search struct {
	seen map[uint64]bool
	seed maphash.Seed
	path []Action
}

// Exhaust tries every schedule of the small world, ending each in every state it reaches. It returns the number of states, and
// the first broken promise with its schedule.
func Exhaust(r Rules, s Small) (states int, violation string, found Schedule) {
	c := Config{Workers: s.Workers, Prune: true}
	w := New(r, c)
	x := search{seen: map[uint64]bool{}, seed: maphash.MakeSeed()}
	for _, id := range s.Records {
		x.path = append(x.path, Action{Append, id, 31})
		w.Apply(Action{Append, id, 31})
	}
	violation = x.visit(w, s.Faults, s.Ticks)
	return len(x.seen), violation, Schedule{c, x.path}
}

// visit goes on from w in every way, depth first; on a broken promise the path stays as it is.
func (x *search) visit(w *World, faultsLeft, ticksLeft int) string {
	key := x.hash(w, faultsLeft, ticksLeft)
	if x.seen[key] {
		return ""
	}
	x.seen[key] = true
	end := w.clone()
	if end.Settle(); end.violation != "" {
		return end.violation
	}
	try := func(a Action, faultsLeft, ticksLeft int) string {
		next, before := w.clone(), len(x.path)
		if !next.Apply(a) {
			return ""
		}
		x.path = append(x.path, a)
		// Steps that nobody else can see or disturb need no other order.
		for next.alone(a) && next.Apply(a) {
			x.path = append(x.path, a)
		}
		violation := next.violation
		if violation == "" {
			violation = x.visit(next, faultsLeft, ticksLeft)
		}
		if violation == "" {
			x.path = x.path[:before]
		}
		return violation
	}
	for _, a := range w.choices() {
		if v := try(a, faultsLeft, ticksLeft); v != "" {
			return v
		}
	}
	for _, tick := range []int{pastDeadline, pastSession} {
		if ticksLeft == 0 {
			break
		}
		if v := try(Action{Tick, tick, 0}, faultsLeft, ticksLeft-1); v != "" {
			return v
		}
	}
	for variant := 0; faultsLeft > 0 && variant < 2; variant++ {
		if v := try(Action{Kill, 0, variant}, faultsLeft-1, ticksLeft); v != "" {
			return v
		}
	}
	for i := 0; faultsLeft > 0 && i < len(faults)*max(len(w.Workers), len(w.Commits), len(w.Inserts)); i++ {
		a := Action{faults[i%len(faults)], i / len(faults), 0}
		if a.Kind == Pause && ticksLeft == 0 { // nothing comes too late while no time passes
			continue
		}
		if v := try(a, faultsLeft-1, ticksLeft); v != "" {
			return v
		}
	}
	return ""
}

// alone tells whether doing the action again, which has just been done, is a step that reads and changes nothing but the worker
// itself, only sends, or fills one more view.
func (w *World) alone(a Action) bool {
	switch a.Kind {
	case Progress:
		return a.A < len(w.Inserts) && len(w.Inserts[a.A].Left) < 3
	case Step:
		switch w.Workers[a.A].Phase {
		case Judge, Repeat, Declare, Check, Send, Renew, Again, Done:
			return true
		}
	}
	return false
}

// choices are the actions that are no faults.
func (w *World) choices() []Action {
	var out []Action
	for i := range w.Workers {
		k := &w.Workers[i]
		out = append(out, Action{Step, i, 0}, Action{Notice, i, 0}, Action{Start, i, 0}, Action{Resume, i, 0})
		if k.Phase == Join {
			out = append(out, Action{Step, i, 1})
		}
	}
	for i := range w.Commits {
		out = append(out, Action{Land, i, 0})
	}
	for i := range w.Inserts {
		out = append(out, Action{Progress, i, 0})
	}
	return out
}

// hash is the state as a number, without what only tells how it was reached. That two states among a few million have the same
// number is so unlikely that it does not matter.
func (x *search) hash(w *World, faultsLeft, ticksLeft int) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	g := &w.Group
	maphash.WriteComparable(&h, [...]int{faultsLeft, ticksLeft, int(w.Now), g.member(g.Owner), len(g.Members), len(w.Commits), len(w.Inserts), int(w.Store.Started)})
	maphash.WriteComparable(&h, g.Position)
	for _, m := range g.Members {
		maphash.WriteComparable(&h, [...]int{m.Worker, int(m.Seen)})
	}
	for i := range w.Workers {
		w.Workers[i].hash(&h, w)
	}
	for _, c := range w.Commits {
		maphash.WriteComparable(&h, [...]int{c.Worker, g.member(c.Member), min(g.Gen-c.Gen, 1)})
		maphash.WriteComparable(&h, c.Pos)
	}
	for _, in := range w.Inserts {
		maphash.WriteComparable(&h, [...]int{in.Worker, in.A, in.B, len(in.Left), int(in.Until), len(in.Rows), w.age(in.Server)})
		maphash.WriteComparable(&h, in.Token)
	}
	w.Store.hash(&h)
	return h.Sum64()
}

func (k *Worker) hash(h *maphash.Hash, w *World) {
	waitsFor := -1
	for i, c := range w.Commits {
		if c.Seq == k.Seq {
			waitsFor = i
		}
	}
	for i, in := range w.Inserts {
		if in.Seq == k.Seq {
			waitsFor = i
		}
	}
	maphash.WriteComparable(h, [...]bool{k.Paused, k.Changed, k.Idled, k.Loaded, k.Batch.Select, k.Batch.Recovered, k.Batch.Restarted})
	maphash.WriteComparable(h, [...]int{int(k.Phase), w.Group.member(k.Member), min(w.Group.Gen-k.Gen, 1), int(k.Since), waitsFor, int(k.Answer),
		k.Last, k.Pos, len(k.Window), k.Batch.A, k.Batch.B, len(k.Batch.Rows), int(k.Batch.Deadline), int(k.Batch.Sent), w.age(k.Batch.Server)})
	maphash.WriteComparable(h, [...]string{k.Stop, k.Batch.Cause})
	maphash.WriteComparable(h, k.Fetched)
	maphash.WriteComparable(h, k.Batch.Meta)
}

func (s *Store) hash(h *maphash.Hash) {
	rows, listed := 0, 0
	for _, r := range s.Rows {
		rows |= 1 << r.Offset
	}
	for _, r := range s.Listed {
		listed |= 1 << r.From
	}
	facts := [targets]int{}
	for target := range s.Facts {
		for _, f := range s.Facts[target] {
			facts[target] += 1 << (8 * f.Offset) // a count for each offset
		}
	}
	maphash.WriteComparable(h, [...]int{rows, listed, len(s.Rows), len(s.Tokens)})
	maphash.WriteComparable(h, facts)
	tokens := uint64(0) // in any order
	for _, t := range s.Tokens {
		t.At = 0
		tokens += maphash.Comparable(h.Seed(), t)
	}
	maphash.WriteComparable(h, tokens)
}

// age is 0 for a connection to whoever runs, 1 to the ClickHouse that runs, 2 to one that was killed.
func (w *World) age(server int) int {
	switch server {
	case 0:
		return 0
	case w.Store.Starts:
		return 1
	}
	return 2
}
