package suppression_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/suppression"
)

// writer returns a writer to the broker.
func writer(t *testing.T, broker *kafkatest.Broker) *suppression.Writer {
	t.Helper()
	client, err := kafkaconn.Settings{Brokers: []string{broker.Addr()}}.Client()
	require.NoError(t, err)
	t.Cleanup(func() { kafkaconn.Close(client) })
	return &suppression.Writer{Client: client}
}

func soon(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestWhatIsWrittenIsOnTheListUntilItIsLifted(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
	w, list := writer(t, broker), follow(t, broker)
	entries := []suppression.Entry{{Kind: suppression.Visitor, ID: anna}, {Kind: suppression.Recipient, ID: bert}}
	require.NoError(t, w.Suppress(soon(t, time.Minute), entries))
	records := broker.Records(t, eventlog.TopicSuppressions)
	require.Len(t, records, 2)
	require.Equal(t, "visitor:annaannaannaanna", string(records[0].Key))
	require.Equal(t, "recipient:bertbertbertbert", string(records[1].Key))
	require.Equal(t, "1", string(records[0].Value))
	require.WithinDuration(t, time.Now(), records[0].Time, time.Hour)
	eventually(t, func() bool {
		return list.Wished(suppression.Visitor, anna) && list.Wished(suppression.Recipient, bert)
	})

	require.NoError(t, w.Lift(soon(t, time.Minute), entries[:1]))
	require.Nil(t, broker.Records(t, eventlog.TopicSuppressions)[2].Value, "compaction removes the entry")
	eventually(t, func() bool { return !list.Wished(suppression.Visitor, anna) })
	require.True(t, list.Wished(suppression.Recipient, bert))
}

func TestMoreEntriesThanFitIntoARequest(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
	entries := make([]suppression.Entry, 2500)
	for i := range entries {
		entries[i] = suppression.Entry{Kind: suppression.Visitor, ID: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i))}
	}
	require.NoError(t, writer(t, broker).Suppress(soon(t, time.Minute), entries))
	records := broker.Records(t, eventlog.TopicSuppressions)
	require.Len(t, records, len(entries))
	for i, record := range records {
		require.Equal(t, suppression.Key(suppression.Visitor, entries[i].ID), record.Key)
	}
}

func TestNothingToWriteIsWritten(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
	broker.Stop()
	require.NoError(t, writer(t, broker).Suppress(soon(t, time.Minute), nil))
}

func TestWhatKafkaDoesNotTakeAtOnceIsTriedAgain(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
	broker.FailProduces(2, kerr.NotLeaderForPartition)
	require.NoError(t, writer(t, broker).Suppress(soon(t, time.Minute), []suppression.Entry{{Kind: suppression.User, ID: anna}}))
	require.Len(t, broker.Records(t, eventlog.TopicSuppressions), 1)
}

func TestWhatIsNotAcknowledgedIsAnError(t *testing.T) {
	for name, fail := range map[string]func(*kafkatest.Broker){
		"kafka is away":            (*kafkatest.Broker).Stop,
		"kafka does not answer":    (*kafkatest.Broker).Silence,
		"too few replicas have it": func(b *kafkatest.Broker) { b.FailProduces(-1, kerr.NotEnoughReplicas) },
	} {
		t.Run(name, func(t *testing.T) {
			broker := kafkatest.Start(t, map[string]int{eventlog.TopicSuppressions: 1})
			fail(broker)
			err := writer(t, broker).Suppress(soon(t, 500*time.Millisecond), []suppression.Entry{{Kind: suppression.User, ID: anna}})
			require.ErrorContains(t, err, "write to onepx.suppressions")
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}
