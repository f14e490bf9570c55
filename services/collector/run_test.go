package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSites = `
sites:
  - id: shop
    timezone: Europe/Berlin
    currency: EUR
    write_keys: ["sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"] # of the word "key"
`

// patience is how long these tests wait for what must happen.
const patience = 30 * time.Second

// tick is how often they look.
const tick = 10 * time.Millisecond

// collector is a running service.
type collector struct {
	url, admin string
	log        *buffer
	stop       context.CancelFunc
	ended      chan error
}

// buffer is written to by the service while the test reads.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func testSettings(t *testing.T, broker string) settings {
	t.Helper()
	sites := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(sites, []byte(testSites), 0o600))
	cfg := settings{
		Config: sites, secretKey: secretKey{testSecret},
		MaxConnections: 8192, PublishInFlight: 1024, PublishTimeout: 5 * time.Second, eventLimit: eventLimit{1_000_000}, StopTimeout: 15 * time.Second,
		Spool:     spoolSettings{QuotaBytes: minSpoolQuota},
		Kafka:     kafkaconn.Settings{Brokers: []string{broker}, ClientID: "onepx"},
		Telemetry: telemetry.Settings{LogFormat: "json"},
	}
	require.NoError(t, cfg.Validate())
	return cfg
}

// launch starts the service on a fresh broker; it may not be ready yet.
func launch(t *testing.T, change func(*settings)) (*collector, *kafkatest.Broker) {
	t.Helper()
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicEvents: 6, eventlog.TopicSuppressions: 1})
	return launchOn(t, broker, change), broker
}

// launchOn starts the service on the broker.
func launchOn(t *testing.T, broker *kafkatest.Broker, change func(*settings)) *collector {
	t.Helper()
	cfg := testSettings(t, broker.Addr())
	if change != nil {
		change(&cfg)
	}
	public, admin := listen(t), listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	c := &collector{
		url: "http://" + public.Addr().String(), admin: "http://" + admin.Addr().String(),
		log: &buffer{}, stop: cancel, ended: make(chan error, 1),
	}
	go func() { c.ended <- run(ctx, cfg, public, admin, c.log) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-c.ended)
		http.DefaultClient.CloseIdleConnections()
	})
	return c
}

// end stops the service and waits for it.
func (c *collector) end(t *testing.T) {
	t.Helper()
	c.stop()
	require.NoError(t, <-c.ended)
	c.ended <- nil // for the clean-up
}

// start starts the service and waits until it is ready.
func start(t *testing.T, change func(*settings)) (*collector, *kafkatest.Broker) {
	t.Helper()
	c, broker := launch(t, change)
	c.waitReady(t, http.StatusOK)
	return c, broker
}

func (c *collector) waitReady(t *testing.T, status int) {
	t.Helper()
	require.Eventually(t, func() bool { return get(c.admin+"/readyz").status == status }, patience, 10*time.Millisecond)
}

// stored returns the events in the topic.
func (*collector) stored(t *testing.T, broker *kafkatest.Broker) []*onepxv1.Event {
	t.Helper()
	var events []*onepxv1.Event
	for _, record := range records(t, broker) {
		ev, err := eventlog.Decode(record.Value)
		require.NoError(t, err)
		events = append(events, ev)
	}
	return events
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// reply is an answer, or why there is none.
type reply struct {
	status      int
	onepx, body string
	err         error
}

func get(url string) reply {
	res, err := http.Get(url)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header.Get("Onepx-Event"), string(body), err}
}

func TestAHitIsARecordInKafka(t *testing.T) {
	c, broker := start(t, nil)
	require.Equal(t, http.StatusOK, get(c.url+"/p.gif?site=shop&e=hello&id=1").status)
	stored := c.stored(t, broker)
	require.Len(t, stored, 1)
	require.Equal(t, "hello", stored[0].GetName())
	require.Regexp(t, `(?s)onepx_collector_events_total{outcome="stored",reason=""} 1\n.*onepx_collector_publish_in_flight_events 0\n`, get(c.admin+"/metrics").body)
}

// results is the answer to a body of events.
type results struct {
	Results []struct {
		ID, Result, Reason string
		Retry              bool
	}
}

