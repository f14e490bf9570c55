package golden_test

import (
	"fmt"
	"time"

	"github.com/onepx/onepx/tools/internal/answers"
)

// edges are events that lie exactly so far apart as a rule still allows, and a millisecond more.
func (m *maker) edges() {
	for n := range 16 {
		for _, edge := range []func(*maker, int, time.Duration){(*maker).windows, (*maker).gaps, (*maker).keys, (*maker).moments} {
			edge(m, n, time.Duration(n%2)*time.Millisecond)
		}
	}
}

// windows has a click 30 days before a purchase and an ad a day before.
func (m *maker) windows(n int, over time.Duration) {
	b := m.browser()
	at := m.moment(n % 6).Truncate(time.Hour)
	b.sends(at.Add(-over), "page_view", path("/"), landings[n%len(landings)].come(b.device))
	b.sends(at.Add(29*aDay-over), "impression", ads[n%len(ads)].shown)
	if n%3 > 0 {
		b.sends(at.Add(30*aDay), "page_view", path("/")) // at the moment of the purchase
	}
	m.orders++
	b.sends(at.Add(30*aDay), "purchase", inside("/thanks"), ordered(fmt.Sprint("W-", m.orders), "100", ""))
}

// gaps has half an hour between page views, which is where sessions end and reloads are none, and seven days between the
// steps of a funnel.
func (m *maker) gaps(n int, over time.Duration) {
	b := m.browser()
	at := m.moment(n)
	by := landings[n%4].come(b.device)
	b.sends(at, "page_view", path("/product"), by)
	b.sends(at.Add(30*time.Minute+over), "page_view", path("/product"), by)
	b.sends(at.Add(60*time.Minute+2*over), "page_view", path("/product"))
	b.contacts(at.Add(90*time.Minute + 3*over))
	b.sends(at.Add(7*aDay+30*time.Minute+over), "add_to_cart", inside("/product"))
	m.orders++
	b.sends(at.Add(7*aDay+60*time.Minute+3*over), "purchase", inside("/thanks"), ordered(fmt.Sprint("G-", m.orders), "33.33", ""))
}

// keys has a customer who signs in 30 days after a click: until then it is theirs.
func (m *maker) keys(n int, over time.Duration) {
	b := m.browser()
	at := m.moment(n % 8)
	b.sends(at, "page_view", path("/"), landings[(n+5)%len(landings)].come(b.device))
	b.sends(at.Add(30*aDay+over), "identify", inside("/account"), func(e *answers.Event) { e.User = "key-" + b.device })
	other := m.browser() // buys as the same customer a day before
	m.orders++
	other.sends(at.Add(29*aDay), "purchase", inside("/thanks"), ordered(fmt.Sprint("K-", m.orders), "77.77", ""), func(e *answers.Event) { e.User = "key-" + b.device })
}

// moments has everything at once: the event ids say what comes first.
func (m *maker) moments(n int, _ time.Duration) {
	b := m.browser()
	at := m.moment(n)
	m.orders++
	id := fmt.Sprint("X-", m.orders)
	b.sends(at.Add(-time.Minute), "page_view", path("/"))
	for _, l := range []landing{landings[0], landings[7], landings[15]} {
		b.sends(at, "page_view", path("/product"), l.come(b.device))
	}
	b.sends(at, "add_to_cart", inside("/product"))
	for _, value := range []string{"10", "20"} {
		b.sends(at, "purchase", inside("/thanks"), ordered(id, value, ""))
	}
	b.reports(at, "refund", id, "5", "")
	b.reports(at, "restate", id, "15", "")
	b.reports(at, "refund", id, "", "")
}
