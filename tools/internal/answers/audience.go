package answers

import (
	"cmp"
	"math/big"
	"slices"
	"time"
)

// Segment is a rule of onepx.yaml; docs/audiences.md defines what it means.
type Segment struct {
	ID string
	// Enter, Leave and Then judge an event with one of its items, nil for an event without items. Leave and Then may be nil.
	Enter, Leave, Then func(*Event, *Item) bool
	SameProduct        bool
	// MinTimes is at least 1; a MaxTimes of 0 is none.
	MinTimes, MaxTimes               int
	Within, ThenWithin, After, Lives time.Duration
	// MinValue and MaxValue are nil for none.
	MinValue, MaxValue Amount
}

// Member is a visitor in an audience.
type Member struct {
	// Visitor is the label of the visitor id; VisitorOf has those of events.
	Visitor string
	// Products are the newest first, at most ten.
	Products            []string
	QualifiedAt, EndsAt time.Time
	Hits                int
}

// maxProducts is how many products of a member are told.
const maxProducts = 10

// VisitorOf returns the label of the visitor id of each event that has an id, by the event's id.
func (a *Answers) VisitorOf() map[string]string {
	of := map[string]string{}
	for _, f := range a.facts {
		if f.ID != "" && !f.repeat && f.id != "" {
			of[f.ID] = f.id
		}
	}
	return of
}

