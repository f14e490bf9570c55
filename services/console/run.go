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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/console/internal/api"
	"github.com/onepx/onepx/services/console/internal/lookup"
	"github.com/onepx/onepx/services/console/internal/seal"
	"github.com/onepx/onepx/services/console/internal/store"
	"github.com/onepx/onepx/services/shared/clickhouseconn"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/lifecycle"
	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/personal"
	"github.com/onepx/onepx/services/shared/reload"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
	"github.com/onepx/onepx/services/shared/userkey"
)

// flushTimeout bounds each of the last steps of stopping, which have next to nothing to do.
const flushTimeout = 5 * time.Second

// Run is `console run`.
func (c *runCmd) Run(ctx context.Context, k *kong.Kong) error {
	var listen net.ListenConfig
	public, err := listen.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for programs: %w", err)
	}
	admin, err := listen.Listen(ctx, "tcp", c.AdminListen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for probes and metrics: %w", err), public.Close())
	}
	return c.serve(ctx, public, admin, k.Stderr)
}

// serve serves on the listeners until ctx ends or a part fails, and stops in order. It owns the listeners.
func (c *runCmd) serve(ctx context.Context, public, admin net.Listener, logs io.Writer) error {
	tel, err := telemetry.New(ctx, telemetry.Config{Settings: c.Telemetry, Service: "console", Version: version, LogOutput: logs})
	if err != nil {
		return errors.Join(err, public.Close(), admin.Close())
	}
	defer tel.Shutdown(ctx) // last: all else still logs and counts
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // before the parts are built: unheard, it ends the process
	defer signal.Stop(hangups)
	s, err := c.build(tel)
	if err != nil {
		return errors.Join(err, public.Close(), admin.Close())
	}
	adminServer := telemetry.AdminServer(telemetry.Admin{
		Addr: c.AdminListen, Ready: s.ready, Facts: s.facts, Metrics: tel.MetricsHandler(),
		Status: telemetry.Status{Service: "console", Version: version, Started: time.Now(), Now: time.Now},
	})

	var parts sync.WaitGroup
	running, halt := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx: stopping needs all parts for a while
	failed := make(chan error, 3)
	parts.Go(func() { failed <- s.server.Serve(public) })
	parts.Go(func() { failed <- serveAdmin(adminServer, admin) })
	parts.Go(func() { failed <- s.suppressions.Follow(running, s.source) })
	notices := reload.Notices(running, c.Config, tel.Logger)
	parts.Go(func() { s.sites.Follow(running, notices, hangups, s.server.SetSites) })
	tel.Logger.Info("console serves", "version", version, "listen", public.Addr().String(), "admin", admin.Addr().String())

	grace := c.StopGrace
	select {
	case <-ctx.Done():
	case err = <-failed:
		grace = 0 // nobody is served any more
	}
	s.stopping.Store(true)
	return errors.Join(err, lifecycle.StopInOrder(tel.Logger,
		lifecycle.Stop{Name: "grace for load balancers", Timeout: grace + time.Second, Do: lifecycle.Pause(grace)},
		lifecycle.Stop{Name: "api", Timeout: c.StopTimeout, Do: s.server.Shutdown},
		lifecycle.Stop{Name: "admin", Timeout: flushTimeout, Do: adminServer.Shutdown},
		lifecycle.Stop{Name: "background", Timeout: flushTimeout, Do: func(context.Context) error {
			halt()
			parts.Wait()
			return s.close()
		}},
	))
}

// service is what serve has built.
type service struct {
	server       *api.Server
	sites        *reload.File
	suppressions *suppression.List
	source       suppression.Source
	// ping tells whether ClickHouse answers.
	ping func(context.Context) error
	// close gives back what is left when all parts have stopped.
	close    func() error
	stopping atomic.Bool
}

// build makes the parts from the settings; nothing runs yet.
func (c *runCmd) build(tel *telemetry.Telemetry) (*service, error) {
	sites, err := reload.Open(c.Config, "console", tel.Logger, tel.Meter)
	if err != nil {
		return nil, err
	}
	sealer, err := seal.New(c.Secret.Reveal())
	if err != nil {
		return nil, err
	}
	var urls *mailtoken.URLs
	if c.MailKeys != "" {
		if urls, err = c.urls(); err != nil {
			return nil, err
		}
	}
	dialer, err := c.Kafka.Dialer()
	if err != nil {
		return nil, err
	}
	client, err := c.Kafka.Client()
	if err != nil {
		return nil, err
	}
	conn, err := c.ClickHouse.Open(clickhouseconn.OfCommands)
	if err != nil {
		return nil, err
	}
	s := &service{sites: sites, suppressions: suppression.New(), ping: conn.Ping}
	s.source = suppression.Source{Brokers: c.Kafka.Brokers, Dialer: dialer, Log: tel.Logger, Client: client}
	database := store.New(conn, c.ClickHouse.Database)
	lookups, err := lookup.New(lookup.Config{
		Source: database, Suppressions: s.suppressions, Window: c.LookupWindow, Timeout: c.LookupTimeout,
		Queries: c.LookupQueries, Waiting: c.LookupWaiting, Keep: c.LookupKeep, Kept: c.LookupKept, Meter: tel.Meter, Now: time.Now,
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.close = func() error {
		lookups.Close()
		database.Close()
		kafkaconn.Close(client)
		return conn.Close()
	}
	keys := userkey.New(c.Secret.Reveal())
	people := personal.NewStore(conn, c.ClickHouse.Database)
	s.server, err = api.New(api.Deps{
		Sites: sites.Sites(), Lookups: lookups, Audiences: database, Unsubscribes: database,
		People:   func(site string) api.People { return people.OfSite(site) },
		Requests: personal.NewRequests(conn, c.ClickHouse.Database), Jobs: jobsTopic{client},
		Exports: exportlog.NewLog(conn, c.ClickHouse.Database), ExportDir: c.ExportDir,
		Suppressions: s.suppressions, Sealer: sealer, UserKey: keys.Of, RecipientKey: keys.Recipient, Mail: urls,
		QueryTimeout: c.QueryTimeout, Queries: c.Queries, Version: version,
		Meter: tel.Meter, Tracer: tel.Tracer, Sampling: c.Sampling, Logger: tel.Logger, Now: time.Now,
	})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// ready tells whether requests can be answered as far as the console itself goes. ClickHouse is not asked: while it is away
// every console would be taken out, and callers would get no answer that tells them why.
func (s *service) ready() error {
	if s.stopping.Load() {
		return errors.New("stopping")
	}
	return s.suppressions.NotReady()
}

// facts are what people may want to know at a glance.
func (s *service) facts(ctx context.Context) []telemetry.Fact {
	return []telemetry.Fact{
		telemetry.Known("clickhouse", s.ping(ctx)),
		telemetry.Known("suppressions", s.suppressions.NotReady()),
		{Name: "onepx.yaml", Value: s.sites.Hash()},
	}
}

// jobsTopic is the topic of jobs.
type jobsTopic struct{ client *kafka.Client }

// Write returns when all in-sync replicas have the job.
func (t jobsTopic) Write(ctx context.Context, job jobs.Job) error {
	message, err := job.Message()
	if err == nil {
		_, err = kafkaconn.Produce(ctx, t.client, eventlog.TopicJobs, []kafka.Message{message})
	}
	return err
}

func serveAdmin(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
