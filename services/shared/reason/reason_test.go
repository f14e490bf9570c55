package reason_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/reason"
)

func TestEveryWordStandsOnceInTheListAndSaysWhatItMeans(t *testing.T) {
	seen := map[reason.Reason]bool{}
	for _, entry := range reason.All {
		require.Regexp(t, regexp.MustCompile(`^[a-z][a-z0-9_]+$`), string(entry.Reason))
		require.False(t, seen[entry.Reason], "%s stands twice", entry.Reason)
		seen[entry.Reason] = true
		require.NotEmpty(t, entry.By, entry.Reason)
		require.Regexp(t, `^[A-Z"`+"`"+`].*\.$`, entry.Meaning, entry.Reason)
		require.Contains(t, reason.With(entry.Effect), entry.Reason)
	}
}
