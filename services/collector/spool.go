package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/collector/internal/account"
	"github.com/onepx/onepx/services/collector/internal/publish"
	"github.com/onepx/onepx/services/collector/internal/spool"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/lifecycle"
	"github.com/onepx/onepx/services/shared/telemetry"
)

const (
	// spoolSegments is how many files a full spool has: disk space comes back one file at a time.
	spoolSegments   = 16
	maxSegmentBytes = 64 << 20
	// What is replayed at once.
	replayRecords = 500
	replayBytes   = 4 << 20
)

// spoolLosses counts the events that were durable in the spool and do not get to Kafka. That must not happen; it does when
// the disk is damaged, or when Kafka's limits were lowered.
type spoolLosses struct {
	log     *slog.Logger
	counter metric.Int64Counter
	total   atomic.Uint64
}

func newSpoolLosses(tel *telemetry.Telemetry) (*spoolLosses, error) {
	counter, err := tel.Meter.Int64Counter("onepx_collector_spool_lost_total",
		metric.WithDescription("Events lost from the spool by cause: damaged (the disk does not give them back) or too_large (for Kafka, whose limit was lowered)."))
	if err != nil {
		return nil, err
	}
	l := &spoolLosses{log: tel.Logger, counter: counter}
	l.count("damaged", 0)
	l.count("too_large", 0)
	return l, nil
}

func (l *spoolLosses) count(cause string, n uint64) {
	l.total.Add(n)
	l.counter.Add(context.Background(), int64(n), metric.WithAttributes(attribute.String("cause", cause))) //nolint:gosec // records on one disk
}

// damaged is told what the spool can't read any more.
func (l *spoolLosses) damaged(loss spool.Loss) {
	l.count("damaged", loss.Records)
	l.log.Error("spooled events are lost: the disk does not give them back",
		slog.Uint64("events", loss.Records), slog.String("file", loss.Segment), slog.Any("error", loss.Cause))
}

// unreplayable is told of an event that Kafka refuses for good.
func (l *spoolLosses) unreplayable(err error) {
	l.count("too_large", 1)
	l.log.Error("a spooled event is lost: kafka refuses it", slog.Any("error", err))
}

// open opens the spool.
func (s spoolSettings) open(lost func(spool.Loss)) (*spool.Spool, error) {
	return spool.Open(spool.Config{
		Dir: s.Dir, QuotaBytes: s.QuotaBytes, SegmentBytes: min(maxSegmentBytes, s.QuotaBytes/spoolSegments),
		BatchRecords: replayRecords, BatchBytes: replayBytes, Now: time.Now, Lost: lost,
	})
}

// addSpool opens the spool, if there is to be one, for the publisher to be made with the config.
func addSpool(cfg spoolSettings, tel *telemetry.Telemetry, to *publish.Config) error {
	if cfg.Dir == "" {
		return nil
	}
	losses, err := newSpoolLosses(tel)
	if err != nil {
		return err
	}
	to.SpoolOutage = telemetry.NewOutageLog(tel.Logger, "spool to disk", time.Now)
	to.Unreplayable = losses.unreplayable
	to.Spool, err = cfg.open(losses.damaged)
	return err
}

// observeSpool makes the metrics of the spool.
func observeSpool(meter metric.Meter, s *spool.Spool, p *publish.Publisher) error {
	events, err1 := meter.Int64ObservableGauge("onepx_collector_spool_events",
		metric.WithDescription("Events in the spool."))
	bytes, err2 := meter.Int64ObservableGauge("onepx_collector_spool_bytes",
		metric.WithDescription("Disk space the spool takes; at ONEPX_SPOOL_QUOTA_BYTES events are refused."), metric.WithUnit("By"))
	age, err3 := meter.Float64ObservableGauge("onepx_collector_spool_oldest_age_seconds",
		metric.WithDescription("How long the first event in the spool has been waiting; 0 when it is empty."), metric.WithUnit("s"))
	replayed, err4 := meter.Int64ObservableCounter("onepx_collector_spool_replayed_total",
		metric.WithDescription("Events that went from the spool to Kafka since the start."))
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(events, int64(s.Len()))
		o.ObserveInt64(bytes, s.Bytes())
		o.ObserveFloat64(age, s.OldestAge().Seconds())
		o.ObserveInt64(replayed, p.Replayed())
		return nil
	}, events, bytes, age, replayed)
	return err
}

