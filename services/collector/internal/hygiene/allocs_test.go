//go:build !race

package hygiene_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/hygiene"
)

// TestNothingFoundCostsNothing runs without the race detector, under which sync.Pool forgets on purpose. Texts with an @ are
// left out: the domain after it is looked up in a list.
func TestNothingFoundCostsNothing(t *testing.T) {
	for _, test := range kept {
		if strings.Contains(test.text, "@") {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			require.Zero(t, testing.AllocsPerRun(100, func() { hygiene.Mask(test.text) }))
		})
	}
}
