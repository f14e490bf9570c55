package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
)

// topicsCmd groups the commands about topics; without another word topics are created and checked.
type topicsCmd struct {
	Ensure        topicsEnsureCmd  `cmd:"" default:"withargs" help:"Create what is missing, check what is there. Example: consumer topics --events-partitions 6"`
	AcceptOffsets acceptOffsetsCmd `cmd:"" help:"Go on after the group's offsets were moved (partitions stopped with offsets_moved). Stop all consumers first. Example: consumer topics accept-offsets --yes"`
}

// topicsEnsureCmd are the settings of `consumer topics`.
type topicsEnsureCmd struct {
	Kafka            kafkaconn.Settings `embed:"" prefix:"kafka-"`
	EventsPartitions int                `env:"ONEPX_TOPIC_EVENTS_PARTITIONS" default:"6" bounds:"1 to 1000" help:"Partitions of onepx.events and onepx.audiences; never changed on a live topic, because keys would move."`
	Replication      int                `env:"ONEPX_TOPIC_REPLICATION" default:"3" bounds:"1 to 9" help:"Copies of each record. With 3, two must acknowledge (min.insync.replicas=2); 1 is for development."`
	MaxEventBytes    int                `env:"ONEPX_MAX_EVENT_BYTES" default:"1000000" bounds:"1024 to 10000000" help:"Largest event, as the collectors have it: onepx.events must take a batch of that size."`
	Strict           bool               `env:"ONEPX_TOPIC_STRICT" help:"End with an error when a topic may lose or refuse records also where Kafka has one broker or ONEPX_TOPIC_REPLICATION asks for fewer than 3 copies; without it these are warnings there."`
	Retention        time.Duration      `env:"ONEPX_TOPIC_RETENTION" default:"168h" bounds:"1h to 696h" help:"How long Kafka keeps events; at most 29 days, so that erased people are gone within a month."`
}

// Validate checks bounds.
func (c *topicsEnsureCmd) Validate() error {
	errs := []error{c.Kafka.Validate()}
	if c.EventsPartitions < 1 || c.EventsPartitions > 1000 {
		errs = append(errs, fmt.Errorf("ONEPX_TOPIC_EVENTS_PARTITIONS is %d; allowed are 1 to 1000", c.EventsPartitions))
	}
	if c.Replication < 1 || c.Replication > 9 {
		errs = append(errs, fmt.Errorf("ONEPX_TOPIC_REPLICATION is %d; allowed are 1 to 9", c.Replication))
	}
	if c.MaxEventBytes < 1024 || c.MaxEventBytes > 10_000_000 {
		errs = append(errs, fmt.Errorf("ONEPX_MAX_EVENT_BYTES is %d; allowed are 1024 to 10000000", c.MaxEventBytes))
	}
	if c.Retention < time.Hour || c.Retention > 29*24*time.Hour {
		errs = append(errs, fmt.Errorf("ONEPX_TOPIC_RETENTION is %s; allowed are 1h to 696h", c.Retention))
	}
	return errors.Join(errs...)
}

// deadLetterBytes is the largest dead letter: a record of the most that ONEPX_MAX_EVENT_BYTES may be, and what is written beside it.
const deadLetterBytes = 11 << 20

// longestSegment is after what time Kafka closes a file of records, which it then can remove.
const longestSegment = 24 * time.Hour

func (c *topicsEnsureCmd) wanted() []kafka.TopicConfig {
	setting := func(name, value string) kafka.ConfigEntry {
		return kafka.ConfigEntry{ConfigName: name, ConfigValue: value}
	}
	topic := func(name string, partitions int, settings ...kafka.ConfigEntry) kafka.TopicConfig {
		settings = append(settings, setting(minInSync, strconv.Itoa(min(wantedInSync, c.Replication))))
		return kafka.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: c.Replication, ConfigEntries: settings}
	}
	milliseconds := func(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
	keep := setting("retention.ms", milliseconds(c.Retention))
	// A record goes with its segment: without this it could stay a week longer.
	closed := setting("segment.ms", milliseconds(min(c.Retention, longestSegment)))
	takes := func(bytes int) kafka.ConfigEntry { return setting(maxMessageBytes, strconv.Itoa(bytes)) }
	return []kafka.TopicConfig{
		topic(eventlog.TopicEvents, c.EventsPartitions, keep, closed, setting(timestampType, producersTime), takes(max(defaultMaxMessage, c.MaxEventBytes+batchOverhead))),
		topic(eventlog.TopicDeadLetter, 1, keep, closed, takes(deadLetterBytes)),
		topic(eventlog.TopicSuppressions, 1, setting(cleanupPolicy, compacted)),
		topic(eventlog.TopicJobs, 1, keep, closed),
		topic(eventlog.TopicAudiences, c.EventsPartitions, keep, closed),
		topic(eventlog.TopicUnsubscribes, 1, keep, closed),
	}
}