// send posts lines to /v1/events, compressed.
func (c *collector) send(t *testing.T, lines string) (int, results) {
	t.Helper()
	var body bytes.Buffer
	compressor := gzip.NewWriter(&body)
	_, err := compressor.Write([]byte(lines))
	require.NoError(t, err)
	require.NoError(t, compressor.Close())
	request, err := http.NewRequest(http.MethodPost, c.url+"/v1/events", &body)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer key")
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Content-Encoding", "gzip")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var told results
	require.NoError(t, json.NewDecoder(response.Body).Decode(&told))
	return response.StatusCode, told
}

// lines are n events that are told apart by their names.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"id\":\"%d\",\"e\":\"e%d\"}\n", i, i)
	}
	return b.String()
}

func TestABodyOfManyEventsIsAsManyRecords(t *testing.T) {
	c, broker := start(t, func(s *settings) { s.PublishInFlight = 64 }) // fewer than events
	status, told := c.send(t, lines(250)+"{\n"+lines(500)[len(lines(250)):len(lines(499))])
	require.Equal(t, http.StatusOK, status)
	require.Len(t, told.Results, 500)
	names := map[string]bool{}
	for _, ev := range c.stored(t, broker) {
		require.False(t, names[ev.GetName()])
		names[ev.GetName()] = true
	}
	require.Len(t, names, 499)
	for i, result := range told.Results {
		if i == 250 {
			require.Equal(t, "json_invalid", result.Reason)
			continue
		}
		require.Equal(t, "stored", result.Result)
		require.True(t, names["e"+result.ID])
	}
}

func TestAPartOfABodyThatKafkaDoesNotTakeIsTold(t *testing.T) {
	c, broker := start(t, nil)
	fault := broker.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{1}, Err: kerr.NotEnoughReplicas, Count: -1})
	status, told := c.send(t, lines(60))
	require.Equal(t, http.StatusServiceUnavailable, status)
	names := map[string]bool{}
	for _, ev := range c.stored(t, broker) {
		names[ev.GetName()] = true
	}
	lost := 0
	for _, result := range told.Results {
		require.Equal(t, names["e"+result.ID], result.Result == "stored")
		require.Equal(t, result.Result != "stored", result.Retry)
		if result.Reason == "kafka_unavailable" {
			lost++
		}
	}
	require.Equal(t, 60, len(names)+lost)
	require.NotZero(t, lost)

	fault.Remove()
	require.Eventually(t, func() bool { status, _ = c.send(t, lines(60)); return status == http.StatusOK }, patience, 100*time.Millisecond)
	for _, ev := range c.stored(t, broker) {
		names[ev.GetName()] = true
	}
	require.Len(t, names, 60, "the same request again stores what was lost")
}

func TestItIsReadyWhenKafkaIsThereAndTheSuppressionsAreRead(t *testing.T) {
	c, broker := launch(t, nil)
	broker.Silence()
	require.Equal(t, http.StatusServiceUnavailable, get(c.admin+"/readyz").status)
	require.Equal(t, http.StatusOK, get(c.admin+"/livez").status)
	broker.Resume()
	c.waitReady(t, http.StatusOK)
	broker.Silence()
	c.waitReady(t, http.StatusServiceUnavailable)
	broker.Resume()
	c.waitReady(t, http.StatusOK)
}

func TestAVisitorOnTheSuppressionListIsNotStored(t *testing.T) {
	c, broker := launch(t, nil)
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	writer := &kafka.Writer{Addr: kafka.TCP(broker.Addr()), Topic: eventlog.TopicSuppressions, BatchTimeout: time.Millisecond, Transport: transport}
	visitor := uuid.MustParse("9f1c3b52-4a0e-4c0f-9c55-0a5d2a0b7e11")
	require.NoError(t, writer.WriteMessages(t.Context(), kafka.Message{Key: suppression.Key(suppression.Visitor, visitor[:]), Value: []byte("1")}))
	require.NoError(t, writer.Close())
	c.waitReady(t, http.StatusOK)
	require.Eventually(t, func() bool {
		return get(c.url+"/p.gif?site=shop&v="+visitor.String()).onepx == "suppressed; reason=suppression_list"
	}, patience, 10*time.Millisecond)
}

