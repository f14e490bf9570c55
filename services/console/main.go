// Command console answers programs: audiences for ad servers, and requests of people about their data.
//
// Exit codes: 0 after a clean stop, 1 failed, 2 wrong settings or arguments, 130 stopped by a second signal.
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
	Run      runCmd           `cmd:"" help:"Serve the API until SIGTERM. Example: console run --config onepx.yaml"`
	Segments segmentsCmd      `cmd:"" help:"Look at segment rules before they are used."`
	Mail     mailCmd          `cmd:"" help:"Make e-mails measurable: rewrite messages, sign and read tokens, make keys."`
	Docs     docsCmd          `cmd:"" hidden:"" help:"Write the generated pages."`
	Version  kong.VersionFlag `help:"Print the version."`
}

func main() {
	ctx, release := lifecycle.Notify(context.Background())
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	release()
	os.Exit(code)
}

// parserOptions are those of the command line, for its pages too.
func parserOptions() []kong.Option {
	return []kong.Option{
		kong.Name("console"), kong.Vars{"version": version},
		kong.Description("Answers programs: audiences for ad servers, and requests of people about their data. Exit codes: 0 done, 1 failed, 2 wrong settings or arguments."),
	}
}

// execute runs one command, which prints its results to out and everything else to errOut, and returns the exit code.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	var root cli
	parser, err := kong.New(&root, append(parserOptions(), kong.Writers(out, errOut), kong.BindTo(ctx, (*context.Context)(nil)))...)
	if err != nil {
		fmt.Fprintln(errOut, "console:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(errOut, "console:", err)
		return 2
	}
	if err := command.Run(); err != nil {
		fmt.Fprintln(errOut, "console:", err)
		return 1
	}
	return 0
}
