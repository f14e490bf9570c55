package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// upCmd is `dev up`.
type upCmd struct{}

// upTimeout bounds the whole start; each part has its own, shorter bound.
const upTimeout = 10 * time.Minute

// Run builds the programs and leaves a supervisor running that has started everything.
func (upCmd) Run(ctx context.Context) error {
	ctx, stop := withParent(ctx)
	defer stop()
	dev, err := findFolder()
	if err != nil {
		return err
	}
	lock, err := dev.command()
	if err != nil {
		return err
	}
	defer lock.Close()
	if running, err := dev.running(); err != nil || running {
		if err == nil {
			fmt.Printf("it already runs; addresses are in %s\n", dev.path("env"))
		}
		return err
	}
	if err := prepare(ctx, dev); err != nil {
		return errors.Join(err, os.RemoveAll(string(dev)))
	}
	fmt.Println("starting Kafka, ClickHouse, consumer, console and collector")
	_, err = localstack.StartProcess(ctx, localstack.ProcessConfig{
		Name: "the stack", Path: dev.bin("dev"), Args: []string{"supervise"}, Dir: dev.root(),
		LogFile: dev.log("dev"), LogLines: 60, // the end of the failing part's log is among them
		Detached: true, ReadyTimeout: upTimeout, StopTimeout: stopTimeout,
		Ready: func(context.Context) error {
			if _, err := os.Stat(dev.path("env")); err != nil {
				return errors.New("not every part is ready")
			}
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("%w\nlogs are in %s", err, dev.path("log"))
	}
	env, err := os.ReadFile(dev.path("env"))
	if err != nil {
		return err
	}
	fmt.Printf("it runs; these addresses are in %s:\n%s", dev.path("env"), env)
	return nil
}

// build compiles the programs into .dev/bin, with their messages for the person who waits.
func build(ctx context.Context, dev folder) error {
	fmt.Println("building collector, consumer and console")
	if err := os.MkdirAll(dev.path("bin"), 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", dev.path("bin") + "/"}, programs...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dev.root(), os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return nil
}

// prepare builds before it fetches: what does not compile needs no downloads.
func prepare(ctx context.Context, dev folder) error {
	if err := dev.clear(); err != nil {
		return err
	}
	if err := build(ctx, dev); err != nil {
		return err
	}
	return localstack.Fetch(ctx, os.Stderr)
}
