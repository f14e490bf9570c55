// Command dev runs onepx on one machine, without a container engine: `up`, `logs`, `down` for a stack that stays, `exec`
// to give a command (the tests) a real Kafka and a real ClickHouse, `fetch` to download them beforehand. The Makefile
// calls it; package localstack does the work.
//
// Exit codes: 0 done, 1 something failed, and for exec the code of its command, or 125 when the parts did not start or
// one ended meanwhile.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// cli is the command line.
type cli struct {
	Exec  execCmd  `cmd:"" help:"Run a command with a real Kafka and a real ClickHouse, e.g. dev exec -- go test -tags integration ./..."`
	Fetch fetchCmd `cmd:"" help:"Download Kafka and ClickHouse into the cache."`
}

// exitCode ends the program with a code and without another message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	localstack.RunChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	args := kong.Parse(&cli{}, kong.Name("dev"), kong.UsageOnError(),
		kong.Description("Runs onepx on this machine from packages: no container engine needed."),
		kong.BindTo(ctx, (*context.Context)(nil)))
	err := args.Run()
	var code exitCode
	if errors.As(err, &code) {
		os.Exit(int(code))
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// fetchCmd is `dev fetch`.
type fetchCmd struct{}

// Run downloads what is not in the cache yet.
func (fetchCmd) Run(ctx context.Context) error { return localstack.Fetch(ctx, os.Stderr) }
