// Package answers computes the answer to every question of docs/questions.md from a list of events as their senders know
// them. It is written from that text alone, in plain Go, and shares no code with the product, so that the product can be
// held against it. Simple comes before fast: each question walks over the whole list.
//
// New takes the list; each question is a method that returns the rows of the view of its name, in no particular order.
package answers

import (
	"regexp"
	"time"
)

// Transport is the way in which an event comes.
type Transport string

// The transports.
const (
	Pixel  Transport = "gif"
	Beacon Transport = "beacon"
	Server Transport = "server"
)

// Event is what a sender knows of an event. The list of events is in the order of their arrival.
type Event struct {
	// ID is the event id, a UUID in lower case; empty when the sender gives none. Events that may have the same time as
	// another need one.
	ID string
	// Arrived is when the request reaches the collector; At, when not zero, is when the event happened by its sender.
	Arrived, At time.Time
	// Transport says who sends it.
	Transport Transport
	// Device names a browser: an address and a user agent of its own. Empty when a server does not know it.
	Device string
	// KeepsCookies tells that the device sends back the cookie it is given; AnswerLost that this answer, and so the cookie in
	// it, does not reach it.
	KeepsCookies, AnswerLost bool
	// Bot tells that the device is a machine that says so.
	Bot bool
	// Visitor is the site's own id of the visitor, User the customer's.
	Visitor, User string
	// Consents tells that the visitor allows everything (parameter `c`); else they have said nothing.
	Consents bool

	// Name is the event's name.
	Name string
	// URL is the page's without utm parameters and click ids; Referrer is where the visitor came from.
	URL, Referrer string
	// UTM are the utm parameters without their prefix, ClickID is the value of a click id and ClickParam its name.
	UTM                 map[string]string
	ClickParam, ClickID string
	// Origin is what these say, by the rules of channels.
	Origin Origin

	// OrderID, Value and Currency are texts as sent; empty ones are not sent. Meant is the decimal number that Value stands for
	// where a shop prints it in another way.
	OrderID, Value, Meant, Currency string
	Items                           []Item
	// ItemsBroken tells that one more item is sent that can't be read.
	ItemsBroken bool
	Props       map[string]string
}

// Kind is page_view, impression, identify, order or custom.
func (e *Event) Kind() string {
	switch e.Name {
	case "page_view", "impression", "identify":
		return e.Name
	case "purchase", "refund", "cancel", "restate":
		return "order"
	}
	return "custom"
}

// TouchKind is click, view or direct, or empty: what kind of touch the event is unless others of its visitor say that it is
// none.
func (e *Event) TouchKind() string {
	switch {
	case e.Kind() == "impression":
		return "view"
	case e.Kind() == "page_view" && e.Origin.Source != "":
		return "click"
	case e.Kind() == "page_view" && e.Referrer == "":
		return "direct"
	}
	return ""
}

// Origin is where an event's visitor came from; the zero value is a direct one.
type Origin struct{ Channel, Source, Medium, Campaign string }

// Item is a line of an order; empty texts are not sent.
type Item struct{ ID, Quantity, Price, Category string }

// Goal is one of onepx.yaml.
type Goal struct {
	ID, Event string
	URL       *regexp.Regexp
	Props     map[string]string
	// OncePer is order, event, session or hit.
	OncePer string
	// Value is event, none or an amount in Currency.
	Value, Currency     string
	ClickDays, ViewDays int
}

// Matches tells that the event fulfils all conditions of the goal.
func (g Goal) Matches(e *Event) bool {
	if g.Event != "" && g.Event != e.Name || g.URL != nil && !g.URL.MatchString(e.URL) {
		return false
	}
	for name, value := range g.Props {
		if e.Props[name] != value {
			return false
		}
	}
	return true
}

// Cost is a line of imported costs.
type Cost struct {
	Day                                        Day
	Source, Medium, Campaign, Currency, Amount string
}

// Site is everything beside the events.
type Site struct {
	Zone     *time.Location
	Currency string
	Goals    []Goal
	// Rates are units of a currency for a euro, as decimal texts, by currency and day. The euro needs none.
	Rates map[string]map[Day]string
	Costs []Cost
}

// Day is a date in the time zone of the site, as 2026-11-01.
type Day string

// Add returns the day n days later.
func (d Day) Add(n int) Day {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		panic(err) // days are made from times, or stand in tests
	}
	return Day(t.AddDate(0, 0, n).Format(time.DateOnly))
}

// begin is the day's first instant.
func (d Day) begin(zone *time.Location) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, string(d), zone)
	if err != nil {
		panic(err) // as in Add
	}
	return t
}

// Range is days, both included.
type Range struct{ From, To Day }

func (r Range) has(d Day) bool { return r.From <= d && d <= r.To }
