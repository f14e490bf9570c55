//go:build integration

package store_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// entry is one event of an order of the shop, whose currency is EUR.
type entry struct {
	order, name string
	// value is in whole micros, "" for none.
	value      string
	unreadable bool
	currency   string // default EUR
	// day and minute are counted from 24 November; the default minute is the place in the list.
	day, minute int
	items       []item
	bot         bool
}

// item is a line of an order: quantity and price in whole micros, the price "" for none.
type item struct {
	id       string
	quantity int64
	price    string
}

func micros(text string) *int64 {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return &n
}

// entries stores events of orders in one block.
func (d db) entries(site, siteCurrency string, list ...entry) {
	d.t.Helper()
	batch, err := d.conn.PrepareBatch(d.t.Context(), "INSERT INTO "+d.name+".order_entries (site_id, site_currency, order_id, entry, site_day, occurred_at, event_id, "+
		"value_micros, value_unreadable, currency, items.id, items.quantity_micros, items.price_micros, is_bot, kafka_offset, expires_at)")
	require.NoError(d.t, err)
	for i, e := range list {
		at := day.AddDate(0, 0, e.day).Add(time.Duration(i+e.minute) * time.Minute)
		var ids []string
		var quantities []int64
		var prices []*int64
		for _, one := range e.items {
			ids, quantities, prices = append(ids, one.id), append(quantities, one.quantity), append(prices, micros(one.price))
		}
		if e.currency == "" {
			e.currency = "EUR"
		}
		require.NoError(d.t, batch.Append(site, siteCurrency, e.order, e.name, at, at, uuid.NewSHA1(uuid.Nil, fmt.Append(nil, site, e.order, i)),
			micros(e.value), e.unreadable, e.currency, ids, quantities, prices, e.bot, int64(i), time.Now().AddDate(1, 0, 0)))
	}
	require.NoError(d.t, batch.Send())
}

// rates imports rates as they are written: day, currency, units for one euro.
func (d db) rates(list ...string) {
	d.t.Helper()
	for _, one := range list {
		f := strings.Fields(one)
		d.exec(fmt.Sprintf("INSERT INTO %s.currency_rates SELECT '%s', '%s', toDecimal128('%s', 12), now64(3)", d.name, f[0], f[1], f[2]))
	}
}

// texts returns the only column of a query; `%s` in it stands for the database.
func (d db) texts(query string) []string {
	d.t.Helper()
	rows, err := d.conn.Query(d.t.Context(), strings.ReplaceAll(query, "%s", d.name))
	require.NoError(d.t, err)
	defer func() { require.NoError(d.t, rows.Close()) }()
	var all []string
	for rows.Next() {
		var text string
		require.NoError(d.t, rows.Scan(&text))
		all = append(all, text)
	}
	require.NoError(d.t, rows.Err())
	return all
}

// november is the range of most questions here.
const november = "site='shop', from='2026-11-01', to='2026-11-30'"

// moves are the folded entries: order: entry, day of the sale/own day, amount, currency, flags.
func (d db) moves(arguments string) []string {
	d.t.Helper()
	return d.texts("SELECT concat(order_id, ': ', entry, ' ', toString(toDayOfMonth(sale_day)), '/', toString(toDayOfMonth(day)), ' ', toString(amount_micros), ' ', currency, " +
		"if(rate_missing, ' rate_missing', ''), if(without_value, ' without_value', ''), if(unknown_amount, ' unknown', ''), " +
		"if(without_sale, ' without_sale', ''), if(over_refunded, ' over_refunded', '')) FROM %s.order_lines(" + arguments + ")")
}

// nets are gross and net of the orders.
func (d db) nets(arguments string) []string {
	d.t.Helper()
	return d.texts("SELECT concat(order_id, ': ', ifNull(toString(gross_micros), '-'), ' ', ifNull(toString(net_micros), '-'), ' ', currency, " +
		"if(rate_missing, ' rate_missing', ''), if(over_refunded, ' over_refunded', '')) FROM %s.order_nets(" + arguments + ") ORDER BY order_id, gross_micros, net_micros, over_refunded DESC")
}

// byOrder groups lines by what stands before their colon.
func byOrder(lines []string) map[string][]string {
	orders := map[string][]string{}
	for _, line := range lines {
		id, rest, _ := strings.Cut(line, ": ")
		orders[id] = append(orders[id], rest)
	}
	return orders
}

// foldCase is one order, and what its entries move.
type foldCase struct {
	name    string
	entries []entry
	lines   []string
	net     string
}

var (
	sold  = entry{name: "purchase", value: "100000000", items: []item{{"tea", 2000000, "30000000"}, {"cup", 1000000, "40000000"}}}
	third = entry{name: "refund", value: "5000000", currency: "CHF", day: 1}
)

