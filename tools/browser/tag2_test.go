//go:build integration

package browser_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

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

func (s *shop) consent(t *testing.T) {
	s.serve("/consent", s.script("shop", `data-consent="wait"`), nil)
	b := s.tab(t)
	b.visit(s.url + "/consent?no")
	b.loaded()
	b.run(`onepx("track", "before")`)
	b.run(`onepx("consent", 0)`)
	b.run(`onepx("track", "after")`)
	b.run(`document.dispatchEvent(new Event("visibilitychange")); dispatchEvent(new Event("pagehide"))`)
	require.Zero(t, b.sent())

	b.visit(s.url + "/consent?yes")
	b.loaded()
	b.run(`onepx("track", "before")`)
	require.Zero(t, b.sent())
	b.run(`onepx("consent", true); onepx("track", "after")`)
	require.Equal(t, []string{"after", "before", "page_view"}, names(s.counted(t, "/consent?yes", 3)))
	require.Empty(t, s.rows(t, "/consent?no"))
}

func (s *shop) restored(t *testing.T) {
	s.serve("/back/a", s.script("shop", "")+`<script>addEventListener("pageshow", e => { window.persisted = e.persisted })</script>`, nil)
	s.serve("/back/b", "", nil)
	b := s.tab(t)
	b.visit(s.url + "/back/a")
	s.counted(t, "/back/a", 1)
	b.visit(s.url + "/back/b")
	b.run(`history.back()`)
	b.until(`window.persisted`)
	require.Equal(t, []string{"page_view", "page_view"}, names(s.counted(t, "/back/a", 2)))
	b.run(`onepx("track", "later")`)
	s.counted(t, "/back/a", 3)
}

func (s *shop) ownPaths(t *testing.T) {
	s.serve("/own", `<script async src="`+s.px+`/assets/a.js" data-site="own"></script>`, nil)
	b := s.tab(t)
	b.visit(s.url + "/own")
	b.loaded()
	b.run(`navigator.sendBeacon = () => false; dispatchEvent(new Event("pagehide")); onepx("track", "by-image")`)
	got := s.counted(t, "/own", 2)
	require.ElementsMatch(t, []string{"beacon", "gif"}, []string{got[0].Transport, got[1].Transport})
	require.Zero(t, b.sent(), "nothing goes to the native paths")
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

func (s *shop) nonsense(t *testing.T) {
	s.serve("/nonsense", s.script("shop", ""), nil)
	b := s.tab(t)
	b.visit(s.url + "/nonsense")
	b.loaded()
	b.run(`
		const cycle = {}; cycle.self = cycle;
		onepx(); onepx("unknown"); onepx("track"); onepx("order"); onepx("identify", null); onepx("constructor", 1);
		onepx("track", "cycle", cycle);
		onepx("track", "big", {value: 1n});
		onepx("track", "getter", {get x() { throw new Error("page") }});
		onepx("track", "surrogate", {x: "\ud800"});
		onepx("track", "large", {x: "x".repeat(70000)});
		onepx("track", "last", "text");
	`)
	require.Equal(t, []string{"cycle", "large", "last", "page_view", "surrogate"}, names(s.counted(t, "/nonsense", 5)))
}
