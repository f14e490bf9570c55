package answers

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func amount(text string) Amount { return ParseAmount(text) }

func texts(amounts []Amount) []string {
	var all []string
	for _, a := range amounts {
		all = append(all, Decimal(a))
	}
	return all
}

func TestAmountsAreReadAndRoundedAsTheTextSays(t *testing.T) {
	for text, want := range map[string]string{"49.90": "49.900000", "-0.000001": "-0.000001", "+5": "5.000000", "999999999999.999999": "999999999999.999999"} {
		require.Equal(t, want, Decimal(amount(text)), text)
	}
	for _, text := range []string{"1,5", "1e3", "49.99 EUR", "NaN", "1234567890123", "0.1234567", "."} {
		require.Nil(t, amount(text), text)
	}
	for _, tc := range []struct {
		over, under, want int64
	}{{1, 2, 1}, {-1, 2, -1}, {5, 2, 3}, {-5, 2, -3}, {2, 5, 0}, {3, 5, 1}, {7, 1, 7}} {
		require.Equal(t, big.NewInt(tc.want).String(), roundAway(big.NewRat(tc.over, tc.under)).String(), "%d/%d", tc.over, tc.under)
	}
}

func TestARateIsTheDaysOrOneOfTheSevenDaysBefore(t *testing.T) {
	s := Site{Currency: "EUR", Rates: map[string]map[Day]string{"USD": {"2026-10-01": "1.25"}, "JPY": {"2026-10-01": "160"}}}
	require.Equal(t, "80.000000", Decimal(s.convert(amount("100"), "USD", "2026-10-01")))
	require.Equal(t, "80.000000", Decimal(s.convert(amount("100"), "USD", "2026-10-08")))
	require.Nil(t, s.convert(amount("100"), "USD", "2026-10-09"))
	require.Nil(t, s.convert(amount("100"), "USD", "2026-09-30"))
	require.Equal(t, "7.000000", Decimal(s.convert(amount("7"), "EUR", "2020-01-01")))
	s.Currency = "JPY"
	require.Equal(t, "12800.000000", Decimal(s.convert(amount("100"), "USD", "2026-10-01")), "100 × 160 ÷ 1.25")
}

func TestUUIDsAreOrderedByTheirSecondHalf(t *testing.T) {
	require.Negative(t, compareIDs("ffffffff-ffff-ffff-0000-000000000000", "00000000-0000-0000-0000-000000000001"))
	require.Positive(t, compareIDs("00000000-0000-0000-8000-000000000000", "00000000-0000-0000-7fff-ffffffffffff"), "unsigned")
	require.Negative(t, compareIDs("00000000-0000-0000-0000-000000000001", "00000000-0000-0001-0000-000000000001"))
}

func pathOf(kinds string, ages ...time.Duration) []step {
	var path []step
	for i, kind := range kinds {
		s := step{kind: map[rune]string{'c': "click", 'd': "direct", 'v': "view"}[kind]}
		if ages != nil {
			s.age = ages[i]
		}
		path = append(path, s)
	}
	return path
}

func TestWeightsOfModels(t *testing.T) {
	for _, tc := range []struct {
		model, path string
		want        []int64
	}{
		{"first", "ccc", []int64{1, 0, 0}},
		{"last", "ccd", []int64{0, 0, 1}},
		{"last_non_direct", "cddd", []int64{1, 0, 0, 0}},
		{"last_non_direct", "ccd", []int64{0, 1, 0}},
		{"last_non_direct", "dd", []int64{0, 1}},
		{"last_non_direct", "vv", []int64{0, 1}},
		{"linear", "ccd", []int64{1, 1, 1}},
		{"position", "c", []int64{1}},
		{"position", "cc", []int64{1, 1}},
		{"position", "ccc", []int64{2, 1, 2}},
		{"position", "ccccc", []int64{6, 1, 1, 1, 6}},
	} {
		require.Equal(t, tc.want, weights(tc.model, pathOf(tc.path)), "%s of %s", tc.model, tc.path)
	}
	// One half-life is a week; a click 8 days before gets half of one a day before (Google's words).
	require.Equal(t, []int64{250_000_000, 500_000_000, 1_000_000_000}, weights("time_decay", pathOf("ccc", 14*day, 7*day, 0)))
	decay := weights("time_decay", pathOf("cc", 8*day, day))
	require.InDelta(t, decay[1], 2*decay[0], 1)
}

