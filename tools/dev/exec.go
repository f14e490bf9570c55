package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// execCmd is `dev exec`.
type execCmd struct {
	Kafka      bool     `help:"Start Kafka only (with --clickhouse: both, which is the default). Sets ONEPX_TEST_KAFKA to host:port."`
	Clickhouse bool     `help:"Start ClickHouse only. Sets ONEPX_TEST_CLICKHOUSE to the host:port of the native protocol, ONEPX_TEST_CLICKHOUSE_HTTP to a URL; user default, no password."`
	Command    []string `arg:"" passthrough:"" help:"The command and its arguments, after --."`
}

// Exit codes that are not the command's.
const (
	partsFailed exitCode = 125
	interrupted exitCode = 130
)

// execGrace is how long the command may go on after Ctrl-C.
const execGrace = 10 * time.Second

// Run starts the parts in a temporary directory, runs the command, and removes everything.
func (e execCmd) Run(ctx context.Context) (err error) {
	if e.Command[0] == "--" {
		e.Command = e.Command[1:]
	}
	if len(e.Command) == 0 {
		return errors.New("exec: no command after --")
	}
	if !e.Kafka && !e.Clickhouse {
		e.Kafka, e.Clickhouse = true, true
	}
	path, err := exec.LookPath(e.Command[0])
	if err != nil {
		return err
	}
	ctx, stop := withParent(ctx)
	defer stop()
	dir, err := os.MkdirTemp("", "onepx-exec-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	parts, env, err := e.startParts(ctx, dir)
	defer func() {
		for _, p := range parts {
			if errStop := p.Stop(); errStop != nil {
				fmt.Fprintln(os.Stderr, "dev exec:", errStop)
				err = partsFailed
			}
		}
	}()
	if err == nil {
		err = runCommand(ctx, path, e.Command[1:], env, parts)
	}
	if err != nil && !errors.As(err, new(exitCode)) {
		fmt.Fprintln(os.Stderr, "dev exec:", err)
		if err = partsFailed; ctx.Err() != nil {
			err = interrupted
		}
	}
	return err
}

// startParts starts what is asked for at once and returns what runs, also with an error.
func (e execCmd) startParts(ctx context.Context, dir string) (parts []*localstack.Process, env []string, err error) {
	var kafka *localstack.Kafka
	var clickhouse *localstack.ClickHouse
	group, ctx := errgroup.WithContext(ctx)
	if e.Kafka {
		group.Go(func() (err error) {
			kafka, err = localstack.StartKafka(ctx, localstack.KafkaConfig{
				Dir: filepath.Join(dir, "kafka"), Progress: os.Stderr,
			})
			return err
		})
	}
	if e.Clickhouse {
		group.Go(func() (err error) {
			clickhouse, err = localstack.StartClickHouse(ctx, localstack.ClickHouseConfig{
				Dir: filepath.Join(dir, "clickhouse"), Progress: os.Stderr,
			})
			return err
		})
	}
	err = group.Wait()
	if kafka != nil {
		parts = append(parts, kafka.Process)
		env = append(env, "ONEPX_TEST_KAFKA="+kafka.Broker())
	}
	if clickhouse != nil {
		parts = append(parts, clickhouse.Process)
		env = append(env, "ONEPX_TEST_CLICKHOUSE="+clickhouse.NativeAddr(), "ONEPX_TEST_CLICKHOUSE_HTTP="+clickhouse.HTTPURL())
	}
	return parts, env, err
}

// withoutParts is our environment without the parts of an exec around this one.
func withoutParts() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "ONEPX_TEST_KAFKA=") || strings.HasPrefix(v, "ONEPX_TEST_CLICKHOUSE=") || strings.HasPrefix(v, "ONEPX_TEST_CLICKHOUSE_HTTP=")
	})
}

// ended tells whether a part has ended. Whoever waits for it hears of that a little later than it is gone.
func ended(p *localstack.Process) bool {
	hears := time.Duration(0)
	if syscall.Kill(p.PID(), 0) != nil {
		hears = time.Second
	}
	timer := time.NewTimer(hears)
	defer timer.Stop()
	select {
	case <-p.Done():
		return true
	case <-timer.C:
	}
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// runCommand runs the command on our terminal until it ends, or the context, and returns its code as an exitCode.
func runCommand(ctx context.Context, path string, args, env []string, parts []*localstack.Process) error {
	cmd, err := localstack.StartProcess(ctx, localstack.ProcessConfig{
		Name: filepath.Base(path), Path: path, Args: args, Env: env, BaseEnv: withoutParts(), StopTimeout: execGrace,
	})
	if err != nil {
		return err
	}
	select {
	case <-cmd.Done():
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s stopped: %w", path, context.Cause(ctx)), cmd.Stop())
	}
	err = cmd.Wait()
	for _, p := range parts {
		if ended(p) {
			return fmt.Errorf("a part ended while the command ran\n%s", localstack.LogTail(p.LogFile(), 20))
		}
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if exit.Exited() {
		return exitCode(exit.ExitCode())
	}
	return exit // killed by a signal
}