type drainSpoolCmd struct {
	Dir        string `arg:"" help:"The folder, as it was in ONEPX_SPOOL_DIR."`
	eventLimit `embed:""`
	Kafka      kafkaconn.Settings `embed:"" prefix:"kafka-"`
	Telemetry  telemetry.Settings `embed:""`
}

// drainInFlight bounds the memory of draining, drainTimeout one attempt, and progressEvery is between two lines of progress.
const (
	drainInFlight = 2 * replayRecords
	drainTimeout  = 5 * time.Second
	progressEvery = 10 * time.Second
)

// Help is the command's long help.
func (*drainSpoolCmd) Help() string {
	return "Waits for Kafka as long as it takes. It may be stopped and started again: an event leaves the spool once Kafka has it.\n\n" +
		"Example: ONEPX_KAFKA_BROKERS=localhost:9092 collector drain-spool /var/lib/onepx/spool"
}

// Run publishes all events of the spool.
func (c *drainSpoolCmd) Run() error {
	ctx, stop := lifecycle.Notify(context.Background())
	defer stop()
	tel, err := telemetry.New(ctx, telemetry.Config{Settings: c.Telemetry, Service: "collector", Version: version, LogOutput: os.Stderr})
	if err != nil {
		return err
	}
	defer tel.Shutdown(ctx)
	return c.drain(ctx, tel, time.Now)
}

// drain publishes all events of the spool, and tells of them by the clock.
func (c *drainSpoolCmd) drain(ctx context.Context, tel *telemetry.Telemetry, clock func() time.Time) (err error) {
	if _, err := os.Stat(c.Dir); err != nil {
		return fmt.Errorf("spool: %w", err) // it would be made, and be empty
	}
	transport, err := c.Kafka.Transport()
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	losses, err := newSpoolLosses(tel)
	if err != nil {
		return err
	}
	s, err := spoolSettings{Dir: c.Dir, QuotaBytes: maxSpoolQuota}.open(losses.damaged)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	counts := account.NewCounts()
	publisher := publish.New(publish.Config{
		Addr: c.Kafka.Addr(), Transport: transport, InFlight: drainInFlight, Timeout: drainTimeout, MaxEventBytes: c.MaxEventBytes, Counts: counts,
		Outage: telemetry.NewOutageLog(tel.Logger, "publish to kafka", time.Now), Now: time.Now,
		Spool: s, SpoolOutage: telemetry.NewOutageLog(tel.Logger, "read the spool", time.Now), Unreplayable: losses.unreplayable,
	})
	defer reportProgress(tel.Logger, s, publisher)()
	accounts := account.New(counts, publisher, tel.Logger, clock)
	stopTelling := background(ctx, accounts.Follow) // an account of hours would be too large for Kafka
	err = publisher.Drain(ctx)
	stopTelling()
	accounts.Last(ctx)
	if err != nil {
		err = fmt.Errorf("stopped, %d events are left in the spool: %w", s.Len(), err)
	} else if left := s.Len(); left > 0 {
		err = fmt.Errorf("kafka went away at the end: the spool is left with %d accounts of what was published; repeat the command", left)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err = errors.Join(err, publisher.Close(closing))
	if lost := losses.total.Load(); lost > 0 {
		err = errors.Join(err, fmt.Errorf("%d events are lost", lost))
	}
	return err
}

// reportProgress logs how far it is now and then, and once more when the function it returns is called.
func reportProgress(log *slog.Logger, s *spool.Spool, p *publish.Publisher) (end func()) {
	line := func() {
		log.Info("drain spool", slog.Int64("published", p.Replayed()), slog.Int("left", s.Len()))
	}
	ticker, ended := time.NewTicker(progressEvery), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				line()
			case <-ended:
				return
			}
		}
	}()
	line()
	return func() {
		ticker.Stop()
		close(ended)
		line()
	}
}
