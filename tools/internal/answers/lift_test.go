package answers

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The examples of Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10.
func TestTheIntervalOfADifferenceIsNewcombes(t *testing.T) {
	for _, tc := range []struct {
		converted, visitors [2]int
		low, high           float64
	}{
		{[2]int{56, 48}, [2]int{70, 80}, 0.0524, 0.3339},
		{[2]int{9, 3}, [2]int{10, 10}, 0.1705, 0.8090},
		{[2]int{6, 2}, [2]int{7, 7}, 0.0582, 0.8062},
		{[2]int{5, 0}, [2]int{56, 29}, -0.0381, 0.1926},
		{[2]int{0, 0}, [2]int{10, 20}, -0.1611, 0.2775},
		{[2]int{0, 0}, [2]int{10, 10}, -0.2775, 0.2775},
		{[2]int{10, 0}, [2]int{10, 20}, 0.6791, 1},
		{[2]int{10, 0}, [2]int{10, 10}, 0.6075, 1},
	} {
		row := lift(tc.visitors, tc.converted)
		require.InDelta(t, tc.low, *row.Low, 0.00005, "%v", tc)
		require.InDelta(t, tc.high, *row.High, 0.00005, "%v", tc)
	}
}