// Audience returns the members of the segment at that instant.
func (a *Answers) Audience(s Segment, at time.Time) []Member {
	var members []Member
	for visitor, events := range a.profiled() {
		if m, is := a.member(s, mattering(s, events, at), at); is {
			m.Visitor = visitor
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(x, y Member) int { return cmp.Compare(x.Visitor, y.Visitor) })
	return members
}

// profiled are the events that take part, in the order of events, by visitor.
func (a *Answers) profiled() map[string][]*fact {
	refused := map[string]time.Time{} // the last refusal of each visitor, whenever it was; a machine's too
	for _, f := range a.facts {
		if !f.repeat && !f.Consents && f.id != "" && f.occurred.After(refused[f.id]) {
			refused[f.id] = f.occurred
		}
	}
	of := map[string][]*fact{}
	for _, f := range a.counted {
		if f.id != "" && f.Consents && f.occurred.After(refused[f.id]) {
			of[f.id] = append(of[f.id], f)
		}
	}
	return of
}

// mattering are the events that can matter at that instant.
func mattering(s Segment, events []*fact, at time.Time) []*fact {
	since := at.Add(-s.Within - s.ThenWithin - s.Lives)
	var list []*fact
	for _, f := range events {
		if !f.occurred.After(at) && f.occurred.After(since) {
			list = append(list, f)
		}
	}
	return list
}

// member tells whether the visitor of the events is in, by one key or another.
func (a *Answers) member(s Segment, events []*fact, at time.Time) (Member, bool) {
	keys := []string{""}
	if s.SameProduct {
		keys = nil
		for _, f := range events {
			for _, product := range products(s.Enter, f) {
				if product != "" && !slices.Contains(keys, product) {
					keys = append(keys, product)
				}
			}
		}
	}
	type standing struct {
		key string
		at  time.Time
	}
	var in []standing
	var m Member
	for _, key := range keys {
		w := a.walk(s, key, events)
		q, is := w.qualified(s, at)
		if !is {
			continue
		}
		in = append(in, standing{key, q})
		m.Hits += len(w.current())
		if m.QualifiedAt.Before(q) {
			m.QualifiedAt, m.EndsAt = q, q.Add(s.Lives)
		}
		if !s.SameProduct {
			m.Products = newest(s.Enter, w.current())
		}
	}
	slices.SortFunc(in, func(x, y standing) int { return cmp.Or(y.at.Compare(x.at), cmp.Compare(x.key, y.key)) })
	if s.SameProduct {
		for _, one := range in {
			m.Products = append(m.Products, one.key)
		}
	}
	m.Products = m.Products[:min(len(m.Products), maxProducts)]
	return m, len(in) > 0
}

// walked is what one key's events say.
type walked struct {
	enters []*fact
	thens  []time.Time
	// stops are leaves.
	stops []time.Time
	value func(*fact) Amount
}

func (a *Answers) walk(s Segment, key string, events []*fact) walked {
	w := walked{value: func(f *fact) Amount { return a.worth(f, s.SameProduct, key, s.Enter) }}
	has := func(of func(*Event, *Item) bool, f *fact, without bool) bool {
		if of == nil {
			return false
		}
		list := products(of, f)
		if !s.SameProduct {
			return len(list) > 0
		}
		return slices.Contains(list, key) || without && slices.Contains(list, "")
	}
	for _, f := range events {
		if has(s.Enter, f, false) {
			w.enters = append(w.enters, f)
		}
		if has(s.Then, f, false) {
			w.thens = append(w.thens, f.occurred)
		}
		if has(s.Leave, f, true) {
			w.stops = append(w.stops, f.occurred)
		}
	}
	return w
}

// stopBefore is the last stop at or before the instant; the zero time if there is none.
func (w walked) stopBefore(at time.Time) time.Time {
	var last time.Time
	for _, stop := range w.stops {
		if !stop.After(at) && stop.After(last) {
			last = stop
		}
	}
	return last
}

// current are the enter hits after the last stop.
func (w walked) current() []*fact {
	last := w.stopBefore(time.Unix(1<<40, 0))
	return slices.DeleteFunc(slices.Clone(w.enters), func(f *fact) bool { return !f.occurred.After(last) })
}

// qualified returns the instant by which the visitor is in, if they are.
func (w walked) qualified(s Segment, at time.Time) (time.Time, bool) {
	var good, tooMuch []time.Time
	for _, hit := range w.enters {
		from := w.stopBefore(hit.occurred)
		if from.Equal(hit.occurred) {
			continue
		}
		if start := hit.occurred.Add(-s.Within); start.After(from) {
			from = start
		}
		times, sum := 0, zero()
		for _, other := range w.enters {
			if other.occurred.After(from) && !other.occurred.After(hit.occurred) {
				times++
				sum = plus(sum, w.value(other))
			}
		}
		switch {
		case s.MaxTimes > 0 && times > s.MaxTimes || s.MaxValue != nil && sum.Cmp(s.MaxValue) > 0:
			tooMuch = append(tooMuch, hit.occurred)
		case times >= s.MinTimes && (s.MinValue == nil || sum.Cmp(s.MinValue) >= 0):
			good = append(good, hit.occurred)
		}
	}
	// blocked tells that a stop lies in [from, to], or, if open, in (from, to].
	blocked := func(from, to time.Time, open bool) bool {
		return slices.ContainsFunc(slices.Concat(w.stops, tooMuch), func(stop time.Time) bool {
			return !stop.After(to) && (stop.After(from) || !open && stop.Equal(from))
		})
	}
	if s.Then != nil {
		var second []time.Time
		for _, u := range w.thens {
			if slices.ContainsFunc(good, func(t time.Time) bool {
				return t.Before(u) && !u.After(t.Add(s.ThenWithin)) && !blocked(t, u, false)
			}) {
				second = append(second, u)
			}
		}
		good = second
	}
	if len(good) == 0 {
		return time.Time{}, false
	}
	q := slices.MaxFunc(good, time.Time.Compare)
	return q, !blocked(q, at, false) && !at.Before(q.Add(s.After)) && at.Before(q.Add(s.Lives))
}

// products are the distinct products of the items for which the condition holds, "" for an event without items.
func products(of func(*Event, *Item) bool, f *fact) []string {
	if len(f.Items) == 0 {
		if of(f.Event, nil) {
			return []string{""}
		}
		return nil
	}
	var list []string
	for i := range f.Items {
		if item := &f.Items[i]; of(f.Event, item) && !slices.Contains(list, item.ID) {
			list = append(list, item.ID)
		}
	}
	return list
}

// newest are the first products of the hits, newest first, each once.
func newest(of func(*Event, *Item) bool, hits []*fact) []string {
	type seen struct {
		product string
		at      time.Time
	}
	var all []seen
	for _, f := range hits {
		if product := products(of, f)[0]; product != "" {
			all = append(all, seen{product, f.occurred})
		}
	}
	slices.SortStableFunc(all, func(x, y seen) int { return cmp.Or(y.at.Compare(x.at), cmp.Compare(x.product, y.product)) })
	var list []string
	for _, s := range all {
		if !slices.Contains(list, s.product) {
			list = append(list, s.product)
		}
	}
	return list
}

// worth is the value of a hit in the site's currency: of the event or, by product, of the first item of the product for which
// the condition holds; 0 if it has none.
func (a *Answers) worth(f *fact, byProduct bool, product string, of func(*Event, *Item) bool) Amount {
	if f.currency != a.site.Currency {
		return zero()
	}
	if !byProduct {
		if f.value == nil {
			return zero()
		}
		return f.value
	}
	for i := range f.Items {
		if item := &f.Items[i]; item.ID == product && of(f.Event, item) {
			if item.Price == "" {
				return zero()
			}
			r := new(big.Rat).Mul(mustRat(item.Price), mustRat(cmp.Or(item.Quantity, "1")))
			return roundAway(r.Mul(r, big.NewRat(1_000_000, 1)))
		}
	}
	return zero()
}
