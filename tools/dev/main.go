// Command dev runs onepx on one machine, without a container engine: `up`, `logs` and `down` for a stack that stays,
// `exec` to give a command (the tests) a real Kafka and a real ClickHouse, `fetch` to download them beforehand. The
// Makefile calls it; package localstack does the work.
//
// Exit codes: 0 done, 1 something failed; exec ends with the code of its command, 125 when the parts did not start or one
// ended meanwhile, 130 when it was stopped by a signal.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// cli is the command line.
type cli struct {
	Demo      demoCmd      `cmd:"" help:"Play a small shop's traffic, and people whose revenue is known, through the whole pipeline, print the reports, stop. Fails when an event is lost or a report is wrong."`
	Up        upCmd        `cmd:"" help:"Start Kafka, ClickHouse, consumer and collector in the background; addresses in .dev/env."`
	Down      downCmd      `cmd:"" help:"Stop what up started and remove its data."`
	Logs      logsCmd      `cmd:"" help:"Follow the logs of what up started."`
	Exec      execCmd      `cmd:"" help:"Run a command with a real Kafka and a real ClickHouse. Example: dev exec -- go test -tags integration ./..."`
	Fetch     fetchCmd     `cmd:"" help:"Download Kafka and ClickHouse into the cache."`
	Supervise superviseCmd `cmd:"" hidden:"" help:"What up leaves running."`
}

// exitCode ends the program with a code and without another message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	localstack.RunChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	command := kong.Parse(&cli{}, kong.Name("dev"), kong.UsageOnError(),
		kong.Description("Runs onepx on this machine from packages: no container engine needed."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	err := command.Run()
	stop()
	var code exitCode
	if errors.As(err, &code) {
		os.Exit(int(code))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// errParentEnded is why work stops when the program that started this one is gone.
var errParentEnded = errors.New("the program that started this one ended")

// withParent returns a context that also ends when the parent process does: make and `go run` die of a SIGTERM without
// passing it on, and nothing may be left running then.
func withParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					cancel(errParentEnded)
				}
			}
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

// fetchCmd is `dev fetch`.
type fetchCmd struct{}

// Run downloads what is not in the cache yet.
func (fetchCmd) Run(ctx context.Context) error { return localstack.Fetch(ctx, os.Stderr) }
