//go:build integration

package golden_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// patience is how long the rows may take, and glance the pause between two looks.
	patience = 2 * time.Minute
	glance   = 100 * time.Millisecond
	// atOnce is how many visitors send at the same time.
	atOnce = 16
)

// What devices say of themselves.
const (
	personAgent  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	machineAgent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)

// world is the pipeline.
type world struct {
	clickHouse ledger.ClickHouse
	consumer   *pipeline.Service
	// collector is its address, clock its clock.
	collector string
	clock     pipeline.Clock
	client    *http.Client
	mu        sync.Mutex // guards cookies
	// cookies are those of devices.
	cookies  map[string]string
	pipeline *pipeline.Pipeline
}

// open builds and starts everything on the Kafka and ClickHouse that the environment names.
func open(t *testing.T) *world {
	t.Helper()
	kafka, native, address := os.Getenv("ONEPX_TEST_KAFKA"), os.Getenv("ONEPX_TEST_CLICKHOUSE"), os.Getenv("ONEPX_TEST_CLICKHOUSE_HTTP")
	require.NotEmpty(t, kafka, "this test needs a real Kafka: run `make test`, or set ONEPX_TEST_KAFKA")
	require.NotEmpty(t, native, "this test needs a real ClickHouse: run `make test`, or set ONEPX_TEST_CLICKHOUSE")
	require.NotEmpty(t, address, "this test needs a real ClickHouse: run `make test`, or set ONEPX_TEST_CLICKHOUSE_HTTP")
	dir := t.TempDir()
	w := &world{
		clickHouse: ledger.ClickHouse{URL: address}, clock: pipeline.Clock(filepath.Join(dir, "clock")), cookies: map[string]string{},
		client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}},
	}
	t.Cleanup(w.client.CloseIdleConnections)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	sites, key, mailKey := filepath.Join(dir, "onepx.yaml"), sha256.Sum256([]byte(writeKey)), sha256.Sum256([]byte(mailWriteKey))
	require.NoError(t, os.WriteFile(sites, []byte(config(hex.EncodeToString(key[:]), hex.EncodeToString(mailKey[:]))), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, scannersFile), []byte(scannersNetwork+"\n"), 0o600))
	require.NoError(t, w.clock.Set(time.Now()))
	p, err := pipeline.New(t.Context(), pipeline.Config{Dir: dir, Broker: kafka, ClickHouse: native, Sites: sites, Tags: "faults", EventPartitions: 2})
	require.NoError(t, err)
	consumer, err := p.StartConsumer(t.Context(), "consumer")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, consumer.Stop()) })
	collector, err := p.StartCollector(t.Context(), "collector", w.clock.Setting())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, collector.Stop()) })
	w.collector, w.consumer, w.pipeline = collector.URL, consumer, p
	return w
}

