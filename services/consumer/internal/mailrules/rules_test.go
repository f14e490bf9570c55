package mailrules

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
)

func TestTheTableOfRulesIsClosed(t *testing.T) {
	ids := map[string]bool{}
	for _, r := range Rules {
		require.False(t, ids[r.ID], "%s stands there once", r.ID)
		require.Contains(t, []string{Human, Proxy, Machine, Unknown}, r.Class, r.ID)
		require.NotEmpty(t, r.Meaning, r.ID)
		ids[r.ID] = true
	}
	require.Subset(t, slices.Collect(maps.Keys(ids)), append(append([]string{ScannerNetwork}, scans...), people...))
	require.Equal(t, "true", Rules[len(Rules)-1].condition, "the last one applies to all that is left")
}

func TestEveryTrafficClassOfAMachineIsARule(t *testing.T) {
	ids := map[string]bool{}
	for _, r := range Rules {
		ids[r.ID] = true
	}
	for _, class := range enrich.TrafficClasses[3:] {
		require.True(t, ids[class], class)
	}
}
