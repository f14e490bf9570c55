// Package unsubscribes finds the recipients who want no more mail among stored events, and tells them on a topic. It is part of
// `consumer jobs`, runs while that keeps the audience stream, and is never in the path of events.
//
//	stored events → unsubscribes, whole or not at all, in the order in which they are told
//	position of the partition
//	unsubscribes  → Kafka → position; webhooks, the console
//
// Each step can be repeated: wherever the process is killed, each unsubscribe is told at least once, under the id of its event.
// Of a person who is being erased nothing is told.
package unsubscribes

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Deps are what a Stream works with.
type Deps struct {
	Store store.Unsubscribes
	// List knows who is being erased.
	List *suppression.List
	// Stored are the positions of the consumers' group: beside an error those that could be read.
	Stored func(context.Context) ([]consume.Position, error)
	// Publish writes to topic onepx.unsubscribes. After an error each may be there or not.
	Publish func(context.Context, []kafka.Message) error
	Metrics *Metrics
	Logger  *slog.Logger
	Now     func() time.Time
}

// Stream finds and tells.
type Stream struct {
	Deps
	outage *telemetry.OutageLog
	// positions are those that Begin has read, by name and partition, and what has become of them.
	positions map[place]*store.StreamPosition
	// replayed are the blocks of replays that were looked at.
	replayed map[uuid.UUID]bool
}

type place struct {
	name      string
	partition int32
}

// New returns a Stream.
func New(deps Deps) *Stream {
	return &Stream{Deps: deps, outage: telemetry.NewOutageLog(deps.Logger, "the stream of unsubscribes asking how far consumers are", deps.Now)}
}

const (
	// roundEvery is the pause between two rounds when there is nothing more to do.
	roundEvery = 5 * time.Second
	// offsetChunk is how many stored offsets of a partition a round looks at, publishChunk how many unsubscribes are published together.
	offsetChunk  = 500_000
	publishChunk = 1000
)

// The names of positions.
const (
	eventsPlace    = "unsubscribes/" // and the topic
	sequencePlace  = "unsubscribes-sequence"
	publishedPlace = "unsubscribes-published"
	replaysPlace   = "unsubscribes-replays"
)

// replaysAgain is how far back blocks of replays are looked at once more: the clocks of those who store them may differ.
const replaysAgain = time.Hour

// Run works until the context ends or something fails. It must be the only one.
func (s *Stream) Run(ctx context.Context) error {
	defer s.Metrics.Waiting(time.Time{}) // whoever runs next tells it
	if err := s.Begin(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		more, err := s.Round(ctx)
		if err != nil {
			return err
		}
		if !more {
			_ = pause.For(ctx, roundEvery)
		}
	}
	return ctx.Err()
}

// Begin reads how far the stream has come. Round can then be called, one at a time, until one fails.
func (s *Stream) Begin(ctx context.Context) error {
	all, err := s.Store.Positions(ctx)
	if err != nil {
		return err
	}
	s.positions, s.replayed = map[place]*store.StreamPosition{}, map[uuid.UUID]bool{}
	for i := range all {
		s.positions[place{all[i].Name, all[i].Partition}] = &all[i]
	}
	return nil
}

// position is what stands under a name; one of nothing done when there is none.
func (s *Stream) position(name string, partition int32) *store.StreamPosition {
	at := place{name, partition}
	if s.positions[at] == nil {
		s.positions[at] = &store.StreamPosition{Name: name, Partition: partition}
	}
	return s.positions[at]
}

// Round takes the next offsets of each partition and publishes what it finds. It tells whether there is more to do at once.
func (s *Stream) Round(ctx context.Context) (more bool, err error) {
	stored, err := s.Stored(ctx)
	if err != nil {
		// Kafka is away, a partition has stopped, or no consumer has ever run: the other partitions go on.
		s.outage.Failed(err)
	} else {
		s.outage.Recovered()
	}
	for _, p := range stored {
		again, err := s.find(ctx, p)
		if err != nil {
			return false, err
		}
		more = more || again
	}
	if err := s.findReplayed(ctx); err != nil {
		return false, err
	}
	return more, s.publish(ctx)
}