func TestTheExampleOfTwoClicksSevenAndThreeDaysBefore(t *testing.T) {
	// domain.md 4.6: 7.42 and 3.46 days before, 0.4032 and 0.5968.
	days := func(d float64) time.Duration { return time.Duration(d * float64(day)) }
	parts := share(wholeConversion, weights("time_decay", pathOf("cc", days(7.42), days(3.46))))
	first, _ := parts[0].Float64()
	require.InDelta(t, 0.4032, first/1e6, 0.0001)
	require.Equal(t, wholeConversion, plus(parts[0], parts[1]))
}

func TestCreditsAreWholeMicrosAndTheRestGoesToTheLargestRemainders(t *testing.T) {
	for _, tc := range []struct {
		amount  string
		weights []int64
		want    []string
	}{
		{"0.000010", []int64{1, 1, 1}, []string{"0.000004", "0.000003", "0.000003"}}, // equal remainders: the earlier one
		{"0.000011", []int64{1, 1, 1}, []string{"0.000004", "0.000004", "0.000003"}},
		{"0.000007", []int64{2, 1, 2}, []string{"0.000003", "0.000001", "0.000003"}}, // 2.8, 1.4, 2.8
		{"0.000001", []int64{1, 3}, []string{"0.000000", "0.000001"}},                // 0.25, 0.75
		{"-0.000010", []int64{1, 1, 1}, []string{"-0.000004", "-0.000003", "-0.000003"}},
		{"100", []int64{6, 1, 1, 1, 6}, []string{"40.000000", "6.666667", "6.666667", "6.666666", "40.000000"}},
		{"0", []int64{1, 1}, []string{"0.000000", "0.000000"}},
		{"5", []int64{0, 1}, []string{"0.000000", "5.000000"}},
	} {
		require.Equal(t, tc.want, texts(share(amount(tc.amount), tc.weights)), "%s by %v", tc.amount, tc.weights)
	}
}

// shop is a site for the tests.
var shop = Site{
	Zone: time.UTC, Currency: "EUR",
	Goals: []Goal{{ID: "purchase", Event: "purchase", OncePer: "order", Value: "event", ClickDays: 30, ViewDays: 1}},
	Rates: map[string]map[Day]string{"USD": {"2026-10-01": "1.25"}},
}

var start = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// month is the range of all tests.
var month = Range{"2026-10-01", "2026-11-05"}

// at makes an event of browser b, so long after the start.
func at(after time.Duration, name string, change ...func(*Event)) Event {
	e := Event{Arrived: start.Add(after), Transport: Pixel, Device: "b", KeepsCookies: true, Name: name, URL: "https://shop.example/"}
	for _, c := range change {
		c(&e)
	}
	return e
}

// list numbers the events, so that later ones have larger ids.
func list(events ...Event) []Event {
	for i := range events {
		if events[i].ID == "" {
			events[i].ID = fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1)
		}
	}
	return events
}

func sold(id, value string) func(*Event) {
	return func(e *Event) { e.OrderID, e.Value = id, value }
}

func from(source string) func(*Event) {
	return func(e *Event) {
		e.UTM = map[string]string{"source": source, "medium": "cpc"}
		e.Origin = Origin{"Paid Other", source, "cpc", ""}
	}
}

func uid(user string) func(*Event) { return func(e *Event) { e.User = user } }

func device(name string) func(*Event) { return func(e *Event) { e.Device = name } }

func currency(code string) func(*Event) { return func(e *Event) { e.Currency = code } }

func items(of ...Item) func(*Event) { return func(e *Event) { e.Items = of } }

