package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

// superviseCmd is what up leaves running: it starts the parts, which live no longer than it does, says when one has ended,
// and stops them on SIGTERM. Its output is the log `dev`.
type superviseCmd struct{}

// keyPlace stands in siteConfig for the hash of the console's key, which is made at each start.
const keyPlace = "sha256:KEY"

// siteConfig is the site configuration of the local stack.
//
//go:embed onepx.yaml
var siteConfig string

// stack is what the supervisor has started.
type stack struct {
	dev   folder
	addr  addresses
	ports *localstack.Ports // of our services; kept as long as the stack lives

	mu    sync.Mutex // guards parts: Kafka and ClickHouse start at once
	parts []startedPart
}

type startedPart struct {
	name string
	*localstack.Process
}

// Run returns after the context has ended and all parts with it, or when one cannot be started.
func (superviseCmd) Run(ctx context.Context) (err error) {
	dev, err := findFolder()
	if err != nil {
		return err
	}
	lock := flock.New(dev.path("lock"))
	if locked, err := lock.TryLock(); err != nil || !locked {
		return errors.Join(errors.New("another supervisor runs"), err)
	}
	defer lock.Close()
	s := &stack{dev: dev}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.start(ctx); err != nil {
		return err
	}
	slog.Info("everything is ready")
	s.watch(ctx)
	slog.Info("stopping")
	return nil
}

// start starts everything, in order, and says so in env.
func (s *stack) start(ctx context.Context) error {
	s.addr.consoleKey = rand.Text()
	if err := s.writeFolder(); err != nil {
		return err
	}
	if err := s.startBackends(ctx); err != nil {
		return err
	}
	listeners := []*string{&s.addr.collector, &s.addr.collectorAdmin, &s.addr.consumerAdmin, &s.addr.jobsAdmin, &s.addr.console, &s.addr.consoleAdmin}
	ports, err := localstack.ReservePorts(len(listeners))
	if err != nil {
		return err
	}
	s.ports = ports
	for i, address := range listeners {
		*address = localstack.Loopback(ports.Numbers[i])
	}
	env := s.addr.settings(s.dev.path("onepx.yaml"), rand.Text()+rand.Text(), mailtoken.NewKeys(), s.dev.path("spool"))
	for _, svc := range s.addr.services() {
		if err := s.startService(ctx, svc, env); err != nil {
			return err
		}
	}
	return s.dev.write("env", shellAssignments(s.addr.vars()))
}

// writeFolder writes what the services read.
func (s *stack) writeFolder() error {
	sites := strings.ReplaceAll(siteConfig, keyPlace, fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s.addr.consoleKey))))
	return errors.Join(s.dev.write("onepx.yaml", sites), s.dev.writeState(s.state()))
}

// startBackends starts Kafka and ClickHouse at once.
func (s *stack) startBackends(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		k, err := localstack.StartKafka(ctx, localstack.KafkaConfig{
			Dir: s.dev.path("kafka"), LogFile: s.dev.log("kafka"), Progress: os.Stderr,
		})
		if err != nil {
			return err
		}
		s.addr.kafka = k.Broker()
		return s.add("kafka", k.Process)
	})
	group.Go(func() error {
		c, err := localstack.StartClickHouse(ctx, localstack.ClickHouseConfig{
			Dir: s.dev.path("clickhouse"), LogFile: s.dev.log("clickhouse"), Progress: os.Stderr, Readers: map[string]string{consoleUser: "onepx"},
		})
		if err != nil {
			return err
		}
		s.addr.clickhouseNative, s.addr.clickhouseHTTP, s.addr.clickhouseUser = c.NativeAddr(), c.HTTPURL(), c.User()
		return s.add("clickhouse", c.Process)
	})
	return group.Wait()
}

// startService runs one of our programs: to its end, or until it is ready.
func (s *stack) startService(ctx context.Context, svc service, env []string) error {
	slog.Info("starting", "part", svc.name)
	cfg := localstack.ProcessConfig{
		Name: svc.name, Path: s.dev.bin(svc.bin), Args: svc.args, Env: append(slices.Clip(env), svc.env...), BaseEnv: pipeline.CleanEnv(), LogFile: s.dev.log(svc.name),
	}
	if svc.readyURL == "" {
		return localstack.RunProcess(ctx, cfg)
	}
	cfg.Ready = localstack.HTTPReady(svc.readyURL)
	p, err := localstack.StartProcess(ctx, cfg)
	if err != nil {
		return err
	}
	return s.add(svc.name, p)
}

// add takes a part that runs into the state.
func (s *stack) add(name string, p *localstack.Process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, startedPart{name, p})
	return s.dev.writeState(s.state())
}

func (s *stack) state() state {
	st := state{Supervisor: os.Getpid()}
	for _, p := range s.parts {
		st.Parts = append(st.Parts, part{Name: p.name, PID: p.PID(), Log: p.LogFile()})
	}
	return st
}

// watch logs which parts end by themselves, until the context ends. What depends on them shows how it copes.
func (s *stack) watch(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range s.parts {
		wg.Go(func() {
			select {
			case <-ctx.Done():
			case <-p.Done():
				slog.Warn("a part ended", "part", p.name, "exit", p.Wait(), "log", p.LogFile())
			}
		})
	}
	wg.Wait()
	<-ctx.Done()
}

// stop stops what was started, last first.
func (s *stack) stop() error {
	var errs []error
	for i := len(s.parts) - 1; i >= 0; i-- {
		errs = append(errs, s.parts[i].Stop())
	}
	return errors.Join(errs...)
}
