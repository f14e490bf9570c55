package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/consumer/internal/audiences"
	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/exports"
	"github.com/onepx/onepx/services/consumer/internal/mailrules"
	"github.com/onepx/onepx/services/consumer/internal/privacy"
	"github.com/onepx/onepx/services/consumer/internal/unsubscribes"
	"github.com/onepx/onepx/services/consumer/internal/webhooks"
	"github.com/onepx/onepx/services/shared/refdocs"
	table "github.com/onepx/onepx/services/shared/settings"
)

// docsCmd writes the reference pages that are made from the code.
type docsCmd struct {
	Dir string `help:"Folder to write to." default:"docs"`
}

// Run writes the pages.
func (c *docsCmd) Run() error {
	return refdocs.Write(c.Dir, "consumer docs", map[string]func(*bytes.Buffer) error{
		"configuration-consumer.md": configurationPage,
		"metrics-consumer.md":       metricsPage,
		"mail-rules.md":             mailRulesPage,
	})
}

func configurationPage(page *bytes.Buffer) error {
	page.WriteString(`# Settings of the consumer

Each is an environment variable or a flag; the flag goes first. A command takes those that it needs:
` + "`consumer run`, `migrate`, `topics`, `topics accept-offsets`, `deadletter show`, `deadletter replay`, `replay`, `import rates`, `import costs`, `import feed`, `rollup`, `rebuild goals`, `rebuild segments`, `jobs`, `export`, `export list` or one of `privacy` and `webhooks`, each with `--help`" + `. Wrong ones end the start with
exit code 2. Secrets have no default and are never logged.

`)
	return table.Markdown(page, &cli{}, kong.Name("consumer"))
}

func mailRulesPage(page *bytes.Buffer) error {
	page.WriteString(`# Rules for hits of e-mails

The first rule that applies to a hit decides its class; [mail-reports.md](mail-reports.md) says what the classes are and who asks. Those from ` + "`crawler` to `datacenter`" + ` are [traffic classes](quality.md) given
at the arrival. A limit is included unless it says "less than" or "more than".

| Rule | Class | The hit … |
|---|---|---|
`)
	for _, r := range mailrules.Rules {
		fmt.Fprintf(page, "| `%s` | `%s` | %s |\n", r.ID, r.Class, r.Meaning)
	}
	return nil
}

func metricsPage(page *bytes.Buffer) error {
	page.WriteString("# Metrics of the consumer\n\n")
	return refdocs.Metrics(page, func(meter metric.Meter) error {
		metrics, err := consume.NewMetrics(meter)
		if err != nil {
			return err
		}
		metrics.Sample()
		var errs [5]error
		_, errs[0] = privacy.NewMetrics(meter)
		_, errs[1] = unsubscribes.NewMetrics(meter)
		_, errs[2] = audiences.NewMetrics(meter)
		_, errs[3] = webhooks.NewMetrics(meter)
		_, errs[4] = exports.NewMetrics(meter)
		return errors.Join(errs[:]...)
	})
}
