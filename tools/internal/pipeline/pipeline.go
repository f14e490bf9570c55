// Package pipeline builds onepx's own services and runs them as processes on a given Kafka and ClickHouse. Used by the
// demo and the end-to-end rounds.
package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// Config says where the parts are.
type Config struct {
	// Dir takes binaries and logs.
	Dir string
	// Broker and ClickHouse are host:port.
	Broker, ClickHouse string
	// Sites is the path of onepx.yaml.
	Sites string
	// Tags are build tags of the consumer.
	Tags string
	// EventPartitions is the number of partitions of onepx.events.
	EventPartitions int
}

// Pipeline runs collectors and consumers.
type Pipeline struct {
	Config
	secret string
}

// sessionTimeout and insertDeadline are short, so that a killed consumer's partitions move within seconds.
const (
	sessionTimeout = 10 * time.Second
	// InsertDeadline is the consumers' setting.
	InsertDeadline = 4 * time.Second
)

// Root is the repository: the folder of go.work at or above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("not inside the repository: no go.work at or above the working directory")
		}
	}
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
	for _, service := range []string{"collector", "consumer"} {
		args := []string{"build", "-o", p.binary(service)}
		if service == "consumer" && cfg.Tags != "" {
			args = append(args, "-tags", cfg.Tags)
		}
		build := exec.CommandContext(ctx, "go", append(args, ".")...)
		build.Dir = filepath.Join(root, "services", service)
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", service, err, out)
		}
	}
	for _, command := range [][]string{{"migrate"}, {"topics", "--events-partitions", strconv.Itoa(cfg.EventPartitions), "--replication", "1"}} {
		if out, err := p.Consumer(ctx, command...); err != nil {
			return nil, fmt.Errorf("consumer %s: %w\n%s", command[0], err, out)
		}
	}
	return p, nil
}

func (p *Pipeline) binary(service string) string { return filepath.Join(p.Dir, "bin", service) }

func (p *Pipeline) env(extra ...string) []string {
	return append([]string{
		"ONEPX_KAFKA_BROKERS=" + p.Broker,
		"ONEPX_CLICKHOUSE_ADDR=" + p.ClickHouse,
		"ONEPX_CONFIG=" + p.Sites,
		"ONEPX_SECRET=" + p.secret,
		"ONEPX_STOP_GRACE=100ms",
		"ONEPX_TRUSTED_PROXIES=127.0.0.1/32",
		"ONEPX_SESSION_TIMEOUT=" + sessionTimeout.String(),
		"ONEPX_INSERT_DEADLINE=" + InsertDeadline.String(),
		"ONEPX_IDLE_AFTER=2s",
	}, extra...)
}

// Consumer runs one command of the consumer to its end and returns what it printed.
func (p *Pipeline) Consumer(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, p.binary("consumer"), args...)
	command.Env = append(os.Environ(), p.env()...)
	out, err := command.CombinedOutput()
	return string(out), err
}

// Service is a running service.
type Service struct {
	*localstack.Process
	// URL is the public address of a collector, Admin the address of metrics and probes.
	URL, Admin string
	ports      *localstack.Ports
}

// StartCollector starts a collector and waits until it is ready.
func (p *Pipeline) StartCollector(ctx context.Context, name string) (*Service, error) {
	s, cfg, err := p.describe("collector", name, nil)
	if err != nil {
		return nil, err
	}
	cfg.Ready = localstack.HTTPReady(s.Admin + "/readyz")
	s.Process, err = localstack.StartProcess(ctx, cfg)
	return s, err
}

// StartConsumer starts a consumer and waits until it works on its partitions.
func (p *Pipeline) StartConsumer(ctx context.Context, name string) (*Service, error) {
	s, cfg, err := p.describe("consumer", name, nil)
	if err != nil {
		return nil, err
	}
	cfg.Ready = localstack.HTTPReady(s.Admin + "/readyz")
	s.Process, err = localstack.StartProcess(ctx, cfg)
	return s, err
}

// LaunchConsumer starts a consumer that is not expected to become ready: one that is to fail.
func (p *Pipeline) LaunchConsumer(ctx context.Context, name string, extraEnv ...string) (*Service, error) {
	s, cfg, err := p.describe("consumer", name, extraEnv)
	if err != nil {
		return nil, err
	}
	s.Process, err = localstack.StartProcess(ctx, cfg)
	return s, err
}

func (p *Pipeline) describe(service, name string, extraEnv []string) (*Service, localstack.ProcessConfig, error) {
	ports, err := localstack.ReservePorts(2)
	if err != nil {
		return nil, localstack.ProcessConfig{}, err
	}
	public, admin := address(ports.Numbers[0]), address(ports.Numbers[1])
	env := p.env("ONEPX_COLLECTOR_LISTEN="+public, "ONEPX_COLLECTOR_ADMIN_LISTEN="+admin, "ONEPX_CONSUMER_ADMIN_LISTEN="+admin)
	return &Service{URL: "http://" + public, Admin: "http://" + admin, ports: ports}, localstack.ProcessConfig{
		Name: name, Path: p.binary(service), Args: []string{"run"}, Env: append(env, extraEnv...),
		LogFile: filepath.Join(p.Dir, "log", name+".log"),
	}, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
