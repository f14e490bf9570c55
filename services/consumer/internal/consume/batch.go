package consume

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// batch is a closed range of offsets and the records that Kafka holds of it, in order.
type batch struct {
	store.Range
	records []kafka.Message
	bytes   int
	// behind tells that Kafka held more when the last record was read.
	behind bool
}

// size is the number of offsets, each of which will be a row.
func (b *batch) size() int64 { return b.Last - b.First + 1 }

// hash is the fingerprint of the first record; 0 when Kafka holds none of the range.
func (b *batch) hash() uint64 {
	if len(b.records) == 0 {
		return 0
	}
	return hashOf(b.records[0])
}

func hashOf(m kafka.Message) uint64 { return eventlog.RecordHash(m.Key, m.Value, m.Time) }

// rowMaker turns a batch into rows: a pure function of the records, the declaration, the rules and list it names, and
// what is stored of the partition before the batch.
type rowMaker struct {
	declaration Declaration
	enricher    *enrich.Enricher
	suppressed  suppression.Snapshot
	// withheld are offsets that are suppressed whatever the list says.
	withheld map[int64]bool
	window   *window
	history  *history
	store    Seer
}

// block is a batch whose records are decoded, and of which all is known that its rows depend on.
type block struct {
	rowMaker
	records []decoded
	// stored has the latest record times of events that lie in the store.
	stored map[store.EventKey]time.Time
	// dead are the records that are no events.
	dead []DeadLetter
	// seen are the events to be remembered once the rows are stored, and tally counts the rows: both are complete when all
	// rows are made.
	seen  []seenEvent
	tally tally
}

type seenEvent struct {
	key store.EventKey
	at  time.Time
}

// decoded is one record on its way to a row, without its bytes.
type decoded struct {
	offset int64
	hash   uint64
	event  *onepxv1.Event
	err    error
	key    store.EventKey
	// at is the record's time as its row has it.
	at time.Time
	// horizon is how far back a record of the same event makes this one a repeat.
	horizon  time.Duration
	replayed bool
}

// prepare decodes the records and lets go of their bytes. An error means that the store could not be asked.
func (m rowMaker) prepare(ctx context.Context, b *batch) (*block, error) {
	out := &block{rowMaker: m, records: make([]decoded, len(b.records)), seen: make([]seenEvent, 0, len(b.records))}
	for i, record := range b.records {
		d := decode(record)
		if d.err != nil {
			out.dead = append(out.dead, DeadLetter{Partition: b.Partition, Record: record, Reason: reasonOf(d.err)})
		}
		out.records[i], b.records[i] = d, kafka.Message{}
	}
	b.records = nil
	var err error
	out.stored, err = m.askStore(ctx, out.records)
	return out, err
}

// rows makes the rows in the order of their offsets, one for each, and lets go of every event once its row is made: this
// works once. It is the same Row each time, filled anew.
func (b *block) rows(yield func(*store.Row) bool) {
	inBatch := make(map[store.EventKey]time.Time, len(b.records))
	row, offset := new(store.Row), b.declaration.First
	give := func() bool {
		b.tally.add(row)
		offset++
		return yield(row)
	}
	for i := range b.records {
		d := &b.records[i]
		for offset < d.offset {
			*row = b.missing(offset)
			if !give() {
				return
			}
		}
		*row = b.row(d, func() bool { return repeats(d, inBatch, b.stored, b.window) })
		if row.EventID != noEventID {
			inBatch[d.key] = later(inBatch[d.key], d.at)
			b.seen = append(b.seen, seenEvent{d.key, d.at})
		}
		d.event = nil
		if !give() {
			return
		}
	}
	b.records = nil
	for offset <= b.declaration.Last {
		*row = b.missing(offset)
		if !give() {
			return
		}
	}
}

// noEventID is what a row has that keeps no event id. A client that sends it as an id has said nothing.
var noEventID uuid.UUID

// maxRecordTime is the last millisecond that we put into a column of type DateTime64(3): 2149-06-06, as in package store.
var maxRecordTime = time.Date(2149, 6, 6, 0, 0, 0, 0, time.UTC).UnixMilli()

