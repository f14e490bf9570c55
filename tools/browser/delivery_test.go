//go:build integration

package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

func (s *shop) leaving(t *testing.T) {
	s.serve("/leave/next", "", nil)
	s.serve("/leave/link", s.script("shop", `onload="onepx('track', 'left', {color: 'red'}); location.href = '/leave/next'"`), nil)
	s.serve("/leave/tab", s.script("shop", ""), nil)
	b := s.tab(t)
	b.visit(s.url + "/leave/link")
	left := s.counted(t, "/leave/link", 2)
	require.Equal(t, []string{"left", "page_view"}, names(left))
	require.Equal(t, []map[string]string{{"color": "red"}}, propsOf(left, "left"))

	tab, end := chromedp.NewContext(b.ctx)
	defer end()
	require.NoError(t, chromedp.Do(tab), "open the tab")
	inTab := &browser{t, tab}
	inTab.visit(s.url + "/leave/tab")
	inTab.loaded()
	inTab.run(`onepx("track", "closed")`)
	_, err := chromedp.Call(tab, cdppage.Close, cdp.Empty{})
	require.NoError(t, err)
	require.Equal(t, []string{"closed", "page_view"}, names(s.counted(t, "/leave/tab", 2)))
}

// network switches the network of the page off or on.
func (b *browser) network(offline bool) {
	_, err := chromedp.Call(b.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1}},
	})
	require.NoError(b.t, err)
	_, err = chromedp.Call(b.ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1})
	require.NoError(b.t, err)
}

func (s *shop) offline(t *testing.T) {
	s.serve("/offline", s.script("shop", ""), nil)
	b := s.tab(t)
	b.visit(s.url + "/offline")
	s.counted(t, "/offline", 1)
	before := b.sent()
	b.network(true)
	b.until("!navigator.onLine")
	b.run(`for (const n of [1, 2, 3]) onepx("track", "offline", {n})`)
	require.Eventually(t, func() bool { return b.sent() > before }, patience, glance, "the tag must have tried for this test to mean something")
	require.Len(t, s.rows(t, "/offline"), 1)
	b.network(false)
	require.ElementsMatch(t, []map[string]string{{"n": "1"}, {"n": "2"}, {"n": "3"}}, propsOf(s.counted(t, "/offline", 4), "offline"))
}

// flakyPath is a way to the collector that fails: first it says that nothing can be stored, then it keeps the answer of the
// collector to itself, then it works.
type flakyPath struct {
	to     *httputil.ReverseProxy
	origin string

	mu     sync.Mutex
	bodies []string
}

func (f *flakyPath) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/e" {
		f.to.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.bodies = append(f.bodies, string(body))
	try := len(f.bodies)
	f.mu.Unlock()
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	switch try {
	case 1:
		f.to.ServeHTTP(w, r)
	case 2:
		w.Header().Set("Access-Control-Allow-Origin", f.origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.WriteHeader(http.StatusServiceUnavailable)
	case 3:
		f.to.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // the connection ends
	default:
		f.to.ServeHTTP(w, r)
	}
}

var eventID = regexp.MustCompile(`"id":"([^"]*)"`)

func (s *shop) flaky(t *testing.T) {
	target, err := url.Parse(strings.Replace(s.px, "px.shop.localhost", "127.0.0.1", 1))
	require.NoError(t, err)
	f := &flakyPath{to: httputil.NewSingleHostReverseProxy(target), origin: s.url}
	server := httptest.NewServer(f)
	defer server.Close()
	px := "http://px.shop.localhost:" + port(server.URL)
	s.serve("/flaky", strings.Replace(s.script("shop", ""), s.px, px, 1), nil)
	b := s.tab(t)
	b.visit(s.url + "/flaky")
	b.loaded()
	s.counted(t, "/flaky", 1)
	b.run(`onepx("track", "again")`)
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.bodies) == 4
	}, patience, glance)
	require.Equal(t, []string{"again", "page_view"}, names(s.counted(t, "/flaky", 2)))
	require.Eventually(t, func() bool { return len(s.rows(t, "/flaky")) == 3 }, patience, glance, "the repeat is there")
	require.Len(t, s.counted(t, "/flaky", 2), 2, "and does not count")
	id := eventID.FindStringSubmatch(f.bodies[1])
	require.NotNil(t, id)
	require.Equal(t, []string{f.bodies[1], f.bodies[1]}, f.bodies[2:])
}

func (s *shop) strict(t *testing.T) {
	policy := fmt.Sprintf("default-src 'none'; script-src %[1]s; connect-src %[1]s; img-src %[1]s", s.px)
	s.serve("/strict", s.script("shop", "")+`<script>document.title = "inline"</script>`, http.Header{"Content-Security-Policy": {policy}})
	b := s.tab(t)
	b.visit(s.url + "/strict")
	b.loaded()
	b.run(`onepx("track", "strict")`)
	for _, e := range s.counted(t, "/strict", 2) {
		require.Equal(t, "Shop", e.Title, "the policy must be in force for this test to mean something")
		require.Equal(t, "beacon", e.Transport)
	}
}

func (s *shop) noConnections(t *testing.T) {
	policy := fmt.Sprintf("default-src 'none'; script-src %[1]s; img-src %[1]s", s.px)
	s.serve("/images", s.script("shop", ""), http.Header{"Content-Security-Policy": {policy}})
	b := s.tab(t)
	b.visit(s.url + "/images")
	b.loaded()
	b.run(`onepx("track", "basket", {value: 0.1 + 0.2, items: [{id: "sku-1"}], "größe": "M & L"})`)
	got := s.counted(t, "/images", 2)
	require.Equal(t, []string{"gif", "gif"}, []string{got[0].Transport, got[1].Transport})
	require.Equal(t, []map[string]string{{"größe": "M & L"}}, propsOf(got, "basket"))
}

func (s *shop) unlisted(t *testing.T) {
	s.serve("/unlisted", s.script("unlisted", ""), nil)
	b := s.tab(t)
	b.visit(s.url + "/unlisted")
	b.loaded()
	for _, name := range []string{"one", "two", "three"} {
		b.run(`onepx("track", "` + name + `")`)
	}
	visitors := map[string]bool{}
	for _, e := range s.counted(t, "/unlisted", 4) {
		visitors[e.VisitorID] = true
	}
	require.Len(t, visitors, 1)
}
