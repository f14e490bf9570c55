//go:build integration

package browser_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// stub lets pages call the tag before it is there; docs/tag.md has it.
const stub = `<script>onepx=window.onepx||function(){(onepx.q=onepx.q||[]).push(arguments)}</script>`

// script is the tag of a site with more attributes.
func (s *shop) script(site, attributes string) string {
	return fmt.Sprintf(`<script async src="%s/t.js" data-site="%s" %s></script>`, s.px, site, attributes)
}

// tab is the one that these tests share.
func (s *shop) tab(t *testing.T) *browser { return &browser{t, s.shared} }

func (s *shop) testTag(t *testing.T) {
	s.shared = start(t).ctx
	t.Run("counts page views, of one visitor", s.pageViews)
	t.Run("counts each page of an application once, under its own title", s.application)
	t.Run("counts an order once, with its value and items, however often the page is loaded", s.order)
	t.Run("delivers what happens right before the page is left or closed", s.leaving)
	t.Run("sends what happened offline once the network is back", s.offline)
	t.Run("sends again under the same id until it has an answer", s.flaky)
	t.Run("works under a strict content security policy", s.strict)
	t.Run("falls back to the pixel where scripts may not send", s.noConnections)
	t.Run("leaves the page view to the pixel where scripts are off", s.noScripts)
	t.Run("sends nothing before consent, and nothing at all after a refusal", s.consent)
	t.Run("counts a page that comes back from the cache of the browser", s.restored)
	t.Run("uses the names that the site has chosen", s.ownPaths)
	t.Run("delivers where the site does not list its origin", s.unlisted)
	t.Run("survives what pages may pass to it", s.nonsense)
}

// event is what these tests want to know of a row.
type event struct {
	ID        string `json:"event_id"`
	VisitorID string `json:"visitor_id"`
	Outcome   string
	Name      string
	URL       string `json:"url"`
	Title     string
	Referrer  string
	Transport string
	Props     map[string]string
}

// rows are all rows of pages whose path begins so, as they happened.
func (s *shop) rows(t *testing.T, path string) []event {
	t.Helper()
	var all []event
	query := "SELECT * FROM onepx.events WHERE startsWith(url, '" + s.url + path + "') ORDER BY occurred_at, kafka_offset"
	require.NoError(t, s.clickHouse.Query(t.Context(), query, func(raw json.RawMessage) error {
		var e event
		err := json.Unmarshal(raw, &e)
		all = append(all, e)
		return err
	}))
	return all
}

// counted waits until so many events of these pages count, and returns them. Repeats have their ids and don't count.
func (s *shop) counted(t *testing.T, path string, want int) []event {
	t.Helper()
	var events []event
	require.Eventually(t, func() bool {
		events = nil
		for _, e := range s.rows(t, path) {
			if e.Outcome == "event" {
				events = append(events, e)
			}
		}
		return len(events) >= want
	}, patience, glance, "events of %s", path)
	ids := map[string]bool{}
	for _, e := range events {
		require.False(t, ids[e.ID], "an id counts twice")
		ids[e.ID] = true
	}
	require.Len(t, events, want, "events of %s", path)
	return events
}

// run runs a script in the page.
func (b *browser) run(script string) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, ignored(script)))
}

func ignored(script string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](script)
}

// until waits until the expression is true in the page.
func (b *browser) until(expression string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		return err == nil && is
	}, patience, glance, expression)
}

// loaded waits until the tag is at work.
func (b *browser) loaded() { b.until("window.onepx && onepx.on") }

// sent is how many requests the page has made to the collector for events.
func (b *browser) sent() int {
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`performance.getEntriesByType("resource").filter(r => /\/(e|p.gif)\?/.test(r.name)).length`))
	require.NoError(b.t, err)
	return n
}

