package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

const (
	// patience is how long these tests wait for what must happen, tick how often they look.
	patience = 30 * time.Second
	tick     = 10 * time.Millisecond
)

// console is a running service without a database.
type console struct {
	t          *testing.T
	url, admin string
	sites      string
	log        *buffer
	stop       func() error
}

// buffer is written to by the service while the test reads.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func sitesFile(keys ...string) []byte {
	text := "sites:\n  - id: shop\n    timezone: UTC\n    currency: EUR\n    api_keys:\n"
	for i, key := range keys {
		text += fmt.Sprintf("      - {name: k%d, key: \"%s\", rights: [audiences, privacy]}\n", i, siteconfig.HashKey(key))
	}
	return []byte(text)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return listener
}

// start starts a console whose database does not answer.
func start(t *testing.T, broker *kafkatest.Broker) *console {
	t.Helper()
	closed := listen(t)
	require.NoError(t, closed.Close())
	c := &console{t: t, sites: filepath.Join(t.TempDir(), "onepx.yaml"), log: &buffer{}}
	require.NoError(t, os.WriteFile(c.sites, sitesFile("first"), 0o600))
	cfg := runCmd{
		Config: c.sites, Secret: settings.Secret(testSecret), LookupTimeout: time.Second, LookupWindow: time.Millisecond, LookupQueries: 4, LookupWaiting: 4096,
		LookupKeep: time.Second, LookupKept: 1000, QueryTimeout: 5 * time.Second, Queries: 16, StopTimeout: 10 * time.Second,
		Kafka:      kafkaconn.Settings{Brokers: []string{broker.Addr()}, ClientID: "onepx"},
		ClickHouse: clickhouseconn.Settings{Addrs: []string{closed.Addr().String()}, Database: "onepx", User: "default"},
		Telemetry:  telemetry.Settings{LogFormat: "json"},
	}
	require.NoError(t, cfg.Validate())
	public, admin := listen(t), listen(t)
	c.url, c.admin = "http://"+public.Addr().String(), "http://"+admin.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- cfg.serve(ctx, public, admin, c.log) }()
	c.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		require.NoError(t, c.stop())
		if t.Failed() {
			t.Log(c.log.String())
		}
	})
	return c
}

// ask returns status, header and body; 0 when nobody answers.
func (c *console) ask(method, url, key, body string) (int, http.Header, string) {
	request, err := http.NewRequestWithContext(c.t.Context(), method, url, bytes.NewBufferString(body))
	require.NoError(c.t, err)
	request.Header.Set("Authorization", "Bearer "+key)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(request)
	if err != nil {
		return 0, nil, ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return res.StatusCode, res.Header, string(text)
}

func (c *console) eventually(what string, condition func() bool) {
	c.t.Helper()
	require.Eventually(c.t, condition, patience, tick, what)
}

func (c *console) becomesReady() {
	c.t.Helper()
	c.eventually("ready", func() bool {
		status, _, _ := c.ask(http.MethodGet, c.admin+"/readyz", "", "")
		return status == http.StatusOK
	})
}

func startKafka(t *testing.T) *kafkatest.Broker {
	t.Helper()
	return kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1, eventlog.TopicJobs: 1})
}

func TestWithoutItsDatabaseTheConsoleSaysSoInTimeAndGoesOn(t *testing.T) {
	c := start(t, startKafka(t))
	c.becomesReady()
	for _, path := range []string{"/v1/sites/shop/visitors/" + uuid.NewString() + "/audiences", "/v1/sites/shop/audiences"} {
		status, header, body := c.ask(http.MethodGet, c.url+path, "first", "")
		require.Equal(t, http.StatusServiceUnavailable, status, body)
		require.Equal(t, "1", header.Get("Retry-After"))
		require.Contains(t, body, "the database does not answer")
		require.NotContains(t, body, "127.0.0.1")
	}
	_, _, status := c.ask(http.MethodGet, c.admin+"/status", "", "")
	require.Regexp(t, `(?s)^service +onepx console\nversion +.*\nready +ok\nclickhouse +dial tcp .*\nsuppressions +ok\nonepx\.yaml +[0-9a-f]{16}\n$`, status)
	_, _, metrics := c.ask(http.MethodGet, c.admin+"/metrics", "", "")
	for _, line := range []string{
		`onepx_console_lookups_total{result="failed"} 1`, `onepx_console_lookups_total{result="kept"} 0`, "onepx_console_panics_total 0",
		`onepx_console_requests_total{operation="get-visitor-audiences",status="503"} 1`, `onepx_console_config_reloads_total{result="ok"} 0`,
	} {
		require.Contains(t, metrics, line+"\n")
	}
}

func TestAConsoleIsNotReadyBeforeItHasReadTheSuppressions(t *testing.T) {
	broker := startKafka(t)
	broker.Silence()
	c := start(t, broker)
	var status int
	var body string
	c.eventually("an answer", func() bool { status, _, body = c.ask(http.MethodGet, c.admin+"/readyz", "", ""); return status != 0 })
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "suppression list")
	broker.Resume()
	c.becomesReady()
}

func TestWhoeverIsOnTheListIsUnknownAlsoWithoutADatabase(t *testing.T) {
	broker := startKafka(t)
	c := start(t, broker)
	c.becomesReady()
	visitor := uuid.New()
	client, err := kafkaconn.Settings{Brokers: []string{broker.Addr()}, ClientID: "test"}.Client()
	require.NoError(t, err)
	defer kafkaconn.Close(client)
	writer := suppression.Writer{Client: client}
	require.NoError(t, writer.Suppress(t.Context(), []suppression.Entry{{Kind: suppression.Visitor, ID: visitor[:]}}))
	c.eventually("the same as of an unknown visitor", func() bool {
		status, _, body := c.ask(http.MethodGet, c.url+"/v1/sites/shop/visitors/"+visitor.String()+"/audiences", "first", "")
		return status == http.StatusOK && strings.HasPrefix(body, `{"audiences":[],`)
	})
	require.NotContains(t, c.log.String(), visitor.String())
}

func TestAnAccessThatCanBeLoggedAndNotReadIsRefused(t *testing.T) {
	broker := startKafka(t)
	c := start(t, broker)
	c.becomesReady()
	status, _, _ := c.ask(http.MethodPost, c.url+"/v1/sites/shop/privacy/access", "first", `{"uids":["anna@example.com"]}`)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Len(t, broker.Records(t, eventlog.TopicJobs), 1)
	require.NotContains(t, c.log.String(), "anna")
}

func TestAChangedSiteConfigurationIsTakenOver(t *testing.T) {
	c := start(t, startKafka(t))
	c.becomesReady()
	authorized := func(key string) bool {
		status, _, _ := c.ask(http.MethodGet, c.url+"/v1/sites/shop/nothing", key, "")
		require.Equal(t, http.StatusNotFound, status)
		status, _, _ = c.ask(http.MethodGet, c.url+"/v1/sites/shop/visitors/x/audiences", key, "")
		return status == http.StatusUnprocessableEntity
	}
	require.True(t, authorized("first"))
	require.False(t, authorized("second"))
	require.NoError(t, os.WriteFile(c.sites, sitesFile("second"), 0o600))
	c.eventually("the second key", func() bool { return authorized("second") })
	require.False(t, authorized("first"))
	require.NoError(t, c.stop())
	require.NotContains(t, c.log.String(), "second")
}
