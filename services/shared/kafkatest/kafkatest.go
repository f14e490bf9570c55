// Package kafkatest is a Kafka broker inside the test's own process, on a free
// port of the loopback interface, with the failures that tests need.
//
// Tests of the collector and the consumer start one per test, so topics are always
// fresh. It is an imitation: what must be proven about Kafka itself is proven on
// the real one.
package kafkatest

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readTimeout bounds Records; the broker is in this process, so it is generous.
const readTimeout = 30 * time.Second

// Broker is a running broker. It ends with the test.
type Broker struct {
	// Cluster gives access to everything the imitation offers, such as faults for
	// any request and the state of groups.
	Cluster *kfake.Cluster

	state atomic.Int32
}

// What the broker does with requests.
const (
	answering int32 = iota
	stopped
	silent
)

var errStopped = errors.New("broker is stopped")

// Start starts a broker with the given topics (name to number of partitions) and
// closes it when the test ends. Group sessions may be as short as 100 ms. opts add
// to what is set here, for example kfake.TLS.
func Start(t testing.TB, topics map[string]int, opts ...kfake.Opt) *Broker {
	t.Helper()
	all := []kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100 * time.Millisecond)}
	for topic, partitions := range topics {
		require.Less(t, partitions, math.MaxInt16)
		all = append(all, kfake.SeedTopics(int32(partitions), topic)) //nolint:gosec // checked above
	}
	cluster, err := kfake.NewCluster(append(all, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	b := &Broker{Cluster: cluster}
	cluster.Control(b.control)
	return b
}

// control sees every request. It is not dropped, as it says "handled" only
// together with KeepControl.
func (b *Broker) control(kmsg.Request) (kmsg.Response, error, bool) { //nolint:revive // the form is kfake's
	switch b.state.Load() {
	case stopped:
		b.Cluster.KeepControl()
		return nil, errStopped, true
	case silent:
		b.Cluster.KeepControl()
		return nil, nil, true
	}
	return nil, nil, false
}

// Addr returns the broker's host:port.
func (b *Broker) Addr() string { return b.Cluster.ListenAddrs()[0] }

// Stop makes the broker cut every connection at its next request, as a broker that
// is down does, until Resume. Records stay.
func (b *Broker) Stop() { b.state.Store(stopped) }

// Silence makes the broker take requests and neither act on them nor answer them,
// as one that is cut off does, until Resume.
func (b *Broker) Silence() { b.state.Store(silent) }

// Resume ends Stop and Silence. What was not answered meanwhile never will be.
func (b *Broker) Resume() { b.state.Store(answering) }

// FailProduces answers the next n produce requests with err and stores nothing of
// them; kerr.RequestTimedOut and kerr.NotEnoughReplicasAfterAppend are answered but
// stored all the same, as by a real broker. The handle counts them and can end it.
func (b *Broker) FailProduces(n int, err *kerr.Error) *kfake.FaultHandle {
	return b.Cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: err, Count: n})
}

// Records returns all records of the topic as they are now, by partition and
// offset. Topic, Partition, Offset, Key, Value, Headers and Time are filled in.
func (b *Broker) Records(t testing.TB, topic string) []kafka.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	var messages []kafka.Message
	for _, p := range b.Cluster.PartitionInfos(topic) {
		if p.LogStartOffset < p.HighWatermark {
			messages = append(messages, b.read(ctx, t, topic, p)...)
		}
	}
	return messages
}

func (b *Broker) read(ctx context.Context, t testing.TB, topic string, p *kfake.PartitionInfo) []kafka.Message {
	t.Helper()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(b.Addr()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p.Partition: kgo.NewOffset().At(p.LogStartOffset)}}))
	require.NoError(t, err)
	defer client.Close()
	var messages []kafka.Message
	for next := p.LogStartOffset; next < p.HighWatermark; {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			messages = append(messages, message(r))
			next = r.Offset + 1
		})
	}
	return messages
}

func message(r *kgo.Record) kafka.Message {
	m := kafka.Message{
		Topic: r.Topic, Partition: int(r.Partition), Offset: r.Offset,
		Key: r.Key, Value: r.Value, Time: r.Timestamp,
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return m
}