func (s *shop) pageViews(t *testing.T) {
	s.serve("/views/a", s.script("shop", "")+`<a href="/views/b">`, nil)
	s.serve("/views/b", s.script("shop", ""), nil)
	b := s.tab(t)
	b.visit(s.url + "/views/a?utm_source=news")
	first := s.counted(t, "/views/a", 1)[0]
	b.run(`document.querySelector("a").click()`)
	second := s.counted(t, "/views/b", 1)[0]
	require.Equal(t, event{
		ID: second.ID, VisitorID: first.VisitorID, Outcome: "event", Name: "page_view", URL: s.url + "/views/b", Title: "Shop",
		Referrer: s.url + "/views/a", Transport: "beacon", Props: map[string]string{},
	}, second)
}

func (s *shop) application(t *testing.T) {
	s.serve("/app/a", s.script("shop", ""), nil)
	b := s.tab(t)
	b.visit(s.url + "/app/a")
	b.loaded()
	b.run(`history.pushState({}, "", "/app/moved"); history.replaceState({}, "", "/app/b"); document.title = "B"`)
	s.counted(t, "/app", 2)
	b.run(`history.replaceState({}, "", "/app/b"); location.hash = "details"`)
	b.until(`location.hash == "#details"`)
	b.run(`history.go(-2)`)
	b.until(`location.pathname == "/app/a"`)
	views := s.counted(t, "/app", 3)
	for i, want := range []event{
		{URL: "/app/a", Title: "Shop"}, {URL: "/app/b", Title: "B", Referrer: s.url + "/app/a"}, {URL: "/app/a", Title: "B", Referrer: s.url + "/app/b"},
	} {
		require.Equal(t, []string{"page_view", s.url + want.URL, want.Title, want.Referrer},
			[]string{views[i].Name, views[i].URL, views[i].Title, views[i].Referrer})
	}
}

func (s *shop) order(t *testing.T) {
	s.serve("/order", stub+`<script>onepx("identify", "customer-77"); onepx("order", {order_id: "2002", value: 16.6 * 3 + 0.1, currency: "CHF", case: "tag-order",
		items: [{id: "sku-1", qty: 2, price: 0.1 + 0.2}, {id: "sku-2", price: 10}]})</script>`+s.script("shop", `data-auto="off"`), nil)
	b := s.tab(t)
	b.visit(s.url + "/order")
	got := s.row(t, "tag-order")
	want := expected(s.url + "/order")
	want.Name, want.Kind, want.OrderID, want.ValueMicros, want.Currency, want.ItemIDs = "purchase", "order", "2002", 49_900_000, "CHF", []string{"sku-1", "sku-2"}
	want.Title, want.Transport, want.VisitorKind = "Shop", "beacon", got.VisitorKind
	anonymous(t, want, got)
	s.counted(t, "/order", 2)
	b.visit(s.url + "/order")
	require.Equal(t, []string{"identify", "identify", "purchase"}, names(s.counted(t, "/order", 3)))
}

// names are sorted: events of one millisecond have no order.
func names(events []event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Name)
	}
	slices.Sort(all)
	return all
}

// propsOf are the properties of the events of this name.
func propsOf(events []event, name string) []map[string]string {
	var all []map[string]string
	for _, e := range events {
		if e.Name == name {
			all = append(all, e.Props)
		}
	}
	return all
}

func (s *shop) noScripts(t *testing.T) {
	s.serve("/noscript/on", s.script("shop", "")+"<noscript>"+s.tag("site=shop")+"</noscript>", nil)
	s.serve("/noscript/off", s.script("shop", "")+"<noscript>"+s.tag("site=shop")+"</noscript>", nil)
	s.tab(t).visit(s.url + "/noscript/on")
	start(t, chromedp.Flag("blink-settings", "scriptEnabled=false")).visit(s.url + "/noscript/off")
	require.Equal(t, "beacon", s.counted(t, "/noscript/on", 1)[0].Transport)
	require.Equal(t, "gif", s.counted(t, "/noscript/off", 1)[0].Transport)
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
