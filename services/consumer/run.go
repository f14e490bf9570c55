package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// tokenLife is how long a declared batch is inserted again under its token. The deduplication window of 100,000 blocks
// covers almost seven hours at maxInsertsPerSecond.
const tokenLife = 6 * time.Hour

// The load on ClickHouse that all partitions together may cause on one table.
const (
	maxInsertsPerSecond = 4
	maxPartsPerSecond   = 20
)

// waitingShare is the part of a batch that a partition holds until it is its turn.
const waitingShare = 16

// gcPercent replaces Go's 100. Most of the heap is batches, which are garbage within a second: waiting until there is as
// much of it again costs memory, and collecting twice as often costs little, as most of what lives holds no pointers.
const gcPercent = 50

// Run is `consumer run`: it builds everything, works until the context ends, and stops in order.
func (c *runCmd) Run(ctx context.Context, k *kong.Kong) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	sites, err := siteconfig.Load(c.Config)
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
	for _, warning := range sites.Warnings {
		tel.Logger.Warn("site configuration", "warning", warning)
	}
	group := &consume.Group{}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", c.AdminListen)
	if err != nil {
		return fmt.Errorf("admin listener: %w", err)
	}
	far := &progress{}
	admin := telemetry.AdminServer(telemetry.Admin{
		Addr: c.AdminListen, Facts: far.facts, Metrics: tel.MetricsHandler(),
		Ready: func() error {
			if !group.Working() {
				return errors.New("the suppression list is not read, or not all assigned partitions have begun")
			}
			return nil
		},
		Status: telemetry.Status{Service: "consumer", Version: version, Started: time.Now(), Now: time.Now},
	})
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error {
		if err := admin.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("admin server: %w", err)
		}
		return nil
	})
	work.Go(func() error {
		// The admin server is up until consuming has ended, so that probes and metrics see the stop.
		defer func() { _ = admin.Close() }()
		return c.consume(workCtx, tel, sites, group, far)
	})
	return work.Wait()
}

// consume connects to Kafka and ClickHouse and works until the context ends.
func (c *runCmd) consume(ctx context.Context, tel *telemetry.Telemetry, sites *siteconfig.Config, group *consume.Group, far *progress) error {
	conn, err := c.ClickHouse.Open(clickhouseconn.OfConsumers)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	shards, err := c.ClickHouse.OpenShards(clickhouseconn.OfConsumers)
	defer closeAll(shards)
	if err != nil {
		return err
	}
	events, err := storeOf(ctx, conn, c.ClickHouse, shards...)
	if err != nil {
		return err
	}
	worker := consume.Deps{
		Store: events, Shards: consume.ShardsOf(events), Suppressions: suppression.New(), Turns: consume.NewTurns(),
		Now: time.Now, Elapsed: consume.Elapsed, Logger: tel.Logger, Tracer: tel.Tracer,
	}
	if worker.Rules, worker.Enricher, err = prepareRules(ctx, events, sites); err != nil {
		return err
	}
	if worker.Metrics, err = consume.NewMetrics(tel.Meter); err != nil {
		return err
	}
	client, err := c.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	far.connected.Store(&connected{client: client, group: c.Group, events: events})
	dialer, err := c.Kafka.Dialer()
	if err != nil {
		return err
	}
	if worker.Limits, err = c.limits(ctx, client, events); err != nil {
		return err
	}
	deadLetters := deadLetterWriter(c.Kafka, client)
	defer func() { _ = deadLetters.Close() }()
	worker.DeadLetters = consume.DeadLetterTopic{Writer: deadLetters}

	group.Kafka = consume.Kafka{
		Brokers: c.Kafka.Brokers, Dialer: dialer, Client: client, Group: c.Group,
		Outage: telemetry.NewOutageLog(tel.Logger, "reading from Kafka", time.Now),
	}
	group.Topic, group.SessionTimeout, group.StopTimeout = eventlog.TopicEvents, c.SessionTimeout, c.InsertDeadline
	group.Logger, group.Now, group.Worker = tel.Logger, time.Now, worker
	source := suppression.Source{Brokers: c.Kafka.Brokers, Dialer: dialer, Client: client, Log: tel.Logger}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return worker.Suppressions.Follow(ctx, source) })
	work.Go(func() error {
		if err := waitFor(ctx, worker.Suppressions.Ready); err != nil {
			return nil //nolint:nilerr // stopped before it began
		}
		return group.Run(ctx)
	})
	return work.Wait()
}

// prepareRules returns what rows are made by, and saves its text before its first use.
func prepareRules(ctx context.Context, events *store.Store, sites *siteconfig.Config) (enrich.Rules, *enrich.Enricher, error) {
	rules := enrich.NewRules(sites)
	if err := useSegments(ctx, events, sites, &rules); err != nil {
		return rules, nil, err
	}
	enricher, err := enrich.New(rules)
	if err != nil {
		return rules, nil, err
	}
	return rules, enricher, events.SaveRules(ctx, rules.Hash(), rules.Text())
}

// storeOf waits for the database and checks that this consumer may write to it. shards are for those who store batches.
func storeOf(ctx context.Context, conn driver.Conn, settings store.Settings, shards ...driver.Conn) (*store.Store, error) {
	for _, each := range append(shards, conn) {
		if err := clickhouseconn.WaitUntilUp(ctx, each); err != nil {
			return nil, err
		}
	}
	if err := settings.CheckShards(ctx, shards); err != nil {
		return nil, err
	}
	schema := settings.Schema(migrations.Files)
	if err := schema.CheckSchema(ctx, conn); err != nil {
		return nil, err
	}
	return store.New(conn, schema, shards...), nil
}

func closeAll(conns []driver.Conn) {
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// limits adapts the distance between the batches of a partition to the number of partitions: all of them together must
// not insert more often than ClickHouse and its deduplication window bear.
func (c *runCmd) limits(ctx context.Context, client *kafka.Client, events *store.Store) (consume.Limits, error) {
	partitions, err := checkTopics(ctx, client)
	if err != nil {
		return consume.Limits{}, err
	}
	views, err := events.CountViews(ctx)
	if err != nil {
		return consume.Limits{}, err
	}
	gap := time.Duration(partitions) * max(time.Second/maxInsertsPerSecond, time.Duration(1+views)*time.Second/maxPartsPerSecond)
	return consume.Limits{
		BatchRows: c.BatchRows, BatchBytes: c.BatchBytes, WaitingBytes: c.BatchBytes / waitingShare,
		FlushAge: c.FlushAge, InsertGap: gap,
		IdleAfter: c.IdleAfter, InsertDeadline: c.InsertDeadline, TokenLife: tokenLife, WindowEvents: c.WindowEvents,
	}, nil
}

// checkTopics returns the number of partitions of onepx.events. Without the other two topics nothing would be stored either:
// the suppression list would never be read, and a batch with a dead letter never inserted.
func checkTopics(ctx context.Context, client *kafka.Client) (int, error) {
	var partitions int
	for _, topic := range []string{eventlog.TopicDeadLetter, eventlog.TopicSuppressions, eventlog.TopicEvents} {
		var err error
		if partitions, err = requireTopic(ctx, client, topic); err != nil {
			return 0, err
		}
	}
	return partitions, nil
}

// waitFor polls a condition that has no channel.
func waitFor(ctx context.Context, condition func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