func TestNetOfOrders(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events []Event
		net    string
		flags  string // currency, rateMissing, overRefunded
	}{
		{"a sale", list(at(0, "purchase", sold("1", "100"))), "100.000000", "EUR false false"},
		{"its repeat moves nothing, but gives a value that was missing", list(at(0, "purchase", sold("1", "")), at(1, "purchase", sold("1", "70")), at(2, "purchase", sold("1", "80"))), "70.000000", "EUR false false"},
		{"a refund counts without its sign", list(at(0, "purchase", sold("1", "100")), at(1, "refund", sold("1", "-30"))), "70.000000", "EUR false false"},
		{"a refund without value and items takes all that is left", list(at(0, "purchase", sold("1", "100")), at(1, "refund", sold("1", "30")), at(2, "refund", sold("1", ""))), "0.000000", "EUR false false"},
		{"an unreadable refund moves nothing", list(at(0, "purchase", sold("1", "100")), at(1, "refund", sold("1", "30 EUR"))), "100.000000", "EUR false false"},
		{"items without a price have that of the sale", list(
			at(0, "purchase", sold("1", "100"), items(Item{"a", "2", "19.95", ""}, Item{"b", "1", "60.10", ""})),
			at(1, "refund", sold("1", ""), items(Item{"a", "2", "", ""}))), "60.100000", "EUR false false"},
		{"such a price is in the currency of the sale", list(
			at(0, "purchase", sold("1", "100"), currency("USD"), items(Item{"a", "1", "10", ""})),
			at(1, "refund", sold("1", ""), items(Item{"a", "2", "", ""}))), "64.000000", "EUR false false"},
		{"prices in two currencies move nothing", list(
			at(0, "purchase", sold("1", "100"), currency("USD"), items(Item{"a", "1", "10", ""})),
			at(1, "refund", sold("1", ""), items(Item{"a", "2", "", ""}, Item{"b", "1", "5", ""}))), "80.000000", "EUR false false"},
		{"items with a price known nowhere move nothing", list(at(0, "purchase", sold("1", "100")), at(1, "refund", sold("1", ""), items(Item{"a", "1", "", ""}))), "100.000000", "EUR false false"},
		{"a refund that comes before the sale", list(at(0, "refund", sold("1", "30")), at(time.Second, "purchase", sold("1", "100"))), "70.000000", "EUR false false"},
		{"more refunded than sold, then cancelled", list(at(0, "purchase", sold("1", "100")), at(1, "refund", sold("1", "130")), at(2, "cancel", sold("1", "5"))), "-30.000000", "EUR false true"},
		{"restated, refunded, restated again", list(at(0, "purchase", sold("1", "100")), at(time.Second, "restate", sold("1", "80")), at(2*time.Second, "refund", sold("1", "10")), at(3*time.Second, "restate", sold("1", "90"))), "80.000000", "EUR false false"},
		{"a cancellation takes what a restatement left", list(at(0, "purchase", sold("1", "100")), at(time.Second, "restate", sold("1", "80")), at(2*time.Second, "cancel", sold("1", ""))), "0.000000", "EUR false false"},
		{"dollars", list(at(0, "purchase", sold("1", "100"), currency("usd")), at(20*day, "refund", sold("1", "10"), currency("USD"))), "72.000000", "EUR false false"},
		{"no rate for pounds: the order stays in dollars, the pounds move nothing", list(at(0, "purchase", sold("1", "100"), currency("USD")), at(1, "refund", sold("1", "10"), currency("GBP"))), "100.000000", "USD true false"},
		{"a refund without a sale", list(at(0, "refund", sold("1", "10"))), "-10.000000", "EUR false true"},
	} {
		a := New(shop, tc.events)
		require.Len(t, a.orders, 1, tc.name)
		o := a.orders[0]
		require.Equal(t, tc.net, Decimal(o.net), tc.name)
		require.Equal(t, tc.flags, fmt.Sprintf("%s %t %t", o.currency, o.rateMissing, o.overRefunded()), tc.name)
	}
}

func TestOrdersWithoutAnIDAreOrdersOfTheirOwn(t *testing.T) {
	a := New(shop, list(at(0, "purchase", sold("", "1")), at(1, "purchase", sold("", "2"))))
	require.Len(t, a.orders, 2)
	require.Len(t, a.Conversions(month, ""), 2)
}

