//go:build integration

package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// ledger are the rows of revenue_ledger, as text without what is zero.
func (d db) ledger(arguments string) []string {
	d.t.Helper()
	return d.texts("SELECT concat(dated_by, ' ', toString(toDayOfMonth(day)), ' ', currency, if(rate_missing, ' rate_missing', ''), " +
		"' orders=', toString(orders), ' sales=', toString(sales), ' restated=', toString(restated), ' refunded=', toString(refunded), ' cancelled=', toString(cancelled), ' net=', toString(net), " +
		"if(without_value > 0, concat(' without_value=', toString(without_value)), ''), if(unknown_amounts > 0, concat(' unknown=', toString(unknown_amounts)), ''), " +
		"if(without_sale > 0, concat(' without_sale=', toString(without_sale)), ''), if(over_refunded > 0, concat(' over_refunded=', toString(over_refunded)), ''), " +
		"if(repeats > 0, concat(' repeats=', toString(repeats)), ''), if(machine_entries > 0, concat(' machines=', toString(machine_entries)), '')) FROM %s.revenue_ledger(" + arguments + ")")
}

func TestTheLedgerShowsEveryAmountByTheDayOfItsSaleAndByItsOwn(t *testing.T) {
	d := migrated(t)
	d.entries("shop", "EUR",
		entry{order: "A", name: "purchase", value: "20000000"},
		entry{order: "B", name: "purchase", value: "10500000"},
		entry{order: "A", name: "refund", value: "5000000", day: 1},
		entry{order: "A", name: "restate", value: "21000000", day: 1},
		entry{order: "B", name: "cancel", day: 2},
		entry{order: "C", name: "purchase", day: 2},
		entry{order: "C", name: "purchase", day: 3},
		entry{order: "D", name: "refund", value: "1000000", day: 2},
		entry{order: "E", name: "purchase", value: "9000000", bot: true},
		entry{order: "A", name: "cancel", day: 4, bot: true},
	)
	d.entries("other", "EUR", entry{order: "A", name: "purchase", value: "1"})
	require.Equal(t, []string{
		"booking 24 EUR orders=2 sales=30.5 restated=0 refunded=0 cancelled=0 net=30.5 machines=1",
		"booking 25 EUR orders=0 sales=0 restated=1 refunded=5 cancelled=0 net=-4",
		"booking 26 EUR orders=1 sales=0 restated=0 refunded=1 cancelled=10.5 net=-11.5 without_value=1 without_sale=1",
		"booking 27 EUR orders=0 sales=0 restated=0 refunded=0 cancelled=0 net=0 repeats=1",
		"booking 28 EUR orders=0 sales=0 restated=0 refunded=0 cancelled=0 net=0 machines=1",
		"sale 24 EUR orders=2 sales=30.5 restated=1 refunded=5 cancelled=10.5 net=16 machines=1",
		"sale 26 EUR orders=1 sales=0 restated=0 refunded=1 cancelled=0 net=-1 without_value=1 without_sale=1",
		"sale 27 EUR orders=0 sales=0 restated=0 refunded=0 cancelled=0 net=0 repeats=1",
		"sale 28 EUR orders=0 sales=0 restated=0 refunded=0 cancelled=0 net=0 machines=1",
	}, d.ledger(november))
}

func TestAnOrderIsFoldedTheSameWhateverDaysAreAskedFor(t *testing.T) {
	d := migrated(t)
	d.entries("shop", "EUR",
		entry{order: "A", name: "purchase", value: "20000000", day: -40},
		entry{order: "A", name: "refund", value: "5000000"},
		entry{order: "A", name: "cancel", day: 20},
		entry{order: "B", name: "purchase", value: "1000000", day: -40},
	)
	require.Equal(t, []string{"booking 24 EUR orders=0 sales=0 restated=0 refunded=5 cancelled=0 net=-5"}, d.ledger(november))
	require.Equal(t, []string{"booking 14 EUR orders=0 sales=0 restated=0 refunded=0 cancelled=15 net=-15"}, d.ledger("site='shop', from='2026-12-14', to='2026-12-14'"))
	require.Equal(t, []string{
		"booking 15 EUR orders=2 sales=21 restated=0 refunded=0 cancelled=0 net=21",
		"sale 15 EUR orders=2 sales=21 restated=0 refunded=5 cancelled=15 net=1",
	}, d.ledger("site='shop', from='2026-10-15', to='2026-10-15'"))
	require.Equal(t, []string{"A: 20000000 0 EUR"}, d.nets(november), "B has nothing in November")
	require.Empty(t, d.ledger("site='shop', from='2027-01-01', to='2027-01-31'"))
}

