//go:build integration

package browser_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// patience is how long these tests wait for what must happen.
	patience = time.Minute
	// glance is the pause between two looks at what must happen.
	glance = 50 * time.Millisecond
	// person is what a browser with somebody in front of it says of itself; a headless one calls itself so, and is a bot.
	person = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)

// sites has %[1]s where the origin of the shop's pages belongs, %[2]x and %[3]x where the SHA-256 of teaKey and adsKey do.
const sites = `
sites:
  - {id: shop, timezone: Europe/Berlin, currency: EUR, cookie_domain: shop.localhost, allowed_origins: ["%[1]s"]}
  - {id: unlisted, timezone: Europe/Berlin, currency: EUR, cookie_domain: shop.localhost}
  - id: own
    timezone: Europe/Berlin
    currency: EUR
    cookie_domain: shop.localhost
    allowed_origins: ["%[1]s"]
    paths: {tag: /assets/a.js, events: /assets/b, pixel: /assets/c.gif}
  - {id: tea, timezone: Europe/Berlin, currency: EUR, cookie_domain: shop.localhost, write_keys: ["sha256:%[2]x"]}
  - {id: gazette, timezone: UTC, currency: EUR, cookie_domain: shop.localhost}
  - id: boutique
    timezone: Europe/Berlin
    currency: EUR
    cookie_domain: shop.localhost
    api_keys: [{name: ads, key: "sha256:%[3]x", rights: [audiences]}]
    segments:
      - {id: cart_abandoners, enter: {event: add_to_cart}, leave: {event: purchase}, same_product: true}
`

// teaKey is the write key of the site tea, adsKey that of the boutique's ad server for the console.
const teaKey, adsKey = "tea-key", "ads-key"

// shop is a small shop with a pixel of onepx in its pages, and the whole of onepx behind it.
type shop struct {
	t          *testing.T
	pipeline   *pipeline.Pipeline
	clickHouse ledger.ClickHouse
	// url is where its pages are, other the same server under the name of a stranger, px where onepx is, pixel its pixel and
	// console its console.
	url, other, px, pixel, console string

	// shared is a tab of a running browser, where the test is not about a visitor whom nobody has seen.
	shared context.Context

	mu    sync.Mutex
	pages map[string]page
	asked map[string]int
}

// page is one page of the shop.
type page struct {
	// body is HTML; render, if there, makes it for the visitor whose id the query has.
	body   string
	render func(visitor string) string
	header http.Header
}

// open builds and starts everything on the Kafka and ClickHouse that the environment names.
func open(t *testing.T) *shop {
	t.Helper()
	kafka, native, url := os.Getenv("ONEPX_TEST_KAFKA"), os.Getenv("ONEPX_TEST_CLICKHOUSE"), os.Getenv("ONEPX_TEST_CLICKHOUSE_HTTP")
	require.NotEmpty(t, kafka, "this test needs a real Kafka: run `make test`, or set ONEPX_TEST_KAFKA")
	require.NotEmpty(t, native, "this test needs a real ClickHouse: run `make test`, or set ONEPX_TEST_CLICKHOUSE")
	require.NotEmpty(t, url, "this test needs a real ClickHouse: run `make test`, or set ONEPX_TEST_CLICKHOUSE_HTTP")
	s := &shop{t: t, clickHouse: ledger.ClickHouse{URL: url}, pages: map[string]page{}, asked: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s.url, s.other = "http://shop.localhost:"+port(server.URL), "http://stranger.localhost:"+port(server.URL)
	dir := t.TempDir()
	config := filepath.Join(dir, "onepx.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, sites, s.url, sha256.Sum256([]byte(teaKey)), sha256.Sum256([]byte(adsKey))), 0o600))
	var err error
	// With the tag faults a test may set a collector's clock; without being told to, the services do as always.
	s.pipeline, err = pipeline.New(t.Context(), pipeline.Config{Dir: dir, Broker: kafka, ClickHouse: native, Sites: config, Tags: "faults", EventPartitions: 2, Console: true})
	require.NoError(t, err)
	consumer, err := s.pipeline.StartConsumer(t.Context(), "consumer")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, consumer.Stop()) })
	collector, err := s.pipeline.StartCollector(t.Context(), "collector")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, collector.Stop()) })
	console, err := s.pipeline.StartConsole(t.Context(), "console")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, console.Stop()) })
	s.console = console.URL
	s.px = "http://px.shop.localhost:" + port(collector.URL)
	s.pixel = s.px + "/p.gif"
	return s
}

func port(url string) string {
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		panic(err)
	}
	return port
}

// image is a transparent GIF of one pixel.
const image = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"

// ServeHTTP answers with the page, and with an image for everything else. It notes what was asked for.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	p, ok := s.pages[r.URL.Path]
	s.mu.Unlock()
	if p.render != nil {
		p.body = p.render(r.URL.Query().Get("visitor"))
	}
	if !ok {
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write([]byte(image))
		return
	}
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>Shop</title>\n%s\n", p.body)
}

// serve puts a page at the path.
func (s *shop) serve(path, body string, header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[path] = page{body: body, header: header}
}

// asks is how often the path was asked for.
func (s *shop) asks(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// browser is a running browser with a profile of its own, which nobody has used.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// program is the browser's path, "" when there is none.
func program() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// start starts a browser.
func start(t *testing.T, options ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	path := program()
	require.NotEmpty(t, path, "this test needs Chromium: sudo apt-get install chromium")
	options = append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.UserAgent(person),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		// Nothing leaves this machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"),
	}, options...)
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		cancel()
		end()
	})
	require.NoError(t, chromedp.Do(ctx), "start the browser")
	return &browser{t, ctx}
}

// visit loads the page and all its images.
func (b *browser) visit(url string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, chromedp.Navigate(url)))
}

// shows tells whether the browser shows the image with the id. It needs scripts.
func (b *browser) shows(id string) bool {
	b.t.Helper()
	width, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](fmt.Sprintf("document.getElementById(%q).naturalWidth", id)))
	require.NoError(b.t, err)
	return width > 0
}

// row is what onepx.events holds of an event.
type row struct {
	Outcome, Name, Kind      string
	URL                      string `json:"url"`
	Referrer, Title, Browser string
	OS                       string `json:"os"`
	Device, Transport        string
	Flags                    []string
	IsBot                    bool   `json:"is_bot"`
	TrafficClass             string `json:"traffic_class"`
	VisitorKind              string `json:"visitor_kind"`
	VisitorID                string `json:"visitor_id"`
	OrderID                  string `json:"order_id"`
	ValueMicros              int64  `json:"value_micros"`
	Currency                 string
	ItemIDs                  []string `json:"item_ids"`
	Prefetch                 bool
}

// row waits for the event whose property `case` has the value.
func (s *shop) row(t *testing.T, name string) row {
	t.Helper()
	var found []row
	require.Eventually(t, func() bool {
		found = nil
		err := s.clickHouse.Query(t.Context(), "SELECT *, items.id AS item_ids FROM onepx.events WHERE props['case'] = '"+name+"' ORDER BY occurred_at", func(raw json.RawMessage) error {
			var r row
			err := json.Unmarshal(raw, &r)
			found = append(found, r)
			return err
		})
		require.NoError(t, err)
		return len(found) > 0
	}, patience, glance, "the row of %s", name)
	require.Len(t, found, 1, "rows of %s", name)
	return found[0]
}
