package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/load"
)

// row is one of an answer; in events, key is the event id and text the outcome.
type row struct{ key, text string }

// database answers with rows by table or report, in the words of the comparison's queries.
type database map[string][]row

// Query takes the table from the query. A row of events lies at the offset that is its number.
func (d database) Query(_ context.Context, query string, each func(json.RawMessage) error) error {
	_, rest, _ := strings.Cut(query, "FROM onepx.")
	table := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '(' })[0]
	for offset, r := range d[table] {
		answer := map[string]any{"key": r.key, "text": r.text}
		if table == "events" {
			answer = map[string]any{"ID": r.key, "Outcome": r.text, "Partition": 0, "Offset": offset}
		}
		raw, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		if err := each(raw); err != nil {
			return err
		}
	}
	return nil
}

// id is the event id of the n-th event.
func id(n int) string { return fmt.Sprintf("00000000-0000-8000-8000-%012d", n) }

// The events of the shop that the tests are about, by their numbers.
const (
	landing = iota
	impression
	visit
	purchase
	reload
	refund
	other
	cancel
	lost
	unasked
)

// sent are the events with their answers: an order of 49.90 whose page was loaded again and of which half an item of 9.99
// went back, one of 20 that was cancelled, and a purchase whose answer is not known.
func sent() []load.Result {
	of := func(name, order, value string) answers.Event {
		return answers.Event{Name: name, URL: "https://shop.example/" + name, OrderID: order, Value: value}
	}
	events := []answers.Event{
		landing:    {Name: "page_view", URL: "https://shop.example/tea", Origin: answers.Origin{Source: "google", Medium: "cpc", Campaign: "brand"}},
		impression: {Name: "impression", Origin: answers.Origin{Source: "adnet", Medium: "cpm", Campaign: "autumn"}},
		visit:      {Name: "page_view", URL: "https://shop.example/"},
		purchase:   of("purchase", "T-1", "49.90"),
		reload:     of("purchase", "T-1", "49.90"),
		refund:     of("refund", "T-1", ""),
		other:      of("purchase", "T-2", "20"),
		cancel:     of("cancel", "T-2", ""),
		lost:       of("purchase", "T-3", "5"),
		unasked:    of("purchase", "T-4", "6"),
	}
	events[purchase].Items = []answers.Item{{ID: "cup", Quantity: "1", Price: "9.99"}}
	events[refund].Items = []answers.Item{{ID: "cup", Quantity: "0.5"}}
	outcomes := map[int]string{lost: load.Unknown, unasked: load.Refused}
	var results []load.Result
	for i := range events {
		e := &events[i]
		e.ID, e.Transport, e.Device = id(i), answers.Pixel, "phone"
		e.At = time.Date(2026, 11, 24, 10, i, 0, 0, time.UTC)
		e.Arrived = e.At
		outcome := load.Stored
		if outcomes[i] != "" {
			outcome = outcomes[i]
		}
		results = append(results, load.Result{ID: uuid.MustParse(e.ID), Event: e, Outcome: outcome})
	}
	return results
}

