package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/services/consumer/internal/audiences"
	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/internal/unsubscribes"
	"github.com/onepx/onepx/services/consumer/internal/webhooks"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// minSecret is the least number of bytes of a webhook's secret: fewer could be guessed from a signed body.
const minSecret = 16

// webhookAddresses returns the webhooks of all sites with their secrets, which getenv knows. All that is wrong is in one error.
func webhookAddresses(sites *siteconfig.Config, getenv func(string) string) ([]webhooks.Address, error) {
	var all []webhooks.Address
	var errs []error
	for i, site := range sites.Sites {
		for j, hook := range site.Webhooks {
			secret := getenv(hook.SecretEnv)
			switch {
			case secret == "":
				errs = append(errs, fmt.Errorf("sites[%d].webhooks[%d].secret_env: the environment variable %s is not set", i, j, hook.SecretEnv))
			case len(secret) < minSecret:
				errs = append(errs, fmt.Errorf("sites[%d].webhooks[%d].secret_env: the secret in %s has %d bytes; give it at least %d, made by chance", i, j, hook.SecretEnv, len(secret), minSecret))
			}
			for _, event := range hook.Events {
				all = append(all, webhooks.Address{Site: site.ID, URL: hook.URL, Event: event, Secret: settings.Secret(secret)})
			}
		}
	}
	return all, errors.Join(errs...)
}

// audienceStream is the part of `consumer jobs` that tells who enters and leaves audiences and who wants no more mail, and keeps those out
// of audiences who want to be.
type audienceStream struct {
	*jobsCmd
	conn      driver.Conn
	client    *kafka.Client
	dialer    *kafka.Dialer
	positions func(context.Context) ([]consume.Position, error)
	sites     *siteconfig.Config
	addresses []webhooks.Address
	// wishes is read here.
	wishes *suppression.List
}

// run works until the context ends.
func (a audienceStream) run(ctx context.Context, tel *telemetry.Telemetry) error {
	writer := &kafka.Writer{
		Addr: a.Kafka.Addr(), Transport: a.client.Transport,
		RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, Balancer: &kafka.Hash{},
	}
	defer func() { _ = writer.Close() }()
	publish := func(topic string) func(context.Context, []kafka.Message) error {
		return func(ctx context.Context, messages []kafka.Message) error {
			for i := range messages {
				messages[i].Topic = topic
			}
			return writer.WriteMessages(ctx, messages...)
		}
	}
	deps := audiences.Deps{
		Store: store.NewAudiences(a.conn, a.ClickHouse.Database), List: a.wishes, Stored: a.positions,
		Publish:   publish(eventlog.TopicAudiences),
		Retention: a.retention, Logger: tel.Logger, Now: time.Now, Saved: func(string) error { return nil },
	}
	var err error
	if deps.Metrics, err = audiences.NewMetrics(tel.Meter); err != nil {
		return err
	}
	stream := audiences.New(deps)
	beside, err := a.senders(deps, tel)
	if err != nil {
		return err
	}
	mail := unsubscribes.Deps{
		Store: store.Unsubscribes{Audiences: deps.Store}, List: a.wishes, Stored: a.positions, Publish: publish(eventlog.TopicUnsubscribes), Logger: tel.Logger, Now: time.Now,
	}
	if mail.Metrics, err = unsubscribes.NewMetrics(tel.Meter); err != nil {
		return err
	}
	beside = append(beside, func(ctx context.Context) error { return unsubscribes.New(mail).Run(ctx) })
	source := suppression.Source{Brokers: a.Kafka.Brokers, Dialer: a.dialer, Client: a.client, Log: tel.Logger, Wished: stream.Wished}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return deps.List.Follow(ctx, source) })
	work.Go(func() error {
		stream.Run(ctx, beside...)
		return nil
	})
	return work.Wait()
}

// senders are what sends to each of the webhooks.
func (a audienceStream) senders(deps audiences.Deps, tel *telemetry.Telemetry) ([]func(context.Context) error, error) {
	metrics, err := webhooks.NewMetrics(tel.Meter)
	if err != nil {
		return nil, err
	}
	client := webhooks.NewClient(a.WebhookPrivate)
	var all []func(context.Context) error
	outboxes := map[siteconfig.WebhookEvent]webhooks.Outbox{
		siteconfig.WebhookAudiences: webhooks.OfAudiences{Audiences: deps.Store}, siteconfig.WebhookUnsubscribes: webhooks.OfUnsubscribes{Unsubscribes: store.Unsubscribes{Audiences: deps.Store}},
	}
	for _, address := range a.addresses {
		sender := webhooks.Sender{Address: address, Outbox: outboxes[address.Event], Post: client, List: deps.List, Metrics: metrics, Logger: tel.Logger, Now: time.Now}
		all = append(all, func(ctx context.Context) error {
			defer client.CloseIdleConnections()
			again := sender // it remembers nothing from before the lock
			return again.Run(ctx)
		})
	}
	return all, nil
}

// retention is how long rows of a site are kept.
func (a audienceStream) retention(site string) time.Duration {
	days := siteconfig.DefaultRetentionDays
	if s, known := a.sites.Site(site); known {
		days = s.RetentionDays
	}
	return time.Duration(days) * 24 * time.Hour
}
