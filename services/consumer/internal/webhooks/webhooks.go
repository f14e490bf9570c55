// Package webhooks sends changes of audiences and unsubscribes to addresses of sites: each in the order of its outbox, in batches that are
// signed, at least once. It is part of `consumer jobs` and runs while that keeps the audience stream. docs/audiences.md has the
// form.
//
// An address that does not take a batch is tried for a day; then the batch is set aside in the table webhook_failures, and the
// next one is sent. One that answers 410 is sent nothing any more until somebody wants it.
package webhooks

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Address is a webhook of a site, for one of the events that it wants.
type Address struct {
	Site, URL string
	Event     siteconfig.WebhookEvent
	Secret    settings.Secret
}

// Sender sends to one address.
type Sender struct {
	Address
	Outbox Outbox
	// Post makes the requests; see NewClient.
	Post Poster
	// List knows who is being erased.
	List    *suppression.List
	Metrics *Metrics
	Logger  *slog.Logger
	Now     func() time.Time

	position store.StreamPosition
	// after is where what comes next is looked for: nothing of the site stands between the position and it.
	after uint64
	// stopped is the batch whose answer was 410; nil while all is well.
	stopped *store.WebhookFailure
}

const (
	// batch is how much a request tells at most.
	batch = 500
	// lookEvery is the pause between two looks for more.
	lookEvery = time.Second
	// failuresEvery is the pause between two looks for what is to be tried again.
	failuresEvery = 5 * time.Second
	// failuresKept is how long a batch can be tried again: as long as changes are kept.
	failuresKept = 29 * 24 * time.Hour
)

// Run sends until the context ends.
func (s *Sender) Run(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	var looked time.Time
	for ctx.Err() == nil {
		if now := s.Now(); now.Sub(looked) >= failuresEvery {
			looked = now
			if err := s.again(ctx); err != nil {
				return err
			}
		}
		more := false
		if s.stopped == nil {
			var err error
			if more, err = s.next(ctx); err != nil {
				return err
			}
		}
		if !more {
			_ = pause.For(ctx, lookEvery)
		}
	}
	return ctx.Err()
}

// begin finds where to go on. A new address is sent what comes from now on.
func (s *Sender) begin(ctx context.Context) (err error) {
	var known bool
	if s.position, known, err = s.Outbox.WebhookPosition(ctx, string(s.Event), s.Site, s.URL); err != nil {
		return err
	}
	if !known {
		last, err := s.Outbox.LastSequence(ctx)
		if err != nil {
			return err
		}
		if err := s.Outbox.Move(ctx, &s.position, int64(last), ""); err != nil { //nolint:gosec // it counts what is told
			return err
		}
	}
	s.after = uint64(s.position.Position) //nolint:gosec // never negative
	return nil
}

// next sends the next batch, and tells whether there was one.
func (s *Sender) next(ctx context.Context) (more bool, err error) {
	// What is behind may be written while it is read.
	end, err := s.Outbox.LastSequence(ctx)
	if err != nil {
		return false, err
	}
	told, err := s.Outbox.Told(ctx, s.Site, s.after, math.MaxInt64, batch)
	if err != nil {
		return false, err
	}
	if len(told) == 0 {
		s.after = max(s.after, end)
		return false, nil
	}
	first, last := told[0].Sequence, told[len(told)-1].Sequence
	failure := store.WebhookFailure{
		SiteID: s.Site, URL: s.URL, Event: string(s.Event), DeliveryID: deliveryID(s.Address, first, last), FirstSequence: first, LastSequence: last,
	}
	err = s.deliver(ctx, &failure, told, patience)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, errGone):
		s.stopped = &failure
		return false, s.set(ctx, &failure, store.WebhookStopped, err)
	case err != nil:
		if err := s.set(ctx, &failure, store.WebhookFailed, err); err != nil {
			return false, err
		}
	}
	if err := s.Outbox.Move(ctx, &s.position, int64(last), ""); err != nil { //nolint:gosec // it counts what is told
		return false, err
	}
	s.after = last
	return true, nil
}

// again does what somebody wants to be tried once more, and learns whether the address was stopped.
func (s *Sender) again(ctx context.Context) error {
	all, err := s.Outbox.WebhookFailures(ctx)
	if err != nil {
		return err
	}
	s.stopped = nil
	left := 0
	for i := range all {
		f := &all[i]
		if f.SiteID != s.Site || f.URL != s.URL || f.Event != string(s.Event) {
			continue
		}
		if f.State != store.WebhookAgain {
			left++
			if f.State == store.WebhookStopped {
				s.stopped = f
			}
			continue
		}
		if err := s.resend(ctx, f); err != nil {
			return err
		}
		if f.State != store.WebhookTaken {
			left++
		}
	}
	s.Metrics.untaken.set(s.Address, left)
	return nil
}

// resend tries a batch once more. One that had stopped the address is the next one in order: it is sent by and by.
func (s *Sender) resend(ctx context.Context, f *store.WebhookFailure) error {
	if f.FirstSequence > uint64(s.position.Position) { //nolint:gosec // never negative
		return s.set(ctx, f, store.WebhookTaken, nil)
	}
	told, err := s.Outbox.Told(ctx, s.Site, f.FirstSequence-1, f.LastSequence, batch)
	if err != nil {
		return err
	}
	err = s.deliver(ctx, f, told, once)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return s.set(ctx, f, store.WebhookFailed, err)
	}
	return s.set(ctx, f, store.WebhookTaken, nil)
}

// set keeps what has become of a batch.
func (s *Sender) set(ctx context.Context, f *store.WebhookFailure, state string, cause error) error {
	f.State = state
	if cause != nil {
		s.Logger.Warn("a webhook has not taken a batch", "site", s.Site, "delivery", f.DeliveryID.String(), "state", state, "attempts", f.Attempts, "error", cause)
		s.Metrics.failures.Add(ctx, 1)
		f.Error = cause.Error()
	}
	f.FailedAt, f.ExpiresAt = s.Now().UTC(), s.Now().UTC().Add(failuresKept)
	return s.Outbox.SaveWebhookFailure(ctx, f)
}

// deliveriesSpace is the name space of the ids of deliveries.
var deliveriesSpace = uuid.MustParse("7d1c1f0e-2f0d-4a53-8c1c-60b8f0d1c6a7")

// deliveryID is the same for the same batch to the same address.
func deliveryID(a Address, first, last uint64) uuid.UUID {
	name := append([]byte(string(a.Event)+"\x00"+a.Site+"\x00"+a.URL+"\x00"), make([]byte, 0, 16)...)
	for _, n := range []uint64{first, last} {
		for shift := 56; shift >= 0; shift -= 8 {
			name = append(name, byte(n>>shift)) //nolint:gosec // one byte of it
		}
	}
	return uuid.NewSHA1(deliveriesSpace, name)
}
