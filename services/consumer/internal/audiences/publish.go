package audiences

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/suppression"
)

// publishChunk is how many changes are published together.
const publishChunk = 1000

// Message is a change as it is told: the value of a record of onepx.audiences, whose key is the visitor's id as text, and an
// element of what webhooks are sent.
type Message struct {
	// ID is the same whenever the change is told.
	ID   uuid.UUID `json:"id"`
	Type string    `json:"type"`
	Site string    `json:"site"`
	// Segment and Version are those of the rule.
	Segment   string    `json:"segment"`
	Version   string    `json:"version"`
	VisitorID uuid.UUID `json:"visitor_id"`
	// At is when the change was found, in UTC.
	At string `json:"at"`
	// EndsAt is when the membership that begins ends unless other events come, in UTC; only of audience_entered.
	EndsAt string `json:"ends_at,omitempty"`
	// Products are those by which the visitor is a member, the newest first; empty for audience_left.
	Products []string `json:"products"`
	// Reason is why; only of audience_left.
	Reason string `json:"reason,omitempty"`
}

// timeForm is RFC 3339 with milliseconds.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// MessageOf is the form of a change.
func MessageOf(c store.Change) Message {
	m := Message{
		ID: c.ID, Type: c.Type, Site: c.SiteID, Segment: c.Segment, Version: c.Version, VisitorID: c.VisitorID,
		At: c.At.UTC().Format(timeForm), Products: c.Products, Reason: c.Reason,
	}
	if c.Type == store.AudienceEntered {
		m.EndsAt = c.EndsAt.UTC().Format(timeForm)
	}
	return m
}

// publish writes what stands in the outbox to Kafka.
func (s *Stream) publish(ctx context.Context) error {
	at := place{name: publishedPlace}
	for {
		changes, err := s.Store.Changes(ctx, "", uint64(s.position(at).Position), s.sequence, publishChunk) //nolint:gosec // never negative
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			s.Metrics.Waiting(s.outage.Since())
			return nil
		}
		s.Metrics.Waiting(changes[0].At)
		var messages []kafka.Message
		for _, c := range changes {
			if s.List.Erased(suppression.Visitor, c.VisitorID[:], c.At) {
				continue
			}
			value, err := json.Marshal(MessageOf(c))
			if err != nil {
				return err
			}
			messages = append(messages, kafka.Message{Key: []byte(c.VisitorID.String()), Value: value, Time: c.At})
		}
		if err := s.Publish(ctx, messages); err != nil {
			return err
		}
		if err := s.Saved("published"); err != nil {
			return err
		}
		last := changes[len(changes)-1].Sequence
		if err := s.save(ctx, at, int64(last), ""); err != nil { //nolint:gosec // it counts changes
			return err
		}
		s.Metrics.published.Add(ctx, int64(len(messages)))
	}
}
