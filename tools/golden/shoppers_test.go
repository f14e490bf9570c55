package golden_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/onepx/onepx/tools/internal/answers"
)

// audienceSite is a shop that has audiences.
const audienceSite = "audience"

// audienceConfig is its part of onepx.yaml.
func audienceConfig() string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "  - id: %s\n    timezone: Europe/Berlin\n    currency: EUR\n", audienceSite)
	writeGoals(text, audienceGoals)
	text.WriteString("    segments:\n")
	for _, s := range segments {
		fmt.Fprintf(text, "      - %s\n", s.yaml)
	}
	return text.String()
}

// audienceGoals are its goals.
var audienceGoals = []answers.Goal{
	{ID: "purchase", Event: "purchase", OncePer: "order", Value: "event", ClickDays: 30, ViewDays: 1},
	{ID: "signup", Event: "signup", OncePer: "hit", Value: "2.50", Currency: "EUR", ClickDays: 30, ViewDays: 1},
}

// goods are what it sells.
var goods = []answers.Item{
	{ID: "green", Price: "9.99", Category: "tea"},
	{ID: "black", Price: "12", Category: "tea"},
	{ID: "cup", Price: "25.50", Category: "ware"},
	{ID: "pot", Price: "80", Category: "ware"},
	{ID: "grün", Price: "7.333333", Category: "Tee"},
}

// pauses between two events of a visitor: what rules ask for, exactly, a little less and a little more among them.
var pauses = []time.Duration{
	0, time.Millisecond, time.Second, minute - time.Millisecond, minute, 30 * minute, hour, 2*hour + time.Millisecond, aDay - time.Millisecond, aDay, aDay + time.Millisecond,
	2 * aDay, 3 * aDay, 3*aDay + time.Millisecond, 7 * aDay, 10 * aDay,
}

// shoppers makes the visitors of the shop that has audiences, and what they do.
func shoppers(seed uint64) []answers.Event {
	m := &maker{random: rand.New(rand.NewPCG(seed, 2)), devices: 20_000}
	for range 260 {
		m.browses()
	}
	slices.SortStableFunc(m.events, func(x, y *answers.Event) int { return x.Arrived.Compare(y.Arrived) })
	list := make([]answers.Event, len(m.events))
	for i, e := range m.events {
		list[i] = *e
	}
	return list
}

// browses is one visitor's doing.
func (m *maker) browses() {
	b := m.browser()
	b.keeps, b.bot = !m.chance(6), m.chance(4)
	if m.chance(15) {
		b.visitor = "member-" + b.device
	}
	likes := []answers.Item{pick(m, goods), pick(m, goods)}
	consents := !m.chance(10)
	at := m.moment(m.random.IntN(30))
	for range 1 + m.random.IntN(22) {
		at = at.Add(pick(m, pauses))
		if at.After(m.moment(42)) {
			break
		}
		if m.chance(3) {
			consents = !consents
		}
		e := b.sends(at, pick(m, []string{"view_item", "view_item", "view_item", "view_item", "add_to_cart", "add_to_cart", "begin_checkout", "purchase", "search", "signup", "logout", "page_view"}))
		e.Consents = consents
		m.fill(e, likes)
		if m.chance(8) {
			m.late(e)
		}
		if m.chance(4) {
			again := *e
			again.Arrived = again.Arrived.Add(time.Duration(m.random.IntN(5)) * hour)
			m.events = append(m.events, &again)
		}
	}
}

// fill says what the event is about.
func (m *maker) fill(e *answers.Event, likes []answers.Item) {
	item := pick(m, likes)
	e.URL = pick(m, []string{"https://shop.example/", "https://shop.example/tea/fresh-green", "https://shop.example/sale", "https://shop.example/thanks", "https://shop.example/thanks/2"})
	item.Quantity = pick(m, []string{"", "1", "2", "0.5", "3"})
	if m.chance(7) {
		item.Price = ""
	}
	e.Currency = pick(m, []string{"", "", "", "EUR", "eur", "USD"})
	switch e.Name {
	case "search":
		e.Props = map[string]string{"q": pick(m, []string{"grün", "gru\u0308n", "black"})}
	case "view_item":
		e.Items = []answers.Item{item}
	case "add_to_cart", "purchase":
		e.Value = pick(m, []string{"20", "80", "80.000001", "19.999999", "50", "250.50", "150", "9.99", ""})
		e.Items = []answers.Item{item}
		if m.chance(30) {
			e.Items = append(e.Items, pick(m, goods), item)
		}
		if m.chance(12) {
			e.Items = nil
		}
	}
	if e.Name == "purchase" {
		e.OrderID = "order-" + e.ID
	}
}