var refundCases = []foldCase{
	{"a refund without value takes all", []entry{sold, {name: "refund", day: 2}}, []string{"sale 24/24 100000000 EUR", "refund 24/26 -100000000 EUR"}, "100000000 0 EUR"},
	{"a refund takes its value, whatever its sign", []entry{sold, {name: "refund", value: "-1500000", day: 2}, {name: "refund", value: "500001", day: 2}},
		[]string{"sale 24/24 100000000 EUR", "refund 24/26 -1500000 EUR", "refund 24/26 -500001 EUR"}, "100000000 97999999 EUR"},
	{"a refund of items takes quantity times price, each line rounded half away from zero", []entry{
		sold, {name: "refund", day: 1, items: []item{{"tea", 500000, "30000001"}, {"cup", 1500000, "1"}}},
	}, []string{"sale 24/24 100000000 EUR", "refund 24/25 -15000003 EUR"}, "100000000 84999997 EUR"},
	{"a price that the refund lacks is that of the sale", []entry{sold, {name: "refund", day: 1, items: []item{{"tea", 1000000, ""}, {"cup", 1000000, "1000000"}}}},
		[]string{"sale 24/24 100000000 EUR", "refund 24/25 -31000000 EUR"}, "100000000 69000000 EUR"},
	{"a price that is known nowhere makes the amount unknown", []entry{sold, {name: "refund", items: []item{{"tea", 1000000, ""}, {"pot", 1000000, ""}}}},
		[]string{"sale 24/24 100000000 EUR", "refund 24/24 0 EUR unknown"}, "100000000 100000000 EUR"},
	{"a refund whose value is unreadable moves nothing", []entry{sold, {name: "refund", unreadable: true}, {name: "refund", unreadable: true, items: []item{{"tea", 1000000, "1000000"}}}},
		[]string{"sale 24/24 100000000 EUR", "refund 24/24 0 EUR unknown", "refund 24/24 0 EUR unknown"}, "100000000 100000000 EUR"},
	{"a readable value counts where items are unreadable", []entry{sold, {name: "refund", value: "1", unreadable: true}},
		[]string{"sale 24/24 100000000 EUR", "refund 24/24 -1 EUR"}, "100000000 99999999 EUR"},
	{"a refund may be larger than the sale", []entry{sold, {name: "refund", value: "150000000"}, {name: "cancel"}},
		[]string{"sale 24/24 100000000 EUR over_refunded", "refund 24/24 -150000000 EUR", "cancel 24/24 0 EUR"}, "100000000 -50000000 EUR over_refunded"},
	{"prices of the sale are in the sale's currency", []entry{
		{name: "purchase", value: "10000000", currency: "USD", items: []item{{"tea", 1000000, "10000000"}}}, {name: "refund", items: []item{{"tea", 500000, ""}}},
	}, []string{"sale 24/24 8000000 EUR", "refund 24/24 -4000000 EUR"}, "8000000 4000000 EUR"},
	{"prices of two currencies make no amount", []entry{
		{name: "purchase", value: "10000000", currency: "USD", items: []item{{"tea", 1000000, "10000000"}}}, {name: "refund", items: []item{{"tea", 500000, ""}, {"cup", 1000000, "1"}}},
	}, []string{"sale 24/24 8000000 EUR", "refund 24/24 0 EUR unknown"}, "8000000 8000000 EUR"},
}

var orderCases = []foldCase{
	{"a sale alone", []entry{sold}, []string{"sale 24/24 100000000 EUR"}, "100000000 100000000 EUR"},
	{"a cancellation takes what a partial refund left, whatever its value", []entry{sold, {name: "refund", value: "30000000", day: 1}, {name: "cancel", value: "1", day: 2}},
		[]string{"sale 24/24 100000000 EUR", "refund 24/25 -30000000 EUR", "cancel 24/26 -70000000 EUR"}, "100000000 0 EUR"},
	{"each restatement moves the difference", []entry{
		sold, {name: "restate", value: "80000000"}, {name: "refund", value: "10000000"}, {name: "restate", value: "95000000"}, {name: "restate"}, {name: "cancel"},
	}, []string{
		"sale 24/24 100000000 EUR", "restate 24/24 -20000000 EUR", "refund 24/24 -10000000 EUR", "restate 24/24 15000000 EUR", "restate 24/24 0 EUR unknown", "cancel 24/24 -85000000 EUR",
	}, "100000000 0 EUR"},
	{"the sale comes first where a refund has an earlier time", []entry{{name: "refund", day: -1}, sold},
		[]string{"sale 24/24 100000000 EUR", "refund 24/23 -100000000 EUR"}, "100000000 0 EUR"},
	{"the order of arrival plays no part", []entry{{name: "cancel", day: 2}, {name: "refund", value: "1", day: 1}, sold},
		[]string{"sale 24/24 100000000 EUR", "refund 24/25 -1 EUR", "cancel 24/26 -99999999 EUR"}, "100000000 0 EUR"},
	{"a repeated purchase moves nothing and gives the value that the first lacks", []entry{{name: "purchase"}, {name: "purchase", value: "7", day: 1}, {name: "purchase", value: "9", day: 2}},
		[]string{"sale 24/24 7 EUR", "repeat 25/25 0 EUR", "repeat 26/26 0 EUR"}, "7 7 EUR"},
	{"a sale without a value", []entry{{name: "purchase", unreadable: true}}, []string{"sale 24/24 0 EUR without_value"}, "- - EUR"},
	{"a sale without a value that is restated", []entry{{name: "purchase"}, {name: "restate", value: "9"}, {name: "refund", value: "2"}},
		[]string{"sale 24/24 0 EUR without_value", "restate 24/24 9 EUR", "refund 24/24 -2 EUR"}, "- 7 EUR"},
	{"no sale yet", []entry{{name: "refund", value: "5"}, {name: "cancel", day: 1}},
		[]string{"refund 24/24 -5 EUR without_sale", "cancel 25/25 0 EUR without_sale"}, "- - EUR over_refunded"},
	{"amounts beyond what a float holds are exact", []entry{{name: "purchase", value: "900719925474099301"}, {name: "refund", value: "900719925474099300"}},
		[]string{"sale 24/24 900719925474099301 EUR", "refund 24/24 -900719925474099300 EUR"}, "900719925474099301 1 EUR"},
}

