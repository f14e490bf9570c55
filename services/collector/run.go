package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/collector/internal/account"
	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/collector/internal/client"
	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/collector/internal/publish"
	"github.com/onepx/onepx/services/collector/internal/spool"
	"github.com/onepx/onepx/services/collector/internal/tally"
	"github.com/onepx/onepx/services/shared/lifecycle"
	"github.com/onepx/onepx/services/shared/reload"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// flushTimeout bounds each of the last steps of stopping, which have next to nothing to do.
const flushTimeout = 5 * time.Second

// ballastBytes of memory that is never touched, and so never resident, count as live for the garbage collector. What lives
// in a collector is so little that it would collect some hundred times a second under load; so it takes up to as much more
// before it does. (GOGC would multiply also what thousands of connections take.)
const ballastBytes = 32 << 20

// background does what ends with its context, until stop is called, which waits for its end.
func background(ctx context.Context, do ...func(context.Context)) (stop func()) {
	ctx, halt := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, one := range do {
		running.Go(func() { one(ctx) })
	}
	return func() {
		halt()
		running.Wait()
	}
}

// run serves on the listeners until ctx ends or a part fails, and stops in order. It owns the listeners.
func run(ctx context.Context, cfg settings, public, admin net.Listener, logs io.Writer) error {
	tel, err := telemetry.New(ctx, telemetry.Config{Settings: cfg.Telemetry, Service: "collector", Version: version, LogOutput: logs})
	if err != nil {
		return err
	}
	defer tel.Shutdown(ctx) // last: all else still logs and counts
	defer runtime.KeepAlive(make([]byte, ballastBytes))
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before the parts are built: unheard, it ends the process
	defer signal.Stop(hangups)
	s, err := build(cfg, tel)
	if err != nil {
		return err
	}
	adminServer := telemetry.AdminServer(telemetry.Admin{
		Addr: cfg.AdminListen, Ready: s.ready, Facts: s.facts, Metrics: tel.MetricsHandler(),
		Status: telemetry.Status{Service: "collector", Version: version, Started: time.Now(), Now: time.Now},
	})

	var parts sync.WaitGroup
	running, halt := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx: stopping needs all parts for a while
	failed := make(chan error, 3)
	parts.Go(func() { failed <- s.server.Serve(public) })
	parts.Go(func() { failed <- serve(adminServer, admin) })
	parts.Go(func() { failed <- s.suppressions.Follow(running, s.source) })
	parts.Go(func() { s.health.Watch(running) })
	stopTelling, stopReplay := background(running, s.tally.Follow, s.accounts.Follow), func() {}
	if s.spool != nil {
		stopReplay = background(running, s.publisher.Replay)
	}
	notices := reload.Notices(running, cfg.Config, tel.Logger)
	parts.Go(func() { s.sites.Follow(running, notices, hangups, s.server.SetSites) })
	tel.Logger.Info("collector serves", "version", version, "collector", s.accounts.Collector.String(), "listen", public.Addr().String(), "admin", admin.Addr().String())

	grace := cfg.StopGrace
	select {
	case <-ctx.Done():
	case err = <-failed:
		grace = 0 // nobody is served any more
	}
	s.stopping.Store(true)
	return errors.Join(err, lifecycle.StopInOrder(tel.Logger,
		lifecycle.Stop{Name: "grace for load balancers", Timeout: grace + time.Second, Do: lifecycle.Pause(grace)},
		lifecycle.Stop{Name: "visitors", Timeout: cfg.StopTimeout, Do: s.server.Shutdown},
		lifecycle.Stop{Name: "replay", Timeout: flushTimeout, Do: func(context.Context) error {
			stopReplay()
			return nil
		}},
		lifecycle.Stop{Name: "tallies and accounts", Timeout: cfg.StopTimeout, Do: func(ctx context.Context) error {
			stopTelling()
			s.lastAccount(ctx)
			return nil
		}},
		lifecycle.Stop{Name: "publisher", Timeout: cfg.StopTimeout, Do: s.publisher.Close},
		lifecycle.Stop{Name: "admin", Timeout: flushTimeout, Do: adminServer.Shutdown},
		lifecycle.Stop{Name: "background", Timeout: flushTimeout, Do: func(context.Context) error {
			halt()
			parts.Wait()
			return s.close()
		}},
	))
}

// service is what run has built.
type service struct {
	server       *api.Server
	sites        *reload.File
	publisher    *publish.Publisher
	health       *publish.Health
	tally        *tally.Counter
	accounts     *account.Teller
	suppressions *suppression.List
	source       suppression.Source
	// spool is nil if there is none.
	spool *spool.Spool
	// close gives back what is left when all parts have stopped.
	close    func() error
	stopping atomic.Bool
}

