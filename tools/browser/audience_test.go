//go:build integration

package browser_test

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// retargets is the story of a visitor who looks at a product, puts it into the cart, leaves, sees an ad for it and buys it.
func (s *shop) retargets(t *testing.T) {
	visitor := uuid.NewString()
	step := func(path, event, more string) {
		items := "%5B%7B%22id%22%3A%22green%22%2C%22price%22%3A%229.90%22%7D%5D"
		s.serve("/boutique/"+path, s.tag(fmt.Sprintf("site=boutique&amp;c=1&amp;v=%s&amp;e=%s&amp;items=%s%s", visitor, event, items, more)), nil)
	}
	step("product", "view_item", "")
	step("cart", "add_to_cart", "")
	step("thanks", "purchase", "&amp;order_id=B-1&amp;value=9.90")
	s.advertise(t, "/boutique/ad")
	ad := s.url + "/boutique/ad?visitor=" + visitor
	b := start(t)
	b.visit(s.url + "/boutique/product")
	b.visit(ad)
	require.Empty(t, b.ads(), "who has only looked is in no audience")
	b.visit(s.url + "/boutique/cart")
	b.visit("about:blank")
	b.eventually(ad, "green")
	b.visit(s.url + "/boutique/thanks")
	bought := time.Now()
	b.eventually(ad, "")
	t.Logf("gone from the ad %.1f s after the purchase", time.Since(bought).Seconds())
}

// advertise serves a page with an ad for the product to show of the cart's audience, as an ad server would.
func (s *shop) advertise(t *testing.T, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page{render: func(visitor string) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.console+"/v1/sites/boutique/visitors/"+visitor+"/audiences", nil)
		if !assert.NoError(t, err) {
			return ""
		}
		request.Header.Set("Authorization", "Bearer "+adsKey)
		response, err := http.DefaultClient.Do(request)
		if !assert.NoError(t, err) {
			return ""
		}
		defer func() { _ = response.Body.Close() }()
		var answer struct {
			Audiences []struct {
				ID   string
				Show struct{ ID string }
			}
		}
		assert.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
		for _, a := range answer.Audiences {
			if a.ID == "cart_abandoners" {
				return `<p id="ad">` + html.EscapeString(a.Show.ID) + `</p>`
			}
		}
		return `<p id="ad"></p>`
	}}
}

// ads is the text of the ad on the page.
func (b *browser) ads() string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.getElementById("ad").textContent`))
	require.NoError(b.t, err)
	return strings.TrimSpace(text)
}

// eventually loads the page again and again until the ad is that.
func (b *browser) eventually(url, want string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		b.visit(url)
		return b.ads() == want
	}, patience, glance, "the ad %q", want)
}