// find notes the unsubscribes among the next offsets of a partition, up to the first one that may not be stored.
func (s *Stream) find(ctx context.Context, p consume.Position) (more bool, err error) {
	// The position is that of the first offset that was not looked at.
	at := s.position(eventsPlace+p.Topic, int32(p.ID)) //nolint:gosec // Kafka's are 32 bits
	from := at.Position
	to := min(p.First, from+offsetChunk)
	if from >= to {
		return false, nil
	}
	day, err := time.Parse(time.DateOnly, at.Cursor)
	if err != nil {
		day = time.Unix(0, 0).UTC() // the first time
	}
	found, day, err := s.Store.In(ctx, store.Range{Partition: p.Partition, First: from, Last: to - 1}, day)
	if err != nil {
		return false, err
	}
	if err := s.note(ctx, found); err != nil {
		return false, err
	}
	// Clocks of consumers may differ: the day before is still looked at.
	return to < p.First, s.Store.Move(ctx, at, to, day.AddDate(0, 0, -1).Format(time.DateOnly))
}

// findReplayed notes the unsubscribes among rows that `consumer replay` or `deadletter replay` has stored behind the positions.
func (s *Stream) findReplayed(ctx context.Context) error {
	// The position is when the last block that was looked at was stored, in ms.
	at := s.position(replaysPlace, 0)
	blocks, err := s.Store.Replayed(ctx, time.UnixMilli(at.Position).Add(-replaysAgain))
	if err != nil {
		return err
	}
	for _, block := range blocks {
		if s.replayed[block.ID] {
			continue
		}
		found, _, err := s.Store.In(ctx, block.Range(), time.Unix(0, 0).UTC())
		if err != nil {
			return err
		}
		if err := s.note(ctx, found); err != nil {
			return err
		}
		s.replayed[block.ID] = true
		if stored := block.SavedAt.UnixMilli(); stored > at.Position {
			if err := s.Store.Move(ctx, at, stored, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// note puts unsubscribes into the outbox. A sequence that was given out is never given to another one, also when its row is erased.
func (s *Stream) note(ctx context.Context, found []store.Unsubscribe) error {
	if len(found) == 0 {
		return nil
	}
	given := s.position(sequencePlace, 0)
	now := s.Now().UTC().Truncate(time.Millisecond)
	for i := range found {
		found[i].Sequence, found[i].FoundAt = uint64(given.Position)+uint64(i)+1, now //nolint:gosec // never negative
	}
	if err := s.Store.Move(ctx, given, given.Position+int64(len(found)), ""); err != nil {
		return err
	}
	if err := s.Store.Append(ctx, found); err != nil {
		return err
	}
	s.Metrics.found.Add(ctx, int64(len(found)))
	return nil
}

// publish writes what stands in the outbox to Kafka.
func (s *Stream) publish(ctx context.Context) error {
	at := s.position(publishedPlace, 0)
	for {
		next, err := s.Store.Noted(ctx, "", uint64(at.Position), math.MaxInt64, publishChunk) //nolint:gosec // never negative
		if err != nil {
			return err
		}
		if len(next) == 0 {
			s.Metrics.Waiting(s.outage.Since())
			return nil
		}
		s.Metrics.Waiting(next[0].FoundAt)
		var messages []kafka.Message
		for _, u := range next {
			if s.List.Erased(suppression.Recipient, u.RecipientKey[:], u.FoundAt) {
				continue
			}
			value, err := json.Marshal(MessageOf(u))
			if err != nil {
				return err
			}
			messages = append(messages, kafka.Message{Key: []byte(u.RecipientKey.String()), Value: value, Time: u.FoundAt})
		}
		if err := s.Publish(ctx, messages); err != nil {
			return err
		}
		if err := s.Store.Move(ctx, at, int64(next[len(next)-1].Sequence), ""); err != nil { //nolint:gosec // it counts unsubscribes
			return err
		}
		s.Metrics.published.Add(ctx, int64(len(messages)))
	}
}

// Message is an unsubscribe as it is told: the value of a record of onepx.unsubscribes, and an element of what webhooks are sent.
type Message struct {
	// ID is that of the event, the same whenever it is told.
	ID   uuid.UUID `json:"id"`
	Site string    `json:"site"`
	// RecipientKey is made of the address by the collectors' secret; `console mail` and the collectors make the same one.
	RecipientKey uuid.UUID `json:"recipient_key"`
	// Cause is unsubscribed or complained.
	Cause    string `json:"cause"`
	Campaign string `json:"campaign,omitempty"`
	Message  string `json:"message,omitempty"`
	// At is when it happened, in UTC.
	At string `json:"at"`
}

// MessageOf is the form of an unsubscribe.
func MessageOf(u store.Unsubscribe) Message {
	return Message{u.EventID, u.SiteID, u.RecipientKey, u.Cause, u.Campaign, u.Message, u.OccurredAt.UTC().Format("2006-01-02T15:04:05.000Z07:00")}
}
