package consume

import (
	"context"
	"fmt"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
)

// Why a range is listed for rebuild.
const (
	whyOffsetsLost  = "offsets_lost"
	whyOtherRules   = "other_rules"
	whySuppressions = "suppressions_changed"
	whyOld          = "declared_long_ago"
	whyUnfilled     = "views_unfilled"
	whyExpired      = "expired_in_kafka"
)

// begin finds out where to go on, finishes a batch that was declared and perhaps not stored, and fills the window.
func (w *Worker) begin(ctx context.Context) error {
	committed, err := w.fetchPosition(ctx)
	if err != nil {
		return err
	}
	if committed.Offset < 0 {
		return w.beginWithoutPosition(ctx)
	}
	declared, err := parseDeclaration(w.Partition, committed.Offset, committed.Metadata)
	if err != nil {
		return stop(reason.OffsetsMoved, "the committed offset %d was not written by onepx", committed.Offset)
	}
	// Committing the same again proves that the partition is ours now: an earlier owner is refused from here on.
	if err := w.commit(ctx, committed); err != nil {
		return err
	}
	w.next, w.committedIdle, w.committedList = committed.Offset, declared == nil, suppressionOf(declared, committed.Metadata)
	if err := w.retry(ctx, func(context.Context) error { return w.checkList(w.committedList) }); err != nil {
		return err
	}
	if declared != nil {
		w.next = declared.Last + 1
	}
	if err := w.checkStored(ctx, committed); err != nil {
		return err
	}
	if err := w.retry(ctx, func(ctx context.Context) error { return w.fillHistory(ctx, committed.Offset) }); err != nil {
		return err
	}
	if declared != nil {
		return w.recover(ctx, *declared, nil)
	}
	return w.retry(ctx, func(ctx context.Context) error { return w.fillWindow(ctx) })
}

// checkList tells whether this process has read the suppression list as far as the former owner of the partition. Batches are
// never made with an older list than the ones before: an erasure relies on it.
func (w *Worker) checkList(former int64) error {
	if have := w.Suppressions.Now().Position; have < former {
		return fmt.Errorf("the suppression list is read up to %d, the partition was at %d", have, former)
	}
	return nil
}

func (w *Worker) fetchPosition(ctx context.Context) (Committed, error) {
	var committed Committed
	err := w.retry(ctx, func(ctx context.Context) (err error) {
		committed, err = w.Positions.Fetch(ctx)
		return err
	})
	return committed, err
}

// beginWithoutPosition: a new group, or one whose offsets have expired. An owner that has lost the position may still be
// inserting: wait until it cannot any more, then go on after what is stored. The deadline counts twice, because ClickHouse
// holds it against a clock of its own, which may be behind by as much.
func (w *Worker) beginWithoutPosition(ctx context.Context) error {
	if err := w.pause(ctx, 2*w.Limits.InsertDeadline); err != nil {
		return err
	}
	return w.retry(ctx, func(ctx context.Context) error {
		last, err := w.Store.LastRow(ctx, w.Partition)
		if err != nil {
			return err
		}
		first, end, err := w.Log.Bounds(ctx)
		if err != nil {
			return err
		}
		w.next = first
		if last.Offset >= 0 {
			if err := w.checkTopic(ctx, last, first, end); err != nil {
				return err
			}
			w.next = last.Offset + 1
		}
		if err := listUnsure(ctx, w.Store, w.Partition, last, first, end); err != nil {
			return err
		}
		if err := w.fillHistory(ctx, w.next); err != nil {
			return err
		}
		return w.fillWindow(ctx)
	})
}

// listUnsure lists for rebuild what the views may hold wrongly once the position is lost: from the last batch, which may
// lack some of its views, to the end of the log, of which a view may hold a block that events does not.
func listUnsure(ctx context.Context, events Store, p store.Partition, last store.Last, first, end int64) error {
	r := store.Range{Partition: p, First: first, Last: end - 1}
	if last.Offset >= 0 {
		r.First = last.BatchFirst
	}
	if r.Last < r.First {
		return nil
	}
	if err := events.ListForRebuild(ctx, r, whyOffsetsLost); err != nil || last.Offset < 0 {
		return err
	}
	// What is a repeat depends on one of the views: it must not wait for the rebuild.
	return events.FillEventIDs(ctx, store.Range{Partition: p, First: last.BatchFirst, Last: last.Offset})
}

