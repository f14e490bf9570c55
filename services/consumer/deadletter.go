package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/replay"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/reason"
)

// deadletterCmd groups the commands about dead letters.
type deadletterCmd struct {
	Show   deadletterShowCmd   `cmd:"" help:"Print the dead letters as NDJSON, each record once. Example: consumer deadletter show | jq .reason"`
	Replay deadletterReplayCmd `cmd:"" help:"Store the dead letters that this consumer can decode, such as after an upgrade, as the events they are. Safe to repeat, and beside running consumers. Example: consumer deadletter replay --dry-run"`
}

// deadLetterWriter writes to the topic of dead letters.
func deadLetterWriter(settings kafkaconn.Settings, client *kafka.Client) *kafka.Writer {
	return &kafka.Writer{
		Addr: settings.Addr(), Topic: eventlog.TopicDeadLetter, Transport: client.Transport,
		RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, BatchBytes: deadLetterBytes, Balancer: &kafka.Hash{},
	}
}

// deadletterReplayCmd are the settings of `consumer deadletter replay`.
type deadletterReplayCmd struct {
	replaySettings `embed:""`
}

// Run is `consumer deadletter replay`.
func (c *deadletterReplayCmd) Run(ctx context.Context, k *kong.Kong) error {
	return c.with(ctx, k, func(deps replay.Deps) error { return replay.DeadLetters(ctx, deps, c.DryRun) })
}

// deadletterShowCmd are the settings of `consumer deadletter show`.
type deadletterShowCmd struct {
	Kafka   kafkaconn.Settings `embed:"" prefix:"kafka-"`
	Payload bool               `help:"Print the bytes of key and value too, in base64; they may be personal data."`
}

// deadLetterLine is one line of what is shown.
type deadLetterLine struct {
	Topic      string        `json:"topic"`
	Partition  int           `json:"partition"`
	Offset     int64         `json:"offset"`
	Reason     reason.Reason `json:"reason"`
	RecordTime string        `json:"record_time"`
	Bytes      int           `json:"bytes"`
	// Decodable tells that this consumer can decode it.
	Decodable bool   `json:"decodable"`
	Key       []byte `json:"key,omitempty"`
	Value     []byte `json:"value,omitempty"`
}

// Run is `consumer deadletter show`.
func (c *deadletterShowCmd) Run(ctx context.Context, k *kong.Kong) error {
	client, err := c.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	dialer, err := c.Kafka.Dialer()
	if err != nil {
		return err
	}
	out := json.NewEncoder(k.Stdout)
	return eachDeadLetter(ctx, c.Kafka, client, dialer, func(letter consume.DeadLetter) error {
		line := deadLetterLine{
			Topic: letter.Topic, Partition: letter.ID, Offset: letter.Record.Offset, Reason: letter.Reason,
			RecordTime: letter.Record.Time.Format(time.RFC3339Nano), Bytes: len(letter.Record.Value), Decodable: consume.Decodable(letter.Record),
		}
		if c.Payload {
			line.Key, line.Value = letter.Record.Key, letter.Record.Value
		}
		return out.Encode(line)
	})
}

// eachDeadLetter calls do with each letter that the topic holds now, once: a recovered batch publishes its letters again, and a
// topic of events that was made anew uses its offsets again, at other times.
func eachDeadLetter(ctx context.Context, settings kafkaconn.Settings, client *kafka.Client, dialer *kafka.Dialer, do func(consume.DeadLetter) error) error {
	if _, err := requireTopic(ctx, client, eventlog.TopicDeadLetter); err != nil {
		return err
	}
	res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		eventlog.TopicDeadLetter: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)},
	}})
	if err != nil {
		return err
	}
	bounds := res.Topics[eventlog.TopicDeadLetter][0]
	if bounds.Error != nil {
		return bounds.Error
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: settings.Brokers, Dialer: dialer, Topic: eventlog.TopicDeadLetter, MinBytes: 1, MaxBytes: 4 << 20, MaxWait: 250 * time.Millisecond,
	})
	defer func() { _ = reader.Close() }()
	if err := reader.SetOffset(bounds.FirstOffset); err != nil {
		return err
	}
	type identity struct{ key, at string }
	seen := map[identity]bool{}
	for next := bounds.FirstOffset; next < bounds.LastOffset; {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		next = message.Offset + 1
		letter, ok := consume.ReadDeadLetter(message)
		if !ok {
			continue // not written by a consumer
		}
		this := identity{string(message.Key), letter.Record.Time.String()}
		if seen[this] {
			continue
		}
		seen[this] = true
		if err := do(letter); err != nil {
			return err
		}
	}
	return nil
}
