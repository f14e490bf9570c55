package kafkatest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/kafkatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writer returns a Writer that tries once and sends each message at once.
func writer(t *testing.T, b *kafkatest.Broker) *kafka.Writer {
	t.Helper()
	transport := &kafka.Transport{}
	w := &kafka.Writer{
		Addr: kafka.TCP(b.Addr()), Topic: "events", Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll,
		MaxAttempts: 1, BatchSize: 1, WriteTimeout: time.Second, ReadTimeout: time.Second, Transport: transport,
	}
	t.Cleanup(func() {
		require.NoError(t, w.Close())
		transport.CloseIdleConnections()
	})
	return w
}

func TestRecordsAreReadBackByPartitionAndOffset(t *testing.T) {
	b := kafkatest.Start(t, map[string]int{"events": 3, "empty": 2})
	w := writer(t, b)
	written := map[string]string{}
	for i := range 50 {
		key, value := fmt.Sprint("key", i), fmt.Sprint("value", i)
		written[key] = value
		require.NoError(t, w.WriteMessages(t.Context(), kafka.Message{
			Key: []byte(key), Value: []byte(value), Time: time.UnixMilli(int64(1000 + i)),
			Headers: []kafka.Header{{Key: "h", Value: []byte(value)}},
		}))
	}
	records := b.Records(t, "events")
	require.Len(t, records, 50)
	next := map[int]int64{}
	for i, r := range records {
		require.Equal(t, "events", r.Topic)
		require.Equal(t, next[r.Partition], r.Offset)
		next[r.Partition]++
		require.Equal(t, written[string(r.Key)], string(r.Value))
		require.Equal(t, []kafka.Header{{Key: "h", Value: r.Value}}, r.Headers)
		require.Equal(t, "value"+fmt.Sprint(r.Time.UnixMilli()-1000), string(r.Value))
		if i > 0 {
			require.LessOrEqual(t, records[i-1].Partition, r.Partition)
		}
	}
	require.Len(t, next, 3)
	require.Empty(t, b.Records(t, "empty"))
}

func TestProducesFailAsOftenAsAsked(t *testing.T) {
	b := kafkatest.Start(t, map[string]int{"events": 1})
	w := writer(t, b)
	faults := b.FailProduces(2, kerr.NotEnoughReplicas)
	for range 2 {
		require.ErrorContains(t, w.WriteMessages(t.Context(), kafka.Message{Value: []byte("lost")}), "Not Enough Replicas")
	}
	require.NoError(t, w.WriteMessages(t.Context(), kafka.Message{Value: []byte("kept")}))
	require.Equal(t, 2, faults.Hits())
	records := b.Records(t, "events")
	require.Len(t, records, 1)
	require.Equal(t, "kept", string(records[0].Value))
}

func TestStoppedBrokerCutsConnectionsUntilItResumes(t *testing.T) {
	b := kafkatest.Start(t, map[string]int{"events": 1})
	w := writer(t, b)
	require.NoError(t, w.WriteMessages(t.Context(), kafka.Message{Value: []byte("before")}))
	b.Stop()
	require.Error(t, w.WriteMessages(t.Context(), kafka.Message{Value: []byte("meanwhile")}))
	b.Resume()
	require.Eventually(t, func() bool {
		return w.WriteMessages(t.Context(), kafka.Message{Value: []byte("after")}) == nil
	}, 10*time.Second, 10*time.Millisecond)
	records := b.Records(t, "events")
	require.Len(t, records, 2)
	require.Equal(t, "before", string(records[0].Value))
	require.Equal(t, "after", string(records[1].Value))
}

func TestSilentBrokerNeverAnswersUntilItResumes(t *testing.T) {
	b := kafkatest.Start(t, map[string]int{"events": 1})
	w := writer(t, b)
	require.NoError(t, w.WriteMessages(t.Context(), kafka.Message{Value: []byte("before")}))
	b.Silence()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.WriteMessages(ctx, kafka.Message{Value: []byte("meanwhile")}), context.DeadlineExceeded)
	b.Resume()
	require.Eventually(t, func() bool {
		return w.WriteMessages(t.Context(), kafka.Message{Value: []byte("after")}) == nil
	}, 10*time.Second, 10*time.Millisecond)
	records := b.Records(t, "events")
	require.Equal(t, "after", string(records[len(records)-1].Value))
}
