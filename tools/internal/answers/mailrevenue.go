package answers

import (
	"fmt"
	"slices"
	"strings"
)

// EmailRevenueRow is one of email_revenue.
type EmailRevenueRow struct {
	Goal           string `key:"goal"`
	Currency       string `key:"currency"`
	RateMissing    bool   `key:"rate_missing"`
	Campaign       string `key:"campaign"`
	Conversions    Amount `col:"conversions"`
	Revenue        Amount `col:"revenue"`
	Clicks         int    `col:"clicks"`
	MachineRevenue Amount `col:"machine_revenue"`
}

// ofMachine marks the campaign of a click that turned out to be a machine's.
const ofMachine = "\x00machine"

// EmailRevenue answers: what do the clicks of people bring? A click is a landing by its campaign, and the page that it leads to is no
// landing of its own.
func (m *Mail) EmailRevenue(r Range, site Site, model string, orders []MailOrder) []EmailRevenueRow {
	var events []Event
	add := func(visitor string, e Event) {
		e.ID, e.Arrived, e.Transport, e.Device, e.KeepsCookies = fmt.Sprint("mail-", len(events)), e.At, Pixel, visitor, true
		events = append(events, e)
	}
	for _, h := range m.hits {
		if h.Hit != "click" || h.Visitor == "" {
			continue
		}
		origin := Origin{Channel: "Email", Source: "news", Medium: "email", Campaign: h.Campaign}
		if h.class == "machine" {
			origin.Campaign += ofMachine
		}
		add(h.Visitor, Event{Name: "page_view", At: h.At, URL: "https://shop.example/", Origin: origin})
	}
	for _, o := range orders {
		add(o.Visitor, Event{Name: "purchase", At: o.At, OrderID: o.ID, Value: fmt.Sprintf("%d.%02d", o.Cents/100, o.Cents%100), Currency: site.Currency, URL: "https://shop.example/thanks"})
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	rows := map[EmailRevenueRow]*EmailRevenueRow{}
	for _, c := range New(site, events).CampaignRevenue(r, model, "") {
		if c.Medium != "email" {
			continue
		}
		campaign, machine := strings.CutSuffix(c.Campaign, ofMachine)
		key := EmailRevenueRow{Goal: c.Goal, Currency: c.Currency, RateMissing: c.RateMissing, Campaign: campaign}
		row := rows[key]
		if row == nil {
			row = &EmailRevenueRow{c.Goal, c.Currency, c.RateMissing, campaign, zero(), zero(), 0, zero()}
			rows[key] = row
		}
		if machine {
			row.MachineRevenue = plus(row.MachineRevenue, c.Revenue)
		} else {
			row.Conversions, row.Revenue, row.Clicks = c.Conversions, c.Revenue, c.Clicks
		}
	}
	return values(rows)
}
