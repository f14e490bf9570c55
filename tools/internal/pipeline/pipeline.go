// Package pipeline builds onepx's own services and runs them as processes on a given Kafka and ClickHouse. Used by the
// demo, the browser test and the end-to-end rounds; `dev up`, which leaves its stack running, shares the environment.
package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// Config says where the parts are.
type Config struct {
	// Dir takes binaries, logs and the collectors' spools.
	Dir string
	// Broker and ClickHouse are host:port.
	Broker, ClickHouse string
	// Sites is the path of onepx.yaml.
	Sites string
	// Tags are build tags of the services.
	Tags string
	// Console builds the console too.
	Console bool
	// EventPartitions is the number of partitions of onepx.events.
	EventPartitions int
	// Env are further settings of all services and commands; what a service is started with counts before them.
	Env []string
}

// Pipeline runs collectors and consumers.
type Pipeline struct {
	Config
	secret string
}

// New builds the services, applies the migrations and creates the topics.
func New(ctx context.Context, cfg Config) (*Pipeline, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	p := &Pipeline{Config: cfg, secret: hex.EncodeToString(secret[:])}
	if err := os.MkdirAll(p.spools(), 0o755); err != nil {
		return nil, err
	}
	services := []string{"collector", "consumer"}
	if cfg.Console {
		services = append(services, "console")
	}
	for _, service := range services {
		args := []string{"build", "-o", p.binary(service)}
		if cfg.Tags != "" {
			args = append(args, "-tags", cfg.Tags)
		}
		build := exec.CommandContext(ctx, "go", append(args, ".")...)
		build.Dir = filepath.Join(root, "services", service)
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", service, err, out)
		}
	}
	for _, command := range [][]string{{"migrate"}, {"topics", "--events-partitions", strconv.Itoa(cfg.EventPartitions)}} {
		if out, err := p.Consumer(ctx, command...); err != nil {
			return nil, fmt.Errorf("consumer %s: %w\n%s", command[0], err, out)
		}
	}
	return p, nil
}

func (p *Pipeline) binary(service string) string { return filepath.Join(p.Dir, "bin", service) }

// spools is the folder of the collectors' spools, each in one with the collector's name.
func (p *Pipeline) spools() string { return filepath.Join(p.Dir, "spool") }

// env is for the named service that listens on the addresses; a service looks only at what is its own.
func (p *Pipeline) env(name, public, admin string) []string {
	return append(append(Environment{
		Kafka: p.Broker, ClickHouse: p.ClickHouse, ClickHouseUser: "default", Sites: p.Sites, Secret: p.secret,
		Collector: public, CollectorAdmin: admin, ConsumerAdmin: admin, JobsAdmin: admin, Console: public, ConsoleAdmin: admin, SpoolDir: filepath.Join(p.spools(), name),
	}.Settings(),
		"ONEPX_TRUSTED_PROXIES=127.0.0.1/32", // the load comes with addresses of its own
		"ONEPX_IDLE_AFTER=2s",
	), p.Env...)
}

// Consumer runs one command of the consumer to its end and returns what it printed.
func (p *Pipeline) Consumer(ctx context.Context, args ...string) (string, error) {
	return p.run(ctx, "consumer", args)
}

// Collector runs one command of the collector to its end and returns what it printed.
func (p *Pipeline) Collector(ctx context.Context, args ...string) (string, error) {
	return p.run(ctx, "collector", args)
}

// Console runs one command of the console to its end and returns what it printed.
func (p *Pipeline) Console(ctx context.Context, args ...string) (string, error) {
	return p.run(ctx, "console", args)
}

func (p *Pipeline) run(ctx context.Context, service string, args []string) (string, error) {
	command := exec.CommandContext(ctx, p.binary(service), args...)
	command.Env = append(CleanEnv(), p.env("", "", "")...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// Service is a running service.
type Service struct {
	*localstack.Process
	// URL is the public address of a collector or console, Admin the address of metrics and probes.
	URL, Admin string
	ports      *localstack.Ports
}

// StartCollector starts a collector and waits until it is ready. What extraEnv sets counts.
func (p *Pipeline) StartCollector(ctx context.Context, name string, extraEnv ...string) (*Service, error) {
	return p.start(ctx, "collector", "run", name, true, extraEnv...)
}

// StartConsumer starts a consumer and waits until it works on its partitions. What extraEnv sets counts.
func (p *Pipeline) StartConsumer(ctx context.Context, name string, extraEnv ...string) (*Service, error) {
	return p.start(ctx, "consumer", "run", name, true, extraEnv...)
}

// LaunchConsumer starts a consumer that is not expected to become ready: one that is to fail.
func (p *Pipeline) LaunchConsumer(ctx context.Context, name string, extraEnv ...string) (*Service, error) {
	return p.start(ctx, "consumer", "run", name, false, extraEnv...)
}

// LaunchCollector starts a collector that is not expected to become ready.
func (p *Pipeline) LaunchCollector(ctx context.Context, name string, extraEnv ...string) (*Service, error) {
	return p.start(ctx, "collector", "run", name, false, extraEnv...)
}

// StartJobs starts the worker of jobs and waits until it is ready. What extraEnv sets counts.
func (p *Pipeline) StartJobs(ctx context.Context, name string, extraEnv ...string) (*Service, error) {
	return p.start(ctx, "consumer", "jobs", name, true, extraEnv...)
}

// StartConsole starts a console and waits until it is ready. What extraEnv sets counts.
func (p *Pipeline) StartConsole(ctx context.Context, name string, extraEnv ...string) (*Service, error) {
	return p.start(ctx, "console", "run", name, true, extraEnv...)
}

func (p *Pipeline) start(ctx context.Context, service, command, name string, ready bool, extraEnv ...string) (*Service, error) {
	ports, err := localstack.ReservePorts(2)
	if err != nil {
		return nil, err
	}
	public, admin := localstack.Loopback(ports.Numbers[0]), localstack.Loopback(ports.Numbers[1])
	s := &Service{URL: "http://" + public, Admin: "http://" + admin, ports: ports}
	cfg := localstack.ProcessConfig{
		Name: name, Path: p.binary(service), Args: []string{command}, BaseEnv: CleanEnv(), Env: append(p.env(name, public, admin), extraEnv...),
		LogFile: filepath.Join(p.Dir, "log", name+".log"),
	}
	if ready {
		cfg.Ready = localstack.HTTPReady(s.Admin + "/readyz")
	}
	s.Process, err = localstack.StartProcess(ctx, cfg)
	return s, err
}
