package model_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/consume/model"
)

var (
	update = flag.Bool("update", false, "write the table of the ADR")
	search = flag.Bool("search", false, "look for better schedules than those of the table (minutes)")
	bound  = flag.Uint64("bound", 100_000, "how many seeds are tried without a rule before it counts as not needed")
)

const (
	adr = "../../../../../docs/adr/0001-exactly-once.md"
	// enough findings to choose the most telling one from.
	enough = 12
)

// finding is what breaks without a rule.
type finding struct {
	rule      model.Rule
	seed      uint64
	schedule  model.Schedule
	violation string
}

// The table in the ADR has the seed of a schedule that breaks without each rule. The seed is tried first; if the model has changed
// since, others are.
func TestEachRuleIsNeeded(t *testing.T) {
	text, err := os.ReadFile(adr)
	require.NoError(t, err)
	rules := model.RuleNames()
	found := make([]finding, len(rules))
	t.Run("something breaks without", func(t *testing.T) {
		for i, rule := range rules {
			t.Run(rule.Name, func(t *testing.T) {
				t.Parallel()
				found[i] = find(t, rule, recorded(string(text), rule.Name))
				_, steps := found[i].schedule.Run(model.Without(rule.Name))
				t.Logf("without the rule that %s, seed %d: %s\n%s", rule.Says, found[i].seed, found[i].violation, strings.Join(steps, "\n"))
				kept, _ := found[i].schedule.Run(model.Protocol())
				require.Empty(t, kept, "the same schedule under the whole protocol")
			})
		}
	})
	if slices.ContainsFunc(found, func(f finding) bool { return f.violation == "" }) {
		return // some failed, or -run has chosen some
	}
	want := replaceTable(t, string(text), table(found))
	if *update {
		require.NoError(t, os.WriteFile(adr, []byte(want), 0o600))
		return
	}
	require.Equal(t, want, string(text), "run: go test ./internal/consume/model -run TestEachRuleIsNeeded -update")
}

// find returns a schedule that breaks without the rule: that of the recorded seed, or the first one; with -search the one that
// shows most.
func find(t *testing.T, rule model.Rule, recorded uint64) finding {
	t.Helper()
	rules := model.Without(rule.Name)
	var all []finding
	for i := range *bound + 1 {
		seed := i
		if i == 0 && !*search {
			seed = recorded
		}
		schedule, violation := model.Random(rules, seed)
		if violation == "" {
			continue
		}
		schedule = model.Shorten(rules, schedule)
		violation, _ = schedule.Run(rules)
		all = append(all, finding{rule, seed, schedule, violation})
		if !*search || len(all) == enough {
			break
		}
	}
	require.NotEmpty(t, all, "%d schedules and none breaks", *bound)
	return slices.MinFunc(all, func(a, b finding) int {
		return 1000*(severity(a.violation)-severity(b.violation)) + len(a.schedule.Actions) - len(b.schedule.Actions)
	})
}

// severity puts what is lost or counted twice before what only stops.
func severity(violation string) int {
	worst := []string{"stored twice", "has no row", "is stored as", "differs from events"}
	if i := slices.IndexFunc(worst, func(s string) bool { return strings.Contains(violation, s) }); i >= 0 {
		return i
	}
	return len(worst)
}

var (
	numbers = regexp.MustCompile(`(offset|view) \d+`)
	details = regexp.MustCompile(`(events|not 0): .*`)
)

// table is the table of the ADR.
func table(found []finding) string {
	var b strings.Builder
	b.WriteString("| rule | in words | without it | actions | seed |\n|---|---|---|---|---|\n")
	for _, f := range found {
		brief := details.ReplaceAllString(numbers.ReplaceAllString(f.violation, "one $1"), "$1")
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d |\n", f.rule.Name, f.rule.Says, brief, len(f.schedule.Actions), f.seed)
	}
	return b.String()
}

func recorded(text, rule string) uint64 {
	m := regexp.MustCompile(`(?m)^\| ` + rule + ` \|.*\| (\d+) \|$`).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	seed, _ := strconv.ParseUint(m[1], 10, 64)
	return seed
}

// replaceTable puts the table between its marks.
func replaceTable(t *testing.T, text, table string) string {
	t.Helper()
	const start, end = "<!-- generated: what breaks without each rule -->\n", "<!-- end -->"
	head, rest, ok := strings.Cut(text, start)
	require.True(t, ok)
	_, tail, ok := strings.Cut(rest, end)
	require.True(t, ok)
	return head + start + table + end + tail
}