// build makes the parts from the settings; nothing runs yet.
func build(cfg settings, tel *telemetry.Telemetry) (*service, error) {
	sites, err := reload.Open(cfg.Config, "collector", tel.Logger, tel.Meter)
	if err != nil {
		return nil, err
	}
	if err := deliveries.CheckSecrets(sites.Sites(), os.Getenv); err != nil {
		return nil, err
	}
	transport, err := cfg.Kafka.Transport()
	if err != nil {
		return nil, err
	}
	dialer, err := cfg.Kafka.Dialer()
	if err != nil {
		return nil, err
	}
	clients, geo, err := openClients(cfg, tel.Meter)
	if err != nil {
		return nil, err
	}
	s := &service{sites: sites, suppressions: suppression.New()}
	s.close = func() error {
		transport.CloseIdleConnections()
		if s.spool != nil {
			return errors.Join(s.spool.Close(), geo.Close())
		}
		return geo.Close()
	}
	s.source = suppression.Source{
		Brokers: cfg.Kafka.Brokers, Dialer: dialer, Log: tel.Logger,
		Client: &kafka.Client{Addr: cfg.Kafka.Addr(), Transport: transport},
	}
	counts := account.NewCounts()
	toKafka := publish.Config{
		Addr: cfg.Kafka.Addr(), Transport: transport,
		InFlight: cfg.PublishInFlight, Timeout: cfg.PublishTimeout, MaxEventBytes: cfg.MaxEventBytes, Counts: counts,
		Outage: telemetry.NewOutageLog(tel.Logger, "publish to kafka", time.Now), Tracer: tel.Tracer, Now: time.Now,
	}
	if err := addSpool(cfg.Spool, tel, &toKafka); err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.spool = toKafka.Spool
	s.publisher, s.health = publish.New(toKafka), publish.NewHealth(toKafka)
	s.tally = tally.New(s.publisher, time.Now)
	s.accounts = account.New(counts, s.publisher, tel.Logger, time.Now)
	mailTokens, err := cfg.mailTokens()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.server, err = api.New(api.Deps{
		Sites: sites.Sites(), Clients: clients, Identities: identity.New(cfg.Secret.Reveal()),
		Suppressions: s.suppressions, Wishes: &suppression.Writer{Client: s.source.Client}, MailTokens: mailTokens, Deliveries: deliveries.New(deliveries.Config{Transport: toProviders(), Getenv: os.Getenv, Now: now}), Publisher: s.publisher, Tally: s.tally.Add, Account: counts.Ended, WriteTimeout: cfg.PublishTimeout + writeMargin, MaxConnections: cfg.MaxConnections,
		Meter: tel.Meter, Tracer: tel.Tracer, Sampling: cfg.Sampling, Logger: tel.Logger, Now: now,
	})
	if err == nil {
		err = observe(tel.Meter, s.publisher, s.spool)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// lastAccount tells what is left once Kafka has said what became of all events, or in time for the next step.
func (s *service) lastAccount(ctx context.Context) {
	settling, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	_ = s.publisher.Settle(settling) // what is still on its way stays unknown to the ledger; Close tells of it
	s.accounts.Last(ctx)
}

// toProviders fetches what is needed once in a long while, so it keeps no connection.
func toProviders() http.RoundTripper {
	return &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSHandshakeTimeout: flushTimeout}
}

// openClients reads what is known of addresses; geo is to be closed after the last request.
func openClients(cfg settings, meter metric.Meter) (clients *client.Resolver, geo *client.Geo, err error) {
	trusted, err := client.ParsePrefixes(cfg.TrustedProxies)
	if err != nil {
		return nil, nil, err
	}
	datacenters, err := client.OpenDatacenters(cfg.DatacenterFile)
	if err != nil {
		return nil, nil, err
	}
	_, err = meter.Int64ObservableGauge("onepx_collector_datacenter_prefixes",
		metric.WithDescription("Address ranges in ONEPX_DATACENTER_FILE; 0 without it."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(datacenters.Len()))
			return nil
		}))
	if err != nil {
		return nil, nil, err
	}
	if geo, err = client.OpenGeo(cfg.GeoFile); err != nil {
		return nil, nil, err
	}
	return client.New(trusted, datacenters, geo), geo, nil
}

// writeMargin is the time an answer may take to write, besides the wait for Kafka; the wait for the spool is part of it.
const writeMargin = 10 * time.Second

// observe makes the metrics of the publisher and of its spool.
func observe(meter metric.Meter, p *publish.Publisher, s *spool.Spool) error {
	if s != nil {
		if err := observeSpool(meter, s, p); err != nil {
			return err
		}
	}
	_, err := meter.Int64ObservableGauge("onepx_collector_publish_in_flight_events",
		metric.WithDescription("Events on their way to Kafka; at ONEPX_PUBLISH_IN_FLIGHT new ones go to the spool or are refused."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(p.InFlight()))
			return nil
		}))
	return err
}

// ready tells whether one more event could be made durable now.
func (s *service) ready() error {
	if s.stopping.Load() {
		return errors.New("stopping")
	}
	if err := s.suppressions.NotReady(); err != nil {
		return err
	}
	return s.durable()
}

// facts are what people may want to know at a glance.
func (s *service) facts(context.Context) []telemetry.Fact {
	spooled := "none"
	if s.spool != nil {
		spooled = fmt.Sprintf("%d events, %d bytes, the first waits for %s", s.spool.Len(), s.spool.Bytes(), s.spool.OldestAge().Round(time.Second))
	}
	return []telemetry.Fact{
		telemetry.Known("kafka", s.takes()),
		{Name: "on the way", Value: fmt.Sprintf("%d events", s.publisher.InFlight())},
		{Name: "spool", Value: spooled},
		telemetry.Known("suppressions", s.suppressions.NotReady()),
		{Name: "onepx.yaml", Value: s.sites.Hash()},
	}
}

// takes tells whether Kafka would take one more event.
func (s *service) takes() error {
	err := s.health.Err()
	// That its leaders answer does not mean that they take events. With a spool, what is in it finds out when they do again;
	// without one it takes a visitor's event, so there must be visitors.
	if err == nil && s.spool != nil && s.publisher.Away() {
		return errors.New("kafka takes no events")
	}
	return err
}

// durable tells whether Kafka or the spool would take one more event.
func (s *service) durable() error {
	kafkaErr := s.takes()
	if kafkaErr == nil {
		return nil
	}
	if spoolErr := s.publisher.SpoolReady(); spoolErr != nil {
		return errors.Join(kafkaErr, spoolErr)
	}
	return nil
}

func serve(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
