//go:build integration

package main

import (
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/eventlog"
)

func TestTopicsAreCreatedAndCheckedAndNeverChanged(t *testing.T) {
	w := empty(t)
	created := command(t, "topics")
	require.Zero(t, created.code, created.errOut)
	require.Contains(t, created.out, "onepx.events: created with 2 partitions\nonepx.deadletter: created with 1 partitions\n"+
		"onepx.suppressions: created with 1 partitions\nonepx.jobs: created with 1 partitions\nonepx.audiences: created with 2 partitions\nonepx.unsubscribes: created with 1 partitions\n")
	require.Contains(t, created.out, "warning: onepx.events: 1 of 3 copies of each record: ")
	strict := command(t, "topics", "--strict")
	require.Equal(t, 1, strict.code)
	require.Contains(t, strict.errOut, "onepx.jobs: min.insync.replicas is 1, wanted is 2: ")

	refused := command(t, "topics", "--events-partitions", "3")
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.errOut, "onepx.events has 2 partitions, wanted are 3")

	repeated := command(t, "topics")
	require.Zero(t, repeated.code, repeated.errOut)
	require.Contains(t, repeated.out, "onepx.events: 2 partitions, as wanted\n")

	config, err := w.kafka.DescribeConfigs(t.Context(), &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: eventlog.TopicSuppressions, ConfigNames: []string{"cleanup.policy"}},
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: eventlog.TopicEvents, ConfigNames: []string{"retention.ms"}},
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: eventlog.TopicEvents, ConfigNames: []string{"segment.ms"}},
		{ResourceType: kafka.ResourceTypeTopic, ResourceName: eventlog.TopicEvents, ConfigNames: []string{"message.timestamp.type"}},
	}})
	require.NoError(t, err)
	require.Equal(t, "compact", config.Resources[0].ConfigEntries[0].ConfigValue)
	require.Equal(t, "2505600000", config.Resources[1].ConfigEntries[0].ConfigValue)
	require.Equal(t, "86400000", config.Resources[2].ConfigEntries[0].ConfigValue)
	require.Equal(t, "CreateTime", config.Resources[3].ConfigEntries[0].ConfigValue)
}

func TestMigrateCanBeRepeatedAndShowsWhatIsPending(t *testing.T) {
	w := empty(t)
	dry := command(t, "migrate", "--dry-run")
	require.Zero(t, dry.code, dry.errOut)
	require.Contains(t, dry.out, "-- 0001_events.sql\nCREATE TABLE IF NOT EXISTS "+w.database+".events")
	require.Equal(t, []string{`{"databases":0}`}, w.query("SELECT count() AS databases FROM system.databases WHERE name = '%s'"))

	first := command(t, "migrate")
	require.Zero(t, first.code, first.errOut)
	require.Contains(t, first.out, "applied 0001_events.sql\n")
	again := command(t, "migrate")
	require.Zero(t, again.code, again.errOut)
	require.Equal(t, "up to date\n", again.out)
}

func TestRunDoesNotStartWhereItMustNotWrite(t *testing.T) {
	w := fresh(t)
	exec := func(statement string) { require.NoError(t, w.clickHouse.Exec(t.Context(), statement)) }
	// Each case leaves behind what it has done; the next one's problem is found first.
	for _, tc := range []struct {
		name    string
		prepare func()
		want    string
	}{
		{"no topic of events", func() { w.deleteTopics(eventlog.TopicEvents) }, "topic onepx.events does not exist: run `consumer topics`"},
		{"no topic of suppressions", func() { w.deleteTopics(eventlog.TopicSuppressions) }, "topic onepx.suppressions does not exist: run `consumer topics`"},
		{"no topic of dead letters", func() { w.deleteTopics(eventlog.TopicDeadLetter) }, "topic onepx.deadletter does not exist: run `consumer topics`"},
		{"a database that needs a newer consumer", func() {
			exec("INSERT INTO " + w.database + ".schema_migrations VALUES (99, '0099_future.sql', 2, '', now64(3))")
		}, "the database is newer than this consumer: migration 0099_future.sql needs a consumer of compatibility 2"},
		{"a database that is not migrated", func() { exec("DROP DATABASE " + w.database + " SYNC") }, "the database is older than this consumer: run `consumer migrate`"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.prepare()
			got := command(t, "run", "--admin-listen=127.0.0.1:0")
			require.Equal(t, 1, got.code)
			require.Contains(t, got.errOut, "consumer: "+tc.want)
		})
	}
}

func TestMovedOffsetsStopThePartitionUntilAPersonAcceptsThem(t *testing.T) {
	w := begun(t)
	w.shortDeadline()
	c := w.start()
	w.publish(eventlog.TopicEvents, 0, w.views(4)...)
	w.awaitRows(4)
	require.Zero(t, c.stop())
	w.commit(0, 1, "")

	c = w.launch()
	c.awaitMetric(`onepx_consumer_partition_stopped{partition="0",reason="offsets_moved"} 1`)
	w.publish(eventlog.TopicEvents, 0, w.views(1)...)
	w.publish(eventlog.TopicEvents, 1, w.views(1)...)
	w.awaitRows(5) // the other partition goes on

	refused := command(t, "topics", "accept-offsets", "--yes")
	require.Equal(t, 1, refused.code, refused.out)
	require.Contains(t, refused.errOut, "stop all consumers first")
	require.Zero(t, c.stop())

	shown := command(t, "topics", "accept-offsets")
	require.Zero(t, shown.code, shown.errOut)
	require.Regexp(t, `(?m)^0 +1 +3 +4 +0$`, shown.out, "partition, committed, stored up to, goes on at, offsets without a row")
	require.Contains(t, shown.out, "nothing is written; repeat with --yes")
	offset, metadata := w.position(0)
	require.EqualValues(t, 1, offset)
	require.Empty(t, metadata)

	accepted := command(t, "topics", "accept-offsets", "--yes")
	require.Zero(t, accepted.code, accepted.errOut)
	w.start()
	require.Equal(t, []string{"0/0 event", "0/1 event", "0/2 event", "0/3 event", "0/4 event", "1/0 event"}, w.awaitRows(6))
	require.Equal(t, []string{`{"kafka_partition":0,"first_offset":0,"why":"offsets_lost"}`},
		w.query("SELECT kafka_partition, first_offset, why FROM %s.view_rebuilds FINAL WHERE last_offset >= 3"))

	none := command(t, "topics", "accept-offsets", "--yes")
	require.Zero(t, none.code, none.errOut)
	require.Contains(t, none.out, "no partition's offsets were moved")
}

// commit writes a position as somebody would who is no member of the group.
func (w *world) commit(partition int, offset int64, metadata string) {
	w.t.Helper()
	w.eventually("the position is written", func() bool {
		res, err := w.kafka.OffsetCommit(w.t.Context(), &kafka.OffsetCommitRequest{GroupID: w.group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{
			eventlog.TopicEvents: {{Partition: partition, Offset: offset, Metadata: metadata}},
		}})
		return err == nil && res.Topics[eventlog.TopicEvents][0].Error == nil
	})
}
