package refdocs_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/shared/refdocs"
)

func TestATableOfMetricsHasWhatIsMeasured(t *testing.T) {
	var page bytes.Buffer
	require.NoError(t, refdocs.Metrics(&page, func(meter metric.Meter) error {
		ctx := t.Context()
		label := func(name, value string) metric.MeasurementOption {
			return metric.WithAttributes(attribute.String(name, value))
		}
		events, err1 := meter.Int64Counter("events_total", metric.WithDescription("Events."))
		events.Add(ctx, 0, label("result", "kept"))
		events.Add(ctx, 0, label("result", ""))
		events.Add(ctx, 0, label("result", "gone"))
		words, err2 := meter.Int64Counter("words_total", metric.WithDescription("Words."))
		for i := range 30 {
			words.Add(ctx, 0, label("word", fmt.Sprint(i)))
		}
		rows, err3 := meter.Int64Histogram("batch_rows", metric.WithDescription("Rows."))
		rows.Record(ctx, 1, metric.WithAttributes(attribute.Int("partition", 3), attribute.String("hash", "a1")))
		seconds, err4 := meter.Float64Histogram("step_seconds", metric.WithDescription("Time."))
		seconds.Record(ctx, 1)
		age, err5 := meter.Float64Gauge("age_seconds", metric.WithDescription("Age."))
		age.Record(ctx, 1)
		open, err6 := meter.Int64Gauge("open", metric.WithDescription("Open."))
		open.Record(ctx, 1)
		_, err7 := meter.Int64Counter("never_total")
		return errors.Join(err1, err2, err3, err4, err5, err6, err7)
	}))
	_, table, _ := strings.Cut(page.String(), "|---|---|---|---|\n")
	require.Equal(t, []string{
		"| `events_total` | counter | `result`: `gone`, `kept` | Events. |",
		"| `words_total` | counter | `word`: one of 30 words | Words. |",
		"| `batch_rows` | histogram | `hash`; `partition` | Rows. |",
		"| `step_seconds` | histogram | – | Time. |",
		"| `age_seconds` | gauge | – | Age. |",
		"| `open` | gauge | – | Open. |",
	}, strings.Split(strings.TrimSpace(table), "\n"))
}

func TestATableOfMetricsThatCannotBeMadeIsAnError(t *testing.T) {
	no := errors.New("no")
	require.ErrorIs(t, refdocs.Metrics(&bytes.Buffer{}, func(metric.Meter) error { return no }), no)
}
