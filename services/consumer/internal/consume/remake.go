package consume

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Remake makes rows for offsets that the consumers have passed, as a worker would make them, but that rows of higher offsets
// are stored already. Nothing is remembered between two batches: ClickHouse is asked for each event that may be a repeat.
type Remake struct {
	// Declaration is what the rows say of their batch; nothing is committed.
	Declaration Declaration
	Enricher    *enrich.Enricher
	Suppressed  suppression.Snapshot
	// Withheld are offsets of events that are suppressed whatever the list says.
	Withheld map[int64]bool
	Store    Seer
	// Above returns, for each of the keys that a row behind the batch counts, from which record time on an earlier record makes
	// that row a repeat: one that is as late must not count beside it.
	Above func(ctx context.Context, short, long time.Duration, keys []store.EventKey) (map[store.EventKey]time.Time, error)
}

// never is after every record time.
var never = time.UnixMilli(maxRecordTime).AddDate(1, 0, 0)

func (m Remake) maker() rowMaker {
	return rowMaker{
		declaration: m.Declaration, enricher: m.Enricher, suppressed: m.Suppressed, withheld: m.Withheld, store: m.Store,
		window: newWindow(1, never), history: &history{completeSince: never},
	}
}

// Rows are the rows of all offsets of the declared range, in order, and the records that are no events. records are what
// Kafka holds of it.
func (m Remake) Rows(ctx context.Context, records []kafka.Message) (rows []store.Row, dead []DeadLetter, err error) {
	b := &batch{Range: m.Declaration.Range, records: append([]kafka.Message(nil), records...)}
	made, err := m.maker().prepare(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	made.rows(func(row *store.Row) bool {
		rows = append(rows, *row)
		return true
	})
	return rows, made.dead, m.yield(ctx, rows)
}

// yield makes duplicates of rows whose events count behind the batch already.
func (m Remake) yield(ctx context.Context, rows []store.Row) error {
	counts := func(row *store.Row) bool {
		return (row.Outcome == store.OutcomeEvent || row.Outcome == store.OutcomeTally || row.Outcome == store.OutcomeAccount) && row.EventID != noEventID
	}
	var keys []store.EventKey
	for i := range rows {
		if counts(&rows[i]) {
			keys = append(keys, store.EventKey{SiteID: rows[i].SiteID, EventID: rows[i].EventID})
		}
	}
	if len(keys) == 0 {
		return nil
	}
	above, err := m.Above(ctx, shortHorizon, longHorizon, keys)
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		from, found := above[store.EventKey{SiteID: row.SiteID, EventID: row.EventID}]
		if found && counts(row) && !row.RecordTime.Before(from) {
			row.Outcome, row.Reason, row.TallyHits, row.Account = store.OutcomeDuplicate, string(reason.RepeatedEventID), 0, ""
		}
	}
	return nil
}

// Identified tells whether the record's row would keep an event id.
func (m Remake) Identified(record kafka.Message) bool {
	d := decode(record)
	return d.err == nil && d.key.EventID != noEventID && !m.maker().isSuppressed(d.event)
}

// Decodable tells whether the record is an event.
func Decodable(record kafka.Message) bool { return decode(record).err == nil }

// RecordHash is the fingerprint that the record's row has.
func RecordHash(record kafka.Message) uint64 { return hashOf(record) }

// RetentionDays is for how many days the record's row is kept.
func (m Remake) RetentionDays(record kafka.Message) int {
	d := decode(record)
	if d.err != nil || d.event.GetAccount() != nil {
		return retentionWithoutSite
	}
	return int(m.Enricher.Facts(&onepxv1.Event{SiteId: d.event.GetSiteId()}).RetentionDays)
}

// RetentionWithoutRecord is for how many days the row of an offset is kept at which Kafka has no record.
const RetentionWithoutRecord = retentionWithoutSite

// ReadSome reads the beginning of a range whose end Kafka has passed: about so many bytes, one record at least. It waits for
// a record as long as patience. What it returns begins later where records have expired meanwhile, and may be empty then.
func ReadSome(ctx context.Context, log Log, r store.Range, bytes int, patience time.Duration) (read store.Range, records []kafka.Message, err error) {
	read = r
	cursor, err := log.Open(r.First)
	if err != nil {
		return read, nil, err
	}
	defer func() { _ = cursor.Close() }()
	for size := 0; ; {
		message, err := next(ctx, cursor, patience)
		if err != nil {
			return read, nil, fmt.Errorf("read offset %d of partition %d: %w", r.First, r.ID, err)
		}
		if message.Offset <= read.Last {
			records, size = append(records, message), size+len(message.Key)+len(message.Value)
		}
		if size >= bytes {
			read.Last = min(read.Last, message.Offset)
		}
		if message.Offset >= read.Last {
			break
		}
	}
	// The reader jumps silently over what expires meanwhile.
	first, _, err := log.Bounds(ctx)
	if first > read.First {
		read.First = first
		records = slices.DeleteFunc(records, func(m kafka.Message) bool { return m.Offset < first })
	}
	return read, records, err
}

func next(ctx context.Context, cursor Cursor, patience time.Duration) (kafka.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return cursor.Next(ctx)
}

// CheckTopic returns a StopError when the last stored record of the partition is not the one that Kafka holds at its offset.
func CheckTopic(ctx context.Context, log Log, events Store, p store.Partition, patience time.Duration) error {
	last, err := events.LastRow(ctx, p)
	if err != nil {
		return err
	}
	first, end, err := log.Bounds(ctx)
	if err != nil || last.Offset < 0 {
		return err
	}
	w := &Worker{Deps: Deps{Partition: p, Log: log, Limits: Limits{InsertDeadline: patience}}}
	return w.checkTopic(ctx, last, first, end)
}
