package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// The states of a batch that a webhook did not take.
const (
	// WebhookFailed: it is not tried any more.
	WebhookFailed = "failed"
	// WebhookStopped: the address wants nothing any more; neither it nor what comes after it is tried.
	WebhookStopped = "stopped"
	// WebhookAgain: somebody wants it to be tried once more.
	WebhookAgain = "again"
	// WebhookTaken: it was, later.
	WebhookTaken = "taken"
)

// WebhookFailure is a batch that a webhook did not take: a row of webhook_failures.
type WebhookFailure struct {
	SiteID        string    `ch:"site_id"`
	URL           string    `ch:"url"`
	Event         string    `ch:"event"`
	DeliveryID    uuid.UUID `ch:"delivery_id"`
	State         string    `ch:"state"`
	FirstSequence uint64    `ch:"first_sequence"`
	LastSequence  uint64    `ch:"last_sequence"`
	Changes       uint32    `ch:"changes"`
	Attempts      uint32    `ch:"attempts"`
	Error         string    `ch:"error"`
	FailedAt      time.Time `ch:"failed_at"`
	Revision      uint64    `ch:"revision"`
	ExpiresAt     time.Time `ch:"expires_at"`
}

// WebhookFailures returns the batches that have not been taken since, in the order in which they failed.
func (a *Audiences) WebhookFailures(ctx context.Context) ([]WebhookFailure, error) {
	var all []WebhookFailure
	err := a.conn.Select(ctx, &all, "SELECT "+strings.Join(clickhouseconn.Columns[WebhookFailure](), ", ")+" FROM "+a.table("webhook_failures")+
		" FINAL WHERE state != '"+WebhookTaken+"' ORDER BY failed_at, site_id, url, delivery_id")
	if err != nil {
		return nil, fmt.Errorf("read failures of webhooks: %w", err)
	}
	return all, nil
}

// SaveWebhookFailure keeps what has become of a batch.
func (a *Audiences) SaveWebhookFailure(ctx context.Context, f *WebhookFailure) error {
	f.Revision++
	return insertRows(ctx, a, "webhook_failures", []WebhookFailure{*f})
}

// WebhookPosition returns the last of what an address of a site is sent that it has taken, or that was given up; false when none was
// sent.
func (a *Audiences) WebhookPosition(ctx context.Context, event, site, url string) (StreamPosition, bool, error) {
	all, err := a.Positions(ctx)
	if err != nil {
		return StreamPosition{}, false, err
	}
	name := "webhook/" + event + "/" + site + "/" + url
	for _, p := range all {
		if p.Name == name {
			return p, true, nil
		}
	}
	return StreamPosition{Name: name}, false, nil
}