// Run is `consumer topics`.
func (c *topicsEnsureCmd) Run(ctx context.Context, k *kong.Kong) error {
	client, err := c.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	var wrong []error
	for _, topic := range c.wanted() {
		have, err := partitionsOf(ctx, client, topic.Topic)
		if err != nil {
			return err
		}
		switch {
		case have == topic.NumPartitions:
			fmt.Fprintf(k.Stdout, "%s: %d partitions, as wanted\n", topic.Topic, have)
		case have > 0:
			wrong = append(wrong, fmt.Errorf("%s has %d partitions, wanted are %d: a live topic is never changed; make a new one, switch, drain", topic.Topic, have, topic.NumPartitions))
		default:
			if err := createTopic(ctx, client, topic); err != nil {
				return err
			}
			fmt.Fprintf(k.Stdout, "%s: created with %d partitions\n", topic.Topic, topic.NumPartitions)
		}
	}
	unsafe, err := c.check(ctx, client, k.Stdout)
	if err != nil {
		return err
	}
	return errors.Join(append(wrong, unsafe...)...)
}

func createTopic(ctx context.Context, client *kafka.Client, topic kafka.TopicConfig) error {
	res, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err == nil {
		err = res.Errors[topic.Topic]
	}
	if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", topic.Topic, err)
	}
	return nil
}

// partitionsOf returns the number of partitions of a topic, 0 when it does not exist.
func partitionsOf(ctx context.Context, client *kafka.Client, topic string) (int, error) {
	res, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return 0, fmt.Errorf("kafka metadata: %w", err)
	}
	for _, t := range res.Topics {
		if t.Name != topic || errors.Is(t.Error, kafka.UnknownTopicOrPartition) {
			continue
		}
		if t.Error != nil {
			return 0, fmt.Errorf("kafka metadata of %s: %w", topic, t.Error)
		}
		return len(t.Partitions), nil
	}
	return 0, nil
}

// requireTopic returns the number of partitions of a topic that must exist.
func requireTopic(ctx context.Context, client *kafka.Client, topic string) (int, error) {
	partitions, err := partitionsOf(ctx, client, topic)
	if err == nil && partitions == 0 {
		err = fmt.Errorf("topic %s does not exist: run `consumer topics`", topic)
	}
	return partitions, err
}

// acceptOffsetsCmd are the settings of `consumer topics accept-offsets`.
type acceptOffsetsCmd struct {
	Kafka         kafkaconn.Settings `embed:"" prefix:"kafka-"`
	ClickHouse    store.Settings     `embed:"" prefix:"clickhouse-"`
	groupSettings `embed:""`

	Yes bool `help:"Write the positions; without it they are only shown."`
}

// Validate checks bounds.
func (c *acceptOffsetsCmd) Validate() error {
	return errors.Join(c.Kafka.Validate(), c.ClickHouse.Validate(), c.groupSettings.Validate())
}

// Run is `consumer topics accept-offsets`: partitions whose committed position is not onepx's own, or lies before stored
// rows, go on after the last stored row, or at the committed offset when that is later.
func (c *acceptOffsetsCmd) Run(ctx context.Context, k *kong.Kong) error {
	client, err := c.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	conn, err := c.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(k.Stdout, "waiting %s until no insert can be on its way\n", 2*c.InsertDeadline)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * c.InsertDeadline):
	}
	events := store.New(conn, c.ClickHouse.Schema(migrations.Files))
	moved, err := consume.MovedOffsets(ctx, client, c.Group, eventlog.TopicEvents, events)
	if err != nil {
		return err
	}
	if len(moved) == 0 {
		fmt.Fprintln(k.Stdout, "no partition's offsets were moved")
		return nil
	}
	table := tabwriter.NewWriter(k.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "partition\tcommitted\tstored up to\tgoes on at\toffsets without a row")
	for _, m := range moved {
		_, _ = fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%d\n", m.ID, m.Committed, m.Stored, m.Next, max(m.Next-m.Stored-1, 0))
	}
	_ = table.Flush()
	if !c.Yes {
		fmt.Fprintln(k.Stdout, "nothing is written; repeat with --yes")
		return nil
	}
	return consume.AcceptOffsets(ctx, client, c.Group, events, moved)
}
