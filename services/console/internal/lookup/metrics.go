package lookup

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The words of the label result.
const (
	resultKept       = "kept"
	resultRead       = "read"
	resultSuppressed = "suppressed"
	resultUnknown    = "unknown"
	resultBusy       = "busy"
	resultTimeout    = "timeout"
	resultFailed     = "failed"
)

type metrics struct {
	lookups metric.Int64Counter
	results map[string]metric.MeasurementOption
	batches metric.Int64Histogram
}

// newMetrics makes the instruments; counters are born at 0 with all their labels.
func newMetrics(meter metric.Meter) (*metrics, error) {
	m := &metrics{results: map[string]metric.MeasurementOption{}}
	var errs [2]error
	m.lookups, errs[0] = meter.Int64Counter("onepx_console_lookups_total",
		metric.WithDescription("Lookups of visitors by result: kept (answered out of memory), read, suppressed, unknown (no visitor has the partner's id); not answered: busy, timeout, failed."))
	m.batches, errs[1] = meter.Int64Histogram("onepx_console_lookup_batch_visitors",
		metric.WithDescription("Visitors, or ids of a partner, in one query of lookups."), metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, word := range []string{resultKept, resultRead, resultSuppressed, resultUnknown, resultBusy, resultTimeout, resultFailed} {
		m.results[word] = metric.WithAttributeSet(attribute.NewSet(attribute.String("result", word)))
		m.lookups.Add(context.Background(), 0, m.results[word])
	}
	return m, nil
}

func (m *metrics) looked(result string) { m.lookups.Add(context.Background(), 1, m.results[result]) }

// unanswered counts a lookup that had no answer.
func (m *metrics) unanswered(err error) {
	switch {
	case errors.Is(err, ErrBusy):
		m.looked(resultBusy)
	case errors.Is(err, context.DeadlineExceeded):
		m.looked(resultTimeout)
	default:
		m.looked(resultFailed)
	}
}

func (m *metrics) batch(visitors int) { m.batches.Record(context.Background(), int64(visitors)) }

// Sample records what has no measurement from the start, for the reference page.
func (l *Lookup) Sample() { l.metrics.batch(1) }
