//go:build integration

package golden_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
)

// instants are those at which audiences are asked for: some between events, some exactly where events or their ends are.
func instants(events []answers.Event) []time.Time {
	n := len(events)
	return []time.Time{
		events[n/4].At, events[n/3].At.Add(7 * aDay), events[n/2].At.Add(aDay - time.Millisecond), events[3*n/4].At.Add(hour), events[n-1].At.Add(5 * aDay),
	}
}

// membership is a row of audience_members.
type membership struct {
	Visitor  string   `json:"visitor"`
	Products []string `json:"products"`
	From     string   `json:"from"`
	To       string   `json:"to"`
	Hits     int      `json:"hits"`
}

// compareAudiences holds the members of every segment at every instant against those of the reference.
func compareAudiences(t *testing.T, w *world, events []answers.Event) {
	reference := answers.New(answers.Site{Zone: berlin, Currency: "EUR"}, events)
	ids := visitorIDs(t, w, reference)
	for _, s := range segments {
		for i, at := range instants(events) {
			t.Run(fmt.Sprintf("%s %d", s.rule.ID, i), func(t *testing.T) {
				t.Parallel()
				var want []membership
				for _, m := range reference.Audience(s.rule, at) {
					want = append(want, membership{ids[m.Visitor], m.Products, stamp(m.QualifiedAt), stamp(m.EndsAt), m.Hits})
				}
				sql := fmt.Sprintf("SELECT visitor_id AS visitor, products, toString(toDateTime64(qualified_at, 3, 'UTC')) AS from, toString(toDateTime64(ends_at, 3, 'UTC')) AS to, toInt32(hits) AS hits "+
					"FROM onepx.audience_members(site = '%s', segment = '%s', at = '%s')", audienceSite, s.rule.ID, stamp(at))
				var got []membership
				require.NoError(t, w.clickHouse.Query(t.Context(), sql, func(raw json.RawMessage) error {
					var m membership
					err := json.Unmarshal(raw, &m)
					got = append(got, m)
					return err
				}))
				require.Empty(t, differences(got, want), "seed %d: %s\n%s\n%d members wanted", seed(t), sql, s.yaml, len(want))
			})
		}
	}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000") }

// visitorIDs are the ids that the product has given, by the labels of the reference.
func visitorIDs(t *testing.T, w *world, reference *answers.Answers) map[string]string {
	t.Helper()
	labels, ids := reference.VisitorOf(), map[string]string{}
	require.NoError(t, w.clickHouse.Query(t.Context(), "SELECT event_id AS event, visitor_id AS visitor FROM onepx.events WHERE site_id = '"+audienceSite+"' AND outcome = 'event'", func(raw json.RawMessage) error {
		var row struct{ Event, Visitor string }
		err := json.Unmarshal(raw, &row)
		if label := labels[row.Event]; ids[label] == "" {
			ids[label] = row.Visitor
		}
		return err
	}))
	return ids
}

// differences are the rows that are in one of the lists only, at most maxDifferences.
func differences(got, want []membership) string {
	text := func(list []membership) []string {
		var all []string
		for _, m := range list {
			all = append(all, fmt.Sprintf("%+v", m))
		}
		return all
	}
	g, w := text(got), text(want)
	var lines []string
	for _, row := range g {
		if !slices.Contains(w, row) {
			lines = append(lines, "got  "+row)
		}
	}
	for _, row := range w {
		if !slices.Contains(g, row) {
			lines = append(lines, "want "+row)
		}
	}
	slices.SortFunc(lines, func(x, y string) int { return strings.Compare(x[5:], y[5:]) })
	return strings.Join(lines[:min(len(lines), maxDifferences)], "\n")
}