func TestTheLedgerStandsOnTwoDates(t *testing.T) {
	a := New(shop, list(
		at(0, "purchase", sold("1", "100")), at(time.Hour, "purchase", sold("1", "100")),
		at(2*day, "refund", sold("1", "120")), at(2*day, "refund", sold("2", "5")),
		at(2*day, "cancel", sold("3", ""), func(e *Event) { e.Bot = true; e.Device = "robot" })))
	rows := a.RevenueLedger(month)
	slices.SortFunc(rows, func(x, y LedgerRow) int {
		return slices.Compare([]string{x.DatedBy, string(x.Day)}, []string{y.DatedBy, string(y.Day)})
	})
	text := func(r LedgerRow) string {
		return fmt.Sprint(r.DatedBy, " ", r.Day, " ", Decimal(r.Sales), " ", Decimal(r.Refunded), " ", Decimal(r.Net), " ", r.Orders, r.WithoutSale, r.OverRefunded, r.Repeats, r.Machines)
	}
	var got []string
	for _, r := range rows {
		got = append(got, text(r))
	}
	require.Equal(t, []string{
		"booking 2026-10-01 100.000000 0.000000 100.000000 1 0 1 1 0",
		"booking 2026-10-03 0.000000 125.000000 -125.000000 0 1 0 0 1",
		"sale 2026-10-01 100.000000 120.000000 -20.000000 1 0 1 1 0",
		"sale 2026-10-03 0.000000 5.000000 -5.000000 0 1 0 0 1",
	}, got)
}

func TestWhoAPersonIs(t *testing.T) {
	a := New(shop, list(
		at(0, "page_view"), // the next key, 10 days later
		at(10*day, "identify", uid("Ann ")),
		at(20*day, "page_view"), // the next key, exactly 30 days later
		at(50*day, "identify", uid("bob")),
		at(60*day, "page_view"), // none later: the last one
		at(0, "page_view", device("alone")), at(1, "page_view", device("alone")),
		at(0, "page_view", device("once"))))
	alone := "cookie of alone made for 00000000-0000-4000-8000-000000000006"
	var persons []string
	for _, f := range a.facts {
		persons = append(persons, f.person)
	}
	require.Equal(t, []string{"user ann", "user ann", "user bob", "user bob", "user bob", alone, alone, "hash of once on 2026-10-01"}, persons)
}

func TestSessionsEndWithAGapOrAnotherCampaign(t *testing.T) {
	tea, coffee := from("tea"), from("coffee")
	for _, tc := range []struct {
		name   string
		events []Event
		want   []int
	}{
		{"30 minutes are no gap", list(at(0, "page_view"), at(30*time.Minute, "page_view")), []int{2}},
		{"more are", list(at(0, "page_view"), at(30*time.Minute+time.Millisecond, "page_view")), []int{1, 1}},
		{"another campaign", list(at(0, "page_view", tea), at(1*time.Minute, "page_view"), at(2*time.Minute, "page_view", coffee)), []int{2, 1}},
		{"the same campaign again", list(at(0, "page_view", tea), at(1*time.Minute, "page_view"), at(2*time.Minute, "page_view", tea)), []int{3}},
		{"a campaign after none", list(at(0, "page_view"), at(time.Minute, "page_view", tea)), []int{1, 1}},
		{"impressions and refunds make none", list(at(0, "impression"), at(time.Minute, "refund", sold("1", ""))), nil},
		{"no break at midnight", list(at(12*time.Hour-time.Minute, "page_view"), at(12*time.Hour+time.Minute, "page_view")), []int{2}},
	} {
		var got []int
		for _, s := range New(shop, tc.events).sessions(month.To) {
			got = append(got, len(s.events))
		}
		require.Equal(t, tc.want, got, tc.name)
	}
}

func TestReloadsAreNoTouches(t *testing.T) {
	tea := from("tea")
	inside := func(e *Event) { e.Referrer = "https://shop.example/" }
	a := New(shop, list(
		at(0, "page_view", tea), at(20*time.Minute, "page_view", tea), at(40*time.Minute, "page_view"), // one reload after the other
		at(41*time.Minute, "page_view", inside), at(42*time.Minute, "page_view", from("coffee")), at(80*time.Minute, "page_view")))
	var kinds []string
	for _, f := range a.facts {
		kinds = append(kinds, f.touch)
	}
	require.Equal(t, []string{"click", "", "", "", "click", "direct"}, kinds)
}

