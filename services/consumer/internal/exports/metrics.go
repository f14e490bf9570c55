package exports

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/shared/exportlog"
	"github.com/onepx/onepx/services/shared/jobs"
)

// Metrics count exports.
type Metrics struct{ exports, lines, without metric.Int64Counter }

// NewMetrics makes the instruments; counters are born at 0 with all their labels.
func NewMetrics(meter metric.Meter) (*Metrics, error) {
	var m Metrics
	var errs [3]error
	m.exports, errs[0] = meter.Int64Counter("onepx_consumer_exports_total", metric.WithDescription("Exports of audiences that have ended, by format and result."))
	m.lines, errs[1] = meter.Int64Counter("onepx_consumer_export_lines_total", metric.WithDescription("Lines of files of exports, by format and file."))
	m.without, errs[2] = meter.Int64Counter("onepx_consumer_export_without_total", metric.WithDescription("Members who were not exported, by format and what was missing: a usable contact, or consent to sharing."))
	for _, format := range jobs.Formats {
		for _, step := range []exportlog.Step{exportlog.Done, exportlog.Failed} {
			m.add(m.exports, format, "result", step, 0)
		}
		for _, name := range fileNames {
			m.add(m.lines, format, "file", name, 0)
		}
		if format.Shared() {
			m.add(m.without, format, "missing", "contact", 0)
			m.add(m.without, format, "missing", "share", 0)
		}
	}
	return &m, errors.Join(errs[:]...)
}

func (m *Metrics) add(counter metric.Int64Counter, format jobs.Format, label, value string, n uint64) {
	counter.Add(context.Background(), int64(min(n, 1<<62)), metric.WithAttributes(attribute.String("format", string(format)), attribute.String(label, value)))
}

// ended counts an export that is done or has failed.
func (m *Metrics) ended(e *exportlog.Export) {
	format := jobs.Format(e.Format)
	m.add(m.exports, format, "result", e.Step, 1)
	for i, n := range e.Lines {
		m.add(m.lines, format, "file", fileNames[i], n)
	}
	if e.Step == exportlog.Done && e.Shared() {
		m.add(m.without, format, "missing", "contact", e.WithoutContact)
		m.add(m.without, format, "missing", "share", e.WithoutShare)
	}
}
