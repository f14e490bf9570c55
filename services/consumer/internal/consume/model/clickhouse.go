package model

import "slices"

// Outcome is what became of an offset, in this precedence.
type Outcome int

// The outcomes.
const (
	Missing    Outcome = iota // Kafka skipped the offset
	Dead                      // undecodable
	Suppressed                // the visitor's wish
	Duplicate                 // repeats an earlier record
	Event                     // counted
)

// Row is one row of events.
type Row struct {
	Offset  int
	Outcome Outcome
	ID      int // event id; 0 where the outcome keeps none
	Time    int64
	Hash    int // of the raw record; 0 for a missing one
	Rules   RulesID
	Wishes  int
	A       int // first offset of the batch
}

// Token is an insert deduplication token: topic/partition/a-b/hash/at/again. Serial is 0 unless tokens are switched off.
type Token struct {
	A, B, Hash    int
	At            int64
	Again, Serial int
}

// Targets are what one insert fills, each with a part and a token of its own: two halves of events (one part, unless OnePart is
// off), a view, and a second view whose table has two partitions.
const (
	Table = iota
	TableOdd
	ViewA
	ViewBEven
	ViewBOdd
	targets
)

// Fact is a view's row: made from the event at Offset, by Rules.
type Fact struct {
	Offset int
	Rules  RulesID
}

// Stored is a token that a target remembers. Day is events' partition, 0 for the views.
type Stored struct {
	Target int
	Token  Token
	Day    int64
	At     int64
}

// Range is a listed range of offsets [From..To), whose views wait for a rebuild.
type Range struct{ From, To int }

// Store is ClickHouse.
type Store struct {
	Rows   []Row
	Facts  [targets][]Fact
	Tokens []Stored
	Texts  []RulesID // table rules: what the id means
	Listed []Range

	Started int64 // the moment
	Starts  int   // how often, which nobody can ask
}

func (s *Store) clone() Store {
	c := *s
	c.Rows, c.Tokens = slices.Clone(s.Rows), slices.Clone(s.Tokens)
	c.Texts, c.Listed = slices.Clone(s.Texts), slices.Clone(s.Listed)
	for i := range c.Facts {
		c.Facts[i] = slices.Clone(s.Facts[i])
	}
	return c
}

// last is the row with the highest offset; hashed asks for the highest that is not a missing one.
func (s *Store) last(hashed bool) (Row, bool) {
	best, ok := Row{Offset: -1}, false
	for _, r := range s.Rows {
		if r.Offset > best.Offset && (!hashed || r.Hash != 0) {
			best, ok = r, true
		}
	}
	return best, ok
}

// between are the rows of [a..b] by offset.
func (s *Store) between(a, b int) []Row {
	var out []Row
	for _, r := range s.Rows {
		if r.Offset >= a && r.Offset <= b {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(x, y Row) int { return x.Offset - y.Offset })
	return out
}

func (s *Store) listed(offset int) bool {
	return slices.ContainsFunc(s.Listed, func(r Range) bool { return r.From <= offset && offset < r.To })
}

// Insert is one INSERT on its way or inside the server. It fills its targets one by one, events first and the views in any order,
// and others' inserts may come between.
type Insert struct {
	Worker, Seq int
	Epoch       int
	Token       Token
	Day         int64
	Rows        []Row
	Select      bool // INSERT … SELECT of the stored rows of [A..B]
	Fill        bool // not into events: what views lack of the stored rows of [A..B], without a token
	A, B        int
	Server      int   // the start of the server at the other end of its connection; 0: of whoever runs
	Until       int64 // the server refuses after this
	Left        []int // targets still to fill
}

// rowsOf are the rows of an insert that go to a target.
func (w *World) rowsOf(in *Insert, target int) []Row {
	var out []Row
	for _, r := range in.Rows {
		odd := r.Offset%2 == 1
		split := target == ViewBOdd || target == ViewBEven || !w.Rules.OnePart && target != ViewA
		if split && odd != (target == TableOdd || target == ViewBOdd) {
			continue
		}
		if target != Table && target != TableOdd && r.Outcome != Event {
			continue
		}
		out = append(out, r)
	}
	return out
}

// takes tells whether the server goes on with an insert.
func (w *World) takes(in *Insert) bool {
	switch {
	case in.Server != 0 && in.Server != w.Store.Starts:
		w.say("w%d's insert of [%d..%d] was for the ClickHouse that was killed", in.Worker, in.A, in.B)
		return false
	case w.Now > in.Until:
		w.say("ClickHouse refuses w%d's insert of [%d..%d]: past its deadline", in.Worker, in.A, in.B)
		return false
	case in.Select && len(in.Rows) == 0:
		in.Rows = w.Store.between(in.A, in.B)
	}
	return true
}

// nextTarget takes the target that an insert fills next.
func (w *World) nextTarget(in *Insert, choice int) int {
	i := choice % len(in.Left)
	if in.Left[0] == Table || in.Left[0] == TableOdd || !w.Rules.ViewsDeduplicate {
		i = 0
	}
	target := in.Left[i]
	in.Left = slices.Delete(in.Left, i, i+1)
	return target
}

// dayOf is the partition in which a target looks for the insert's token.
func (in *Insert) dayOf(target int) int64 {
	if target == Table || target == TableOdd {
		return in.Day
	}
	return 0
}

// progress fills one more target of an insert. It reports whether the insert goes on.
func (w *World) progress(in *Insert, choice int) bool {
	if !w.takes(in) {
		return false
	}
	target := w.nextTarget(in, choice)
	if in.Fill {
		w.fillView(in, target)
		return true
	}
	rows := w.rowsOf(in, target)
	if len(rows) == 0 {
		return true
	}
	if target == Table || target == TableOdd {
		return w.fillTable(in, target, rows)
	}
	if w.Rules.ViewsDeduplicate && w.remembered(target, in.Token, 0) {
		return true
	}
	w.say("w%d's insert of [%d..%d] reaches view %d", in.Worker, in.A, in.B, target)
	w.remember(target, in.Token, 0)
	for _, r := range rows {
		w.Store.Facts[target] = append(w.Store.Facts[target], Fact{r.Offset, r.Rules})
	}
	return true
}

func (w *World) fillTable(in *Insert, target int, rows []Row) bool {
	if w.remembered(target, in.Token, in.Day) {
		w.say("events knows the token of w%d's insert of [%d..%d]", in.Worker, in.A, in.B)
		if !w.Rules.ViewsDeduplicate {
			in.Left = nil // a block that the table drops never reaches the views
		}
		return true
	}
	w.say("w%d's insert of [%d..%d] is stored in events", in.Worker, in.A, in.B)
	w.remember(target, in.Token, in.Day)
	w.checkStored(in, rows)
	w.Store.Rows = append(w.Store.Rows, rows...)
	return true
}

func (w *World) remembered(target int, t Token, day int64) bool {
	return slices.ContainsFunc(w.Store.Tokens, func(s Stored) bool {
		return s.Target == target && s.Token == t && s.Day == day
	})
}

func (w *World) remember(target int, t Token, day int64) {
	w.Store.Tokens = append(w.Store.Tokens, Stored{target, t, day, w.Now})
}

// forget drops the tokens that may be pushed out of the windows by now.
func (w *World) forget() {
	w.Store.Tokens = slices.DeleteFunc(w.Store.Tokens, func(s Stored) bool { return w.Now-s.At > TokenLife })
}
