//go:build integration

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/eventlog"
)

// idle is the metadata of a position without a declared batch.
const idle = "v1 idle"

func TestAfterAQuietTimeThePositionIsIdleAndTheLagIsZero(t *testing.T) {
	w := fresh(t) // a new group: the position of the partition without events is committed too
	w.shortDeadline()
	w.start()
	w.publish(eventlog.TopicEvents, 0, w.views(3)...)
	w.awaitRows(3)
	ends := map[int]int64{0: 3, 1: 0}
	for partition, end := range ends {
		w.eventually("the position is idle", func() bool {
			offset, metadata := w.position(partition)
			return offset == end && metadata == idle
		})
	}
	res, err := w.kafka.ListOffsets(t.Context(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		eventlog.TopicEvents: {kafka.LastOffsetOf(0), kafka.LastOffsetOf(1)},
	}})
	require.NoError(t, err)
	for _, p := range res.Topics[eventlog.TopicEvents] {
		require.Equal(t, ends[p.Partition], p.LastOffset, "the lag of partition %d", p.Partition)
	}
}

func TestStoppingIsQuickAndLeavesNothingDeclared(t *testing.T) {
	w := begun(t)
	t.Setenv("ONEPX_IDLE_AFTER", "10m")
	c := w.start()
	w.publish(eventlog.TopicEvents, 0, w.views(3)...)
	w.awaitRows(3)
	offset, metadata := w.position(0)
	require.True(t, strings.HasPrefix(metadata, "v1 last=2 "), "the last batch must be declared for this test to mean something, not %q", metadata)
	require.Less(t, offset, int64(3))
	require.Zero(t, c.stop())
	offset, metadata = w.position(0)
	require.EqualValues(t, 3, offset)
	require.Equal(t, idle, metadata)
	status, _ := c.get("/livez")
	require.Zero(t, status, "the admin port is closed")
	require.Contains(t, c.log.String(), `"stopped"`)
}

func TestATopicMadeAnewStopsThePartitionsWhoseRowsItContradictsAndOthersGoOn(t *testing.T) {
	w := begun(t)
	w.shortDeadline()
	c := w.start()
	w.publish(eventlog.TopicEvents, 0, w.views(3)...)
	w.awaitRows(3)
	require.Zero(t, c.stop())
	w.deleteTopics(eventlog.TopicEvents)
	got := command(t, "topics")
	require.Zero(t, got.code, got.errOut)
	w.publish(eventlog.TopicEvents, 0, w.views(1)...)
	w.publish(eventlog.TopicEvents, 1, w.views(2)...)
	c = w.launch()
	c.awaitMetric(`onepx_consumer_partition_stopped{partition="0",reason="topic_changed"} 1`)
	require.Equal(t, []string{"0/0 event", "0/1 event", "0/2 event", "1/0 event", "1/1 event"}, w.awaitRows(5))

	// A new consumer comes to the same conclusion, also when the new topic has grown beyond the old one.
	require.Zero(t, c.stop())
	w.publish(eventlog.TopicEvents, 0, w.views(5)...)
	c = w.launch()
	c.awaitMetric(`onepx_consumer_partition_stopped{partition="0",reason="topic_changed"} 1`)
	w.publish(eventlog.TopicEvents, 1, w.views(1)...)
	w.awaitRows(6)
}

func TestAllCountersAreZeroAtTheStart(t *testing.T) {
	w := begun(t)
	c := w.start()
	_, metrics := c.get("/metrics")
	for _, line := range []string{
		`onepx_consumer_rows_total{outcome="event"} 0`,
		`onepx_consumer_rows_total{outcome="duplicate"} 0`,
		`onepx_consumer_rows_total{outcome="suppressed"} 0`,
		`onepx_consumer_rows_total{outcome="dead"} 0`,
		`onepx_consumer_rows_total{outcome="missing"} 0`,
		`onepx_consumer_inserts_total{result="stored"} 0`,
		`onepx_consumer_inserts_total{result="refused"} 0`,
		`onepx_consumer_inserts_total{result="unknown"} 0`,
		`onepx_consumer_recoveries_total{cause="inherited"} 0`,
		`onepx_consumer_recoveries_total{cause="insert_failed"} 0`,
	} {
		require.Contains(t, metrics, line+"\n")
	}
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "onepx_") {
			require.True(t, strings.HasSuffix(line, " 0\n"), line)
		}
	}
	w.publish(eventlog.TopicEvents, 1, w.views(2)...)
	w.awaitRows(2)
	c.awaitMetric(`onepx_consumer_rows_total{outcome="event"} 2`)
	c.awaitMetric(`onepx_consumer_position_offset{partition="1"} 2`)
}

func TestATopicMadeAnewUnderARunningConsumerIsNoticed(t *testing.T) {
	w := begun(t)
	w.shortDeadline()
	c := w.start()
	w.publish(eventlog.TopicEvents, 0, w.views(3)...)
	w.awaitRows(3)
	w.deleteTopics(eventlog.TopicEvents)
	w.eventually("the consumer has noticed", func() bool { return strings.Contains(c.log.String(), "look for topic onepx.events") })
	got := command(t, "topics")
	require.Zero(t, got.code, got.errOut)
	w.publish(eventlog.TopicEvents, 1, w.views(2)...)
	c.awaitMetric(`onepx_consumer_partition_stopped{partition="0",reason="topic_changed"} 1`)
	w.awaitRows(5)
}

func TestTheLargestRecordThatKafkaTakesIsADeadLetterToo(t *testing.T) {
	w := begun(t)
	w.start()
	large := kafka.Message{Value: bytes.Repeat([]byte("x"), 1<<20-200), Headers: []kafka.Header{{Key: "h", Value: bytes.Repeat([]byte("y"), 100)}}}
	w.publish(eventlog.TopicEvents, 0, large)
	w.publish(eventlog.TopicEvents, 0, w.views(1)...)
	require.Equal(t, []string{"0/0 dead undecodable", "0/1 event"}, w.awaitRows(2))
}