// push sends all events of a site, those that arrive at the same time together, but those of one device one after the other.
func (w *world) push(ctx context.Context, site string, events []answers.Event) error {
	for len(events) > 0 {
		at := events[0].Arrived
		if err := w.clock.Set(at); err != nil {
			return err
		}
		n := 0
		var turns [][]answers.Event
		of := map[string]int{}
		for n < len(events) && events[n].Arrived.Equal(at) {
			e := events[n]
			i, known := of[e.Device]
			if !known || e.Device == "" {
				i = len(turns)
				of[e.Device] = i
				turns = append(turns, nil)
			}
			turns[i] = append(turns[i], e)
			n++
		}
		sending, ctx := errgroup.WithContext(ctx)
		sending.SetLimit(atOnce)
		for _, turn := range turns {
			sending.Go(func() error { return w.sendAll(ctx, site, turn) })
		}
		if err := sending.Wait(); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func (w *world) sendAll(ctx context.Context, site string, events []answers.Event) error {
	for _, e := range events {
		if err := w.send(ctx, site, e); err != nil {
			return fmt.Errorf("%+v: %w", e, err)
		}
	}
	return nil
}

// send sends one event and keeps the cookie that comes back.
func (w *world) send(ctx context.Context, site string, e answers.Event) error {
	req, err := w.request(ctx, site, e)
	if err != nil {
		return err
	}
	if cookie := w.cookie(e.Device); cookie != "" && e.Transport != answers.Server {
		req.AddCookie(&http.Cookie{Name: "onepx_v", Value: cookie})
	}
	res, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if stored := res.Header.Get("Onepx-Event") == "stored" || strings.Contains(string(body), `"result":"stored"`) || strings.Contains(string(body), `"result": "stored"`); !stored {
		return fmt.Errorf("not stored: %s, Onepx-Event %q", res.Status, res.Header.Get("Onepx-Event"))
	}
	for _, c := range res.Cookies() {
		if c.Name == "onepx_v" && e.KeepsCookies && !e.AnswerLost {
			w.keep(e.Device, c.Value)
		}
	}
	return nil
}

func (w *world) cookie(device string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cookies[device]
}

func (w *world) keep(device, cookie string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cookies[device] = cookie
}

// request is what the sender sends.
func (w *world) request(ctx context.Context, site string, e answers.Event) (*http.Request, error) {
	p := e.Parameters()
	p["site"] = site
	if e.Transport == answers.Pixel {
		query := url.Values{}
		for name, value := range p {
			query.Set(name, value)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.collector+"/p.gif?"+query.Encode(), nil)
		if err == nil {
			identify(req, e)
		}
		return req, err
	}
	path := "/e"
	if e.Transport == answers.Server {
		path = "/v1/events"
		if e.Device != "" {
			p["ip"], p["ua"] = address(e.Device), agent(e)
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.collector+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if e.Transport == answers.Server {
		req.Header.Set("Authorization", "Bearer "+writeKey)
	} else {
		identify(req, e)
	}
	return req, nil
}

func identify(req *http.Request, e answers.Event) {
	req.Header.Set("User-Agent", agent(e))
	req.Header.Set("X-Forwarded-For", address(e.Device))
}

func agent(e answers.Event) string {
	if e.Bot {
		return machineAgent
	}
	return personAgent
}

// address is in a network of the device's own.
func address(device string) string {
	var n int
	_, _ = fmt.Sscan(device, &n)
	return fmt.Sprintf("81.%d.%d.7", n/250, n%250)
}

// imports puts rates and costs into the tables.
func (w *world) imports(ctx context.Context, site answers.Site) error {
	var rows []string
	for currency, days := range site.Rates {
		for day, rate := range days {
			rows = append(rows, fmt.Sprintf("('%s', '%s', '%s')", day, currency, rate))
		}
	}
	if err := w.clickHouse.Query(ctx, "INSERT INTO onepx.currency_rates (day, currency, rate) VALUES "+strings.Join(rows, ","), nil); err != nil {
		return err
	}
	rows = nil
	for _, c := range site.Costs {
		micros := strings.ReplaceAll(answers.Decimal(answers.ParseAmount(c.Amount)), ".", "")
		rows = append(rows, fmt.Sprintf("('%s', '%s', '%s', '%s', '%s', '%s', %s)", siteID, c.Day, c.Source, c.Medium, c.Campaign, c.Currency, micros))
	}
	return w.clickHouse.Query(ctx, "INSERT INTO onepx.ad_costs (site_id, day, source, medium, campaign, currency, cost_micros) VALUES "+strings.Join(rows, ","), nil)
}

// rollup computes the sums by day of all ranges.
func (w *world) rollup(ctx context.Context) error {
	first, err := time.Parse(time.DateOnly, string(ranges[0].From))
	if err != nil {
		return err
	}
	out, err := w.pipeline.Consumer(ctx, "rollup", "--days", strconv.Itoa(int(time.Since(first).Hours()/24)+2))
	if err != nil {
		return fmt.Errorf("consumer rollup: %w\n%s", err, out)
	}
	return nil
}

// await waits until every event of the sites is a row, and stops the consumer: rows are seen before those that the views make of
// them.
func (w *world) await(t *testing.T, events int) {
	t.Helper()
	var got struct{ Rows int }
	require.Eventually(t, func() bool {
		err := w.clickHouse.One(t.Context(), "SELECT count() AS Rows FROM onepx.events WHERE site_id IN ('"+siteID+"', '"+audienceSite+"', '"+mailSite+"') AND outcome IN ('event', 'duplicate')", &got)
		return err == nil && got.Rows >= events
	}, patience, glance)
	require.Equal(t, events, got.Rows)
	require.NoError(t, w.consumer.Stop())
}
