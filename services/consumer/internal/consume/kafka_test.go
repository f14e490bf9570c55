package consume

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// logOf is one partition of the cluster as a worker reads it.
func (c *cluster) logOf(t *testing.T, p int) partitionLog {
	t.Helper()
	return partitionLog{
		Kafka{
			Brokers: []string{c.Addr()}, Dialer: &kafka.Dialer{Timeout: time.Second}, Client: c.client, Group: groupName,
			Outage: telemetry.NewOutageLog(quietLogger(), "reading", time.Now),
		},
		store.Partition{Topic: eventlog.TopicEvents, ID: p},
	}
}

func TestKafka(t *testing.T) {
	t.Parallel()
	together(t, map[string]func(t *testing.T){
		"a cursor reads in order and jumps over what has expired": cursorJumps,
		"a cursor waits for records and for the broker":           cursorWaits,
		"a partition that does not exist has no bounds":           boundsOfNothing,
		"dead letters keep the record and say where it lay":       deadLettersKeepTheRecord,
	})
}

func cursorJumps(t *testing.T) {
	c := newCluster(t)
	c.produce(t, 1, 80)
	log := c.logOf(t, 2)
	first, end, err := log.Bounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, [2]int64{0, 20}, [2]int64{first, end})
	require.NoError(t, c.Cluster.DeleteRecords(eventlog.TopicEvents, 2, 7))
	first, end, err = log.Bounds(t.Context())
	require.NoError(t, err)
	require.Equal(t, [2]int64{7, 20}, [2]int64{first, end})
	cursor, err := log.Open(3)
	require.NoError(t, err)
	defer func() { require.NoError(t, cursor.Close()) }()
	for offset := int64(7); offset < 20; offset++ {
		m, err := cursor.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, offset, m.Offset)
		require.Equal(t, time.UTC, m.Time.UTC().Location())
		require.Len(t, m.Key, 16)
	}
}

func cursorWaits(t *testing.T) {
	c := newCluster(t)
	cursor, err := c.logOf(t, 0).Open(0)
	require.NoError(t, err)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = cursor.Next(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	c.Stop()
	_ = pause.For(t.Context(), time.Second)
	c.Resume()
	c.produce(t, 4, 4)
	m, err := cursor.Next(t.Context())
	require.NoError(t, err)
	require.Zero(t, m.Offset)
	require.NoError(t, cursor.Close())
}

func boundsOfNothing(t *testing.T) {
	c := newCluster(t)
	_, _, err := c.logOf(t, 77).Bounds(t.Context())
	require.Error(t, err)
}

func deadLettersKeepTheRecord(t *testing.T) {
	c := newCluster(t)
	transport := &kafka.Transport{}
	writer := &kafka.Writer{Addr: kafka.TCP(c.Addr()), Topic: eventlog.TopicDeadLetter, Transport: transport, BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll}
	defer transport.CloseIdleConnections()
	defer func() { require.NoError(t, writer.Close()) }()
	record := kafka.Message{Offset: 17, Key: []byte("k"), Value: []byte("no event"), Time: noon, Headers: []kafka.Header{{Key: "traceparent", Value: []byte("x")}}}
	require.NoError(t, DeadLetterTopic{writer}.Publish(t.Context(), []DeadLetter{
		{Partition: partition, Record: record, Reason: reason.Undecodable},
		{Partition: partition, Record: kafka.Message{Offset: 18}, Reason: reason.SchemaTooNew},
	}))
	letters := c.Records(t, eventlog.TopicDeadLetter)
	require.Len(t, letters, 2)
	require.Equal(t, "onepx.events/3/17", string(letters[0].Key))
	require.Equal(t, record.Value, letters[0].Value)
	require.Equal(t, []kafka.Header{
		{Key: HeaderReason, Value: []byte(reason.Undecodable)}, {Key: HeaderKey, Value: []byte("k")},
		{Key: HeaderTime, Value: []byte("2026-11-25T12:00:00Z")}, {Key: "traceparent", Value: []byte("x")},
	}, letters[0].Headers)
	require.Equal(t, "onepx.events/3/18", string(letters[1].Key))

	large := DeadLetter{Partition: partition, Record: kafka.Message{Value: make([]byte, 400<<10)}, Reason: reason.Undecodable}
	require.NoError(t, DeadLetterTopic{writer}.Publish(t.Context(), []DeadLetter{large, large, large, large}), "more than a topic takes at once")
	require.Len(t, c.Records(t, eventlog.TopicDeadLetter), 6)

	read, ok := ReadDeadLetter(letters[0])
	require.True(t, ok)
	record.Topic, record.Partition = partition.Topic, partition.ID
	require.Equal(t, DeadLetter{Partition: partition, Record: record, Reason: reason.Undecodable}, read)
	require.Equal(t, hashOf(record), RecordHash(read.Record))
}

// FuzzReadDeadLetter: whatever lies in the topic, the answer is a letter that would be written so, or no.
func FuzzReadDeadLetter(f *testing.F) {
	f.Add("onepx.events/3/17", "undecodable", "k", "2026-11-25T12:00:00.5Z", "onepx-key")
	f.Add("a/b/1/2", "", "", "yesterday", "onepx-reason")
	f.Add("/-1/x", "r", "k", "", "")
	f.Fuzz(func(t *testing.T, key, why, recordKey, at, header string) {
		letter, ok := ReadDeadLetter(kafka.Message{Key: []byte(key), Headers: []kafka.Header{
			{Key: HeaderReason, Value: []byte(why)}, {Key: HeaderKey, Value: []byte(recordKey)}, {Key: HeaderTime, Value: []byte(at)}, {Key: header},
		}})
		if !ok {
			return
		}
		require.NotEmpty(t, letter.Topic)
		require.GreaterOrEqual(t, letter.ID, 0)
		require.GreaterOrEqual(t, letter.Record.Offset, int64(0))
		require.Equal(t, why, string(letter.Reason))
		require.Equal(t, recordKey, string(letter.Record.Key))
		require.Equal(t, []kafka.Header{{Key: header}}, letter.Record.Headers)
	})
}

// TestOnlyRefusalsAreCertain: every answer that is not known to be a refusal means that the commit may have happened.
func TestOnlyRefusalsAreCertain(t *testing.T) {
	for code := kafka.Error(-1); code < 130; code++ {
		if code == 0 {
			continue
		}
		certain := code == kafka.IllegalGeneration || code == kafka.UnknownMemberId || code == kafka.RebalanceInProgress || code == kafka.FencedInstanceID
		require.Equal(t, certain, errors.Is(refusal(code), ErrGenerationOver), "%d", code)
		require.ErrorIs(t, refusal(code), code)
	}
	require.NoError(t, refusal(nil))
}
