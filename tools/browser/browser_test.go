//go:build integration

// Package browser_test loads pages with the pixel in a real, headless Chromium and looks at the rows that come of it: the
// whole of onepx, from a page to ClickHouse, with the bytes that a browser really sends.
package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// expected is the row of a page view by a person whom nobody has seen before.
func expected(url string) row {
	return row{
		Outcome: "event", Name: "page_view", Kind: "page_view", URL: url,
		Browser: "Chrome", OS: "Windows", Device: "desktop", Transport: "gif", Flags: []string{},
		TrafficClass: "person", VisitorKind: "minted", Currency: "EUR", ItemIDs: []string{},
	}
}

// anonymous compares without the visitor's id, which differs each time.
func anonymous(t *testing.T, want, got row) {
	t.Helper()
	require.NotEqual(t, "00000000-0000-0000-0000-000000000000", got.VisitorID)
	got.VisitorID = ""
	require.Equal(t, want, got)
}

// tag is an image tag with the pixel; the query stands in it as it is.
func (s *shop) tag(query string) string {
	return fmt.Sprintf(`<img id="pixel" src="%s?%s" width="1" height="1" alt="" referrerpolicy="no-referrer-when-downgrade">`, s.pixel, query)
}

func TestInARealBrowser(t *testing.T) {
	s := open(t)
	// Most of the time these wait for rows, so they do it together.
	for name, test := range map[string]func(*testing.T){
		"the pixel": s.testPixel, "the tag": s.testTag, "500 pages are left as soon as something happened on them": s.unloads,
		"a thank-you page that is opened again and again is one order": s.reloads,
		"somebody opts out by keyboard, without scripts, and in again": s.optsOut, "the site's own page may embed that of the opt-out": s.embedded,
		"Global Privacy Control keeps ads off and the hit counts":   s.globalPrivacyControl,
		"a newsletter goes out by SMTP, is read, and left":          s.mailsOut,
		"an ad shows what was left in the cart, until it is bought": s.retargets,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

func (s *shop) testPixel(t *testing.T) {
	t.Run("a page view becomes a row, however its ampersands are written", s.ampersands)
	t.Run("the pixel works where scripts are off", s.withoutScripts)
	t.Run("the cookie comes back and makes the second page view the same visitor's", s.returns)
	t.Run("the order of a thank-you page becomes a row with its value and items", s.thanks)
	t.Run("titles and addresses in any script arrive as they were", s.unicode)
	t.Run("a page that embeds only what allows it shows the pixel", s.isolated)
	t.Run("a pixel that is loaded ahead of a visit is stored and marked as nobody's", s.ahead)
	t.Run("a browser that calls itself headless is a bot", s.headless)
}

func (s *shop) ampersands(t *testing.T) {
	b := start(t)
	for _, tc := range []struct {
		name, query, visitor string
		flags                []string
	}{
		{"raw", "site=shop&e=page_view&p.case=raw", "minted", []string{}},
		{"escaped", "site=shop&amp;e=page_view&amp;p.case=escaped", "cookie", []string{}},
		{"escaped-twice", "site=shop&amp;amp;e=page_view&amp;amp;p.case=escaped-twice", "cookie", []string{"escaped_ampersand"}},
	} {
		s.serve("/"+tc.name, s.tag(tc.query), nil)
		b.visit(s.url + "/" + tc.name + "?size=2")
		require.True(t, b.shows("pixel"))
		want := expected(s.url + "/" + tc.name + "?size=2")
		want.VisitorKind, want.Flags = tc.visitor, tc.flags
		anonymous(t, want, s.row(t, tc.name))
	}
}

func (s *shop) withoutScripts(t *testing.T) {
	body := func(name string) string {
		return `<script>new Image().src = "/` + name + `-script"</script><noscript><img src="/` + name + `-noscript" alt=""></noscript>` +
			s.tag("site=shop&amp;p.case="+name)
	}
	s.serve("/on", body("on"), nil)
	s.serve("/off", body("off"), nil)
	start(t).visit(s.url + "/on")
	start(t, chromedp.Flag("blink-settings", "scriptEnabled=false")).visit(s.url + "/off")

	require.Equal(t, []int{1, 0}, []int{s.asks("/on-script"), s.asks("/on-noscript")}, "scripts must run where they are on for this test to mean something")
	require.Equal(t, []int{0, 1}, []int{s.asks("/off-script"), s.asks("/off-noscript")}, "scripts are off")
	anonymous(t, expected(s.url+"/on"), s.row(t, "on"))
	anonymous(t, expected(s.url+"/off"), s.row(t, "off"))
}

func (s *shop) returns(t *testing.T) {
	s.serve("/first", s.tag("site=shop&amp;p.case=first"), nil)
	s.serve("/second", s.tag("site=shop&amp;p.case=second&amp;r=https%3A%2F%2Fwww.google.com%2F"), nil)
	b := start(t)
	b.visit(s.url + "/first")
	b.visit(s.url + "/second")
	first, second := s.row(t, "first"), s.row(t, "second")
	anonymous(t, expected(s.url+"/first"), first)
	want := expected(s.url + "/second")
	want.VisitorKind, want.VisitorID, want.Referrer = "cookie", first.VisitorID, "https://www.google.com/"
	require.Equal(t, want, second)

	var activity []string
	require.NoError(t, s.clickHouse.Query(t.Context(), "SELECT url FROM onepx.session_activity(site = 'shop', visitor = '"+first.VisitorID+"')", func(raw json.RawMessage) error {
		var step struct{ URL string }
		err := json.Unmarshal(raw, &step)
		activity = append(activity, step.URL)
		return err
	}))
	require.Equal(t, []string{s.url + "/first", s.url + "/second"}, activity)
}

func (s *shop) thanks(t *testing.T) {
	s.serve("/thanks", s.tag(`site=shop&amp;e=purchase&amp;id=order-1001&amp;order_id=1001&amp;value=49.90&amp;currency=CHF&amp;p.case=thanks`+
		`&amp;items=[{&quot;id&quot;:&quot;sku-1&quot;,&quot;qty&quot;:2,&quot;price&quot;:&quot;19.95&quot;},{&quot;id&quot;:&quot;sku-2&quot;,&quot;price&quot;:&quot;10&quot;}]`), nil)
	start(t).visit(s.url + "/thanks")
	want := expected(s.url + "/thanks")
	want.Name, want.Kind, want.OrderID, want.ValueMicros, want.Currency, want.ItemIDs = "purchase", "order", "1001", 49_900_000, "CHF", []string{"sku-1", "sku-2"}
	anonymous(t, want, s.row(t, "thanks"))
}

func (s *shop) unicode(t *testing.T) {
	s.serve("/grüner-tee/🍵", s.tag(`site=shop&amp;p.case=unicode&amp;t=Grüner Tee 🍵 „50 %“ – 緑茶`), nil)
	start(t).visit(s.url + "/grüner-tee/🍵?größe=1")
	want := expected(s.url + "/gr%C3%BCner-tee/%F0%9F%8D%B5?gr%C3%B6%C3%9Fe=1")
	want.Title = "Grüner Tee 🍵 „50 %“ – 緑茶"
	want.Flags = []string{"bad_escape"} // browsers leave a percent sign as it is
	anonymous(t, want, s.row(t, "unicode"))
}

func (s *shop) isolated(t *testing.T) {
	s.serve("/isolated", s.tag("site=shop&amp;p.case=isolated")+`<img id="stranger" src="`+s.other+`/plain.gif" alt="">`,
		http.Header{"Cross-Origin-Embedder-Policy": {"require-corp"}, "Cross-Origin-Opener-Policy": {"same-origin"}})
	b := start(t)
	b.visit(s.url + "/isolated")
	require.False(t, b.shows("stranger"), "the browser must block other images for this test to mean something")
	require.True(t, b.shows("pixel"))
	anonymous(t, expected(s.url+"/isolated"), s.row(t, "isolated"))
}

func (s *shop) ahead(t *testing.T) {
	s.serve("/start", `<link rel="prefetch" as="image" href="`+s.pixel+`?site=shop&amp;p.case=prefetched" referrerpolicy="no-referrer-when-downgrade">`+
		`<script type="speculationrules">{"prerender": [{"urls": ["/next"], "eagerness": "immediate"}]}</script>`, nil)
	s.serve("/next", s.tag("site=shop&amp;p.case=prerendered"), nil)
	// Chromium prerenders nothing for a page that is being watched.
	_, err := chromedp.CallBrowser(start(t).ctx, target.CreateTarget, target.CreateTargetParams{URL: s.url + "/start"})
	require.NoError(t, err)
	for name, path := range map[string]string{"prefetched": "/start", "prerendered": "/next"} {
		want, got := expected(s.url+path), s.row(t, name)
		want.Prefetch, want.IsBot, want.TrafficClass = true, true, "prefetch"
		want.VisitorKind = got.VisitorKind // whichever came first has set the cookie
		anonymous(t, want, got)
	}
}

func (s *shop) headless(t *testing.T) {
	s.serve("/headless", s.tag("site=shop&amp;p.case=headless"), nil)
	start(t, chromedp.Flag("user-agent", false)).visit(s.url + "/headless")
	got := s.row(t, "headless")
	require.Equal(t, "event", got.Outcome)
	require.True(t, got.IsBot)
	require.NotEqual(t, "person", got.TrafficClass)
}
