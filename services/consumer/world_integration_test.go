//go:build integration

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/settings"
)

const (
	// partitions is the number of partitions of onepx.events in these tests.
	partitions = 2
	// patience is how long these tests wait for what must happen.
	patience = 40 * time.Second
	// glance is the pause between two looks at what must happen.
	glance = 20 * time.Millisecond
	// stopsWithin is how long a consumer may take to stop.
	stopsWithin = 5 * time.Second
)

// world is a fresh start on the real Kafka and ClickHouse: no topics, no database, a group that nobody has used. The
// settings of all of it are in the environment, so tests that have a world can't run at once.
type world struct {
	t               *testing.T
	kafka           *kafka.Client
	clickHouse      driver.Conn
	database, group string
}

// empty makes a world without topics and database.
func empty(t *testing.T) *world {
	t.Helper()
	broker, address := os.Getenv("ONEPX_TEST_KAFKA"), os.Getenv("ONEPX_TEST_CLICKHOUSE")
	require.NotEmpty(t, broker, "this test needs a real Kafka: run `make test`, or set ONEPX_TEST_KAFKA")
	require.NotEmpty(t, address, "this test needs a real ClickHouse: run `make test`, or set ONEPX_TEST_CLICKHOUSE")
	user, password := os.Getenv("ONEPX_TEST_CLICKHOUSE_USER"), os.Getenv("ONEPX_TEST_CLICKHOUSE_PASSWORD")
	if user == "" {
		user = "default"
	}
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	w := &world{t: t, database: "test_" + id, group: "test-" + id}
	for name, value := range map[string]string{
		"ONEPX_KAFKA_BROKERS": broker, "ONEPX_CLICKHOUSE_ADDR": address, "ONEPX_CONFIG": writeSites(t),
		"ONEPX_CLICKHOUSE_USER": user, "ONEPX_CLICKHOUSE_PASSWORD": password,
		"ONEPX_CLICKHOUSE_DATABASE": w.database, "ONEPX_CONSUMER_GROUP": w.group,
		"ONEPX_TOPIC_EVENTS_PARTITIONS": strconv.Itoa(partitions), "ONEPX_TOPIC_REPLICATION": "1",
		// Some records of these tests are older than a week.
		"ONEPX_TOPIC_RETENTION": "696h",
		// Short, so that the tests are.
		"ONEPX_SESSION_TIMEOUT": "6s", "ONEPX_INSERT_DEADLINE": "3s", "ONEPX_FLUSH_AGE": "100ms", "ONEPX_IDLE_AFTER": "1s",
	} {
		t.Setenv(name, value)
	}
	// Topics come and go in these tests: what is known of them must be fresh.
	w.kafka = &kafka.Client{Addr: kafka.TCP(broker), Transport: &kafka.Transport{MetadataTTL: glance}}
	var err error
	w.clickHouse, err = clickhouseconn.Settings{Addrs: []string{address}, User: user, Password: settings.Secret(password)}.Open(clickhouseconn.OfConsumers)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, w.clickHouse.Exec(context.Background(), "DROP DATABASE IF EXISTS "+w.database+" SYNC"))
		require.NoError(t, w.clickHouse.Close())
		kafkaconn.Close(w.kafka)
	})
	w.deleteTopics(eventlog.TopicEvents, eventlog.TopicDeadLetter, eventlog.TopicSuppressions, eventlog.TopicJobs, eventlog.TopicAudiences, eventlog.TopicUnsubscribes)
	return w
}

// fresh makes a world in which a consumer can run.
func fresh(t *testing.T) *world {
	t.Helper()
	w := empty(t)
	for _, name := range []string{"topics", "migrate"} {
		got := command(t, name)
		require.Zero(t, got.code, got.errOut)
	}
	return w
}

// begun makes a world whose group has been at work before any event came. A new group would wait for inserts of an earlier one.
func begun(t *testing.T) *world {
	t.Helper()
	w := fresh(t)
	for p := range partitions {
		w.commit(p, 0, idle)
	}
	return w
}

// shortDeadline is for tests that wait until no insert can be on its way, which takes two insert deadlines.
func (w *world) shortDeadline() {
	w.t.Helper()
	w.t.Setenv("ONEPX_INSERT_DEADLINE", "1s")
}

// deleteTopics deletes the topics, which need not exist, and waits until they are gone.
func (w *world) deleteTopics(names ...string) {
	w.t.Helper()
	w.eventually("topics are deleted", func() bool { // a broker that has had no time for its controller takes no requests for a moment
		_, err := w.kafka.DeleteTopics(w.t.Context(), &kafka.DeleteTopicsRequest{Topics: names})
		return err == nil
	})
	for _, name := range names {
		w.eventually(name+" is deleted", func() bool {
			n, err := partitionsOf(w.t.Context(), w.kafka, name)
			return err == nil && n == 0
		})
	}
}

func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	require.Eventually(w.t, condition, patience, glance, what)
}

// publish writes records to a partition of the topic and returns the offset of the first.
func (w *world) publish(topic string, partition int, messages ...kafka.Message) int64 {
	w.t.Helper()
	var first int64
	w.eventually("records are published", func() bool {
		records := make([]kafka.Record, len(messages))
		for i, m := range messages {
			records[i] = kafka.Record{Time: m.Time, Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value), Headers: m.Headers}
		}
		// A topic that was just made has no leader yet; nothing is written then.
		res, err := w.kafka.Produce(w.t.Context(), &kafka.ProduceRequest{
			Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
		})
		if err == nil && res.Error == nil {
			first = res.BaseOffset
			return true
		}
		return false
	})
	return first
}

