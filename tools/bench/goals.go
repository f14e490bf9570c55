package main

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// manyGoals is how many goals the site has in one half of the turns.
const manyGoals = 50

// goalsBench compares the consumer on a site with fifty goals with itself on a site without any.
func goalsBench(ctx context.Context, w *world) (report, error) {
	with, without, ratio, err := w.compareSites(ctx, "goals", goalsOf(manyGoals), goalsOf(0))
	if err != nil {
		return report{}, err
	}
	var hits struct{ Hits, Rows float64 }
	if err := w.sql().One(ctx, "SELECT (SELECT count() FROM onepx.conversion_hits) AS Hits, (SELECT count() FROM onepx.events) AS Rows", &hits); err != nil {
		return report{}, err
	}
	return report{
		numbers: []number{
			{"consumer_goals_ratio", ratio, "x", atLeast(0.9), fmt.Sprintf("rows/s with %d goals ÷ rows/s with none", manyGoals)},
			{"consumer_goals_rows_per_second", with, "/s", nil, fmt.Sprintf("rows/s with %d goals", manyGoals)},
			{"consumer_no_goals_rows_per_second", without, "/s", nil, "rows/s with none"},
		},
		method: fmt.Sprintf(`The consumer takes in %d page views of a shop that it enriches, on empty tables, by turns with %d goals and with none: half of them by a
pattern of the URL, of which one matches, half by the name of an event and a property. As in the benchmark above, rows count until nine tenths
are stored. In the last turn the goals had %s hits for a million rows; these are rows of conversion_hits.`, backlogEvents, manyGoals, short(hits.Hits/hits.Rows*1e6)),
	}, nil
}

// compareSites lets the consumer take in the same page views by turns on a site with something in its configuration and on one
// without it. It returns the medians of rows a second with and without, and of their ratio in each turn. The last turn is one with.
func (w *world) compareSites(ctx context.Context, name, with, without string) (withRate, withoutRate, ratio float64, err error) {
	if err := fillTopic(ctx, w.kafka.Broker(), backlogEvents, true); err != nil {
		return 0, 0, 0, err
	}
	side := intakeSide{"consumer", "onepx", w.beginConsumer}
	sites := [2]string{without, with}
	var rates [2][]float64
	var ratios []float64
	for run := range w.runs {
		for turn := range 2 {
			i := (w.runs - run + turn + 1) % 2 // who goes first changes; with goes last at the end
			if err := w.configure(sites[i]); err != nil {
				return 0, 0, 0, err
			}
			result, err := w.measureIntake(ctx, side, fmt.Sprintf("%s-%d-%d", name, run, i))
			if err != nil {
				return 0, 0, 0, err
			}
			rates[i] = append(rates[i], result.rowsPerSecond)
		}
		ratios = append(ratios, rates[1][run]/rates[0][run])
	}
	return median(rates[1]), median(rates[0]), median(ratios), nil
}

// goalsOf writes the goals of a site.
func goalsOf(n int) string {
	if n == 0 {
		return "    goals: []\n"
	}
	var text strings.Builder
	text.WriteString("    goals:\n")
	for i := range n {
		if i%2 == 0 {
			fmt.Fprintf(&text, "      - {id: page-%d, url: '/tea/[a-z]+/p-%d$', once_per: session, value: none}\n", i, 399+i)
		} else {
			fmt.Fprintf(&text, "      - {id: plan-%d, event: page_view, props: {plan: pro-%d}, value: '9.90'}\n", i, i)
		}
	}
	return text.String()
}

// configure writes onepx.yaml, with more keys of the site, for the services that start from now on.
func (w *world) configure(keys string) error {
	return os.WriteFile(w.sites, []byte("sites:\n  - id: "+site+"\n    timezone: Europe/Berlin\n    currency: EUR\n"+keys), 0o600)
}
