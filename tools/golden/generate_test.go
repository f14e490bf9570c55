package golden_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/tools/internal/answers"
)

// slot is how often the collector's clock moves: events arrive at full slots.
const slot = time.Hour

// maker makes the data set. Everything that happens is drawn from the one seed.
type maker struct {
	random *rand.Rand
	events []*answers.Event
	// devices and orders are counted to name them, clicks to tell click ids apart.
	devices, orders, clicks int
}

// generate returns the events in the order of their arrival.
func generate(seed uint64) []answers.Event {
	m := &maker{random: rand.New(rand.NewPCG(seed, 1))}
	m.people()
	m.orderCases()
	m.edges()
	m.machines()
	m.nameTies()
	m.repeats()
	slices.SortStableFunc(m.events, func(x, y *answers.Event) int { return x.Arrived.Compare(y.Arrived) })
	all := make([]answers.Event, len(m.events))
	for i, e := range m.events {
		all[i] = *e
	}
	return all
}

// nameTies gives an id to the events without one that happen at the moment of another: nobody could say which comes first.
func (m *maker) nameTies() {
	at := map[time.Time]int{}
	for _, e := range m.events {
		at[e.At]++
	}
	for _, e := range m.events {
		if e.ID == "" && at[e.At] > 1 {
			e.ID = m.uuid()
		}
	}
}

// chance is true p times in a hundred.
func (m *maker) chance(p int) bool { return m.random.IntN(100) < p }

func pick[T any](m *maker, of []T) T { return of[m.random.IntN(len(of))] }

// moment draws a time on the n-th day, in the small hours as often as at noon; never less than two days before the end.
func (m *maker) moment(n int) time.Time {
	start, err := time.ParseInLocation(time.DateOnly, string(firstDay.Add(min(n, 42))), berlin)
	if err != nil {
		panic(err)
	}
	return start.Add(time.Duration(m.random.Int64N(int64(24*time.Hour/time.Millisecond))) * time.Millisecond)
}

// pause is some seconds to minutes.
func (m *maker) pause() time.Duration {
	return time.Duration(m.random.IntN(9*60*1000)+1000) * time.Millisecond
}

func (m *maker) uuid() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], m.random.Uint64())
	binary.BigEndian.PutUint64(id[8:], m.random.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}

// browser is something that sends events.
type browser struct {
	m       *maker
	device  string
	keeps   bool
	bot     bool
	visitor string
	// user is signed in; empty is nobody.
	user string
}

func (m *maker) browser() *browser {
	m.devices++
	return &browser{m: m, device: fmt.Sprint(m.devices), keeps: true}
}

// change is something that makes an event another one than a bare page view.
type change = func(*answers.Event)

// sends adds an event that happens at that time, and arrives at the next full slot.
func (b *browser) sends(at time.Time, name string, changes ...change) *answers.Event {
	at = at.Truncate(time.Millisecond)
	e := &answers.Event{
		ID: b.m.uuid(), At: at, Arrived: at.Add(slot - time.Millisecond).Truncate(slot), Transport: answers.Pixel,
		Device: b.device, KeepsCookies: b.keeps, Bot: b.bot, Visitor: b.visitor, User: b.user, Name: name, URL: "https://shop.example/",
	}
	if b.m.chance(50) {
		e.Transport = answers.Beacon
	}
	for _, c := range changes {
		c(e)
	}
	b.m.events = append(b.m.events, e)
	return e
}

func path(p string) change { return func(e *answers.Event) { e.URL = "https://shop.example" + p } }

// inside is a page that another one of the shop leads to.
func inside(p string) change {
	return func(e *answers.Event) { e.URL, e.Referrer = "https://shop.example"+p, "https://shop.example/" }
}

// late lets an event arrive later than it happens, by up to six days.
func (m *maker) late(e *answers.Event) {
	e.Arrived = e.Arrived.Add(time.Duration(m.random.IntN(6*24)+1) * time.Hour)
}

