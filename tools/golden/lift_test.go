//go:build integration

package golden_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
)

// compareLift holds the lift of every segment with a holdout against that of the reference: of all, or of one goal in a week.
func compareLift(t *testing.T, w *world, events []answers.Event) {
	reference := answers.New(answers.Site{Zone: berlin, Currency: "EUR", Goals: audienceGoals, Rates: rates()}, events)
	ids := visitorIDs(t, w, reference)
	c := newComparison(w.clickHouse, audienceSite, events)
	week := false
	for _, s := range segments {
		if !strings.Contains(s.yaml, "holdout: 20") {
			continue
		}
		r, goal, more := ranges[0], "", fmt.Sprintf(", segment = '%s'", s.rule.ID)
		if week {
			r, goal, more = ranges[2], "purchase", more+", goal = 'purchase'"
		}
		week = !week // each question takes a second to plan
		held := heldOut(t, w, s.rule.ID)
		want := reference.RetargetingLift(s.rule, r, goal, func(visitor string) bool { return held[ids[visitor]] })
		require.NotEmpty(t, want)
		require.Positive(t, want[0].Exposed, s.rule.ID)
		require.Positive(t, want[0].HeldOut, s.rule.ID)
		t.Run(fmt.Sprintf("lift of %s from %s", s.rule.ID, r.From), func(t *testing.T) {
			t.Parallel()
			c.compare(t, question{"retargeting_lift", more, want}, r)
		})
	}
}

// heldOut are the ids of the visitors who are held out of a segment with a holdout of 20 %.
func heldOut(t *testing.T, w *world, segment string) map[string]bool {
	t.Helper()
	held := map[string]bool{}
	sql := fmt.Sprintf("SELECT DISTINCT visitor_id AS visitor FROM onepx.events WHERE site_id = '%s' AND cityHash64('%s', '%s', visitor_id) %% 1000 < 200", audienceSite, audienceSite, segment)
	require.NoError(t, w.clickHouse.Query(t.Context(), sql, func(raw json.RawMessage) error {
		var row struct{ Visitor string }
		err := json.Unmarshal(raw, &row)
		held[row.Visitor] = true
		return err
	}))
	return held
}
