package consume

import (
	"context"
	"errors"
	"iter"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// The times of the tests with a broker, in real time.
const (
	groupSession    = time.Second
	groupDeadline   = 400 * time.Millisecond
	groupPartitions = 4
	groupName       = "consumers"
	patience        = 30 * time.Second
)

var groupLimits = Limits{
	BatchRows: 20, BatchBytes: 1 << 20, WaitingBytes: 1 << 10, FlushAge: 30 * time.Millisecond, InsertGap: 10 * time.Millisecond,
	IdleAfter: 300 * time.Millisecond, InsertDeadline: groupDeadline, TokenLife: time.Hour, WindowEvents: 1000,
}

// network is the connections of one process; cut ends them all, for ever.
type network struct {
	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

var errCut = errors.New("network is cut")

func (n *network) dial(ctx context.Context, protocol, address string) (net.Conn, error) {
	n.mu.Lock()
	isCut := n.isCut
	n.mu.Unlock()
	if isCut {
		return nil, errCut
	}
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, protocol, address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, conn)
	return conn, nil
}

func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.isCut = true
	for _, conn := range n.conns {
		_ = conn.Close()
	}
}

// memberStore is ClickHouse as one process sees it: before may fail or hold up each insert, and a dead process stores
// nothing.
type memberStore struct {
	*clickHouse
	mu     sync.Mutex
	before func(ctx context.Context) error
	dead   bool
	begun  int
}

func (s *memberStore) Insert(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
	s.mu.Lock()
	s.begun++
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return errDead
	}
	return s.clickHouse.Insert(ctx, token, rows)
}

// hinder replaces what comes before each insert.
func (s *memberStore) hinder(before func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *memberStore) inserts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// cluster is a broker with the topic, and the one ClickHouse of all members.
type cluster struct {
	*kafkatest.Broker
	house  *clickHouse
	client *kafka.Client
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicEvents: groupPartitions, eventlog.TopicDeadLetter: 1})
	transport := &kafka.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &cluster{Broker: broker, house: newClickHouse(), client: &kafka.Client{Addr: kafka.TCP(broker.Addr()), Transport: transport, Timeout: 5 * time.Second}}
}

// member is one process of the group.
type member struct {
	network *network
	store   *memberStore
	group   *Group
	stop    func()
	ended   chan struct{}
	err     error
}

// join starts a process.
func (c *cluster) join(t *testing.T) *member {
	t.Helper()
	m := &member{network: &network{}, store: &memberStore{clickHouse: c.house}, ended: make(chan struct{})}
	transport := &kafka.Transport{Dial: m.network.dial}
	writer := &kafka.Writer{Addr: kafka.TCP(c.Addr()), Topic: eventlog.TopicDeadLetter, Transport: transport, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
	log := quietLogger()
	m.group = &Group{
		Kafka: Kafka{
			Brokers: []string{c.Addr()}, Dialer: &kafka.Dialer{Timeout: time.Second, DialFunc: m.network.dial},
			Client: &kafka.Client{Addr: kafka.TCP(c.Addr()), Transport: transport, Timeout: 2 * time.Second}, Group: groupName,
			Outage: telemetry.NewOutageLog(log, "reading", time.Now),
		},
		Topic: eventlog.TopicEvents, SessionTimeout: groupSession, StopTimeout: groupDeadline,
		Worker: Deps{
			Store: m.store, DeadLetters: DeadLetterTopic{Writer: writer}, Suppressions: suppression.New(), Rules: euroRules.rules, Enricher: euroRules.enricher,
			Limits: groupLimits, Turns: NewTurns(), Now: time.Now, Elapsed: Elapsed, Logger: log, Metrics: noMetrics(t), Tracer: noTracer,
		},
		Logger: log, Now: time.Now,
	}
	stopping, stop := context.WithCancel(context.Background())
	m.stop = stop
	go func() {
		defer close(m.ended)
		m.err = m.group.Run(stopping)
		_ = writer.Close()
		transport.CloseIdleConnections()
	}()
	t.Cleanup(func() { m.leave(t) })
	return m
}

// leave stops the process and waits for it.
func (m *member) leave(t *testing.T) {
	t.Helper()
	m.stop()
	select {
	case <-m.ended:
		require.NoError(t, m.err)
	case <-time.After(patience):
		require.Fail(t, "the member does not stop")
	}
}

// kill ends the process as SIGKILL does: nothing that it has not sent yet is ever sent.
func (m *member) kill() {
	m.store.mu.Lock()
	m.store.dead = true
	m.store.mu.Unlock()
	m.network.cut()
	m.stop() // for its goroutines only
}

// produce writes page views with the ids from..to.
func (c *cluster) produce(t *testing.T, from, to int) {
	t.Helper()
	for p := range groupPartitions {
		var records []kafka.Record
		for id := from; id <= to; id++ {
			if id%groupPartitions == p {
				m := recordOf(0, time.Now(), hit(id))
				records = append(records, kafka.Record{Time: m.Time, Key: kafka.NewBytes(m.Key), Value: kafka.NewBytes(m.Value)})
			}
		}
		if len(records) == 0 {
			continue
		}
		res, err := c.client.Produce(t.Context(), &kafka.ProduceRequest{Topic: eventlog.TopicEvents, Partition: p, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
		require.NoError(t, err)
		require.NoError(t, res.Error)
	}
}

func (c *cluster) rows() int {
	c.house.mu.Lock()
	defer c.house.mu.Unlock()
	return len(c.house.events.rows)
}

// eventually waits for a condition in real time.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, what)
}

// together runs tests at the same time. They mostly wait: t.Parallel would keep others from the processors.
func together(t *testing.T, tests map[string]func(t *testing.T)) {
	t.Helper()
	var running sync.WaitGroup
	for name, do := range tests {
		running.Go(func() { t.Run(name, do) })
	}
	running.Wait()
}

// checkStored waits until n records are stored, and checks that each is stored once, in the table and in both views.
func (c *cluster) checkStored(t *testing.T, n int) {
	t.Helper()
	eventually(t, "all is stored", func() bool { return c.rows() >= n })
	type place struct {
		partition int32
		offset    int64
	}
	rows, events := map[place]int{}, map[string]int{}
	for _, row := range c.house.events.rows {
		rows[place{row.KafkaPartition, row.KafkaOffset}]++
		events[row.EventID.String()]++
		require.Equal(t, store.OutcomeEvent, row.Outcome)
	}
	require.Len(t, c.house.events.rows, n)
	require.Len(t, rows, n, "each offset once")
	require.Len(t, events, n, "each event once")
	eventually(t, "the views are complete", func() bool {
		c.house.mu.Lock()
		defer c.house.mu.Unlock()
		return len(c.house.views[0].rows) == n && len(c.house.views[1].rows) == n
	})
}

// idle tells whether everything is acknowledged.
func (c *cluster) idle() bool {
	info := c.Cluster.GroupInfo(groupName)
	if info == nil {
		return false
	}
	for _, p := range c.Cluster.PartitionInfos(eventlog.TopicEvents) {
		commit, ok := info.Commits[eventlog.TopicEvents][p.Partition]
		if !ok || commit.Metadata != idle || commit.Offset != p.HighWatermark {
			return false
		}
	}
	return true
}
