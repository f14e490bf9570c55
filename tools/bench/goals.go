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
	if err := fillTopic(ctx, w.kafka.Broker(), backlogEvents, true); err != nil {
		return report{}, err
	}
	side := intakeSide{"consumer", "onepx", w.beginConsumer}
	var ratios []float64
	results := map[int][]float64{}
	for run := range w.runs {
		turn := map[int]intake{}
		for i := range 2 {
			goals := manyGoals * ((run + i) % 2) // who goes first changes
			if err := w.configure(goalsOf(goals)); err != nil {
				return report{}, err
			}
			result, err := w.measureIntake(ctx, side, fmt.Sprintf("goals-%d-%d", run, goals))
			if err != nil {
				return report{}, err
			}
			turn[goals] = result
			results[goals] = append(results[goals], result.rowsPerSecond)
		}
		ratios = append(ratios, turn[manyGoals].rowsPerSecond/turn[0].rowsPerSecond)
	}
	var hits struct{ Hits, Rows float64 }
	if err := w.sql().One(ctx, "SELECT (SELECT count() FROM onepx.conversion_hits) AS Hits, (SELECT count() FROM onepx.events) AS Rows", &hits); err != nil {
		return report{}, err
	}
	return report{
		numbers: []number{
			{"consumer_goals_ratio", median(ratios), "x", atLeast(0.9), fmt.Sprintf("rows/s with %d goals ÷ rows/s with none", manyGoals)},
			{"consumer_goals_rows_per_second", median(results[manyGoals]), "/s", nil, fmt.Sprintf("rows/s with %d goals", manyGoals)},
			{"consumer_no_goals_rows_per_second", median(results[0]), "/s", nil, "rows/s with none"},
		},
		method: fmt.Sprintf(`The consumer takes in %d page views of a shop that it enriches, on empty tables, by turns with %d goals and with none: half of them by a
pattern of the URL, of which one matches, half by the name of an event and a property. As in the benchmark above, rows count until nine tenths
are stored. In the last turn the goals had %s hits for a million rows; these are rows of conversion_hits.`, backlogEvents, manyGoals, short(hits.Hits/hits.Rows*1e6)),
	}, nil
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

// configure writes onepx.yaml for the services that start from now on.
func (w *world) configure(goals string) error {
	return os.WriteFile(w.sites, []byte("sites:\n  - id: "+site+"\n    timezone: Europe/Berlin\n    currency: EUR\n"+goals), 0o600)
}
