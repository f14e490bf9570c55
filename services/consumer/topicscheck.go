package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/eventlog"
)

// What a topic needs so that a record that was acknowledged outlives a machine: docs/operations.md, Durability.
const (
	wantedCopies = 3
	wantedInSync = 2
)

// batchOverhead is more than what Kafka adds to a batch of the collector's: the header of the batch and of each of its records.
const batchOverhead = 4 << 10

// The settings of topics that are checked.
const (
	minInSync         = "min.insync.replicas"
	uncleanElection   = "unclean.leader.election.enable"
	maxMessageBytes   = "max.message.bytes"
	cleanupPolicy     = "cleanup.policy"
	timestampType     = "message.timestamp.type"
	defaultMaxMessage = 1_048_588 // Kafka's default of maxMessageBytes
)

// compacted is the cleanup policy of the topic that keeps the last record of each key for ever.
const compacted = "compact"

// producersTime is the timestamp type of records that have the time of their producer, not the one at which the broker got them.
const producersTime = "CreateTime"

// topicState is what Kafka tells of a topic: the fewest copies that a partition has, and settings by name.
type topicState struct {
	copies   int
	settings map[string]string
}

// findings says in which ways a topic may lose or refuse records, each with what it costs. largest is the most bytes of a batch
// that is written to it; 0 if that is far from any limit.
func (s topicState) findings(topic string, largest int) (found []string) {
	add := func(format string, args ...any) { found = append(found, topic+": "+fmt.Sprintf(format, args...)) }
	if s.copies < wantedCopies {
		add("%d of %d copies of each record: acknowledged records are lost with their machines, or nothing is written while one is away", s.copies, wantedCopies)
	}
	if n, err := strconv.Atoi(s.settings[minInSync]); err == nil && n < wantedInSync {
		add("%s is %d, wanted is %d: a record may be acknowledged that one machine alone has, and be lost with it", minInSync, n, wantedInSync)
	} else if err == nil && s.copies > 1 && n >= s.copies {
		add("%s is %d with %d copies: nothing is written while one machine is away", minInSync, n, s.copies)
	}
	if s.settings[uncleanElection] == "true" {
		add("%s is true, wanted is false: a machine that lacks acknowledged records may become the leader, and they are lost", uncleanElection)
	}
	if n, err := strconv.Atoi(s.settings[maxMessageBytes]); err == nil && n < largest {
		add("%s is %d, wanted are %d or more: larger batches are refused", maxMessageBytes, n, largest)
	}
	return found
}

// wrongPolicy says what becomes of the records of a topic whose cleanup policy is another than it needs; "" when it is right.
func (s topicState) wrongPolicy(topic string) string {
	has, told := s.settings[cleanupPolicy]
	switch {
	case !told:
	case topic == eventlog.TopicSuppressions && has != compacted:
		return fmt.Sprintf("%s: %s is %s, wanted is %s: objections are forgotten with time", topic, cleanupPolicy, has, compacted)
	case topic != eventlog.TopicSuppressions && strings.Contains(has, compacted):
		return fmt.Sprintf("%s: %s is %s, wanted is delete: of records with one key all but the last are removed", topic, cleanupPolicy, has)
	}
	return ""
}

// wrongTime says what becomes of the ledger when records of events have another time than their collector's; "" when all is well.
func (s topicState) wrongTime(topic string) string {
	has, told := s.settings[timestampType]
	if !told || topic != eventlog.TopicEvents || has == producersTime {
		return ""
	}
	return fmt.Sprintf("%s: %s is %s, wanted is %s: records count in other minutes than collectors tell, and the ledger shows differences", topic, timestampType, has, producersTime)
}

// check looks at all topics and returns what may lose or refuse records. Where that is by choice or for want of brokers it is
// written as warnings instead, unless Strict; a wrong cleanup policy or timestamp type never is.
func (c *topicsEnsureCmd) check(ctx context.Context, client *kafka.Client, out io.Writer) ([]error, error) {
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{eventlog.TopicEvents}})
	if err != nil {
		return nil, fmt.Errorf("kafka metadata: %w", err)
	}
	lenient := !c.Strict && (len(meta.Brokers) == 1 || c.Replication < wantedCopies)
	largest := map[string]int{eventlog.TopicEvents: c.MaxEventBytes + batchOverhead, eventlog.TopicDeadLetter: deadLetterBytes}
	var unsafe []error
	for _, topic := range c.wanted() {
		state, err := stateOf(ctx, client, topic.Topic)
		if err != nil {
			return nil, err
		}
		for _, wrong := range []string{state.wrongPolicy(topic.Topic), state.wrongTime(topic.Topic)} {
			if wrong != "" {
				unsafe = append(unsafe, errors.New(wrong))
			}
		}
		for _, finding := range state.findings(topic.Topic, largest[topic.Topic]) {
			if lenient {
				fmt.Fprintln(out, "warning: "+finding)
			} else {
				unsafe = append(unsafe, errors.New(finding))
			}
		}
	}
	return unsafe, nil
}

// stateOf asks for the copies and settings of a topic that exists.
func stateOf(ctx context.Context, client *kafka.Client, topic string) (topicState, error) {
	state := topicState{settings: map[string]string{}}
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return state, fmt.Errorf("kafka metadata: %w", err)
	}
	for _, t := range meta.Topics {
		for i, p := range t.Partitions {
			if i == 0 || len(p.Replicas) < state.copies {
				state.copies = len(p.Replicas)
			}
		}
	}
	res, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		ConfigNames: []string{minInSync, uncleanElection, maxMessageBytes, cleanupPolicy, timestampType},
	}}})
	if err != nil {
		return state, fmt.Errorf("read settings of %s: %w", topic, err)
	}
	for _, r := range res.Resources {
		if r.Error != nil {
			return state, fmt.Errorf("read settings of %s: %w", topic, r.Error)
		}
		for _, entry := range r.ConfigEntries {
			state.settings[entry.ConfigName] = entry.ConfigValue
		}
	}
	return state, nil
}
