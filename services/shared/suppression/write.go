package suppression

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/eventlog"
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

const (
	// maxEntries bounds one request: some 60 KB.
	maxEntries = 1000
	// tryAgainEvery is the pause between two tries of a request that Kafka did not take.
	tryAgainEvery = 100 * time.Millisecond
)

// suppressed is the value of an entry that holds until it is lifted.
var suppressed = []byte("1")

// Suppress puts the entries on the list. It returns nil when all in-sync replicas have all of them. It tries until ctx ends,
// which must have a deadline; after an error each entry may be on the list or not, and may be written again.
func (w *Writer) Suppress(ctx context.Context, entries []Entry) error {
	return w.write(ctx, entries, suppressed)
}

// Lift takes the entries off the list, on the terms of Suppress.
func (w *Writer) Lift(ctx context.Context, entries []Entry) error { return w.write(ctx, entries, nil) }

func (w *Writer) write(ctx context.Context, entries []Entry, value []byte) error {
	for some := range slices.Chunk(entries, maxEntries) {
		if err := w.persist(ctx, some, value); err != nil {
			return fmt.Errorf("write to %s: %w", eventlog.TopicSuppressions, err)
		}
	}
	return nil
}

// persist sends the entries until Kafka has them, or ctx ends.
func (w *Writer) persist(ctx context.Context, entries []Entry, value []byte) error {
	for {
		err := w.send(ctx, entries, value)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(tryAgainEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		}
	}
}

func (w *Writer) send(ctx context.Context, entries []Entry, value []byte) error {
	records := make([]kafka.Record, len(entries))
	for i, e := range entries {
		records[i] = kafka.Record{Time: time.Now(), Key: kafka.NewBytes(Key(e.Kind, e.ID))}
		if value != nil {
			records[i].Value = kafka.NewBytes(value)
		}
	}
	res, err := w.Client.Produce(ctx, &kafka.ProduceRequest{
		Topic: eventlog.TopicSuppressions, Partition: 0, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...),
	})
	if err != nil {
		return err
	}
	return res.Error
}
