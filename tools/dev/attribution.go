package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/tools/internal/ledger"
)

// attribution is what the site of the journeys is told of its revenue, or what it must be told.
type attribution struct {
	// campaigns are the credits of campaigns, by model.
	campaigns map[campaign][len(models)]credit
	bookings  bookings
}

// bookings are the sums of the ledger of revenue, in millionths of a euro, and the number of machines' orders that it left out.
type bookings struct{ Sales, Refunds, Net, Machines int64 }

// truth is the attribution that follows from the journeys.
func truth() attribution {
	a := attribution{campaigns: map[campaign][len(models)]credit{}, bookings: trueBookings}
	for _, j := range journeys {
		for c, credits := range j.credits {
			a.campaigns[c] = sum(a.campaigns[c], credits, int64(j.people))
		}
	}
	return a
}

// sum adds the credits of so many people.
func sum(to, credits [len(models)]credit, people int64) [len(models)]credit {
	for m, c := range credits {
		to[m].conversions += people * c.conversions
		to[m].revenue += people * c.revenue
	}
	return to
}

// total is what all campaigns have together.
func (a attribution) total() [len(models)]credit {
	var all [len(models)]credit
	for _, credits := range a.campaigns {
		all = sum(all, credits, 1)
	}
	return all
}

// askAttribution asks the reports for it, over the days that the journeys take.
func askAttribution(ctx context.Context, sql ledger.ClickHouse, site string) (attribution, error) {
	a := attribution{campaigns: map[campaign][len(models)]credit{}}
	days := "(site='" + site + "', from=today() - 8, to=today() + 1"
	var mu sync.Mutex // guards a.campaigns
	asking, ctx := errgroup.WithContext(ctx)
	for m, model := range models {
		asking.Go(func() error {
			query := "SELECT source, medium, campaign, toInt64(conversions * 1000000) AS conversions, toInt64(revenue * 1000000) AS revenue " +
				"FROM onepx.campaign_revenue" + days + ", model='" + model + "')"
			return sql.Query(ctx, query, func(raw json.RawMessage) error {
				mu.Lock()
				defer mu.Unlock()
				return a.add(m, raw)
			})
		})
	}
	asking.Go(func() error {
		return sql.One(ctx, "SELECT toInt64(sum(sales) * 1000000) AS Sales, toInt64(sum(refunded) * 1000000) AS Refunds, toInt64(sum(net) * 1000000) AS Net, "+
			"toInt64(sum(machine_entries)) AS Machines FROM onepx.revenue_ledger"+days+") WHERE dated_by = 'sale'", &a.bookings)
	})
	err := asking.Wait()
	return a, err
}

// add takes a row of campaign_revenue by the m-th model.
func (a attribution) add(m int, raw json.RawMessage) error {
	var row struct {
		Source, Medium, Campaign string
		Conversions, Revenue     int64
	}
	if err := json.Unmarshal(raw, &row); err != nil {
		return err
	}
	c := campaign{row.Source, row.Medium, row.Campaign}
	credits := a.campaigns[c]
	credits[m].conversions += row.Conversions
	credits[m].revenue += row.Revenue
	a.campaigns[c] = credits
	return nil
}

// settledAttribution waits until all events of the journeys are rows and the reports say what is true, and returns what they
// said last: they have an event a moment after the row is there.
func settledAttribution(ctx context.Context, sql ledger.ClickHouse, site string, events int) (a attribution, err error) {
	err = until(ctx, func() (bool, error) {
		var row struct{ Events int }
		err := sql.One(ctx, "SELECT count() AS Events FROM onepx.events WHERE site_id = '"+site+"' AND outcome = 'event'", &row)
		if err != nil || row.Events < events {
			return false, err
		}
		a, err = askAttribution(ctx, sql, site)
		return a.compare(truth()) == nil, err
	})
	return a, err
}

// compare says where it is not what it must be, or nil.
func (a attribution) compare(must attribution) error {
	var wrong []string
	for _, c := range union(a, must) {
		for m, model := range models {
			if got, want := a.campaigns[c][m], must.campaigns[c][m]; got != want {
				wrong = append(wrong, fmt.Sprintf("%s by %s has %s, not %s", c, model, got.exact(), want.exact()))
			}
		}
	}
	if a.bookings != must.bookings {
		wrong = append(wrong, fmt.Sprintf("bookings are %+v, not %+v", a.bookings, must.bookings))
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("reports differ from the truth:\n  %s", strings.Join(wrong, "\n  "))
}

// union are the campaigns of either, by name.
func union(a, b attribution) []campaign {
	all := maps.Clone(a.campaigns)
	maps.Copy(all, b.campaigns)
	return slices.SortedFunc(maps.Keys(all), func(x, y campaign) int { return cmp.Compare(x.String(), y.String()) })
}

// exact is to the millionth.
func (c credit) exact() string {
	return fmt.Sprintf("%d.%06d conversions and a revenue of %d.%06d", c.conversions/one, c.conversions%one, c.revenue/one, c.revenue%one)
}

// String is as far as a table needs it.
func (c credit) String() string {
	return fmt.Sprintf("%5.2f %7.2f", float64(c.conversions)/one, float64(c.revenue)/one)
}

// write writes a table with two lines for each campaign: what the reports say, and what they must.
func (a attribution) write(out io.Writer, must attribution) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	pair := func(name string, got, want [len(models)]credit) {
		verdict := "equal"
		if got != want {
			verdict = "DIFFERS"
		}
		_, _ = fmt.Fprintf(table, "  %s\t%s\n", name, cells(got))
		_, _ = fmt.Fprintf(table, "    must be\t%s\t%s\n", cells(want), verdict)
	}
	_, _ = fmt.Fprintf(table, "  conversions, revenue\t%s\n", strings.Join(models[:], "\t"))
	for _, c := range union(a, must) {
		pair(c.String(), a.campaigns[c], must.campaigns[c])
	}
	pair("all campaigns", a.total(), must.total())
	if err := table.Flush(); err != nil {
		return err
	}
	b := a.bookings
	_, err := fmt.Fprintf(out, "  sold %.2f, refunded %.2f, net %.2f; orders of machines, left out: %d\n",
		float64(b.Sales)/one, float64(b.Refunds)/one, float64(b.Net)/one, b.Machines)
	return err
}

// cells are those of a line of the table.
func cells(credits [len(models)]credit) string {
	var text []string
	for _, c := range credits {
		text = append(text, c.String())
	}
	return strings.Join(text, "\t")
}
