package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATopicIsCheckedForWhatLosesOrRefusesRecords(t *testing.T) {
	safe := func() topicState {
		return topicState{copies: 3, settings: map[string]string{minInSync: "2", uncleanElection: "false", maxMessageBytes: "1048588"}}
	}
	require.Empty(t, safe().findings("onepx.events", 1_004_096))
	require.Empty(t, topicState{copies: 3}.findings("onepx.events", 1_004_096), "a broker that does not tell its settings")
	for name, c := range map[string]struct {
		change func(*topicState)
		want   string
	}{
		"one copy":                       {func(s *topicState) { s.copies = 1 }, "1 of 3 copies"},
		"acknowledged by one":            {func(s *topicState) { s.settings[minInSync] = "1" }, "min.insync.replicas is 1, wanted is 2"},
		"no machine may be away":         {func(s *topicState) { s.settings[minInSync] = "3" }, "min.insync.replicas is 3 with 3 copies: nothing is written"},
		"a leader that lacks records":    {func(s *topicState) { s.settings[uncleanElection] = "true" }, "unclean.leader.election.enable is true"},
		"batches that the topic refuses": {func(s *topicState) { s.settings[maxMessageBytes] = "1004095" }, "max.message.bytes is 1004095, wanted are 1004096 or more"},
	} {
		t.Run(name, func(t *testing.T) {
			s := safe()
			c.change(&s)
			found := s.findings("onepx.events", 1_004_096)
			require.Len(t, found, 1)
			require.Contains(t, found[0], "onepx.events: "+c.want)
		})
	}
}

func TestATopicIsCheckedForWhetherItKeepsWhatItMust(t *testing.T) {
	for _, c := range []struct{ topic, policy, want string }{
		{"onepx.suppressions", "compact", ""},
		{"onepx.suppressions", "delete", "objections are forgotten"},
		{"onepx.suppressions", "compact,delete", "objections are forgotten"},
		{"onepx.events", "delete", ""},
		{"onepx.events", "compact", "all but the last are removed"},
		{"onepx.deadletter", "compact,delete", "all but the last are removed"},
	} {
		found := topicState{settings: map[string]string{cleanupPolicy: c.policy}}.wrongPolicy(c.topic)
		require.Equal(t, c.want == "", found == "", "%s %s: %s", c.topic, c.policy, found)
		require.Contains(t, found, c.want)
	}
	require.Empty(t, topicState{}.wrongPolicy("onepx.events"), "a broker that does not tell")
}

func TestATopicOfEventsIsCheckedForWhoseTimeItsRecordsHave(t *testing.T) {
	of := func(kind string) topicState { return topicState{settings: map[string]string{timestampType: kind}} }
	require.Empty(t, of("CreateTime").wrongTime("onepx.events"))
	require.Contains(t, of("LogAppendTime").wrongTime("onepx.events"), "onepx.events: message.timestamp.type is LogAppendTime, wanted is CreateTime")
	require.Empty(t, of("LogAppendTime").wrongTime("onepx.jobs"), "nobody compares its times")
	require.Empty(t, topicState{}.wrongTime("onepx.events"), "a broker that does not tell")
}
