// Package audiences tells who enters and leaves the segments that are streamed, and keeps the table suppressed_visitors. It is
// part of `consumer jobs`, and never in the path of events.
//
// Who is a member is decided by the view audiences_of and by nothing else. The stream compares its answer with what was told
// last, for visitors of whom something may have changed: they have new stored events, a moment has come at which a membership
// ends or begins, they have wished to be in no audience or have taken that back; and once a day, or when a rule has changed,
// for everybody. Each change goes through an outbox:
//
//	what is due next → audience_dues
//	changes          → audience_changes, whole or not at all, in the order in which they are told
//	audience_states  ← audience_changes, of nothing else
//	position of the visitors' source
//	audience_changes → Kafka, webhooks → their positions
//
// Each step can be repeated, and those behind it follow from what is stored. So wherever the process is killed, each change is
// told at least once, under one id, and those of a visitor and a segment alternate. One process has the lock; should two write
// all the same, changes may be told twice under one id. Of a person who is being erased nothing is found and nothing told.
package audiences

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Deps are what a Stream works with.
type Deps struct {
	Store *store.Audiences
	// List is the suppression list. Somebody follows the topic for it, and tells Wished.
	List *suppression.List
	// Stored are the positions of the consumers' group: beside an error those that could be read.
	Stored func(context.Context) ([]consume.Position, error)
	// Publish writes to topic onepx.audiences, those of one key in order. After an error each may be there or not.
	Publish func(context.Context, []kafka.Message) error
	// Retention is how long rows of a site are kept.
	Retention func(site string) time.Duration
	Metrics   *Metrics
	Logger    *slog.Logger
	Now       func() time.Time
	// Saved is called after each write with a word for it; an error ends the round as a crash would.
	Saved func(what string) error
}

// Stream finds and publishes changes.
type Stream struct {
	Deps
	wishes wishes
	outage *telemetry.OutageLog
	// The following are known while the lock is held.
	positions map[place]store.StreamPosition
	revision  uint64
	sequence  uint64
	// at is the latest moment at which somebody was looked at; it never goes back.
	at time.Time
}

// New returns a Stream.
func New(deps Deps) *Stream {
	return &Stream{
		Deps: deps, wishes: wishes{store: deps.Store, list: deps.List, logger: deps.Logger},
		outage: telemetry.NewOutageLog(deps.Logger, "the audience stream asking how far consumers are", deps.Now),
	}
}

// Wished takes a wish as suppression.Source tells it.
func (s *Stream) Wished(kind suppression.Kind, id []byte, offset int64) {
	s.wishes.add(kind, id, offset)
}

const (
	// roundEvery is the pause between two rounds when there is nothing more to do.
	roundEvery = time.Second
	// The pause after a failure grows from retryMin to retryMax.
	retryMin = 200 * time.Millisecond
	retryMax = 10 * time.Second
)

// Run keeps the stream until the context ends, and runs the others beside it while it has the lock: they may rely on being the
// only ones. What fails is tried again.
func (s *Stream) Run(ctx context.Context, beside ...func(context.Context) error) {
	for wait := retryMin; ctx.Err() == nil; wait = min(2*wait, retryMax) {
		begun := s.Now()
		err := s.locked(ctx, beside)
		if ctx.Err() != nil {
			return
		}
		if s.Now().Sub(begun) > retryMax {
			wait = retryMin
		}
		if errors.Is(err, store.ErrStreaming) {
			s.Logger.Debug("the audience stream is kept by another process")
		} else {
			s.Metrics.failures.Add(ctx, 1)
			s.Logger.Warn("the audience stream stands still and is tried again", "error", err)
		}
		_ = pause.For(ctx, wait/2+rand.N(wait/2)) //nolint:gosec // jitter is no secret
	}
}

func (s *Stream) locked(ctx context.Context, beside []func(context.Context) error) error {
	for !s.List.Ready() {
		if pause.For(ctx, retryMin) != nil {
			return ctx.Err()
		}
	}
	ctx, unlock, err := s.Store.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	defer s.wishes.end()
	defer s.Metrics.Waiting(time.Time{}) // whoever gets the lock tells it
	if err := s.Begin(ctx); err != nil {
		return err
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return s.wishes.run(ctx) })
	work.Go(func() error {
		for {
			more, err := s.Round(ctx)
			if err != nil {
				return err
			}
			if !more {
				_ = pause.For(ctx, roundEvery)
			}
		}
	})
	for _, run := range beside {
		work.Go(func() error { return run(ctx) })
	}
	return work.Wait()
}

// Begin reads how far the stream has come, and makes suppressed_visitors what the list says. The list must be ready, and the
// stream locked; Round can then be called, one at a time.
func (s *Stream) Begin(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	// What an earlier process has left.
	applied := uint64(s.position(place{name: appliedPlace}).Position) //nolint:gosec // never negative
	if err := s.Store.ApplyChanges(ctx, applied, s.sequence); err != nil {
		return err
	}
	looked := place{name: wishesPlace}
	if _, known := s.positions[looked]; !known {
		// Nothing was told so far.
		if err := s.save(ctx, looked, s.List.Now().Position, ""); err != nil {
			return err
		}
	}
	return s.wishes.begin(ctx, s.position(looked).Position)
}
