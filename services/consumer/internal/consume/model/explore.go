package model

import "math/rand/v2"

// Schedule is one run: where it begins and what happens. It ends with Settle.
type Schedule struct {
	Config  Config
	Actions []Action
}

// Run plays the schedule and returns the first broken promise, "" if there is none, and the steps for a person to read.
func (s Schedule) Run(r Rules) (violation string, steps []string) {
	w := New(r, s.Config)
	w.trace = &steps
	w.play(s.Actions)
	return w.violation, steps
}

func (w *World) play(actions []Action) {
	for _, a := range actions {
		w.Apply(a) // one that is not possible is left out
		if w.violation != "" {
			return
		}
	}
	w.Settle()
}

// Random plays the schedule of a seed under the rules. It returns the schedule and the first broken promise, "" if there is none.
func Random(r Rules, seed uint64) (Schedule, string) {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // the same seed must give the same schedule
	s := Schedule{Config: Config{Workers: 2 + g.IntN(2), Start: []int64{0, day - 40, 3 * day}[g.IntN(3)], Fresh: g.IntN(3) == 0}}
	g.w = New(r, s.Config)
	g.chooseWeights()
	for range 1 + g.IntN(s.Config.Workers) {
		s.Actions = append(s.Actions, Action{Start, g.IntN(3), g.IntN(4)})
		g.w.Apply(s.Actions[len(s.Actions)-1])
	}
	for n, tries := 20+g.IntN(140), 0; n > 0 && tries < 2000; tries++ {
		for _, a := range g.draw() {
			if g.w.Apply(a) {
				s.Actions = append(s.Actions, a)
				n--
			}
			if g.w.violation != "" {
				return s, g.w.violation
			}
		}
	}
	g.w.Settle()
	return s, g.w.violation
}

// generator draws actions. Each schedule has only some kinds of faults, so that some get deep into the others.
type generator struct {
	*rand.Rand
	w        *World
	weights  [Remake + 1]int
	sum      int
	patience int // a new message overtakes the old ones this often
}

func (g *generator) chooseWeights() {
	g.weights = [...]int{Step: 400, Notice: 40, Land: 100, LandUnheard: 10, GiveUpCommit: 10, LoseCommit: 5, Progress: 150, Fail: 12,
		GiveUpInsert: 8, Append: 40, Tick: 16, Start: 30, Crash: 8, Quit: 3, Pause: 8, Resume: 8, Cut: 4, Heal: 8, Hiccup: 6, Expire: 2, Kill: 3, Wish: 3, Learn: 8,
		Reset: 1, Delete: 1, Restore: 1, Accept: 1, Remake: 5}
	for k := range g.weights {
		if k := Kind(k); k != Step && k != Notice && k != Land && k != Progress && k != Append && k != Start && k != Learn {
			g.weights[k] *= [...]int{0, 0, 1, 2, 6}[g.IntN(5)]
		}
	}
	if look := g.IntN(10); look < 3 {
		g.lookAtRestarts()
	} else if look == 3 {
		g.lookAtOldOwners()
	} else if look < 7 {
		g.weights[Remake] = 0
	}
	g.patience = 1 + g.IntN(10)
	for _, n := range g.weights {
		g.sum += n
	}
}

// lookAtRestarts leaves little but restarts of ClickHouse while inserts linger: what goes wrong by them needs many steps.
func (g *generator) lookAtRestarts() {
	for _, k := range []Kind{LandUnheard, GiveUpCommit, LoseCommit, Quit, Cut, Expire, Wish, Reset, Delete, Restore, Accept, Remake} {
		g.weights[k] = 0
	}
	g.weights[Progress], g.weights[Append], g.weights[Tick], g.weights[Kill], g.weights[GiveUpInsert] = 60, 5, 30, 40, 20
}

// lookAtOldOwners leaves little but owners that are stopped, and go on when the range has got other bounds.
func (g *generator) lookAtOldOwners() {
	for _, k := range []Kind{LandUnheard, GiveUpCommit, LoseCommit, Fail, GiveUpInsert, Expire, Kill, Reset, Delete, Restore, Remake} {
		g.weights[k] = 0
	}
	g.weights[Notice], g.weights[Append], g.weights[Quit], g.weights[Pause], g.weights[Resume], g.weights[Accept] = 1, 10, 15, 10, 4, 10
}

// draw gives the next action. What needs an empty group is preceded by all that empties it.
func (g *generator) draw() []Action {
	n, k := g.IntN(g.sum), Kind(0)
	for n >= g.weights[k] {
		n -= g.weights[k]
		k++
	}
	a := Action{k, g.IntN(8), g.IntN(640)}
	switch k {
	case Land, LandUnheard, Progress:
		if g.IntN(g.patience) > 0 { // old messages linger
			a.A = max(len(g.w.Commits), 1) - 1
			if k == Progress {
				a.A = max(len(g.w.Inserts), 1) - 1
			}
		}
	case Tick:
		if a.A = g.IntN(3); g.IntN(4) == 0 {
			a.A = g.IntN(len(ticks))
		}
	case Kill:
		if len(g.w.Inserts) == 0 && g.IntN(8) > 0 { // seldom while nothing is inside
			return nil
		}
	case Reset, Delete, Restore, Accept:
		return append(g.emptyGroup(), a, Action{Start, g.IntN(8), g.IntN(4)})
	}
	return []Action{a}
}

// emptyGroup makes every worker leave the group, or be silent until Kafka takes it out.
func (g *generator) emptyGroup() []Action {
	var out []Action
	leave := g.IntN(2) == 0
	for i := range g.w.Workers {
		end := []Kind{Crash, Pause, Cut}[g.IntN(3)]
		if leave || g.weights[end] == 0 {
			end = Quit
		}
		out = append(out, Action{end, i, 0})
	}
	switch {
	case !leave:
		out = append(out, Action{Tick, pastSession, 0})
		if g.IntN(2) == 0 { // nothing of them is under way any more
			out = append(out, Action{Tick, pastSession, 0})
		}
	case g.IntN(2) == 0:
		out = append(out, Action{Tick, pastDeadline, 0})
	}
	return out
}

// Shorten takes out of a failing schedule whatever it fails without, until nothing more can go.
func Shorten(r Rules, s Schedule) Schedule {
	fails := func(actions []Action) bool {
		w := New(r, s.Config)
		w.play(actions)
		return w.violation != ""
	}
	for chunk := max(len(s.Actions)/2, 1); chunk > 0; {
		shorter := false
		for i := 0; i+chunk <= len(s.Actions); {
			rest := append(append([]Action{}, s.Actions[:i]...), s.Actions[i+chunk:]...)
			if fails(rest) {
				s.Actions, shorter = rest, true
			} else {
				i++
			}
		}
		if !shorter {
			chunk /= 2
		}
	}
	return s
}
