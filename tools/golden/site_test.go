package golden_test

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/onepx/onepx/tools/internal/answers"
)

const (
	siteID   = "golden"
	writeKey = "golden-key"
	// mailSite is the site of the newsletters.
	mailSite = "newsletters"
	// mailWriteKey is that of mailSite.
	mailWriteKey = "letters-key"
)

// The six weeks of the events; the clocks go back on 25 October.
const (
	firstDay answers.Day = "2026-10-01"
	lastDay  answers.Day = "2026-11-14"
)

// berlin is the time zone of the shop.
var berlin = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return zone
}()

// ranges are those that each question is asked for.
var ranges = []answers.Range{
	{From: "2026-09-01", To: "2026-12-01"}, // everything
	{From: "2026-10-12", To: "2026-10-25"}, // until the clocks go back
	{From: "2026-10-25", To: "2026-10-31"}, // from then on
}

// goals are those of the shop, one for each way of counting.
var goals = []answers.Goal{
	{ID: "purchase", Event: "purchase", OncePer: "order", Value: "event", ClickDays: 30, ViewDays: 1},
	{ID: "signup", Event: "signup", OncePer: "event", Value: "9.90", Currency: "USD", ClickDays: 7, ViewDays: 3},
	{ID: "lead", URL: regexp.MustCompile(`^https://shop\.example/contact/thanks$`), OncePer: "session", Value: "event", ClickDays: 14, ViewDays: 2},
	{ID: "pro", Props: map[string]string{"plan": "pro"}, OncePer: "order", Value: "event", ClickDays: 90, ViewDays: 1},
	{ID: "product", Event: "page_view", URL: regexp.MustCompile(`/product`), OncePer: "hit", Value: "none", ClickDays: 1, ViewDays: 1},
}

// config is onepx.yaml. keyHash is the SHA-256 of the write key in hexadecimal digits.
func config(keyHash, mailKeyHash string) string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "sites:\n  - id: %s\n    timezone: Europe/Berlin\n    currency: EUR\n    write_keys: [\"sha256:%s\"]\n", siteID, keyHash)
	writeGoals(text, goals)
	return text.String() + audienceConfig() + mailConfig(mailKeyHash)
}

// mailGoals are those of the site.
var mailGoals = []answers.Goal{{ID: "purchase", Event: "purchase", OncePer: "order", Value: "event", ClickDays: 30, ViewDays: 1}}

// mailConfig is the part of onepx.yaml that is the mails' site.
func mailConfig(keyHash string) string {
	text := &strings.Builder{}
	fmt.Fprintf(text, "  - id: %s\n    timezone: UTC\n    currency: EUR\n    write_keys: [\"sha256:%s\"]\n", mailSite, keyHash)
	writeGoals(text, mailGoals)
	return text.String()
}

// writeGoals adds goals to the part of onepx.yaml that is a site's.
func writeGoals(text *strings.Builder, goals []answers.Goal) {
	text.WriteString("    goals:\n")
	for _, g := range goals {
		fmt.Fprintf(text, "      - id: %s\n        once_per: %s\n        value: %q\n        click_window_days: %d\n        view_window_days: %d\n", g.ID, g.OncePer, g.Value, g.ClickDays, g.ViewDays)
		if g.Event != "" {
			fmt.Fprintf(text, "        event: %s\n", g.Event)
		}
		if g.URL != nil {
			fmt.Fprintf(text, "        url: '%s'\n", g.URL)
		}
		if g.Currency != "" {
			fmt.Fprintf(text, "        currency: %s\n", g.Currency)
		}
		for name, value := range g.Props {
			fmt.Fprintf(text, "        props: {%s: %s}\n", name, value)
		}
	}
}

// rates are units for a euro: none at week-ends, none of the pound for more than a week, none of the franc at all.
func rates() map[string]map[answers.Day]string {
	all := map[string]map[answers.Day]string{"USD": {}, "JPY": {}, "GBP": {}}
	n := 0
	for d := firstDay.Add(-10); d <= lastDay; d = d.Add(1) {
		date, _ := time.Parse(time.DateOnly, string(d))
		if date.Weekday() == time.Saturday || date.Weekday() == time.Sunday {
			continue
		}
		n++
		all["USD"][d] = fmt.Sprintf("1.%04d", 1600+n*37%400)
		all["JPY"][d] = fmt.Sprintf("%d.%02d", 170+n%5, n*13%100)
		if d < "2026-10-12" || d > "2026-10-28" {
			all["GBP"][d] = fmt.Sprintf("0.8%05d", n*7919%100_000)
		}
	}
	return all
}

// costs are what campaigns cost.
func costs() []answers.Cost {
	var all []answers.Cost
	for d, n := firstDay, 0; d <= lastDay; d, n = d.Add(1), n+1 {
		all = append(all,
			answers.Cost{Day: d, Source: "google", Medium: "cpc", Campaign: "autumn-26", Currency: "EUR", Amount: fmt.Sprintf("%d.%02d", 3+n%7, n*17%100)},
			answers.Cost{Day: d, Source: "facebook", Medium: "paid_social", Campaign: "retarget", Currency: "USD", Amount: fmt.Sprintf("%d.99", 2+n%5)},
			answers.Cost{Day: d, Source: "nobody", Medium: "cpc", Campaign: "in vain", Currency: "JPY", Amount: "150"})
		if n%9 == 0 {
			all = append(all, answers.Cost{Day: d, Source: "adnet", Medium: "cpm", Campaign: "autumn-26", Currency: "CHF", Amount: "12.50"},
				answers.Cost{Day: d, Source: "adnet", Medium: "cpm", Campaign: "autumn-26", Currency: "EUR", Amount: "2"})
		}
	}
	return all
}

// shop is all that the reference must know beside the events.
func shop() answers.Site {
	return answers.Site{Zone: berlin, Currency: "EUR", Goals: goals, Rates: rates(), Costs: costs()}
}
