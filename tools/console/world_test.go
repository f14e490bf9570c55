//go:build integration

// Package console_test asks the console as programs do, with a real Kafka and a real ClickHouse behind it: what happens on a
// site shows in its answers, until somebody wishes that it does not.
package console_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

func TestMain(m *testing.M) {
	localstack.RunChild()
	goleak.VerifyTestMain(m)
}

const (
	// patience is how long the pipeline may take, and glance the pause between two looks.
	patience = time.Minute
	glance   = 50 * time.Millisecond
)

// sites has %x for the SHA-256 of each key.
const sites = `sites:
  - id: shop
    timezone: Europe/Berlin
    currency: EUR
    privacy: opt_out
    api_keys: [{name: all, key: "sha256:%x", rights: [audiences, segments, privacy], rate_limit: 10000}]
    segments:
      - id: cart
        name: In the cart, not bought
        enter: {event: add_to_cart}
        leave: {event: purchase}
        same_product: true
  - id: blog
    timezone: UTC
    currency: EUR
    privacy: opt_out
    api_keys: [{name: all, key: "sha256:%x", rights: [audiences, privacy]}]
  - id: market
    timezone: UTC
    currency: EUR
    api_keys: [{name: ads, key: "sha256:%x", rights: [audiences], rate_limit: 10000}]
  - id: doors
    timezone: UTC
    currency: EUR
    privacy: opt_out
    sync_partners: [{id: adnet}]
    api_keys: [{name: all, key: "sha256:%x", rights: [audiences, exports, privacy], rate_limit: 10000}]
    segments: [{id: cart, enter: {event: add_to_cart}, stream: true}]
  - id: letters
    timezone: UTC
    currency: EUR
    mail_providers: {postmark_credentials: ["sha256:%x"]}
    api_keys: [{name: mailer, key: "sha256:%x", rights: [mail], rate_limit: 10000}]
    webhooks: [{url: %q, secret_env: HOOK_SECRET, events: [unsubscribes]}]
`

const (
	// The keys of the sites.
	shopKey, blogKey, marketKey, doorsKey, lettersKey = "key of the shop", "key of the blog", "key of the market", "key of the doors", "key of the letters"
	// user is the console's in ClickHouse, who can only read.
	user = "console"
)

// world is the pipeline on a Kafka and a ClickHouse of its own.
type world struct {
	t          *testing.T
	database   *localstack.ClickHouse
	clickHouse ledger.ClickHouse
	pipeline   *pipeline.Pipeline
	broker     string
	collector  *pipeline.Service
	console    *pipeline.Service
	mailer     *mailer
}

