package golden_test

import (
	"fmt"
	"time"

	"github.com/onepx/onepx/tools/internal/answers"
)

// ordered gives an event an order.
func ordered(id, value, currency string) change {
	return func(e *answers.Event) { e.OrderID, e.Value, e.Currency = id, value, currency }
}

// printed is an amount as shops print it.
func printed(value, meant string) change {
	return func(e *answers.Event) { e.Value, e.Meant = value, meant }
}

func with(items ...answers.Item) change { return func(e *answers.Event) { e.Items = items } }

// reports is what a server says of an order.
func (b *browser) reports(at time.Time, name, id, value, currency string, more ...change) *answers.Event {
	speaks := func(e *answers.Event) { e.Transport, e.URL, e.KeepsCookies = answers.Server, "", false }
	return b.sends(at, name, append([]change{speaks, ordered(id, value, currency)}, more...)...)
}

// prices are those of the goods, by currency.
var prices = map[string][2]string{
	"": {"19.95", "10"}, "EUR": {"19.95", "10.005"}, "USD": {"24.99", "9.333333"}, "JPY": {"3200", "1500"}, "GBP": {"17.5", "8"}, "CHF": {"20", "11"},
}

// buys is an order by the browser; its server may report it too, and what follows is drawn.
func (m *maker) buys(b *browser, at time.Time, more ...change) {
	m.orders++
	id, currency := fmt.Sprint("O-", m.orders), pick(m, []string{"", "", "", "EUR", "EUR", "EUR", "USD", "USD", "JPY", "GBP", "CHF"})
	if m.chance(5) {
		id = ""
	}
	price := prices[currency]
	value := pick(m, []string{"49.90", "120", "30.3", "99.999999", "1500", "7"})
	goods := with(answers.Item{ID: "green", Quantity: "2", Price: price[0]}, answers.Item{ID: "black", Price: price[1]}, answers.Item{ID: "black", Price: "1"})
	changes := append([]change{inside("/thanks"), ordered(id, value, currency), goods}, more...)
	if m.chance(25) {
		changes = append(changes, func(e *answers.Event) { e.Props = map[string]string{"plan": "pro"} })
	}
	server := &browser{m: m}
	if m.chance(20) {
		server.user = b.user
	}
	if id != "" && m.chance(30) { // the server is a little earlier
		server.reports(at.Add(-2*time.Second), "purchase", id, value, currency, m.sometimes)
	}
	b.sends(at, "purchase", append(changes, m.sometimes)...)
	if id != "" && m.chance(30) {
		server.reports(at.Add(time.Second), "purchase", id, value, currency)
	}
	if m.chance(15) { // the thank-you page again, with another event id
		b.sends(at.Add(m.pause()), "purchase", changes...)
	}
	if id != "" && m.chance(40) {
		m.follow(id, currency, value, price, at)
	}
}

// follow draws what becomes of an order.
func (m *maker) follow(id, currency, value string, price [2]string, sold time.Time) {
	server := &browser{m: m}
	at := sold
	next := func(name, value, currency string, more ...change) {
		at = at.Add(time.Duration(m.random.IntN(4*24*60)+1) * time.Minute)
		server.reports(at, name, id, value, currency, more...)
	}
	switch m.random.IntN(14) {
	case 0: // all of it
		next("refund", "", "")
	case 1: // some, then the rest
		next("refund", "5", currency)
		next("refund", "", "")
	case 2: // the price is that of the sale
		next("refund", "", pick(m, []string{currency, ""}), with(answers.Item{ID: "black"}))
		next("refund", "", "EUR", with(answers.Item{ID: "black"}, answers.Item{ID: "green", Price: "1"}))
	case 3:
		next("refund", "", currency, with(answers.Item{ID: "green", Quantity: "0.5", Price: price[0]}, answers.Item{ID: "black", Quantity: "1"}))
	case 4:
		next("cancel", pick(m, []string{"", "3", "unreadable"}), "")
	case 5:
		next("restate", "200", currency)
	case 6:
		next("restate", "25", currency, m.late)
		next("refund", "-10", currency)
		next("cancel", "", "")
	case 7: // too much
		next("refund", "2000", currency)
	case 8: // the same again
		next("refund", value, currency)
		next("refund", value, currency)
	case 9: // in another currency
		next("refund", "4", "USD")
	case 10: // in one without rates
		next("refund", "4", "CHF")
	case 11:
		next("restate", "many", currency)
		next("restate", "33.333333", currency, m.late)
	case 12:
		next("refund", "", currency, with(answers.Item{ID: "unheard of", Quantity: "1"}))
		next("refund", "1,234", currency) // may be 1234 or 1.234
	case 13:
		next("refund", "", currency, with(answers.Item{ID: "green", Price: "1"}), func(e *answers.Event) { e.ItemsBroken = true })
		next("refund", "2.5", "EURO")
	}
}

// orderCases are those that chance would not make often enough.
func (m *maker) orderCases() {
	for n := range 12 {
		id := func(name string) string { return fmt.Sprint(name, "-", n) }
		b, server := m.browser(), &browser{m: m}
		at := b.visit(m.moment(3*n), pick(m, landings)).Add(m.pause())

		server.reports(at.Add(-time.Hour), "refund", id("early-refund"), "5", "USD")
		b.sends(at, "purchase", inside("/thanks"), ordered(id("early-refund"), "50", "USD"))

		server.reports(at, "refund", id("no-sale"), "5", pick(m, []string{"", "USD", "CHF"}))
		server.reports(at.Add(aDay), "restate", id("no-sale"), "3", "")
		server.reports(at.Add(time.Hour), "cancel", id("nothing"), "", "")

		b.sends(at, "purchase", inside("/thanks"), ordered(id("no-value"), pick(m, []string{"", "1,234", "1e3", "NaN"}), ""))
		if n%3 > 0 { // the value comes with the repeat
			b.sends(at.Add(time.Minute), "purchase", inside("/thanks"), ordered(id("no-value"), "12.5", "JPY"))
		}
		b.sends(at.Add(2*time.Minute), "purchase", inside("/thanks"), ordered(id("restated"), "", ""))
		server.reports(at.Add(3*aDay), "restate", id("restated"), "44", "")

		b.sends(at, "purchase", inside("/thanks"), ordered(id("bad-currency"), "10", "EURO"))
		b.sends(at, "purchase", inside("/thanks"), ordered(id("printed"), "", "EUR"), printed("1.234,56", "1234.56"))
		server.reports(at.Add(aDay), "refund", id("printed"), "", "EUR", printed("12,50 EUR", "12.50"))
		b.sends(at, "purchase", inside("/thanks"), ordered("", "8", ""))
		b.sends(at.Add(time.Second), "purchase", inside("/thanks"), ordered("", "8", ""), func(e *answers.Event) { e.Props = map[string]string{"plan": "pro"} })

		b.sends(at, "purchase", inside("/thanks"), ordered(id("zero"), "0", ""))
		b.sends(at.Add(time.Hour), "refund", ordered(id("zero"), "", "")) // by the browser
	}
}