// right is what must be stored; the landing page was visited once more under its event id, and so was the second purchase.
func right() database {
	d := database{}
	for n := landing; n <= cancel; n++ {
		d["events"] = append(d["events"], row{id(n), "event"})
	}
	d["events"] = append(d["events"], row{id(landing), "duplicate"}, row{id(other), "duplicate"})
	d["conversion_hits"] = []row{
		{"tea hit by " + id(landing) + " at 0/0", "order "},
		{"purchase hit by " + id(purchase) + " at 0/3", "order T-1"},
		{"purchase hit by " + id(reload) + " at 0/4", "order T-1"},
		{"purchase hit by " + id(other) + " at 0/6", "order T-2"},
		{"tea hit by " + id(landing) + " at 0/8", "order "},
		{"purchase hit by " + id(other) + " at 0/9", "order T-2"},
	}
	d["order_entries"] = []row{
		{"purchase by " + id(purchase) + " at 0/3", "order T-1 of 49900000 micros EUR"},
		{"purchase by " + id(reload) + " at 0/4", "order T-1 of 49900000 micros EUR"},
		{"refund by " + id(refund) + " at 0/5", "order T-1 of no micros EUR"},
		{"purchase by " + id(other) + " at 0/6", "order T-2 of 20000000 micros EUR"},
		{"cancel by " + id(cancel) + " at 0/7", "order T-2 of no micros EUR"},
	}
	d["touches"] = []row{
		{"click by " + id(landing) + " at 0/0", "google cpc brand"},
		{"view by " + id(impression) + " at 0/1", "adnet cpm autumn"},
		{"direct by " + id(visit) + " at 0/2", "  "},
	}
	d["conversions"] = []row{
		{"purchase of T-1", "event " + id(purchase) + ", hits 2, value 44905000 micros EUR"},
		{"purchase of T-2", "event " + id(other) + ", hits 1, value 0 micros EUR"},
		{"tea of " + id(landing), "event " + id(landing) + ", hits 1, value 2500000 micros EUR"},
	}
	d["revenue_ledger"] = []row{
		{"dated by booking", "orders 2, repeats 1, net 44905000 micros EUR"},
		{"dated by sale", "orders 2, repeats 1, net 44905000 micros EUR"},
	}
	d["view_through"] = []row{{"autumn", "impressions 1"}}
	return d
}

// add adds a row.
func (d database) add(table, key, text string) { d[table] = append(d[table], row{key, text}) }

// drop takes a row away.
func (d database) drop(table, key string) {
	d[table] = slices.DeleteFunc(d[table], func(r row) bool { return r.key == key })
}

// change makes a row say something else.
func (d database) change(table, key, text string) {
	d.drop(table, key)
	d.add(table, key, text)
}

