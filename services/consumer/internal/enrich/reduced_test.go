package enrich_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// reducedList is what sites with `minimise.user_agent: reduced` store of user agents: the original, a tab and what is left. The
// collector's test holds it to the collector.
const reducedList = "../../../collector/internal/useragent/testdata/reduced.tsv"

func TestAReducedUserAgentIsReadAsTheWholeOne(t *testing.T) {
	type read struct {
		class                      string
		isBot                      bool
		browser, major, os, device string
	}
	of := func(userAgent string) read {
		f := facts(t, hit(userAgent))
		r := read{class: f.TrafficClass, isBot: f.IsBot, device: f.Device}
		if !f.IsBot { // which browser a machine claims to be is of no interest
			r.browser, r.os = f.Browser, f.OS
			r.major, _, _ = strings.Cut(f.BrowserVersion, ".")
		}
		return r
	}
	for line := range lines(t, reducedList) {
		whole, reduced, _ := strings.Cut(line, "\t")
		require.Equal(t, of(whole), of(reduced), "%s\n%s", whole, reduced)
	}
}
