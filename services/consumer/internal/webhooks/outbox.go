package webhooks

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/audiences"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/internal/unsubscribes"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Told is something that addresses are told.
type Told struct {
	Sequence uint64
	// Kind and Person are whom it is about, At is when it was found.
	Kind   suppression.Kind
	Person uuid.UUID
	At     time.Time
	// Message is its form in the body of a request.
	Message any
}

// Outbox is where stands what is told, and how far each address has come.
type Outbox interface {
	// Told returns what stands behind a sequence, up to another one, in order and at most limit, of a site.
	Told(ctx context.Context, site string, after, last uint64, limit int) ([]Told, error)
	LastSequence(ctx context.Context) (uint64, error)
	WebhookPosition(ctx context.Context, event, site, url string) (store.StreamPosition, bool, error)
	Move(ctx context.Context, p *store.StreamPosition, position int64, cursor string) error
	WebhookFailures(ctx context.Context) ([]store.WebhookFailure, error)
	SaveWebhookFailure(ctx context.Context, f *store.WebhookFailure) error
}

// OfAudiences is the Outbox of the changes of audiences.
type OfAudiences struct{ *store.Audiences }

// Told returns changes.
func (o OfAudiences) Told(ctx context.Context, site string, after, last uint64, limit int) ([]Told, error) {
	changes, err := o.Changes(ctx, site, after, last, limit)
	told := make([]Told, len(changes))
	for i, c := range changes {
		told[i] = Told{c.Sequence, suppression.Visitor, c.VisitorID, c.At, audiences.MessageOf(c)}
	}
	return told, err
}

// OfUnsubscribes is the Outbox of unsubscribes.
type OfUnsubscribes struct{ store.Unsubscribes }

// Told returns unsubscribes.
func (o OfUnsubscribes) Told(ctx context.Context, site string, after, last uint64, limit int) ([]Told, error) {
	noted, err := o.Noted(ctx, site, after, last, limit)
	told := make([]Told, len(noted))
	for i, u := range noted {
		told[i] = Told{u.Sequence, suppression.Recipient, u.RecipientKey, u.FoundAt, unsubscribes.MessageOf(u)}
	}
	return told, err
}
