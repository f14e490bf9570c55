// Package account tells once a minute what the collector has done: how its events ended, and how many records Kafka has taken
// in which partition. An account is a record in place of an event, on their way (proto Account), so that the ledger can hold
// what collectors say against what is stored.
//
// Accounts are numbered, so that a lost one shows. A minute in which nothing happened has none. What a collector has not told
// yet when it is killed stays unknown; one that stops as told tells it in its last account.
package account

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/reason"
)

// maxWaiting bounds the accounts that wait for Kafka, where there is no spool or it is full: those of a day. Then the oldest
// is given up, and its number shows that it is missing.
const maxWaiting = 24 * 60

// Publisher makes an event durable.
type Publisher interface {
	// Publish returns "" when the event is in Kafka and reason.InSpool when it is in the spool.
	Publish(ctx context.Context, event *onepxv1.Event) reason.Reason
	// Spooled is the number of events in the spool.
	Spooled() int
}

// Teller publishes accounts. Its methods are to be called by one goroutine at a time.
type Teller struct {
	// Collector is the id of this collector: another one after each start.
	Collector uuid.UUID

	counts *Counts
	to     Publisher
	log    *slog.Logger
	now    func() time.Time

	// since is where the next account begins, and sequence its number.
	since    time.Time
	sequence uint64
	// waiting are accounts that are not durable yet.
	waiting []*onepxv1.Event
	// Accounts below acknowledged are in Kafka; spooled tells that one above may be in the spool only.
	acknowledged uint64
	spooled      bool
}

// New returns a teller of the counts. now is the clock that records are published by.
func New(counts *Counts, to Publisher, log *slog.Logger, now func() time.Time) *Teller {
	id := uuid.Must(uuid.NewRandom()) // fails only without a source of randomness
	return &Teller{Collector: id, counts: counts, to: to, log: log, now: now, since: now()}
}

// Follow tells at the end of each minute of the clock until the context ends; what has been counted since is left to Last.
func (t *Teller) Follow(ctx context.Context) {
	for t.endOfMinute(ctx) {
		t.tell(ctx, false)
	}
}

// Last tells what is left, and that there is nothing more. A collector that never had anything to tell does not.
func (t *Teller) Last(ctx context.Context) {
	t.tell(ctx, true)
	if len(t.waiting) > 0 {
		t.log.Warn("the last accounts of this collector are lost; the ledger shows its last minutes as unknown", slog.Int("accounts", len(t.waiting)))
	}
}

// endOfMinute waits for it and returns true, or false when ctx ends before.
func (t *Teller) endOfMinute(ctx context.Context) bool {
	now := t.now().Round(0) // by the wall clock
	return pause.For(ctx, now.Truncate(time.Minute).Add(time.Minute).Sub(now)) == nil
}

func (t *Teller) tell(ctx context.Context, last bool) {
	t.take(last)
	for len(t.waiting) > 0 {
		sequence := t.waiting[0].GetAccount().GetSequence()
		switch t.to.Publish(ctx, t.waiting[0]) {
		case reason.InSpool:
			t.spooled = true
		case "", reason.EventTooLarge, reason.InternalError: // it will never be taken, and its number tells
			if !t.spooled {
				t.acknowledged = sequence + 1
			}
		default:
			return // in order, and under its event id: nobody knows whether Kafka has it
		}
		t.waiting = t.waiting[1:]
	}
}

// take makes an account of the counts, if there is something to tell.
func (t *Teller) take(last bool) {
	now := t.now()
	since := t.since
	t.since = now
	counted, some := t.counts.take()
	if !some && (!last || t.sequence == 0) {
		return
	}
	if now.Before(since) {
		since = now // the clock was set back
	}
	if t.spooled && t.to.Spooled() == 0 {
		t.spooled, t.acknowledged = false, t.sequence-uint64(len(t.waiting))
	}
	counted.Collector, counted.Sequence, counted.Acknowledged, counted.Last = t.Collector[:], t.sequence, t.acknowledged, last
	t.sequence++
	id := uuid.Must(uuid.NewV7())
	t.waiting = append(t.waiting, &onepxv1.Event{
		Schema: eventlog.SchemaAccount, EventId: id[:], EventIdOrigin: onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR,
		ReceivedAtMs: now.UnixMilli(), OccurredAtMs: since.UnixMilli(), Account: counted,
	})
	if len(t.waiting) > maxWaiting {
		t.waiting = t.waiting[1:]
	}
}