func TestWhatIsComparedWithWhatWasSent(t *testing.T) {
	tests := map[string]struct {
		spoil func(database)
		want  ledger.Facts
	}{
		"all is right": {func(database) {}, ledger.Facts{}},
		"a goal hit is lost": {
			func(d database) { d.drop("conversion_hits", "purchase hit by "+id(reload)+" at 0/4") },
			ledger.Facts{Lost: []string{"conversion_hits: purchase hit by " + id(reload) + " at 0/4"}},
		},
		"a goal hit is there twice": {
			func(d database) { d.add("conversion_hits", "purchase hit by "+id(purchase)+" at 0/3", "order T-1") },
			ledger.Facts{Double: []string{"conversion_hits: purchase hit by " + id(purchase) + " at 0/3"}},
		},
		"the hit of a repeated record is lost": {
			func(d database) { d.drop("conversion_hits", "purchase hit by "+id(other)+" at 0/9") },
			ledger.Facts{Lost: []string{"conversion_hits: purchase hit by " + id(other) + " at 0/9"}},
		},
		"a touch is there twice": {
			func(d database) { d.add("touches", "view by "+id(impression)+" at 0/1", "adnet cpm autumn") },
			ledger.Facts{Double: []string{"touches: view by " + id(impression) + " at 0/1"}},
		},
		"a touch is of a repeated record": {
			func(d database) { d.add("touches", "click by "+id(landing)+" at 0/8", "google cpc brand") },
			ledger.Facts{Double: []string{"touches: click by " + id(landing) + " at 0/8"}},
		},
		"an entry of an order is lost": {
			func(d database) { d.drop("order_entries", "refund by "+id(refund)+" at 0/5") },
			ledger.Facts{Lost: []string{"order_entries: refund by " + id(refund) + " at 0/5"}},
		},
		"an entry lies at another offset": {
			func(d database) {
				d.drop("order_entries", "cancel by "+id(cancel)+" at 0/7")
				d.add("order_entries", "cancel by "+id(cancel)+" at 0/70", "order T-2 of no micros EUR")
			},
			ledger.Facts{
				Lost:   []string{"order_entries: cancel by " + id(cancel) + " at 0/7"},
				Double: []string{"order_entries: cancel by " + id(cancel) + " at 0/70"},
			},
		},
		"an order converts twice": {
			func(d database) {
				d.add("conversions", "purchase of T-1", "event "+id(reload)+", hits 1, value 44905000 micros EUR")
			},
			ledger.Facts{Double: []string{"conversions: purchase of T-1"}},
		},
		"an order is worth a micro too much": {
			func(d database) {
				d.change("conversions", "purchase of T-1", "event "+id(purchase)+", hits 2, value 44905001 micros EUR")
			},
			ledger.Facts{Wrong: []string{"conversions: purchase of T-1 says \"event " + id(purchase) + ", hits 2, value 44905001 micros EUR\", by what was sent it is \"event " +
				id(purchase) + ", hits 2, value 44905000 micros EUR\""}},
		},
		"the ledger's net is too small": {
			func(d database) {
				d.change("revenue_ledger", "dated by booking", "orders 2, repeats 1, net 44900000 micros EUR")
			},
			ledger.Facts{Wrong: []string{"revenue_ledger: dated by booking says \"orders 2, repeats 1, net 44900000 micros EUR\", by what was sent it is \"orders 2, repeats 1, net 44905000 micros EUR\""}},
		},
		"an impression is not reported": {
			func(d database) { d.drop("view_through", "autumn") },
			ledger.Facts{Lost: []string{"view_through: autumn"}},
		},
		"something that was refused has facts": {
			func(d database) { d.add("conversion_hits", "purchase hit by "+id(unasked)+" at 0/10", "order T-4") },
			ledger.Facts{Double: []string{"conversion_hits: purchase hit by " + id(unasked) + " at 0/10"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := right()
			test.spoil(d)
			got := compare(t, d)
			require.Equal(t, test.want, got)
			require.Equal(t, name == "all is right", got.Err() == nil)
		})
	}
}

func TestAnEventWithoutARowLosesAllThatFollowsFromIt(t *testing.T) {
	d := right()
	for table := range d {
		d[table] = slices.DeleteFunc(d[table], func(r row) bool { return strings.Contains(r.key, id(other)) || r.key == "purchase of T-2" })
	}
	got := compare(t, d)
	require.Contains(t, got.Lost, "conversion_hits: purchase hit by "+id(other)+" at no offset")
	require.Contains(t, got.Lost, "conversions: purchase of T-2")
}

func TestAnEventOfUnknownAnswerCountsIfItIsThere(t *testing.T) {
	d := right()
	d.add("events", id(lost), "event")
	got := compare(t, d)
	require.Equal(t, []string{
		"conversion_hits: purchase hit by " + id(lost) + " at 0/10", "conversions: purchase of T-3", "order_entries: purchase by " + id(lost) + " at 0/10",
	}, got.Lost)
	require.Len(t, got.Wrong, 2, "the ledger's sums")
	require.ErrorContains(t, got.Err(), "3 rows of facts and reports are missing: conversion_hits: purchase hit by "+id(lost))
}

var tea = regexp.MustCompile("/tea$")

// compare compares the database with what was sent.
func compare(t *testing.T, d database) ledger.Facts {
	t.Helper()
	l := ledger.New()
	for _, r := range sent() {
		l.Note(r)
	}
	facts, err := l.CompareFacts(t.Context(), d, "shop", answers.Site{Zone: time.UTC, Currency: "EUR", Goals: []answers.Goal{
		{ID: "purchase", Event: "purchase", OncePer: "order", Value: "event"},
		{ID: "tea", Event: "page_view", URL: tea, OncePer: "event", Value: "2.50", Currency: "EUR"},
	}})
	require.NoError(t, err)
	return facts
}
