package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/exports"
	"github.com/onepx/onepx/services/consumer/internal/privacy"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/internal/webhooks"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
	"github.com/onepx/onepx/services/shared/userkey"
)

// jobsCmd are the settings of `consumer jobs`.
type jobsCmd struct {
	Kafka         kafkaconn.Settings `embed:"" prefix:"kafka-"`
	ClickHouse    store.Settings     `embed:"" prefix:"clickhouse-"`
	Telemetry     telemetry.Settings `embed:""`
	groupSettings `embed:""`

	ExportDir   string          `env:"ONEPX_EXPORT_DIR" placeholder:"DIR" help:"Folder that exports are written to, as SITE/SEGMENT/EXPORT/members.csv and so on. They hold data of people: nobody but who uploads them should read it. Empty: exports fail."`
	ContactsDir string          `env:"ONEPX_EXPORT_CONTACTS_DIR" placeholder:"DIR" help:"Folder with the sites' files of customers, SITE/NAME.csv, for lists that go to platforms. They are read and never stored. Empty: such exports fail."`
	Secret      settings.Secret `env:"ONEPX_SECRET" placeholder:"TEXT" help:"The collectors' secret, by which customers are known: for --uid, and for exports for platforms. Give it in the environment: a command line can be seen by other users."`
	Config      string          `env:"ONEPX_CONFIG" required:"" type:"existingfile" help:"The site configuration, onepx.yaml."`
	AdminListen string          `env:"ONEPX_JOBS_ADMIN_LISTEN" default:":9092" help:"Address of /livez, /readyz, /status, /metrics and pprof; not for the public."`
	// WebhookPrivate is for development and for receivers of the same network.
	WebhookPrivate bool `env:"ONEPX_WEBHOOK_PRIVATE_ADDRESSES" help:"Let webhooks reach loopback, private and other addresses that are not public. Whoever writes onepx.yaml can then reach what only this machine can."`

	// saved is called after each step of a job; tests stop there.
	saved func(step string) error
}

// Validate checks bounds.
func (c *jobsCmd) Validate() error {
	return errors.Join(c.Kafka.Validate(), c.ClickHouse.Validate(), c.Telemetry.Validate(), c.groupSettings.Validate())
}

// Run is `consumer jobs`: it works until the context ends. A job that is cut off goes on at the next start.
func (c *jobsCmd) Run(ctx context.Context, k *kong.Kong) error {
	sites, err := siteconfig.Load(c.Config)
	if err != nil {
		return err
	}
	addresses, err := webhookAddresses(sites, os.Getenv)
	if err != nil {
		return err
	}
	tel, err := telemetry.New(ctx, telemetry.Config{Settings: c.Telemetry, Service: "consumer", Version: version, LogOutput: k.Stderr})
	if err != nil {
		return err
	}
	defer func() {
		tel.Shutdown(ctx) // last: all else still logs and counts
		tel.Logger.Info("stopped")
	}()
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", c.AdminListen)
	if err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	admin := telemetry.AdminServer(telemetry.Admin{
		Addr: c.AdminListen, Ready: func() error { return nil }, Metrics: tel.MetricsHandler(),
		Status: telemetry.Status{Service: "consumer jobs", Version: version, Started: time.Now(), Now: time.Now},
	})
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error {
		if err := admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("admin server: %w", err)
		}
		return nil
	})
	work.Go(func() error {
		defer func() { _ = admin.Close() }()
		return c.work(workCtx, tel, sites, addresses)
	})
	return work.Wait()
}

