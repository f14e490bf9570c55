package ledger

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/tools/internal/answers"
)

// nowhere is the place of an event that has no row.
const nowhere = "no offset"

// expectation is what the tables of facts and the reports must hold, in the words of queries.
type expectation struct {
	site   answers.Site
	tables map[string]rows
	events []answers.Event
	// carts are when each visitor put something into the cart, bought when they bought last.
	carts  map[uuid.UUID][]time.Time
	bought map[uuid.UUID]time.Time
}

func newExpectation(site answers.Site) *expectation {
	e := &expectation{site: site, tables: map[string]rows{}, carts: map[uuid.UUID][]time.Time{}, bought: map[uuid.UUID]time.Time{}}
	for table := range queries {
		e.tables[table] = rows{}
	}
	return e
}

// addHits adds the goal hits of a record; a repeated one has them too.
func (x *expectation) addHits(e *answers.Event, place string) {
	for _, goal := range x.site.Goals {
		if goal.Matches(e) {
			x.tables["conversion_hits"][fmt.Sprintf("%s hit by %s at %s", goal.ID, e.ID, place)] = "order " + e.OrderID
		}
	}
}

// addEvent adds the order entry and the touch of an event that counts.
func (x *expectation) addEvent(e *answers.Event, place string) {
	x.events = append(x.events, *e)
	if e.Kind() == "order" {
		x.tables["order_entries"][fmt.Sprintf("%s by %s at %s", e.Name, e.ID, place)] =
			fmt.Sprintf("order %s of %s %s", e.OrderID, micros(answers.ParseAmount(e.Value)), x.site.Currency)
	}
	if kind := e.TouchKind(); kind != "" {
		x.tables["touches"][fmt.Sprintf("%s by %s at %s", kind, e.ID, place)] = fmt.Sprintf("%s %s %s", e.Origin.Source, e.Origin.Medium, e.Origin.Campaign)
	}
}

// addVisit adds what Segment needs of an event that counts, of the visitor that it was stored for.
func (x *expectation) addVisit(visitor uuid.UUID, e *answers.Event) {
	at := e.At.Truncate(time.Millisecond)
	switch e.Name {
	case "add_to_cart":
		x.carts[visitor] = append(x.carts[visitor], at)
	case "purchase":
		if at.After(x.bought[visitor]) {
			x.bought[visitor] = at
		}
	}
}

// addMembers adds who is in Segment: those who have put something into the cart since they have bought last.
func (x *expectation) addMembers() {
	const lives = 30 * 24 * time.Hour
	for visitor, carts := range x.carts {
		carts = slices.DeleteFunc(carts, func(at time.Time) bool { return !at.After(x.bought[visitor]) })
		if len(carts) > 0 {
			last := slices.MaxFunc(carts, time.Time.Compare)
			x.tables[Members][visitor.String()] = fmt.Sprintf("until %d, hits %d", last.Add(lives).UnixMilli(), len(carts))
		}
	}
}

func micros(a answers.Amount) string {
	if a == nil {
		return "no micros"
	}
	return a.String() + " micros"
}

// addReports adds what the reports say of the events, as the reference computes it, and returns the days to ask for: those of
// the events, whatever the time zone.
func (x *expectation) addReports() answers.Range {
	days := x.days()
	x.addMembers()
	reference := answers.New(x.site, x.events)
	for _, c := range reference.Conversions(days, "") {
		of := c.OrderID
		if of == "" {
			of = c.EventID
		}
		x.tables["conversions"][c.Goal+" of "+of] = fmt.Sprintf("event %s, hits %d, value %s %s", c.EventID, c.Hits, micros(c.Value), c.Currency)
	}
	x.addSums(reference.RevenueLedger(days))
	shown := map[string]int{}
	for _, e := range x.events {
		if e.TouchKind() == "view" {
			shown[e.Origin.Campaign]++
		}
	}
	for campaign, n := range shown {
		x.tables["view_through"][campaign] = fmt.Sprint("impressions ", n)
	}
	return days
}

// addSums adds the ledger's rows over all days.
func (x *expectation) addSums(ledger []answers.LedgerRow) {
	sums := map[string]*answers.LedgerRow{}
	for _, row := range ledger {
		if sum := sums[row.DatedBy]; sum != nil {
			sum.Orders, sum.Repeats, sum.Net = sum.Orders+row.Orders, sum.Repeats+row.Repeats, sum.Net.Add(sum.Net, row.Net)
		} else {
			sums[row.DatedBy] = &row
		}
	}
	for datedBy, sum := range sums {
		x.tables["revenue_ledger"]["dated by "+datedBy] = fmt.Sprintf("orders %d, repeats %d, net %s %s", sum.Orders, sum.Repeats, micros(sum.Net), sum.Currency)
	}
}

func (x *expectation) days() answers.Range {
	var first, last time.Time
	for _, e := range x.events {
		if first.IsZero() || e.At.Before(first) {
			first = e.At
		}
		if e.At.After(last) {
			last = e.At
		}
	}
	day := func(t time.Time) answers.Day { return answers.Day(t.UTC().Format(time.DateOnly)) }
	return answers.Range{From: day(first).Add(-1), To: day(last).Add(1)}
}
