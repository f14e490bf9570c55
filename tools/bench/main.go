// Command bench measures onepx on real parts, each time against something else in the same run, so that the numbers mean
// something on whatever machine it is. It prints a line for each number and writes docs/benchmarks.md.
//
//	bench NAME value=… goal=… ok|short
//
// A benchmark is a file of this package, such as edge.go. It measures several times, the things compared by
// turns, and reports medians. The soak (soak.go) is another kind: one long run, in which nothing may grow.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/tools/internal/localstack"
)

type cli struct {
	Run  runCmd  `cmd:"" default:"withargs" help:"Measure. Example: bench --only pixel"`
	Soak soakCmd `cmd:"" help:"Run the whole pipeline at half load for long, and see that nothing grows, is lost or comes twice. Example: bench soak --minutes 30"`
	Bare bareCmd `cmd:"" hidden:"" help:"Be the bare handler that the collector is compared with."`
}

type runCmd struct {
	Only string `help:"Run only this benchmark: pixel, consent, telemetry, mail, spool, memory, consumer, goals, segments, audiences, campaigns, export, questions or erasure. docs/benchmarks.md keeps what it says of the others."`
	Runs int    `default:"3" help:"How often each thing is measured."`
	Dir  string `help:"Folder for data and logs, which is kept; empty = a temporary one, which is removed on success."`
}

// benchmarks are all of them in the order of docs/benchmarks.md.
var benchmarks = []benchmark{
	{"pixel", "The pixel against a bare handler", pixelBench, pixelTried},
	{"consent", "The pixel with a TC string in every hit", consentBench, ""},
	{"telemetry", "Metrics and traces", telemetryBench, ""},
	{"mail", "Opens and clicks in mails", mailBench, ""},
	{"spool", "Answers while Kafka is away", spoolBench, ""},
	{"memory", "Resident memory", memoryBench, ""},
	{"consumer", "The consumer against ClickHouse's own Kafka engine", consumerBench, ""},
	{"goals", "The consumer with many goals", goalsBench, ""},
	{"segments", "The consumer with many segments", segmentsBench, ""},
	{"audiences", "Who is in an audience", audiencesBench, audienceTried},
	{"campaigns", "Which campaigns bring the revenue", campaignBench, campaignTried},
	{"export", "Exports of a million members", exportBench, ""},
	{"questions", "The standard questions over 100 million events", questionBench, questionTried},
	{"erasure", "An erasure in 100 million events", erasureBench, ""},
}

// benchmark measures one thing.
type benchmark struct {
	name, title string
	run         func(ctx context.Context, w *world) (report, error)
	// tried says in the page what was tried for a goal that is missed.
	tried string
}

func main() {
	localstack.RunChild()
	parsed := kong.Parse(&cli{}, kong.Name("bench"), kong.Description("Measures onepx against bare alternatives, on real parts on this machine. It needs the machine to itself."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.FatalIfErrorf(parsed.Run())
}

// Run measures and writes the page.
func (c *runCmd) Run(ctx context.Context) error {
	if c.Runs < 1 {
		return errors.New("--runs must be at least 1")
	}
	return inFolder(c.Dir, func(dir string) error { return c.runIn(ctx, dir) })
}

// inFolder gives a folder for data and logs to what it does: the one named, or a temporary one, which is removed on success.
func inFolder(dir string, do func(dir string) error) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "onepx-bench-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(dir)
				return
			}
			fmt.Fprintln(os.Stderr, "bench: logs are in", dir)
		}()
	}
	return do(dir)
}

func (c *runCmd) runIn(ctx context.Context, dir string) error {
	known := false
	for _, b := range benchmarks {
		if c.Only != "" && c.Only != b.name {
			continue
		}
		known = true
		result, err := c.measure(ctx, b, filepath.Join(dir, b.name))
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		if err := writeReport(b, result); err != nil {
			return err
		}
	}
	if !known {
		return fmt.Errorf("--only: no benchmark is called %q; there are %s", c.Only, strings.Join(names(), ", "))
	}
	return nil
}

// measure runs a benchmark in a world of its own.
func (c *runCmd) measure(ctx context.Context, b benchmark, dir string) (report, error) {
	fmt.Fprintf(os.Stderr, "%s …\n", b.title)
	w, err := start(ctx, dir, c.Runs)
	defer w.stop()
	if err != nil {
		return report{}, err
	}
	result, err := b.run(ctx, w)
	if err != nil {
		return report{}, err
	}
	for _, n := range result.numbers {
		fmt.Println(n)
	}
	return result, nil
}

func names() []string {
	var all []string
	for _, b := range benchmarks {
		all = append(all, b.name)
	}
	return all
}
