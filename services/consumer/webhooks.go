package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// webhooksCmd groups the commands about webhooks.
type webhooksCmd struct {
	List  webhooksListCmd  `cmd:"" help:"Show the batches that webhooks have not taken, and the addresses that answered 410 and are sent nothing any more. Example: consumer webhooks list"`
	Retry webhooksRetryCmd `cmd:"" help:"Have batches tried once more, and stopped addresses sent to again; needs a running consumer jobs. Example: consumer webhooks retry --all"`
}

// webhooksListCmd are the settings of `consumer webhooks list`.
type webhooksListCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`
}

// Validate checks bounds.
func (c *webhooksListCmd) Validate() error { return c.ClickHouse.Validate() }

// Run is `consumer webhooks list`.
func (c *webhooksListCmd) Run(ctx context.Context, k *kong.Kong) error {
	return withFailures(ctx, c.ClickHouse, func(_ *store.Audiences, failures []store.WebhookFailure) error {
		lines := tabwriter.NewWriter(k.Stdout, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(lines, "delivery\tsite\taddress\tevents\tstate\tchanges\tattempts\tlast at\terror")
		for _, f := range failures {
			_, _ = fmt.Fprintf(lines, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", f.DeliveryID, f.SiteID, f.URL, f.Event, f.State, f.Changes, f.Attempts, f.FailedAt.Format(time.RFC3339), f.Error)
		}
		return lines.Flush()
	})
}

// webhooksRetryCmd are the settings of `consumer webhooks retry`.
type webhooksRetryCmd struct {
	ClickHouse store.Settings `embed:"" prefix:"clickhouse-"`

	Deliveries []uuid.UUID `arg:"" optional:"" help:"Only these, as list shows them."`
	All        bool        `help:"All of them."`
}

// Validate checks bounds and what belongs together.
func (c *webhooksRetryCmd) Validate() error {
	if c.All == (len(c.Deliveries) > 0) {
		return errors.Join(errors.New("name deliveries, or say --all"), c.ClickHouse.Validate())
	}
	return c.ClickHouse.Validate()
}

// Run is `consumer webhooks retry`.
func (c *webhooksRetryCmd) Run(ctx context.Context, k *kong.Kong) error {
	return withFailures(ctx, c.ClickHouse, func(outbox *store.Audiences, failures []store.WebhookFailure) error {
		asked := 0
		for i := range failures {
			f := &failures[i]
			if !c.All && !slices.Contains(c.Deliveries, f.DeliveryID) {
				continue
			}
			f.State = store.WebhookAgain
			if err := outbox.SaveWebhookFailure(ctx, f); err != nil {
				return err
			}
			asked++
		}
		if !c.All && asked < len(c.Deliveries) {
			return fmt.Errorf("%d of %d deliveries are not among those that were not taken", len(c.Deliveries)-asked, len(c.Deliveries))
		}
		fmt.Fprintf(k.Stdout, "%d batches will be tried once more; `consumer webhooks list` shows those that are still not taken\n", asked)
		return nil
	})
}

// withFailures opens the database of a command and calls do.
func withFailures(ctx context.Context, settings store.Settings, do func(*store.Audiences, []store.WebhookFailure) error) error {
	conn, err := settings.Open(clickhouseconn.OfConsumers)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := storeOf(ctx, conn, settings); err != nil {
		return err
	}
	outbox := store.NewAudiences(conn, settings.Database)
	failures, err := outbox.WebhookFailures(ctx)
	if err != nil {
		return err
	}
	return do(outbox, failures)
}
