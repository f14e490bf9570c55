package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/privacy"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/lifecycle"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// jobsCmd are the settings of `consumer jobs`.
type jobsCmd struct {
	Kafka         kafkaconn.Settings `embed:"" prefix:"kafka-"`
	ClickHouse    store.Settings     `embed:"" prefix:"clickhouse-"`
	Telemetry     telemetry.Settings `embed:""`
	groupSettings `embed:""`

	AdminListen string `env:"ONEPX_JOBS_ADMIN_LISTEN" default:":9092" help:"Address of /livez, /readyz, /metrics and pprof; not for the public."`

	// saved is called after each step; tests stop there.
	saved func(personal.RequestStep) error
}

// Validate checks bounds.
func (c *jobsCmd) Validate() error {
	return errors.Join(c.Kafka.Validate(), c.ClickHouse.Validate(), c.Telemetry.Validate(), c.groupSettings.Validate())
}

// Run is `consumer jobs`: it works until the context ends. A job that is cut off goes on at the next start.
func (c *jobsCmd) Run(ctx context.Context, k *kong.Kong) error {
	tel, err := telemetry.New(ctx, telemetry.Config{Settings: c.Telemetry, Service: "consumer", Version: version, LogOutput: k.Stderr})
	if err != nil {
		return err
	}
	// Telemetry goes last: the other steps still log and count.
	defer func() {
		_ = lifecycle.StopInOrder(tel.Logger, lifecycle.Stop{Name: "telemetry", Timeout: 5 * time.Second, Do: tel.Shutdown})
	}()
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", c.AdminListen)
	if err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	admin := telemetry.AdminServer(c.AdminListen, func() error { return nil }, tel.MetricsHandler())
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error {
		if err := admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("admin server: %w", err)
		}
		return nil
	})
	work.Go(func() error {
		defer func() { _ = admin.Close() }()
		return c.work(workCtx, tel)
	})
	return work.Wait()
}

// work connects to Kafka and ClickHouse and does jobs until the context ends.
func (c *jobsCmd) work(ctx context.Context, tel *telemetry.Telemetry) error {
	conn, err := c.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	events, err := storeOf(ctx, conn, c.ClickHouse)
	if err != nil {
		return err
	}
	client, err := c.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	dialer, err := c.Kafka.Dialer()
	if err != nil {
		return err
	}
	for _, topic := range []string{eventlog.TopicSuppressions, eventlog.TopicJobs} {
		if _, err := requireTopic(ctx, client, topic); err != nil {
			return err
		}
	}
	metrics, err := privacy.NewMetrics(tel.Meter)
	if err != nil {
		return err
	}
	deps := privacy.Deps{
		Requests: personal.NewRequests(conn, c.ClickHouse.Database),
		Tables:   store.NewRebuilds(conn, store.Schema{Database: c.ClickHouse.Database, Cluster: c.ClickHouse.Cluster, Files: migrations.Files}),
		Positions: func(ctx context.Context) ([]consume.Position, error) {
			return consume.GroupPositions(ctx, client, c.Group, eventlog.TopicEvents, events)
		},
		Suppress: func(ctx context.Context, entries []kafka.Message) (int64, error) {
			return kafkaconn.Produce(ctx, client, eventlog.TopicSuppressions, entries)
		},
		Expiry: func(ctx context.Context, until time.Time) (time.Time, error) {
			return privacy.Expiry(ctx, client, until)
		},
		InsertDeadline: c.InsertDeadline, Now: time.Now, Logger: tel.Logger, Saved: c.saved,
	}
	if deps.Saved == nil {
		deps.Saved = func(personal.RequestStep) error { return nil }
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: c.Kafka.Brokers, Dialer: dialer, Topic: eventlog.TopicJobs, GroupID: c.Group + "-jobs", StartOffset: kafka.FirstOffset,
		MinBytes: 1, MaxBytes: 4 << 20, MaxWait: time.Second,
	})
	defer func() { _ = reader.Close() }()
	worker := privacy.Worker{Reader: reader, Erase: deps.Erase, Metrics: metrics, Logger: tel.Logger}
	worker.Run(ctx)
	return nil
}