var currencyCases = []foldCase{
	{"each entry is converted at the rate of the sale's day", []entry{{name: "purchase", value: "100", currency: "USD"}, {name: "refund", value: "10", currency: "USD", day: 2}, {name: "refund", value: "3", day: 2}},
		[]string{"sale 24/24 80 EUR", "refund 24/26 -8 EUR", "refund 24/26 -3 EUR"}, "80 69 EUR"},
	{"halves are rounded away from zero", []entry{{name: "purchase", value: "25", currency: "XTS"}, {name: "refund", value: "5", currency: "XTS"}},
		[]string{"sale 24/24 13 EUR", "refund 24/24 -3 EUR"}, "13 10 EUR"},
	{"large amounts are converted exactly", []entry{{name: "purchase", value: "900719925474099305", currency: "USD"}, {name: "cancel"}},
		[]string{"sale 24/24 720575940379279444 EUR", "cancel 24/24 -720575940379279444 EUR"}, "720575940379279444 0 EUR"},
	{"at a weekend the rate is that of the days before", []entry{{name: "purchase", value: "100", currency: "USD", day: 4}}, []string{"sale 28/28 80 EUR"}, "80 80 EUR"},
	{"an order whose rate is missing stays in the sale's currency, and what is in a third one moves nothing", []entry{
		{name: "purchase", value: "100", currency: "CHF"}, {name: "refund", value: "10", currency: "CHF"}, {name: "refund", value: "10"}, {name: "restate", value: "50", currency: "USD"}, {name: "cancel"},
	}, []string{
		"sale 24/24 100 CHF rate_missing", "refund 24/24 -10 CHF rate_missing", "refund 24/24 0 CHF rate_missing unknown", "restate 24/24 0 CHF rate_missing unknown", "cancel 24/24 -90 CHF rate_missing",
	}, "100 0 CHF rate_missing"},
	{"a refund in a third currency without a rate", []entry{sold, third},
		[]string{"sale 24/24 100000000 EUR rate_missing", "refund 24/25 0 EUR rate_missing unknown"}, "100000000 100000000 EUR rate_missing"},
	{"without a sale the rate is that of the entry's own day", []entry{{name: "restate", value: "100", currency: "USD"}, {name: "refund", value: "100", currency: "USD", day: -1, minute: 5}},
		[]string{"refund 23/23 -50 EUR without_sale", "restate 24/24 80 EUR without_sale"}, "- 30 EUR"},
	{"repeats stand in the site's currency", []entry{{name: "purchase", value: "1", currency: "CHF"}, {name: "purchase", value: "1", currency: "CHF"}},
		[]string{"sale 24/24 1 CHF rate_missing", "repeat 24/24 0 EUR"}, "1 1 CHF rate_missing"},
}

func TestEveryEntryOfAnOrderMovesWhatTheDefinitionsSay(t *testing.T) {
	d := migrated(t)
	d.rates("2026-11-23 USD 2", "2026-11-24 USD 1.25", "2026-11-24 XTS 2")
	cases := slices.Concat(refundCases, orderCases, currencyCases)
	for i, tc := range cases {
		for n := range tc.entries {
			tc.entries[n].order = fmt.Sprint(i)
		}
		d.entries("shop", "EUR", tc.entries...)
	}
	lines, nets := byOrder(d.moves(november)), byOrder(d.nets(november))
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.lines, lines[fmt.Sprint(i)])
			require.Equal(t, []string{tc.net}, nets[fmt.Sprint(i)])
		})
	}
}
