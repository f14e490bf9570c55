package suppression

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/pause"
)

// Entry names a visitor, a user or a recipient.
type Entry struct {
	Kind Kind
	// ID has 16 bytes.
	ID []byte
}

// Writer writes wishes into the topic. It may be used from anywhere at once, and has nothing to close: it sends one request
// after the other and keeps none.
type Writer struct {
	// Client leads to Kafka.
	Client *kafka.Client
}

// tryAgainEvery is the pause between two tries of a request that Kafka did not take.
const tryAgainEvery = 100 * time.Millisecond

// Suppress puts the entries on the list. It returns nil when all in-sync replicas have all of them. It tries until ctx ends,
// which must have a deadline; after an error each entry may be on the list or not, and may be written again.
func (w *Writer) Suppress(ctx context.Context, entries []Entry) error {
	return w.write(ctx, entries, Always)
}

// Lift takes the entries off the list, on the terms of Suppress.
func (w *Writer) Lift(ctx context.Context, entries []Entry) error { return w.write(ctx, entries, nil) }

func (w *Writer) write(ctx context.Context, entries []Entry, value []byte) error {
	messages := make([]kafka.Message, len(entries))
	for i, e := range entries {
		messages[i] = kafka.Message{Time: time.Now(), Key: Key(e.Kind, e.ID), Value: value}
	}
	for {
		_, err := kafkaconn.Produce(ctx, w.Client, eventlog.TopicSuppressions, messages)
		if err == nil {
			return nil
		}
		if ended := pause.For(ctx, tryAgainEvery); ended != nil {
			return errors.Join(err, ended)
		}
	}
}
