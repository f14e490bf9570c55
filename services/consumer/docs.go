package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

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
	page.WriteString(`# Metrics of the consumer

On the admin port, path ` + "`/metrics`" + `. Counters are there from the start, at 0, under all their labels; the others appear with their
first measurement. Beside them are those of the Go runtime and of the process, ` + "`go_…` and `process_…`" + `.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
`)
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("docs")
	metrics, err := consume.NewMetrics(meter)
	if err != nil {
		return err
	}
	metrics.Sample()
	if _, err := privacy.NewMetrics(meter); err != nil {
		return err
	}
	if _, err := unsubscribes.NewMetrics(meter); err != nil {
		return err
	}
	if _, err := audiences.NewMetrics(meter); err != nil {
		return err
	}
	if _, err := webhooks.NewMetrics(meter); err != nil {
		return err
	}
	if _, err := exports.NewMetrics(meter); err != nil {
		return err
	}
	var sampled metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &sampled); err != nil {
		return err
	}
	for _, scope := range sampled.ScopeMetrics {
		for _, m := range scope.Metrics {
			kind, points := describe(m.Data)
			fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", m.Name, kind, labels(points), m.Description)
		}
	}
	return nil
}

// describe returns the type of a metric as Prometheus calls it, and the labels of each of its points.
func describe(data metricdata.Aggregation) (kind string, points []attribute.Set) {
	switch data := data.(type) {
	case metricdata.Sum[int64]:
		return "counter", sets(data.DataPoints, func(p metricdata.DataPoint[int64]) attribute.Set { return p.Attributes })
	case metricdata.Gauge[int64]:
		return "gauge", sets(data.DataPoints, func(p metricdata.DataPoint[int64]) attribute.Set { return p.Attributes })
	case metricdata.Histogram[float64]:
		return "histogram", sets(data.DataPoints, func(p metricdata.HistogramDataPoint[float64]) attribute.Set { return p.Attributes })
	}
	return fmt.Sprintf("%T", data), nil
}

func sets[T any](points []T, set func(T) attribute.Set) []attribute.Set {
	all := make([]attribute.Set, len(points))
	for i, p := range points {
		all[i] = set(p)
	}
	return all
}

// labels lists the names of labels; one whose values are words comes with all of them.
func labels(points []attribute.Set) string {
	values := map[string][]string{}
	for _, set := range points {
		for _, label := range set.ToSlice() {
			name := "`" + string(label.Key) + "`"
			if label.Value.Type() == attribute.STRING {
				values[name] = append(values[name], "`"+label.Value.AsString()+"`")
			} else {
				values[name] = nil
			}
		}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		words := slices.Compact(slices.Sorted(slices.Values(values[name])))
		if len(words) > 0 {
			name += ": " + strings.Join(words, ", ")
		}
		all = append(all, name)
	}
	return cmp.Or(strings.Join(all, "; "), "–")
}
