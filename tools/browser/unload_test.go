//go:build integration

package browser_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

const (
	unloads = 500
	// leastShare of the events must arrive. A beacon is in the hands of the browser before the page is gone, so all of them
	// should; what is allowed for is that a browser on a machine at its limit refuses one now and then.
	leastShare = 0.98
	// settled is how long nothing more may arrive before the rest counts as lost.
	settled = 10 * time.Second
)

// unloads loads a page that sends an event and leaves for the next one in the same moment, many times over.
func (s *shop) unloads(t *testing.T) {
	s.serve("/unload", fmt.Sprintf(`<script>
		const n = +new URLSearchParams(location.search).get("n");
		function leave() {
			if (n > %d) return;
			onepx("track", "unload", {n});
			location.replace("/unload?n=" + (n + 1));
		}
	</script>`, unloads)+s.script("shop", `onload="leave()"`), nil)
	// In a tab that nobody watches, and without keeping pages for a way back, both of which make the browser slow.
	b := start(t, chromedp.Flag("disable-features", "BackForwardCache"))
	_, err := chromedp.CallBrowser(b.ctx, target.CreateTarget, target.CreateTargetParams{URL: s.url + "/unload?n=1"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.asks("/unload") > unloads }, 2*patience, glance, "all pages are loaded")

	var got struct{ Delivered, Rows int }
	query := "SELECT uniqExact(props['n']) AS delivered, count() AS rows FROM onepx.events WHERE name = 'unload' AND outcome = 'event' AND startsWith(url, '" + s.url + "')"
	last := time.Now()
	require.Eventually(t, func() bool {
		before := got
		require.NoError(t, s.clickHouse.Query(t.Context(), query, func(raw json.RawMessage) error { return json.Unmarshal(raw, &got) }))
		if got != before {
			last = time.Now()
		}
		return got.Delivered == unloads || time.Since(last) > settled
	}, patience, glance)
	share := float64(got.Delivered) / unloads
	fmt.Printf("unloads: sent=%d delivered=%d share=%.3f double=%d\n", unloads, got.Delivered, share, got.Rows-got.Delivered)
	require.Zero(t, got.Rows-got.Delivered)
	require.GreaterOrEqual(t, share, leastShare)
}