// work connects to Kafka and ClickHouse and does jobs until the context ends.
func (c *jobsCmd) work(ctx context.Context, tel *telemetry.Telemetry, sites *siteconfig.Config, addresses []webhooks.Address) error {
	conn, err := c.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	shards, err := c.ClickHouse.OpenShards(clickhouseconn.OfCommands)
	defer closeAll(shards)
	if err != nil {
		return err
	}
	events, err := storeOf(ctx, conn, c.ClickHouse, shards...)
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
	for _, topic := range []string{eventlog.TopicSuppressions, eventlog.TopicJobs, eventlog.TopicAudiences, eventlog.TopicUnsubscribes} {
		if _, err := requireTopic(ctx, client, topic); err != nil {
			return err
		}
	}
	positions := func(ctx context.Context) ([]consume.Position, error) {
		return consume.GroupPositions(ctx, client, c.Group, eventlog.TopicEvents, events)
	}
	wishes := suppression.New()
	tell := audienceStream{jobsCmd: c, conn: conn, client: client, dialer: dialer, positions: positions, sites: sites, addresses: addresses, wishes: wishes}
	worker, err := c.worker(conn, shards, client, positions, wishes, tel)
	if err != nil {
		return err
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: c.Kafka.Brokers, Dialer: dialer, Topic: eventlog.TopicJobs, GroupID: c.Group + "-jobs", StartOffset: kafka.FirstOffset,
		MinBytes: 1, MaxBytes: 4 << 20, MaxWait: time.Second,
	})
	defer func() { _ = reader.Close() }()
	worker.Reader = reader
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		worker.Run(ctx)
		return nil
	})
	work.Go(func() error { return tell.run(ctx, tel) })
	return work.Wait()
}

// worker makes what does the jobs, but for its reader. wishes is followed by the audience stream.
func (c *jobsCmd) worker(conn driver.Conn, shards []driver.Conn, client *kafka.Client, positions func(context.Context) ([]consume.Position, error), wishes *suppression.List, tel *telemetry.Telemetry) (*privacy.Worker, error) {
	metrics, err := privacy.NewMetrics(tel.Meter)
	if err != nil {
		return nil, err
	}
	if c.saved == nil {
		c.saved = func(string) error { return nil }
	}
	exported := store.NewExports(conn, c.schema())
	exporter, err := c.exporter(conn, exported, wishes, tel)
	if err != nil {
		return nil, err
	}
	eraser := c.eraser(conn, shards, client, tel)
	eraser.Positions, eraser.LockExports, eraser.RemoveExports = positions, exported.Lock, exporter.Remove
	return &privacy.Worker{Metrics: metrics, Logger: tel.Logger, Tasks: map[jobs.Kind]func(context.Context, jobs.Job) error{
		jobs.Erase: eraser.Erase, jobs.Access: eraser.NoteAccess, jobs.Export: exporter.Do,
	}}, nil
}

func (c *jobsCmd) schema() store.Schema {
	return c.ClickHouse.Schema(migrations.Files)
}

// eraser makes what does erasures, but for the positions of the group and what they need of exports.
func (c *jobsCmd) eraser(conn driver.Conn, shards []driver.Conn, client *kafka.Client, tel *telemetry.Telemetry) privacy.Deps {
	return privacy.Deps{
		Requests: personal.NewRequests(conn, c.ClickHouse.Database),
		People:   personal.NewStore(conn, c.ClickHouse.Database),
		Tables:   store.NewRebuilds(conn, c.schema(), shards...),
		Suppress: func(ctx context.Context, entries []kafka.Message) (int64, error) {
			return kafkaconn.Produce(ctx, client, eventlog.TopicSuppressions, entries)
		},
		Expiry: func(ctx context.Context, until time.Time) (time.Time, error) {
			return privacy.Expiry(ctx, client, until)
		},
		InsertDeadline: c.InsertDeadline, Now: time.Now, Logger: tel.Logger, Saved: c.saved,
	}
}

// exporter makes what does exports.
func (c *jobsCmd) exporter(conn driver.Conn, exported *store.Exports, wishes *suppression.List, tel *telemetry.Telemetry) (*exports.Exporter, error) {
	metrics, err := exports.NewMetrics(tel.Meter)
	if err != nil {
		return nil, err
	}
	var key func(site, text string) []byte
	if c.Secret.Reveal() != "" {
		key = userkey.New(c.Secret.Reveal()).Of
	}
	return exports.New(exports.Deps{
		Store: exported, Log: exportlog.NewLog(conn, c.ClickHouse.Database), Wishes: wishes, Dir: c.ExportDir, ContactsDir: c.ContactsDir, Key: key,
		Metrics: metrics, Now: time.Now, Logger: tel.Logger, Saved: c.saved,
	}), nil
}