func TestOrdersWithoutAnIDAreNeverJoined(t *testing.T) {
	d := migrated(t)
	d.entries("shop", "EUR",
		entry{name: "purchase", value: "1000000"},
		entry{name: "purchase", value: "2000000"},
		entry{name: "purchase", value: "5000000", currency: "CHF"},
		entry{name: "cancel"},
		entry{name: "refund", value: "3000000"},
	)
	require.Equal(t, []string{
		"sale 24 CHF rate_missing orders=1 sales=5 restated=0 refunded=0 cancelled=0 net=5",
		"sale 24 EUR orders=2 sales=3 restated=0 refunded=3 cancelled=0 net=0 without_sale=2",
	}, d.ledger(november)[2:])
	require.Equal(t, []string{": 1000000 1000000 EUR", ": 2000000 2000000 EUR", ": 5000000 5000000 CHF rate_missing", ": - - EUR over_refunded", ": - - EUR"}, d.nets(november))
	require.EqualValues(t, 5, d.number("SELECT uniqExact(sale_event_id) FROM %s.order_nets("+november+")"), "each is found by its own event")
}

func TestAnOrderIsConvertedOnceItsRateIsImportedAndTheLastImportCounts(t *testing.T) {
	d := migrated(t)
	d.entries("shop", "EUR", entry{order: "A", name: "purchase", value: "100", currency: "USD"}, entry{order: "B", name: "purchase", value: "100"})
	usd := func() []string { return d.nets(november)[:1] }
	require.Equal(t, []string{"A: 100 100 USD rate_missing"}, usd())
	d.rates("2026-11-16 USD 2")
	require.Equal(t, []string{"A: 100 100 USD rate_missing"}, usd(), "eight days are too many")
	d.rates("2026-11-17 USD 4")
	require.Equal(t, []string{"A: 25 25 EUR"}, usd())
	d.rates("2026-11-24 USD 1.6", "2026-11-25 USD 9")
	require.Equal(t, []string{"A: 63 63 EUR"}, usd())
	d.rates("2026-11-24 USD 1.25")
	require.Equal(t, []string{"A: 80 80 EUR"}, usd())
}

func TestASiteInAnotherCurrencyNeedsTheRateOfBoth(t *testing.T) {
	d := migrated(t)
	d.rates("2026-11-24 USD 1.25")
	d.entries("shop", "JPY",
		entry{order: "A", name: "purchase", value: "1000000", currency: "USD"}, entry{order: "A", name: "refund", value: "500000", currency: "EUR"},
		entry{order: "B", name: "purchase", value: "7", currency: "JPY"}, entry{order: "C", name: "purchase", value: "7", currency: "EUR"})
	require.Equal(t, []string{"A: 1000000 1000000 USD rate_missing", "B: 7 7 JPY", "C: 7 7 EUR rate_missing"}, d.nets(november))
	d.rates("2026-11-24 JPY 161.803398874989")
	require.Equal(t, []string{"A: 129442719 48541020 JPY", "B: 7 7 JPY", "C: 1133 1133 JPY"}, d.nets(november))
}

func TestRatesInForceAreThoseOfTheDayOrOfTheSevenDaysBefore(t *testing.T) {
	d := migrated(t)
	d.rates("2026-11-20 USD 1.5", "2026-11-23 USD 1.25")
	require.Equal(t, []string{"27 EUR 1000000000000", "27 USD 1250000000000", "28 EUR 1000000000000", "28 USD 1250000000000"},
		d.texts("SELECT concat(toString(toDayOfMonth(day)), ' ', currency, ' ', toString(rate_pico)) AS line FROM %s.exchange_rates(from='2026-11-27', to='2026-11-28') ORDER BY line"))
	require.Equal(t, []string{"1"}, d.texts("SELECT toString(count()) FROM %s.exchange_rates(from='2026-12-01', to='2026-12-01')"))
}
