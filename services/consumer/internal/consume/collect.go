package consume

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
)

// collect gathers the next batch: until its first record has waited for FlushAge and InsertGap has passed since the last
// declaration, or until it is full; a full one waits for the gap too. It returns nil without an error when nothing has arrived for IdleAfter, or the
// context has ended.
func (w *Worker) collect(ctx context.Context) (*batch, error) {
	b := &batch{Range: store.Range{Partition: w.Partition, First: w.next, Last: w.next - 1}}
	if full, err := w.first(ctx, b); full || err != nil || b.size() == 0 {
		return b.orNil(), err
	}
	age, cancel := context.WithTimeout(ctx, max(w.Limits.FlushAge, w.gap()))
	defer cancel()
	for {
		message, err := w.read(age)
		if err != nil {
			break // the age is reached
		}
		if full := w.append(b, message); full {
			pause(ctx, w.gap())
			break
		}
	}
	return b, nil
}

// first waits for something to put into the batch.
func (w *Worker) first(ctx context.Context, b *batch) (full bool, err error) {
	quiet, cancel := context.WithTimeout(ctx, w.Limits.IdleAfter)
	defer cancel()
	message, err := w.read(quiet)
	switch {
	case err == nil:
		if w.append(b, message) {
			pause(ctx, w.gap())
			return true, nil
		}
		return false, nil
	case ctx.Err() != nil:
		return false, nil
	case errors.Is(err, context.DeadlineExceeded):
		return false, w.checkQuiet(ctx, b)
	default:
		return false, err
	}
}

func (b *batch) orNil() *batch {
	if b.size() == 0 {
		return nil
	}
	return b
}

func (w *Worker) read(ctx context.Context) (kafka.Message, error) {
	if w.pending != nil {
		message := *w.pending
		w.pending = nil
		return message, nil
	}
	return w.cursor.Next(ctx)
}

// append takes the record, and the offsets before it that Kafka skipped, into the batch. It tells whether the batch is
// full; what does not fit waits for the next one.
func (w *Worker) append(b *batch, message kafka.Message) (full bool) {
	room := int64(w.Limits.BatchRows) - b.size()
	if message.Offset-b.Last > room {
		b.Last += room
		w.pending = &message
		return true
	}
	b.Last = message.Offset
	b.records = append(b.records, message)
	b.bytes += len(message.Key) + len(message.Value)
	return b.size() >= int64(w.Limits.BatchRows) || b.bytes >= w.Limits.BatchBytes
}

// checkQuiet looks whether Kafka is quiet because there is nothing, or because the log is another one than it was.
func (w *Worker) checkQuiet(ctx context.Context, b *batch) error {
	first, end, err := w.Log.Bounds(ctx)
	if err != nil {
		return nil //nolint:nilerr // Kafka is away; the cursor waits for it
	}
	if end < w.next {
		return stop(reason.TopicChanged, "the log ends at %d, but offsets up to %d are stored", end, w.next-1)
	}
	if first > w.next {
		// Everything from next to first has expired, and no record shows it.
		b.Last = min(first-1, b.First+int64(w.Limits.BatchRows)-1)
	}
	return nil
}

// gap is the time until the next declaration may be made; 0 or less when it may be made now.
func (w *Worker) gap() time.Duration { return w.Limits.InsertGap - (w.Elapsed() - w.lastDeclared) }