// untimed leaves it to the collector when the event happens.
func untimed(e *answers.Event) { e.At = time.Time{} }

// sometimes draws one of the ways in which events come in disorder; most come as they should.
func (m *maker) sometimes(e *answers.Event) {
	switch m.random.IntN(40) {
	case 0, 1, 2:
		m.late(e)
	case 3:
		untimed(e)
	case 4:
		e.ID = ""
	case 5:
		e.At = e.At.Add(-8 * 24 * time.Hour) // too old: it counts as 7 days before it arrives
	case 6:
		e.At = e.Arrived.Add(time.Hour) // a clock that is ahead
	}
}

// visit is a session of pages, from the landing on; it returns when it ends.
func (b *browser) visit(at time.Time, by landing) time.Time {
	m := b.m
	m.clicks++
	click := fmt.Sprint(m.clicks)
	first := pick(m, []string{"/", "/tea", "/product/green", "/product"})
	b.sends(at, "page_view", path(first), by.come(click), m.sometimes)
	if m.chance(20) { // the landing page again
		at = at.Add(m.pause())
		b.sends(at, "page_view", path(first), by.come(click))
	}
	for _, p := range []string{"/tea", "/product", "/product/green", "/cart"} {
		if m.chance(45) {
			at = at.Add(m.pause())
			b.sends(at, "page_view", inside(p), m.sometimes)
		}
	}
	if m.chance(10) { // out, and back by another way
		at = at.Add(m.pause())
		m.clicks++
		b.sends(at, "page_view", path("/product"), pick(m, landings).come(fmt.Sprint(m.clicks)))
	}
	if m.chance(40) {
		at = at.Add(m.pause())
		b.sends(at, "add_to_cart", inside("/product/green"), m.sometimes)
	}
	if m.chance(15) {
		at = at.Add(m.pause())
		b.contacts(at)
	}
	if m.chance(12) {
		at = at.Add(m.pause())
		b.sends(at, "signup", inside("/signup"))
		if m.chance(30) {
			b.sends(at.Add(time.Second), "signup", inside("/signup"))
		}
	}
	if m.chance(8) {
		at = at.Add(m.pause())
		b.sends(at, "subscribe", inside("/pro"), func(e *answers.Event) {
			e.Props = map[string]string{"plan": pick(m, []string{"pro", "pro", "basic"})}
			e.Value, e.Currency = pick(m, []string{"19", "19.99", "", "-5", "free", "0.000001"}), pick(m, []string{"", "USD", "JPY", "GBP", "CHF"})
		})
	}
	return at
}

// contacts sends a form, twice as often as not: a lead of a session counts once.
func (b *browser) contacts(at time.Time) {
	value := func(e *answers.Event) { e.Value = pick(b.m, []string{"5", "12.345678", ""}) }
	b.sends(at, "page_view", inside("/contact/thanks"), value)
	if b.m.chance(60) {
		b.sends(at.Add(b.m.pause()), "form", inside("/contact/thanks"), value)
	}
}

// sees is an ad that is shown.
func (b *browser) sees(at time.Time, a ad) { b.sends(at, "impression", a.shown) }

// repeats sends some events again under the same id, within 7 days, some of them with other words; and some whose answer
// was lost.
func (m *maker) repeats() {
	for _, e := range slices.Clone(m.events) {
		if e.ID == "" || !m.chance(4) {
			continue
		}
		again := *e
		if m.chance(30) && e.Transport != answers.Server {
			e.AnswerLost = true
		}
		again.Arrived = e.Arrived.Add(time.Duration(m.random.IntN(6*24)+1) * time.Hour)
		if again.At.IsZero() {
			again.At = e.Arrived
		}
		if m.chance(20) && e.Value != "" {
			again.Value = "1000"
		}
		m.events = append(m.events, &again)
	}
}
