package main

import (
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkatest"
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
