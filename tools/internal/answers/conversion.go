package answers

import (
	"fmt"
	"slices"
	"time"
)

// conversion is a goal hit that counts.
type conversion struct {
	goal            Goal
	hit             *fact
	person, visitor string
	// id is the label of the visitor id.
	id string
	// value and gross are nil when unknown; value is nil for `none` too.
	value, gross Amount
	unknown      bool
	currency     string
	rateMissing  bool
	overRefunded bool
	// hits are those that it stands for, in order, itself included.
	hits []*fact
}

// goals are those that a question is about; all without a name.
func (a *Answers) goals(name string) []Goal {
	if name == "" {
		return a.site.Goals
	}
	return slices.DeleteFunc(slices.Clone(a.site.Goals), func(g Goal) bool { return g.ID != name })
}

// conversions are all of the goal, whatever their day. Sessions are known as far as a question up to that day reads them.
func (a *Answers) conversions(goal Goal, to Day) []*conversion {
	var all []*conversion
	groups := map[string]*conversion{} // the last one that counted of each group
	for group, f := range a.grouped(goal, to) {
		c := groups[group]
		if c == nil || goal.OncePer == "hit" || byEvent(goal, f) && f.occurred.Sub(c.hit.occurred) > 48*time.Hour {
			c = &conversion{goal: goal, hit: f}
			groups[group] = c
			all = append(all, c)
		}
		c.hits = append(c.hits, f)
	}
	for _, c := range all {
		c.person, c.visitor, c.id = c.hit.person, c.hit.visitor, c.hit.id
		if goal.OncePer == "order" && c.hit.OrderID != "" {
			for _, f := range c.hits {
				if f.person != "" {
					c.person, c.visitor, c.id = f.person, f.visitor, f.id
					break
				}
			}
		}
		a.setValue(c)
	}
	return all
}

// byEvent tells that the event id decides whether the hit counts.
func byEvent(goal Goal, f *fact) bool {
	return goal.OncePer == "event" || goal.OncePer == "order" && f.OrderID == ""
}

// grouped walks over the counted hits of a goal in order, each with the group of which the first counts.
func (a *Answers) grouped(goal Goal, to Day) func(yield func(string, *fact) bool) {
	var sessions []*session
	if goal.OncePer == "session" {
		sessions = a.sessions(to)
	}
	return func(yield func(string, *fact) bool) {
		for i, f := range a.counted {
			if !goal.Matches(f.Event) {
				continue
			}
			group := fmt.Sprint("alone ", i)
			switch s := sessionOf(sessions, f, f.visitor, f.occurred); {
			case byEvent(goal, f) && f.ID != "":
				group = "event " + f.ID
			case byEvent(goal, f):
			case goal.OncePer == "order":
				group = "order " + f.OrderID
			case s != nil:
				group = "session of " + s.visitor + " at " + s.first().occurred.String() + s.first().ID
			}
			if !yield(group, f) {
				return
			}
		}
	}
}

// setValue computes the value.
func (a *Answers) setValue(c *conversion) {
	c.currency = a.site.Currency
	switch {
	case c.goal.Value == "none":
		return
	case c.goal.Value == "event" && c.hit.kind == "order":
		o := a.orderOf[c.hit]
		c.currency, c.rateMissing = o.currency, o.rateMissing
		c.overRefunded, c.unknown = o.overRefunded(), !o.valued
		c.gross = o.gross
		if o.valued {
			c.value = o.net
		}
		return
	}
	amount, currency := c.hit.value, c.hit.currency
	if c.goal.Value != "event" {
		amount, currency = ParseAmount(c.goal.Value), c.goal.Currency
	}
	if amount == nil || amount.Sign() < 0 {
		c.unknown = true
		return
	}
	if c.value = a.site.convert(amount, currency, c.hit.day); c.value == nil {
		c.value, c.currency, c.rateMissing = amount, currency, true
	}
	c.gross = c.value
}

// inRange are the conversions of the range.
func (a *Answers) inRange(goal Goal, r Range) []*conversion {
	return slices.DeleteFunc(a.conversions(goal, r.To), func(c *conversion) bool { return !r.has(c.hit.day) })
}

// machineHits are those of machines in the range.
func (a *Answers) machineHits(goal Goal, r Range) int {
	n := 0
	for _, f := range a.facts {
		if f.Bot && !f.repeat && r.has(f.day) && goal.Matches(f.Event) {
			n++
		}
	}
	return n
}

// ConversionRow is one of conversions.
type ConversionRow struct {
	Goal string `key:"goal"`
	// EventID is empty where the sender gave none.
	EventID     string   `key:"event_id"`
	OccurredAt  string   `key:"occurred_at"`
	Day         Day      `col:"day"`
	OrderID     string   `key:"order_id"`
	Person      Label    `col:"person"`
	Value       Amount   `col:"value"`
	Gross       Amount   `col:"gross"`
	Currency    string   `col:"currency"`
	RateMissing bool     `col:"rate_missing"`
	Hits        int      `col:"hits"`
	Flags       []string `col:"flags"`
	Machines    int      `col:"machine_hits"`
}

// Label names a person: another name for the id that the product has made.
type Label string

// Conversions answers: which conversions were counted?
func (a *Answers) Conversions(r Range, goal string) []ConversionRow {
	var rows []ConversionRow
	for _, g := range a.goals(goal) {
		machines := a.machineHits(g, r)
		for _, c := range a.inRange(g, r) {
			flags := []string{}
			if c.unknown {
				flags = append(flags, "value_unknown")
			}
			if c.overRefunded {
				flags = append(flags, "over_refunded")
			}
			rows = append(rows, ConversionRow{
				Goal: g.ID, Day: c.hit.day, OccurredAt: c.hit.occurred.Format("2006-01-02 15:04:05.000"), EventID: c.hit.ID, OrderID: c.hit.OrderID,
				Person: Label(c.person), Value: c.value, Gross: c.gross, Currency: c.currency, RateMissing: c.rateMissing,
				Hits: len(c.hits), Flags: flags, Machines: machines,
			})
		}
	}
	return rows
}