func TestWithoutKafkaTheVisitorGetsTheImageAndIsToldTheTruth(t *testing.T) {
	c, broker := start(t, func(s *settings) { s.PublishTimeout = 300 * time.Millisecond })
	require.Equal(t, "stored", get(c.url+"/p.gif?site=shop&id=before").onepx)
	broker.Stop()
	require.Eventually(t, func() bool {
		got := get(c.url + "/p.gif?site=shop&id=during")
		return got.status == http.StatusServiceUnavailable && got.onepx == "rejected; reason=kafka_unavailable" && len(got.body) == 43
	}, patience, 10*time.Millisecond)
	broker.Resume()
	require.Eventually(t, func() bool { return get(c.url+"/p.gif?site=shop&id=after").onepx == "stored" }, patience, 50*time.Millisecond)
	require.Contains(t, c.log.String(), `"publish to kafka fails"`)
	require.Contains(t, c.log.String(), `"publish to kafka works again"`)
	require.NotContains(t, c.log.String(), "during", "nothing of a visitor is logged")
}

func TestMoreThanAllowedAreRefusedAtOnce(t *testing.T) {
	c, broker := start(t, func(s *settings) { s.PublishInFlight = 1 })
	broker.Silence()
	first := make(chan reply, 1)
	go func() { first <- get(c.url + "/p.gif?site=shop&id=1") }()
	require.Eventually(t, func() bool {
		return strings.Contains(get(c.admin+"/metrics").body, "onepx_collector_publish_in_flight_events 1")
	}, patience, time.Millisecond)
	second := get(c.url + "/p.gif?site=shop&id=2")
	require.Equal(t, "rejected; reason=overloaded", second.onepx)
	require.Len(t, second.body, 43)
	broker.Resume()
	<-first
}

// TestStoppingUnderLoadLosesNothing holds that whatever was answered as stored is in the topic once, and that nobody was
// refused before the listener closed.
func TestStoppingUnderLoadLosesNothing(t *testing.T) {
	c, broker := start(t, func(s *settings) { s.StopGrace = 300 * time.Millisecond })
	const visitors = 16
	var sent atomic.Int64
	var wait sync.WaitGroup
	storedIDs := make([]map[string]bool, visitors)
	for visitor := range visitors {
		storedIDs[visitor] = map[string]bool{}
		wait.Go(func() {
			for {
				id := strconv.FormatInt(sent.Add(1), 10)
				got := get(c.url + "/p.gif?site=shop&e=" + id)
				if got.err != nil {
					return // the listener is closed
				}
				if got.onepx != "stored" {
					t.Errorf("event %s: %q", id, got.onepx)
				}
				storedIDs[visitor][id] = true
			}
		})
	}
	require.Eventually(t, func() bool { return sent.Load() > 500 }, patience, time.Millisecond)
	c.stop()
	c.waitReady(t, http.StatusServiceUnavailable)
	wait.Wait()
	require.NoError(t, <-c.ended)
	c.ended <- nil
	counted := map[string]int{}
	for _, ev := range c.stored(t, broker) {
		counted[ev.GetName()]++
	}
	for _, ids := range storedIDs {
		for id := range ids {
			require.Equal(t, 1, counted[id], "event %s was answered as stored", id)
		}
	}
}

func TestItDoesNotStartOnSettingsThatCannotWork(t *testing.T) {
	for name, change := range map[string]func(*settings){
		"geo file":           func(s *settings) { s.GeoFile = "missing.mmdb" },
		"data-centre file":   func(s *settings) { s.DatacenterFile = "missing.txt" },
		"site configuration": func(s *settings) { s.Config = "missing.yaml" },
		"authorities":        func(s *settings) { s.Kafka.TLS, s.Kafka.TLSCAFile = true, "missing.pem" },
		"a provider's secret": func(s *settings) {
			s.Config = filepath.Join(t.TempDir(), "onepx.yaml")
			sites := "sites: [{id: missing, timezone: UTC, currency: EUR, mail_providers: {mailgun_secret_envs: [ONEPX_TEST_UNSET]}}]"
			require.NoError(t, os.WriteFile(s.Config, []byte(sites), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testSettings(t, "127.0.0.1:1")
			change(&cfg)
			require.ErrorContains(t, run(t.Context(), cfg, listen(t), listen(t), io.Discard), "missing")
		})
	}
}
