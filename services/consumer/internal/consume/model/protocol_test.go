package model_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/consume/model"
)

var (
	oneSeed   = flag.Uint64("seed", 0, "replay the schedule of this seed alone, step by step")
	schedules = flag.Uint64("schedules", 40_000, "how many random schedules TestProtocol tries")
	deep      = flag.Bool("deep", false, "try the larger small worlds too (minutes)")
)

// parts is how many subtests share the schedules; more than there are cores.
const parts = 8

func TestProtocol(t *testing.T) {
	if *oneSeed != 0 {
		schedule, _ := model.Random(model.Protocol(), *oneSeed)
		violation, steps := schedule.Run(model.Protocol())
		t.Log("\n" + strings.Join(steps, "\n"))
		require.Empty(t, violation)
		return
	}
	for part := range uint64(parts) {
		t.Run(fmt.Sprintf("random schedules keep every promise, part %d", part+1), func(t *testing.T) {
			t.Parallel()
			for seed := 1 + part; seed <= *schedules; seed += parts {
				if schedule, violation := model.Random(model.Protocol(), seed); violation != "" {
					report(t, model.Protocol(), schedule)
					t.Fatalf("replay it with: go test ./internal/consume/model -run TestProtocol -v -seed %d", seed)
				}
			}
		})
	}
}

// report logs the shortest schedule that breaks the same world, step by step, and returns what it breaks.
func report(t *testing.T, rules model.Rules, schedule model.Schedule) string {
	t.Helper()
	violation, steps := model.Shorten(rules, schedule).Run(rules)
	t.Logf("%s\n%s", violation, strings.Join(steps, "\n"))
	return violation
}

func TestEveryScheduleOfASmallWorldKeepsEveryPromise(t *testing.T) {
	worlds := map[string]model.Small{
		"two workers, three records, one fault":                  {Workers: 2, Records: []int{1, 1, 0}, Faults: 1},
		"one worker, three records, one fault while time passes": {Workers: 1, Records: []int{1, 1, 2}, Faults: 1, Ticks: 1},
	}
	if *deep {
		worlds["two workers, two records, one fault while time passes"] = model.Small{Workers: 2, Records: []int{1, 1}, Faults: 1, Ticks: 1}
		worlds["two workers, four records, two faults"] = model.Small{Workers: 2, Records: []int{1, 1, 0, 2}, Faults: 2}
	}
	for name, world := range worlds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states, violation, schedule := model.Exhaust(model.Protocol(), world)
			if violation != "" {
				t.Fatal(report(t, model.Protocol(), schedule))
			}
			t.Logf("%d states", states)
		})
	}
}

// The search of the small world finds what it is for.
func TestSomeScheduleOfASmallWorldBreaksWithout(t *testing.T) {
	for _, rule := range []string{"ClosedRange", "Token", "ViewsDeduplicate", "RecoverAssigned", "RecoverUnknown"} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			rules := model.Without(rule)
			_, violation, schedule := model.Exhaust(rules, model.Small{Workers: 2, Records: []int{1, 2, 1}, Faults: 1})
			require.NotEmpty(t, violation)
			report(t, rules, schedule)
		})
	}
}

// A property that nothing puts to the test would hold too: what the protocol is for must happen in the schedules.
func TestSchedulesReachWhatTheProtocolIsFor(t *testing.T) {
	situations := []string{
		"refuses w0's commit of range", "is still on its way", "insert of [0..0] fails", "which goes on", "past its deadline",
		"makes the rows of [0..1] again", "exception: old", "exception: expired", "exception: rules", "exception: suppression",
		"SELECT of the stored rows", "events knows the token", "fetches the position: no position", "stops: offsets_moved",
		"stops: topic_changed", "accept-offsets", "position put back to", "is not in the group any more", "stopped: false", ", replayed",
		"remembers the token of", "hears that ClickHouse has started", "again=1", "fills what views lack", "into view",
	}
	count := make([]int, len(situations))
	for seed := range uint64(1500) {
		schedule, _ := model.Random(model.Protocol(), seed+1)
		_, steps := schedule.Run(model.Protocol())
		for i, s := range situations {
			if slices.ContainsFunc(steps, func(step string) bool { return strings.Contains(step, s) }) {
				count[i]++
			}
		}
	}
	for i, s := range situations {
		require.Greater(t, count[i], 5, "schedules of 1500 in which something %q", s)
		t.Logf("%5d  %s", count[i], s)
	}
}
