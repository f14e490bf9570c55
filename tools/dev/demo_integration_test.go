//go:build integration

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheDemoLosesNothingAndItsReportsAreTheTruth(t *testing.T) {
	r := dev(t, "demo", "--duration", "1s")
	require.NoError(t, r.Run(), r.stderr.String())
	printed := r.printed(t)
	require.Regexp(t, `all campaigns +(48\.00 2560\.00 *){6}\n +must be +(48\.00 2560\.00 *){6}equal\n`, printed)
	require.Contains(t, printed, "sold 2760.00, refunded 200.00, net 2560.00; orders of machines, left out: 1\n")
	for _, s := range shoppers {
		require.Contains(t, printed, "  "+s.name+": "+strings.Join(s.products, ", ")+"\n")
	}
	require.Regexp(t, `\{"audiences":\[\{"id":"cart_abandoners",.*"consent":\{"profile":true,`, printed)
	require.Regexp(t, ` mug +Blue mug +7\.5 +EUR +7 +same_category +cup\n`, printed)
	require.Regexp(t, ` enter +tea +1 +lets_in `, printed)
	require.Regexp(t, ` readers +estimated 138 \(128 to 147\) +truth 146\n +who clicked +counted 60 +truth 60\n +clicks of people +counted 85 +truth 85\n`, printed)
	require.Regexp(t, `demo: accepted=(\d+) rows=(\d+) lost=0 double=0\n`, printed)
	r.requireNothingLeft(t)
}
