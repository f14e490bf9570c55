// Command consumer moves events from Kafka to ClickHouse, exactly once, and owns the topics and the database schema.
//
// Exit codes: 0 done, 1 failed, 2 wrong settings or arguments, 130 stopped by a second signal.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/shared/lifecycle"
)

// version is set by the linker.
var version = "dev"

// cli is the command line. Every setting can come from the environment.
type cli struct {
	Run        runCmd        `cmd:"" help:"Consume: Kafka records in, ClickHouse rows out. Example: consumer run --config onepx.yaml"`
	Migrate    migrateCmd    `cmd:"" help:"Bring the ClickHouse schema up to date; can be repeated. Example: consumer migrate"`
	Topics     topicsCmd     `cmd:"" help:"Create and check the Kafka topics, or accept moved offsets."`
	Deadletter deadletterCmd `cmd:"" help:"Look at records that could not be decoded, and store those that can be now."`
	Replay     replayCmd     `cmd:"" help:"Store a row for each offset that lacks one, from Kafka (docs/ledger.md). Safe to repeat, and beside running consumers. Example: consumer replay --partition 2 --from 4100 --to 4199 --dry-run"`
	Import     importCmd     `cmd:"" help:"Bring exchange rates, costs of advertising and product feeds into ClickHouse."`
	Rebuild    rebuildCmd    `cmd:"" help:"Make facts of stored events anew."`
	Rollup     rollupCmd     `cmd:"" help:"Compute the sums by day that the rollup_ reports answer with; run it as often as they shall be renewed. Example: consumer rollup --config onepx.yaml --days 90"`
	Jobs       jobsCmd       `cmd:"" help:"Do the jobs of topic onepx.jobs, erasures and exports, and tell who enters and leaves streamed segments. One process is enough; a second one waits. Example: consumer jobs --config onepx.yaml"`
	Export     exportCmd     `cmd:"" help:"Write audiences to files, for the site or for platforms of advertising (docs/audiences.md)."`
	Webhooks   webhooksCmd   `cmd:"" help:"Look at what webhooks did not take, or have it tried once more."`
	Privacy    privacyCmd    `cmd:"" help:"Show, hand out or erase what is stored about people, and prove it (docs/erasure.md)."`
	Docs       docsCmd       `cmd:"" hidden:"" help:"Write the generated pages."`
}

func main() {
	ctx, release := lifecycle.Notify(context.Background())
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	release()
	os.Exit(code)
}

// execute runs one command, which prints its results to out and everything else to errOut, and returns the exit code.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	var root cli
	parser, err := kong.New(&root,
		kong.Name("consumer"),
		kong.Description("Moves events from Kafka to ClickHouse, exactly once. Exit codes: 0 done, 1 failed, 2 wrong settings or arguments."),
		kong.Writers(out, errOut),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(errOut, "consumer:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(errOut, "consumer:", err)
		return 2
	}
	if err := command.Run(); err != nil {
		fmt.Fprintln(errOut, "consumer:", err)
		return 1
	}
	return 0
}
