package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
)

// deadletterCmd groups the commands about dead letters.
type deadletterCmd struct {
	List deadletterListCmd `cmd:"" help:"Print the dead letters as NDJSON, each record once. Example: consumer deadletter list | jq .reason"`
}

// deadletterListCmd are the settings of `consumer deadletter list`.
type deadletterListCmd struct {
	Kafka   kafkaconn.Settings `embed:"" prefix:"kafka-"`
	Payload bool               `help:"Print the bytes of key and value too, in base64; they may be personal data."`
}

// deadLetterLine is one line of the list.
type deadLetterLine struct {
	// Record is topic/partition/offset.
	Record     string `json:"record"`
	Reason     string `json:"reason"`
	RecordTime string `json:"record_time"`
	Bytes      int    `json:"bytes"`
	Key        []byte `json:"key,omitempty"`
	Value      []byte `json:"value,omitempty"`
}

// Run is `consumer deadletter list`.
func (c *deadletterListCmd) Run(ctx context.Context, k *kong.Kong) error {
	client, err := c.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	dialer, err := c.Kafka.Dialer()
	if err != nil {
		return err
	}
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
		Brokers: c.Kafka.Brokers, Dialer: dialer, Topic: eventlog.TopicDeadLetter, MinBytes: 1, MaxBytes: 4 << 20, MaxWait: 250 * time.Millisecond,
	})
	defer func() { _ = reader.Close() }()
	if err := reader.SetOffset(bounds.FirstOffset); err != nil {
		return err
	}
	out := json.NewEncoder(k.Stdout)
	seen := map[string]bool{}
	for next := bounds.FirstOffset; next < bounds.LastOffset; {
		message, err := reader.ReadMessage(ctx)
		if err != nil {
			return err
		}
		next = message.Offset + 1
		line := c.line(message)
		// A recovered batch publishes its letters again; a topic made anew uses its offsets again, at other times.
		letter := line.Record + " " + line.RecordTime
		if seen[letter] {
			continue
		}
		seen[letter] = true
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func (c *deadletterListCmd) line(message kafka.Message) deadLetterLine {
	line := deadLetterLine{Record: string(message.Key), Bytes: len(message.Value)}
	for _, h := range message.Headers {
		switch {
		case h.Key == consume.HeaderReason:
			line.Reason = string(h.Value)
		case h.Key == consume.HeaderTime:
			line.RecordTime = string(h.Value)
		case h.Key == consume.HeaderKey && c.Payload:
			line.Key = h.Value
		}
	}
	if c.Payload {
		line.Value = message.Value
	}
	return line
}