// recordTime is the time of a record within what its column holds; Kafka's may be anything, and none at all. What is
// compared must be what is stored: a repeat must be judged alike before and after a restart.
func recordTime(m kafka.Message) time.Time {
	return time.UnixMilli(min(max(m.Time.UnixMilli(), 0), maxRecordTime)).UTC()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func decode(record kafka.Message) decoded {
	d := decoded{offset: record.Offset, hash: hashOf(record), at: recordTime(record), horizon: shortHorizon, replayed: eventlog.Replayed(record.Headers)}
	if d.event, d.err = eventlog.Decode(record.Value); d.err != nil {
		return d
	}
	d.key = store.EventKey{SiteID: d.event.GetSiteId(), EventID: store.ID(d.event.GetEventId())}
	// A collector repeats a tally or an account until it knows that Kafka has it.
	if d.event.GetEventIdOrigin() == onepxv1.IdOrigin_ID_ORIGIN_CLIENT || d.replayed || d.event.GetTally() != nil || d.event.GetAccount() != nil {
		d.horizon = longHorizon
	}
	return d
}

// reasonOf is why a record is no event.
func reasonOf(err error) reason.Reason {
	if errors.Is(err, eventlog.ErrSchemaTooNew) {
		return reason.SchemaTooNew
	}
	return reason.Undecodable
}

// askStore asks ClickHouse, once a batch, for what the window in memory cannot know: events that clients may repeat for
// days, and all events when the window had to forget. What the history has never seen need not be asked.
func (m rowMaker) askStore(ctx context.Context, records []decoded) (map[store.EventKey]time.Time, error) {
	var keys []store.EventKey
	// A record from a clock that is days ahead may repeat one that was stored long before that time.
	since := m.declaration.At
	for _, d := range records {
		if d.err != nil || d.key.EventID == noEventID || (d.horizon == shortHorizon && m.window.covers(d.at)) {
			continue
		}
		if at, ok := m.window.latest(d.key); ok && d.at.Sub(at) <= d.horizon {
			continue
		}
		if !m.history.mayKnow(d.key, d.at, d.horizon) {
			continue
		}
		keys = append(keys, d.key)
		since = earlier(since, earlier(d.at, m.declaration.At).Add(-d.horizon))
	}
	if len(keys) == 0 {
		return nil, nil //nolint:nilnil // nothing to ask, nothing known
	}
	return m.store.Seen(ctx, m.declaration.Partition, m.declaration.First, since, keys)
}

// repeats tells whether an earlier record, of the batch, of the store or of the window, is within the horizon.
func repeats(d *decoded, inBatch, stored map[store.EventKey]time.Time, w *window) bool {
	if d.key.EventID == noEventID {
		return false
	}
	within := func(at time.Time, known bool) bool { return known && d.at.Sub(at) <= d.horizon }
	atBatch, ok := inBatch[d.key]
	if within(atBatch, ok) {
		return true
	}
	atStore, ok := stored[d.key]
	if within(atStore, ok) {
		return true
	}
	return within(w.latest(d.key))
}

// base is what every row of the batch has, whatever came of its offset.
func (m rowMaker) base(offset int64) store.Row {
	d := m.declaration
	return store.Row{
		KafkaTopic: d.Topic, KafkaPartition: int32(d.ID), KafkaOffset: offset, //nolint:gosec // a partition number
		RecordTime: time.UnixMilli(0).UTC(),
		BatchFirst: d.First, BatchLast: d.Last, BatchDay: d.Day, DeclaredAt: d.At, Rules: d.Rules,
		// Rows without an event are kept as long as rows of events by default.
		ReceivedAt: d.At, OccurredAt: d.At, SiteDay: d.Day, RetentionDays: retentionWithoutSite,
	}
}

// retentionWithoutSite is the retention of rows that belong to no site, in days: 13 months, as the default of a site.
const retentionWithoutSite = 395

func (m rowMaker) missing(offset int64) store.Row {
	row := m.base(offset)
	row.Outcome, row.Reason = store.OutcomeMissing, string(reason.OffsetMissing)
	return row
}

// row decides the outcome in the order dead, suppressed, duplicate, event, tally or account.
func (m rowMaker) row(d *decoded, repeated func() bool) store.Row {
	row := m.base(d.offset)
	row.RecordTime, row.RecordHash = d.at, d.hash
	switch {
	case d.err != nil:
		row.Outcome, row.Reason = store.OutcomeDead, string(reasonOf(d.err))
	case m.withheld[d.offset] || m.isSuppressed(d.event):
		row.Outcome, row.Reason = store.OutcomeSuppressed, string(reason.OnSuppression)
		row.SiteID = d.event.GetSiteId()
		row.RetentionDays = m.enricher.Facts(&onepxv1.Event{SiteId: row.SiteID}).RetentionDays
	case d.event.GetAccount() != nil:
		row.FillAccount(d.event)
		row.Outcome, row.Replayed = store.OutcomeAccount, d.replayed
		if repeated() {
			row.Outcome, row.Reason, row.Account = store.OutcomeDuplicate, string(reason.RepeatedEventID), ""
		}
	case repeated():
		row.Fill(d.event, m.enricher.Facts(d.event))
		row.Outcome, row.Reason = store.OutcomeDuplicate, string(reason.RepeatedEventID)
		row.Replayed = d.replayed
	default:
		row.Fill(d.event, m.enricher.Facts(d.event))
		row.Outcome = store.OutcomeEvent
		row.Replayed = d.replayed
		if tally := d.event.GetTally(); tally != nil {
			row.Outcome, row.Reason, row.TallyHits = store.OutcomeTally, tally.GetReason(), tally.GetHits()
		}
	}
	return row
}

func (m rowMaker) isSuppressed(ev *onepxv1.Event) bool {
	received := time.UnixMilli(ev.GetReceivedAtMs())
	recipient := m.suppressed.Contains
	if ev.GetKind() == onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE {
		recipient = m.suppressed.Erased // who wants not to be measured may still want no more mail
	}
	return m.suppressed.Contains(suppression.Visitor, ev.GetVisitor().GetVisitorId(), received) ||
		m.suppressed.Contains(suppression.User, ev.GetVisitor().GetUserKey(), received) ||
		recipient(suppression.Recipient, ev.GetMail().GetRecipientKey(), received)
}