// event returns a person's page view on the site shop, now, changed by change.
func event(change func(*onepxv1.Event)) *onepxv1.Event {
	id := uuid.New()
	now := time.Now().UnixMilli()
	ev := &onepxv1.Event{
		Schema: eventlog.Schema, EventId: id[:], EventIdOrigin: onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR, SiteId: "shop",
		Kind: onepxv1.EventKind_EVENT_KIND_PAGE_VIEW, Name: "page_view", ReceivedAtMs: now, OccurredAtMs: now,
		Client: &onepxv1.Client{UserAgent: person},
	}
	if change != nil {
		change(ev)
	}
	return ev
}

// record returns the record of an event that is published at the given moment.
func (w *world) record(ev *onepxv1.Event, at time.Time) kafka.Message {
	w.t.Helper()
	m, err := eventlog.Encode(ev, at)
	require.NoError(w.t, err)
	return m
}

// views returns the records of n page views.
func (w *world) views(n int) []kafka.Message {
	w.t.Helper()
	messages := make([]kafka.Message, n)
	for i := range messages {
		messages[i] = w.record(event(nil), time.Now())
	}
	return messages
}

// query returns the rows of a query, one JSON object each; %s in it stands for the database.
func (w *world) query(text string) []string {
	w.t.Helper()
	rows, err := w.tryQuery(w.t.Context(), text)
	require.NoError(w.t, err)
	return rows
}

// tryQuery is query for goroutines, which must not end the test.
func (w *world) tryQuery(ctx context.Context, text string) (all []string, err error) {
	rows, err := w.clickHouse.Query(ctx, "SELECT formatRowNoNewline('JSONEachRow', *) FROM ("+strings.ReplaceAll(text, "%s", w.database)+")")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// awaitRows waits until events has as many rows, and returns partition, offset, outcome and reason of each.
func (w *world) awaitRows(n int) []string {
	w.t.Helper()
	w.eventually(strconv.Itoa(n)+" rows", func() bool {
		return w.query("SELECT count() AS rows FROM %s.events")[0] == `{"rows":`+strconv.Itoa(n)+`}`
	})
	var all []string
	for _, row := range w.query("SELECT kafka_partition AS p, kafka_offset AS o, outcome, reason FROM %s.events ORDER BY p, o") {
		var r struct {
			P, O            int64
			Outcome, Reason string
		}
		require.NoError(w.t, json.Unmarshal([]byte(row), &r))
		all = append(all, strings.TrimSpace(strconv.FormatInt(r.P, 10)+"/"+strconv.FormatInt(r.O, 10)+" "+r.Outcome+" "+r.Reason))
	}
	return all
}

// position is the committed position of a partition of onepx.events.
func (w *world) position(partition int) (offset int64, metadata string) {
	w.t.Helper()
	res, err := w.kafka.OffsetFetch(w.t.Context(), &kafka.OffsetFetchRequest{GroupID: w.group, Topics: map[string][]int{eventlog.TopicEvents: {partition}}})
	require.NoError(w.t, err)
	require.NoError(w.t, res.Error)
	p := res.Topics[eventlog.TopicEvents][0]
	require.NoError(w.t, p.Error)
	return p.CommittedOffset, p.Metadata
}

// consumer is a running `consumer run`.
type consumer struct {
	w     *world
	admin string
	log   *buffer
	stop  func() int
}

// launch starts a consumer that need not become ready.
func (w *world) launch() *consumer {
	w.t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	address := free.Addr().String()
	require.NoError(w.t, free.Close())
	ctx, cancel := context.WithCancel(context.Background())
	c := &consumer{w: w, admin: "http://" + address, log: &buffer{}}
	ended := make(chan int, 1)
	go func() { ended <- execute(ctx, []string{"run", "--admin-listen", address}, io.Discard, c.log) }()
	c.stop = sync.OnceValue(func() int {
		cancel()
		select {
		case code := <-ended:
			return code
		case <-time.After(stopsWithin):
			require.Fail(w.t, "the consumer does not stop", c.log.String())
			return -1
		}
	})
	w.t.Cleanup(func() {
		require.Zero(w.t, c.stop())
		if w.t.Failed() {
			w.t.Log(c.log.String())
		}
	})
	return c
}

// start starts a consumer and waits until it is ready.
func (w *world) start() *consumer {
	w.t.Helper()
	c := w.launch()
	w.eventually("the consumer is ready", func() bool {
		status, _ := c.get("/readyz")
		return status == http.StatusOK
	})
	return c
}

// get asks the admin port; the status is 0 when it does not answer.
func (c *consumer) get(path string) (status int, body string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	res, err := client.Get(c.admin + path)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(text)
}

// awaitMetric waits for a line of the metrics.
func (c *consumer) awaitMetric(line string) {
	c.w.t.Helper()
	c.w.eventually(line, func() bool {
		_, metrics := c.get("/metrics")
		return strings.Contains(metrics, line+"\n")
	})
}

// buffer is written to by a consumer while the test reads.
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
