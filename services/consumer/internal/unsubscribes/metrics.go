package unsubscribes

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/shared/telemetry"
)

// Metrics count what is told.
type Metrics struct {
	found     metric.Int64Counter
	published metric.Int64Counter
	waiting   metric.Int64Gauge
}

// NewMetrics makes the instruments; counters are born at 0.
func NewMetrics(meter metric.Meter) (*Metrics, error) {
	var m Metrics
	var errs [3]error
	m.found, errs[0] = meter.Int64Counter("onepx_consumer_unsubscribes_total", metric.WithDescription("Recipients who were found to want no more mail."))
	m.published, errs[1] = meter.Int64Counter("onepx_consumer_unsubscribes_published_total", metric.WithDescription("Those that were written to topic onepx.unsubscribes; less than were found where people were erased meanwhile."))
	m.waiting, errs[2] = meter.Int64Gauge("onepx_consumer_unsubscribes_waiting_timestamp_seconds", metric.WithDescription("When the oldest one was found that is not published, or since when some partition of events cannot be looked at; 0 when neither."))
	m.found.Add(context.Background(), 0)
	m.published.Add(context.Background(), 0)
	m.Waiting(time.Time{})
	return &m, errors.Join(errs[:]...)
}

// Waiting shows since when something waits; zero when nothing does.
func (m *Metrics) Waiting(since time.Time) {
	m.waiting.Record(context.Background(), telemetry.Timestamp(since))
}
