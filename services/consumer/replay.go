package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/replay"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/consumer/migrations"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// replaySettings are those of the commands that store rows for offsets which the consumers have passed.
type replaySettings struct {
	Kafka         kafkaconn.Settings `embed:"" prefix:"kafka-"`
	ClickHouse    store.Settings     `embed:"" prefix:"clickhouse-"`
	groupSettings `embed:""`

	Config string `env:"ONEPX_CONFIG" required:"" type:"existingfile" help:"The site configuration, onepx.yaml."`
	Topic  string `default:"onepx.events" help:"The topic of events."`
	DryRun bool   `help:"Show what would be stored, and store nothing."`

	// saved is called after each step of a block; tests stop there.
	saved func(replay.Step) error
}

// Validate checks bounds.
func (s *replaySettings) Validate() error {
	return errors.Join(s.Kafka.Validate(), s.ClickHouse.Validate(), s.groupSettings.Validate(), s.ClickHouse.SingleNode("a replay"))
}

// replayCmd are the settings of `consumer replay`.
type replayCmd struct {
	replaySettings `embed:""`

	Partition int   `default:"-1" help:"Only this partition; -1: all."`
	From      int64 `default:"-1" help:"First offset, with --partition; -1: the first one that Kafka holds."`
	To        int64 `default:"-1" help:"Last offset, with --partition; -1: the last one that the consumers have acknowledged."`
}

// Validate checks bounds and what belongs together.
func (c *replayCmd) Validate() error {
	errs := []error{c.replaySettings.Validate()}
	if c.Partition < -1 || c.From < -1 || c.To < -1 {
		errs = append(errs, errors.New("--partition, --from and --to are 0 or more, or -1"))
	}
	if c.Partition < 0 && (c.From >= 0 || c.To >= 0) {
		errs = append(errs, errors.New("--from and --to are offsets of one partition: add --partition"))
	}
	if c.To >= 0 && c.To < c.From {
		errs = append(errs, fmt.Errorf("--from %d is after --to %d", c.From, c.To))
	}
	return errors.Join(errs...)
}

// Run is `consumer replay`.
func (c *replayCmd) Run(ctx context.Context, k *kong.Kong) error {
	return c.with(ctx, k, func(deps replay.Deps) error {
		return replay.Gaps(ctx, deps, replay.Request{Partition: c.Partition, From: c.From, To: c.To, DryRun: c.DryRun})
	})
}

// with calls do with the parts of a replay, connected.
func (s *replaySettings) with(ctx context.Context, k *kong.Kong, do func(replay.Deps) error) error {
	sites, err := siteconfig.Load(s.Config)
	if err != nil {
		return err
	}
	client, err := s.Kafka.Client()
	if err != nil {
		return err
	}
	defer kafkaconn.Close(client)
	dialer, err := s.Kafka.Dialer()
	if err != nil {
		return err
	}
	for _, topic := range []string{s.Topic, eventlog.TopicDeadLetter, eventlog.TopicSuppressions} {
		if _, err := requireTopic(ctx, client, topic); err != nil {
			return err
		}
	}
	conn, err := s.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	letters := deadLetterWriter(s.Kafka, client)
	defer func() { _ = letters.Close() }()
	deps, err := s.deps(ctx, k, conn, client, dialer, sites)
	if err != nil {
		return err
	}
	deps.DeadLetters = consume.DeadLetterTopic{Writer: letters}
	return do(deps)
}

func (s *replaySettings) deps(ctx context.Context, k *kong.Kong, conn driver.Conn, client *kafka.Client, dialer *kafka.Dialer, sites *siteconfig.Config) (replay.Deps, error) {
	events, err := storeOf(ctx, conn, s.ClickHouse)
	if err != nil {
		return replay.Deps{}, err
	}
	logger := slog.New(slog.NewTextHandler(k.Stderr, nil))
	topic := consume.Kafka{Brokers: s.Kafka.Brokers, Dialer: dialer, Client: client, Group: s.Group, Outage: telemetry.NewOutageLog(logger, "reading from Kafka", time.Now)}
	deps := replay.Deps{
		Tables: store.NewReplays(conn, s.ClickHouse.Schema(migrations.Files)),
		Events: events, Log: topic.Log, InsertDeadline: s.InsertDeadline, TokenLife: tokenLife, Now: time.Now, Saved: s.saved,
		Letters: func(ctx context.Context, do func(consume.DeadLetter) error) error {
			return eachDeadLetter(ctx, s.Kafka, client, dialer, do)
		},
		Say: func(format string, args ...any) { fmt.Fprintf(k.Stdout, format+"\n", args...) },
		Positions: func(ctx context.Context) ([]consume.Position, error) {
			return consume.GroupPositions(ctx, client, s.Group, s.Topic, events)
		},
		Suppressions: func(ctx context.Context) (suppression.Snapshot, error) {
			return readSuppressions(ctx, suppression.Source{Brokers: s.Kafka.Brokers, Dialer: dialer, Client: client, Log: logger})
		},
	}
	if deps.Saved == nil {
		deps.Saved = func(replay.Step) error { return nil }
	}
	if s.DryRun {
		deps.Rules = enrich.NewRules(sites)
		deps.Enricher, err = enrich.New(deps.Rules)
		return deps, err
	}
	deps.Rules, deps.Enricher, err = prepareRules(ctx, events, sites)
	return deps, err
}

// readSuppressions reads the suppression list to its end.
func readSuppressions(ctx context.Context, source suppression.Source) (suppression.Snapshot, error) {
	list := suppression.New()
	following, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- list.Follow(following, source) }()
	err := waitFor(ctx, list.Ready)
	stop()
	return list.Now(), errors.Join(err, <-ended)
}
