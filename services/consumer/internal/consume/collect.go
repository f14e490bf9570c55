package consume

import (
	"context"
	"errors"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/reason"
)

// collect gathers the next batch: until its first record has waited for FlushAge and the pace allows the next declaration, or
// until it is as large as it may be without a turn; such a one waits for the pace too. It returns nil without an error when
// nothing has arrived for IdleAfter, or the context has ended.
func (w *Worker) collect(ctx context.Context) (*batch, error) {
	b := &batch{Range: store.Range{Partition: w.Partition, First: w.next, Last: w.next - 1}}
	if err := w.first(ctx, b); err != nil || b.size() == 0 {
		return b.orNil(), err
	}
	age, cancel := context.WithTimeout(ctx, max(w.Limits.FlushAge, w.pace.wait(w.Elapsed())))
	defer cancel()
	for !w.enough(b) {
		message, err := w.read(age)
		if err != nil {
			return b, nil //nolint:nilerr // the age is reached
		}
		w.append(b, message)
	}
	_ = pause.For(ctx, w.pace.wait(w.Elapsed()))
	return b, nil
}

// enough tells whether the batch must not grow without a turn.
func (w *Worker) enough(b *batch) bool { return w.full(b) || b.bytes >= w.Limits.WaitingBytes }

// full tells whether the batch must not grow at all.
func (w *Worker) full(b *batch) bool {
	return b.size() >= int64(w.Limits.BatchRows) || b.bytes >= w.Limits.BatchBytes
}

// topUp adds to the batch of a worker that has the turn what Kafka holds already: it waits for nothing new, and FlushAge at
// most for Kafka.
func (w *Worker) topUp(ctx context.Context, b *batch) {
	ctx, cancel := context.WithTimeout(ctx, w.Limits.FlushAge)
	defer cancel()
	for b.behind && !w.full(b) {
		message, err := w.read(ctx)
		if err != nil {
			return
		}
		w.append(b, message)
	}
}

// first waits for something to put into the batch.
func (w *Worker) first(ctx context.Context, b *batch) error {
	quiet, cancel := context.WithTimeout(ctx, w.Limits.IdleAfter)
	defer cancel()
	message, err := w.read(quiet)
	switch {
	case err == nil:
		w.append(b, message)
		return nil
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return w.checkQuiet(ctx, b)
	default:
		return err
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

// append takes the record, and the offsets before it that Kafka skipped, into the batch. What does not fit waits for the
// next one.
func (w *Worker) append(b *batch, message kafka.Message) {
	room := int64(w.Limits.BatchRows) - b.size()
	if message.Offset-b.Last > room {
		b.Last += room
		w.pending = &message
		return
	}
	b.Last, b.behind = message.Offset, message.Offset+1 < message.HighWaterMark
	b.records = append(b.records, message)
	b.bytes += len(message.Key) + len(message.Value)
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