func open(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, mailer: newMailer(t)}
	var kafka *localstack.Kafka
	var starting errgroup.Group
	starting.Go(func() (err error) {
		kafka, err = localstack.StartKafka(t.Context(), localstack.KafkaConfig{Dir: filepath.Join(dir, "kafka"), LogFile: filepath.Join(dir, "log", "kafka.log")})
		return err
	})
	starting.Go(func() (err error) {
		w.database, err = localstack.StartClickHouse(t.Context(), localstack.ClickHouseConfig{Dir: filepath.Join(dir, "clickhouse"), LogFile: filepath.Join(dir, "log", "clickhouse.log"), Readers: map[string]string{user: "onepx"}})
		return err
	})
	err := starting.Wait()
	if kafka != nil {
		t.Cleanup(func() { require.NoError(t, kafka.Stop()) })
	}
	if w.database != nil {
		t.Cleanup(func() { require.NoError(t, w.database.Stop()) })
	}
	require.NoError(t, err)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	w.clickHouse = ledger.ClickHouse{URL: w.database.HTTPURL()}
	config := filepath.Join(dir, "onepx.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, sites, sha256.Sum256([]byte(shopKey)), sha256.Sum256([]byte(blogKey)), sha256.Sum256([]byte(marketKey)), sha256.Sum256([]byte(doorsKey)),
		sha256.Sum256([]byte(postmarkUser+":"+postmarkPassword)), sha256.Sum256([]byte(lettersKey)), w.mailer.address()), 0o600))
	p, err := pipeline.New(t.Context(), pipeline.Config{Dir: dir, Broker: kafka.Broker(), ClickHouse: w.database.NativeAddr(), Sites: config, EventPartitions: 1, Console: true})
	require.NoError(t, err)
	w.pipeline, w.broker = p, kafka.Broker()
	keep := func(s *pipeline.Service, err error) *pipeline.Service {
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, s.Stop())
			if t.Failed() {
				t.Log(localstack.LogTail(s.LogFile(), 20))
			}
		})
		return s
	}
	const deadline = "ONEPX_INSERT_DEADLINE=1s"
	exports := "ONEPX_EXPORT_DIR=" + filepath.Join(dir, "exports")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "exports"), 0o755))
	keep(p.StartConsumer(t.Context(), "consumer", deadline))
	keep(p.StartJobs(t.Context(), "jobs", deadline, exports, "ONEPX_WEBHOOK_PRIVATE_ADDRESSES=true", "HOOK_SECRET="+hookSecret))
	w.collector = keep(p.StartCollector(t.Context(), "collector", "ONEPX_MAIL_KEYS="+w.mailer.keys))
	w.console = keep(p.StartConsole(t.Context(), "console", "ONEPX_LOG_LEVEL=debug", "ONEPX_LOOKUP_TIMEOUT=5s", exports, "ONEPX_CLICKHOUSE_USER="+user))
	return w
}

func TestTheConsole(t *testing.T) {
	w := open(t)
	for name, test := range map[string]func(*testing.T, *world){"audiences": testAudiences, "privacy": testPrivacy, "shown": testShown, "doors": testDoors, "unsubscribes": testUnsubscribes} {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
	t.Run("outage", func(t *testing.T) { testOutage(t, w) })
}

// hit sends an event by the pixel, which must be stored; parameters are name, value, name, value …
func (w *world) hit(site, event string, visitor uuid.UUID, parameters ...string) {
	w.t.Helper()
	require.Equal(w.t, "stored", w.send(site, event, visitor, parameters...))
}

// refuse sends an event of a visitor who does not consent.
func (w *world) refuse(site string, visitor uuid.UUID) {
	w.t.Helper()
	require.Equal(w.t, "suppressed; reason=opted_out", w.send(site, "page_view", visitor, "c", "0"))
}

func (w *world) send(site, event string, visitor uuid.UUID, parameters ...string) (outcome string) {
	w.t.Helper()
	query := url.Values{"site": {site}, "e": {event}, "v": {visitor.String()}, "id": {uuid.NewString()}, "u": {"https://shop.example/"}}
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.collector.URL+"/p.gif?"+query.Encode(), nil)
	require.NoError(w.t, err)
	request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	require.NoError(w.t, response.Body.Close())
	return response.Header.Get("Onepx-Event")
}

// ask returns status and body of an answer of the console about a site.
func (w *world) ask(method, key, path, body string) (int, string) {
	w.t.Helper()
	return w.call(method, key, "sites/"+path, body)
}

func (w *world) call(method, key, path, body string) (int, string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, w.console.URL+"/v1/"+path, bytes.NewBufferString(body))
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	if strings.HasSuffix(path, "/preview") {
		request.Header.Set("Content-Type", "application/yaml")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(w.t, err)
	return response.StatusCode, string(text)
}

// get reads an answer that must be 200 into a value.
func (w *world) get(path string, into any) {
	w.t.Helper()
	status, body := w.ask(http.MethodGet, shopKey, "shop"+path, "")
	require.Equal(w.t, http.StatusOK, status, body)
	require.NoError(w.t, json.Unmarshal([]byte(body), into))
}

func (w *world) eventually(what string, within time.Duration, condition func() bool) {
	w.t.Helper()
	require.Eventually(w.t, condition, within, glance, what)
}