// checkStored compares what is stored with the position, and the last stored record with Kafka's.
func (w *Worker) checkStored(ctx context.Context, committed Committed) error {
	return w.retry(ctx, func(ctx context.Context) error {
		last, err := w.Store.LastRow(ctx, w.Partition)
		if err != nil {
			return err
		}
		if last.Offset >= w.next {
			return w.stopOwner(ctx, committed, stop(reason.OffsetsMoved, "the committed position ends at %d, but offsets up to %d are stored", w.next-1, last.Offset))
		}
		if acknowledged := committed.Offset - 1; last.Offset >= 0 && last.Offset < acknowledged {
			w.Logger.Warn("rows that were acknowledged are not stored; retention removed them, or ClickHouse lost them", "acknowledged", acknowledged, "stored", last.Offset)
		}
		first, end, err := w.Log.Bounds(ctx)
		if err != nil {
			return err
		}
		return w.checkTopic(ctx, last, first, end)
	})
}

// stopOwner returns the alarm only when the position can be committed once more: a worker that has lost its partition sees
// what the next owner has stored, and that is no reason to stop.
func (w *Worker) stopOwner(ctx context.Context, committed Committed, alarm error) error {
	if err := w.commit(ctx, committed); err != nil {
		return err
	}
	return alarm
}

// checkTopic stops when the last stored record is not the one that Kafka holds at its offset: the topic was made anew.
func (w *Worker) checkTopic(ctx context.Context, last store.Last, first, end int64) error {
	if last.Offset >= end {
		return stop(reason.TopicChanged, "the log ends at %d, but offsets up to %d are stored", end, last.Offset)
	}
	if last.HashedOffset < first {
		return nil
	}
	b, err := w.readRange(ctx, store.Range{Partition: w.Partition, First: last.HashedOffset, Last: last.HashedOffset})
	if err != nil {
		return err
	}
	if len(b.records) > 0 && b.hash() != last.RecordHash {
		return stop(reason.TopicChanged, "the record at offset %d is not the one that is stored", last.HashedOffset)
	}
	return nil
}

// fillWindow reads what was recorded lately before the next offset.
func (w *Worker) fillWindow(ctx context.Context) error {
	at, err := w.timeAt(ctx, w.next)
	if err != nil {
		return err
	}
	since := at.Add(-rebuildHorizon)
	fresh := newWindow(w.Limits.WindowEvents, since)
	if err := w.Store.RecentEvents(ctx, w.Partition, w.next, since, fresh.add); err != nil {
		return err
	}
	w.window = fresh
	return nil
}

// fillHistory reads which events were recorded during the long horizon before the offset.
func (w *Worker) fillHistory(ctx context.Context, below int64) error {
	at, err := w.timeAt(ctx, below)
	if err != nil {
		return err
	}
	fresh := &history{completeSince: at.Add(-longHorizon - rebuildHorizon)}
	if err := w.Store.EventIDs(ctx, w.Partition, below, fresh.completeSince, fresh.add); err != nil {
		return err
	}
	w.history = fresh
	w.Metrics.remembers(w.Partition, fresh.bytes())
	return nil
}

// timeAt is the record time at the offset, or the present when that is earlier or nothing is there yet.
func (w *Worker) timeAt(ctx context.Context, offset int64) (time.Time, error) {
	now := w.Now()
	first, end, err := w.Log.Bounds(ctx)
	if err != nil || max(offset, first) >= end {
		return now, err
	}
	at := max(offset, first)
	b, err := w.readRange(ctx, store.Range{Partition: w.Partition, First: at, Last: at})
	if err != nil || len(b.records) == 0 || now.Before(b.records[0].Time) {
		return now, err
	}
	return b.records[0].Time, nil
}

// readRange reads what Kafka holds of a range whose end exists in the log.
func (w *Worker) readRange(ctx context.Context, r store.Range) (*batch, error) {
	cursor, err := w.Log.Open(r.First)
	if err != nil {
		return nil, err
	}
	defer func() { _ = cursor.Close() }()
	ctx, cancel := context.WithTimeout(ctx, w.Limits.InsertDeadline)
	defer cancel()
	b := &batch{Range: r}
	for {
		message, err := cursor.Next(ctx)
		if err != nil {
			return nil, err
		}
		if message.Offset <= r.Last {
			b.records = append(b.records, message)
		}
		if message.Offset >= r.Last {
			return b, nil
		}
	}
}