func TestAnOrderIsOneConversionOfTheVisitorOfItsPixel(t *testing.T) {
	server := func(e *Event) { e.Transport, e.Device, e.KeepsCookies = Server, "", false }
	a := New(shop, list(at(0, "page_view", from("tea")),
		at(time.Hour, "purchase", sold("1", "100"), server), at(time.Hour+time.Second, "purchase", sold("1", "100")), at(time.Hour, "purchase", sold("2", "9"), server)))
	rows := a.Conversions(month, "purchase")
	require.Len(t, rows, 2)
	require.Equal(t, []any{Label("cookie of b made for 00000000-0000-4000-8000-000000000001"), 2, "100.000000"}, []any{rows[0].Person, rows[0].Hits, Decimal(rows[0].Value)})
	require.Equal(t, []any{Label(""), 1}, []any{rows[1].Person, rows[1].Hits})
	revenue := map[string]string{}
	for _, row := range a.CampaignRevenue(month, DefaultModel, "") {
		revenue[row.Channel+" "+row.Source] = Decimal(row.Revenue)
	}
	require.Equal(t, map[string]string{"Paid Other tea": "100.000000", "Direct ": "9.000000"}, revenue)
}

func TestHowOftenAGoalCounts(t *testing.T) {
	same := func(e *Event) { e.ID = "00000000-0000-4000-8000-00000000000a" }
	var events []Event
	for _, after := range []time.Duration{0, 47 * time.Hour, 10 * day, 10*day + 47*time.Hour} { // repeats within 7 days are dropped
		events = append(events, at(after, "lead", same, func(e *Event) { e.URL = "https://shop.example/lead?x=1" }))
	}
	events = append(events, at(20*day, "lead"), at(20*day+time.Minute, "lead"))
	for oncePer, want := range map[string]int{"event": 4, "session": 3, "hit": 4, "order": 4} {
		site := shop
		site.Goals = []Goal{{ID: "lead", URL: regexp.MustCompile("/lead|^https://shop.example/$"), OncePer: oncePer, Value: "none", ClickDays: 30, ViewDays: 1}}
		a := New(site, list(slices.Clone(events)...))
		require.Len(t, a.Conversions(month, ""), want, oncePer)
		lines := map[string]string{}
		for _, row := range a.WhyNotCounted(month, "") {
			lines[row.Line] = row.Hits
		}
		require.Equal(t, []string{"6", "2", fmt.Sprint(want)}, []string{lines["raw_hits"], lines["repeated_records"], lines["counted"]}, oncePer)
	}
}

func TestAnEventIDCountsOnceIn48Hours(t *testing.T) {
	site := shop
	site.Goals = []Goal{{ID: "lead", Event: "lead", OncePer: "event", Value: "none", ClickDays: 30, ViewDays: 1}}
	same := func(happened time.Duration) func(*Event) {
		return func(e *Event) { e.ID, e.At = "00000000-0000-4000-8000-00000000000a", start.Add(happened) }
	}
	a := New(site, list(at(0, "lead", same(0)), at(9*day, "lead", same(2*day)), at(18*day, "lead", same(11*day+1))))
	require.Len(t, a.Conversions(month, ""), 2, "48 hours later is not more than 48 hours later; 9 days are")
}

func TestFunnelsTakeTheBestStart(t *testing.T) {
	a := New(shop, list(
		at(0, "a"), at(6*day, "a"), at(8*day, "b"), // only the second a reaches b
		at(0, "b", device("c")), at(1, "a", device("c")), // the wrong order
		at(0, "a", device("d")), at(7*day, "b", device("d")))) // the edge is included
	rows := a.Funnel(month, []string{"a", "b"}, 7)
	require.Equal(t, []int{3, 2}, []int{rows[0].Visitors, rows[1].Visitors})
}

func TestNewAndReturningVisitors(t *testing.T) {
	a := New(shop, list(at(0, "page_view"), at(day, "page_view"), at(day, "page_view", device("once")), at(day, "page_view", device("robot"), func(e *Event) { e.Bot = true })))
	rows := a.NewVsReturning(month)
	slices.SortFunc(rows, func(x, y NewRow) int { return x.Visitors - y.Visitors })
	half := 0.5
	require.Equal(t, 1, rows[0].New)
	require.Equal(t, NewRow{Day: "2026-10-02", Visitors: 2, Returning: 1, Cookieless: 1, CookielessShare: &half, Machines: 1}, rows[1])
}
