package main

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/spool"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// records returns those in the topic that are no accounts, which come whenever a minute of the clock ends.
func records(t *testing.T, broker *kafkatest.Broker) []kafka.Message {
	t.Helper()
	return slices.DeleteFunc(broker.Records(t, eventlog.TopicEvents), func(record kafka.Message) bool { return eventlog.IsAccount(record.Headers) })
}

// accounts are those in the topic, in order, and how many other records each partition has.
func accounts(t *testing.T, broker *kafkatest.Broker) (told []*onepxv1.Account, others map[int32]uint64) {
	t.Helper()
	others = map[int32]uint64{}
	for _, record := range broker.Records(t, eventlog.TopicEvents) {
		event, err := eventlog.Decode(record.Value)
		require.NoError(t, err)
		if account := event.GetAccount(); account != nil {
			told = append(told, account)
		} else {
			others[int32(record.Partition)]++
		}
	}
	return told, others
}

// published are the records that accounts tell of, by partition.
func published(told ...*onepxv1.Account) map[int32]uint64 {
	sums := map[int32]uint64{}
	for _, account := range told {
		for _, p := range account.GetPublished() {
			sums[p.GetPartition()] += p.GetRecords()
		}
	}
	return sums
}

func TestACollectorThatStopsTellsAllThatItHasPublished(t *testing.T) {
	c, broker := start(t, nil)
	status, _ := c.send(t, lines(100))
	require.Equal(t, http.StatusOK, status)
	for range 10 {
		require.Equal(t, http.StatusOK, get(c.url+"/p.gif?site=shop&c=0").status) // a tally
		require.Equal(t, http.StatusBadRequest, get(c.url+"/p.gif?site=nobody").status)
	}
	c.end(t)
	told, others := accounts(t, broker)
	require.Equal(t, others, published(told...))
	last := told[len(told)-1]
	require.True(t, last.GetLast())
	ended := map[string]uint64{}
	for i, account := range told {
		require.EqualValues(t, i, account.GetSequence())
		for _, e := range account.GetEnded() {
			ended[e.GetOutcome()+" "+e.GetReason()] += e.GetEvents()
		}
	}
	require.Equal(t, map[string]uint64{"stored ": 100, "suppressed opted_out": 10, "rejected site_unknown": 10}, ended)
	require.Contains(t, c.log.String(), `"collector":"`)
}

func TestTheLastAccountWaitsInTheSpoolAndTheNextCollectorTellsOfWhatItPublishesFromThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	c, broker := start(t, withSpool(dir))
	names := c.spoolSome(t, broker)
	c.end(t)
	broker.Resume()
	next := launchOn(t, broker, withSpool(dir))
	next.requireStored(t, broker, names)
	require.Eventually(t, func() bool {
		told, _ := accounts(t, broker)
		return len(told) == 1
	}, patience, tick)
	next.end(t)
	told, others := accounts(t, broker)
	require.Len(t, told, 2)
	require.NotEqual(t, told[0].GetCollector(), told[1].GetCollector())
	require.Equal(t, others, published(told...))
}

// drainOf is `collector drain-spool` on a spool with so many events of 900 kB, of which 4 are published at once.
func drainOf(t *testing.T, broker *kafkatest.Broker, events int) (drain *drainSpoolCmd, tel *telemetry.Telemetry) {
	t.Helper()
	drain = &drainSpoolCmd{Dir: t.TempDir(), eventLimit: eventLimit{1_000_000}, Kafka: kafkaconn.Settings{Brokers: []string{broker.Addr()}, ClientID: "onepx"}}
	s, err := spoolSettings{Dir: drain.Dir, QuotaBytes: maxSpoolQuota}.open(func(spool.Loss) {})
	require.NoError(t, err)
	for i := range events {
		record, err := eventlog.Encode(&onepxv1.Event{Schema: eventlog.Schema, SiteId: "shop", EventId: []byte{15: byte(i)}, ReceivedAtMs: 1, Name: strings.Repeat("n", 900_000)}, time.Now())
		require.NoError(t, err)
		require.NoError(t, s.Append(t.Context(), spool.Record{Key: record.Key, Value: record.Value, Headers: record.Headers}))
	}
	require.NoError(t, s.Close())
	tel, err = telemetry.New(t.Context(), telemetry.Config{Settings: telemetry.Settings{LogFormat: "json"}, LogOutput: io.Discard})
	require.NoError(t, err)
	t.Cleanup(func() { tel.Shutdown(context.Background()) })
	return drain, tel
}

func TestDrainSpoolTellsAtTheEndOfEachMinute(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicEvents: 6})
	drain, tel := drainOf(t, broker, 6)
	var minutes atomic.Int64
	require.NoError(t, drain.drain(t.Context(), tel, func() time.Time {
		return time.Unix(60*minutes.Add(1), -1e6) // a minute always ends at once
	}))
	told, others := accounts(t, broker)
	require.Equal(t, others, published(told...))
	require.Greater(t, len(told), 1)
	require.False(t, told[0].GetLast())
	require.True(t, told[len(told)-1].GetLast())
}

func TestDrainSpoolFailsWhenItsLastAccountIsLeftInTheSpool(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicEvents: 6})
	drain, tel := drainOf(t, broker, 1)
	var looks atomic.Int64
	require.ErrorContains(t, drain.drain(t.Context(), tel, func() time.Time {
		if looks.Add(1) == 3 { // after the beginning, and that of the minute: the account is about to be told
			broker.Stop()
		}
		return time.Unix(60, 0)
	}), "the spool is left with 1 accounts")
	broker.Resume()
	require.NoError(t, drain.drain(t.Context(), tel, time.Now))
	told, _ := accounts(t, broker)
	require.EqualValues(t, map[int32]uint64{told[0].GetPublished()[0].GetPartition(): 1}, published(told[0]))
}
