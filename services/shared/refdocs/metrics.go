package refdocs

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// maxWords is how many values of a label are listed.
const maxWords = 20

// Metrics writes a table of what is measured with the meter that it gives to measure. What has no measurement there is left
// out.
func Metrics(page *bytes.Buffer, measure func(metric.Meter) error) error {
	page.WriteString(`Counters are there from the start, at 0, under all their labels, unless their line says otherwise; the others appear with their first measurement. Beside them are
those of the Go runtime and of the process, ` + "`go_…` and `process_…`" + `. [metrics.md](metrics.md) says how to get them.

| Metric | Type | Labels | Meaning |
|---|---|---|---|
`)
	reader := sdkmetric.NewManualReader()
	if err := measure(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("docs")); err != nil {
		return err
	}
	var measured metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &measured); err != nil {
		return err
	}
	for _, scope := range measured.ScopeMetrics {
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
	case metricdata.Gauge[float64]:
		return "gauge", sets(data.DataPoints, func(p metricdata.DataPoint[float64]) attribute.Set { return p.Attributes })
	case metricdata.Histogram[int64]:
		return "histogram", sets(data.DataPoints, func(p metricdata.HistogramDataPoint[int64]) attribute.Set { return p.Attributes })
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

// labels lists the names of labels; one whose values are several words comes with them, unless there are many.
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
		words = slices.DeleteFunc(words, func(w string) bool { return w == "``" })
		switch {
		case len(words) > maxWords:
			name += fmt.Sprintf(": one of %d words", len(words))
		case len(words) > 1:
			name += ": " + strings.Join(words, ", ")
		}
		all = append(all, name)
	}
	return cmp.Or(strings.Join(all, "; "), "–")
}
