package golden_test

import (
	"fmt"
	"time"

	"github.com/onepx/onepx/tools/internal/answers"
)

const aDay = 24 * time.Hour

// people are the visitors: a few dozen of each kind.
func (m *maker) people() {
	for _, kind := range []struct {
		count int
		live  func(*maker)
	}{
		{120, (*maker).shopper}, {50, (*maker).blocker}, {30, (*maker).member}, {40, (*maker).twoDevices}, {15, (*maker).family},
		{40, (*maker).viewer}, {30, (*maker).onlyOnce}, {20, (*maker).unseen},
	} {
		for range kind.count {
			kind.live(m)
		}
	}
}

// shopper comes several times and keeps cookies.
func (m *maker) shopper() {
	b := m.browser()
	n := m.random.IntN(38)
	for range 1 + m.random.IntN(5) {
		at := b.visit(m.moment(n), pick(m, landings))
		if m.chance(35) {
			m.buys(b, at.Add(m.pause()))
		}
		n += m.random.IntN(12)
	}
}

// blocker keeps none, and is another visitor each day.
func (m *maker) blocker() {
	b := m.browser()
	b.keeps = false
	n := m.random.IntN(40)
	for range 1 + m.random.IntN(3) {
		at := b.visit(m.moment(n), pick(m, landings))
		if m.chance(30) {
			m.buys(b, at.Add(m.pause()))
		}
		n += m.random.IntN(5)
	}
}

// member has an id of the shop's, on all devices.
func (m *maker) member() {
	id := fmt.Sprint("member-", m.devices)
	n := m.random.IntN(38)
	for range 1 + m.random.IntN(4) {
		b := m.browser()
		b.visitor, b.keeps = id, m.chance(50)
		at := b.visit(m.moment(n), pick(m, landings))
		if m.chance(40) {
			m.buys(b, at.Add(m.pause()))
		}
		n += m.random.IntN(9)
	}
}

// twoDevices looks around on one, buys on the other, and signs in on both, sooner or later.
func (m *maker) twoDevices() {
	user := fmt.Sprintf("User-%d@Example.org", m.devices)
	phone, laptop := m.browser(), m.browser()
	n := m.random.IntN(12)
	at := phone.visit(m.moment(n), pick(m, landings))
	if m.chance(70) {
		phone.sends(at.Add(m.pause()), "identify", inside("/account"), func(e *answers.Event) { e.User = user })
	}
	n += 1 + m.random.IntN(30)
	at = laptop.visit(m.moment(n), pick(m, landings))
	if m.chance(70) {
		laptop.user = user // from now on; what came before belongs to it too
		at = at.Add(m.pause())
		laptop.sends(at, "identify", inside("/account"))
	}
	m.buys(laptop, at.Add(m.pause()))
	laptop.user = ""
	phone.visit(m.moment(n+1), pick(m, landings))
}

// family shares a device: each signs in, nobody signs out in time.
func (m *maker) family() {
	b := m.browser()
	n := m.random.IntN(10)
	for i := range 4 {
		at := b.visit(m.moment(n), pick(m, landings))
		sign := func(e *answers.Event) { e.User = fmt.Sprintf("family-%s-%d", b.device, i%2) }
		b.sends(at.Add(time.Minute), "identify", inside("/account"), sign)
		if m.chance(20) { // both at the same moment
			b.sends(at.Add(time.Minute), "identify", inside("/account"), func(e *answers.Event) { e.User = fmt.Sprintf("family-%s-%d", b.device, (i+1)%2) })
		}
		if m.chance(50) {
			m.buys(b, at.Add(2*time.Minute), sign)
		}
		n += 1 + m.random.IntN(9)
	}
}

// viewer sees ads, and comes by itself soon after.
func (m *maker) viewer() {
	b := m.browser()
	b.keeps = m.chance(80)
	at := m.moment(m.random.IntN(40))
	for range 1 + m.random.IntN(4) {
		b.sees(at, pick(m, ads))
		at = at.Add(time.Duration(m.random.IntN(5*60)) * time.Minute)
	}
	switch m.random.IntN(3) {
	case 0: // directly, with no click
		b.sends(at, "page_view", path("/"))
		m.buys(b, at.Add(m.pause()))
	case 1: // never on a page of the shop that counts pages
		m.buys(b, at.Add(m.pause()))
	}
	if m.chance(30) {
		b.sees(at.Add(aDay), pick(m, ads))
	}
}

// onlyOnce sends one event, or some at the same moment.
func (m *maker) onlyOnce() {
	b := m.browser()
	at := m.moment(m.random.IntN(42))
	b.sends(at, "page_view", path("/product"), pick(m, landings).come(b.device), m.sometimes)
	if m.chance(30) {
		b.sends(at, "add_to_cart", inside("/product"))
		b.sends(at, "signup", inside("/signup"))
		m.buys(b, at)
	}
}

// unseen is known to the shop's server only.
func (m *maker) unseen() {
	at := m.moment(m.random.IntN(42))
	server := &browser{m: m}
	switch m.random.IntN(4) {
	case 0:
		server.user = fmt.Sprint("phone-order-", m.orders%7)
	case 1:
		server.visitor = fmt.Sprint("member-of-server-", m.orders%5)
	case 2:
		m.devices++
		server.device = fmt.Sprint(m.devices)
	}
	m.orders++
	server.reports(at, "purchase", fmt.Sprint("S-", m.orders), "35.5", "")
	if m.chance(40) {
		server.reports(at.Add(m.pause()), "signup", "", "", "")
	}
}

// machines are crawlers that click, buy and see ads.
func (m *maker) machines() {
	for range 12 {
		b := m.browser()
		b.bot, b.keeps = true, m.chance(30)
		for range 3 {
			at := b.visit(m.moment(m.random.IntN(43)), pick(m, landings))
			b.sees(at, pick(m, ads))
			b.sends(at, "signup", inside("/signup"))
			m.orders++
			b.sends(at, "purchase", inside("/thanks"), ordered(fmt.Sprint("M-", m.orders), "5", ""), func(e *answers.Event) { e.Props = map[string]string{"plan": "pro"} })
			b.sends(at, pick(m, []string{"refund", "cancel", "restate"}), ordered(fmt.Sprint("M-", m.orders), "5", ""))
			b.sends(at, "page_view", inside("/contact/thanks"))
		}
	}
}
