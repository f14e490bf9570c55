package audiences

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Metrics count what the stream does.
type Metrics struct {
	rounds    metric.Int64Counter
	failures  metric.Int64Counter
	changes   metric.Int64Counter
	published metric.Int64Counter
	behind    metric.Int64Gauge
	waiting   metric.Int64Gauge
}

// NewMetrics makes the instruments; counters are born at 0 with all their labels.
func NewMetrics(meter metric.Meter) (*Metrics, error) {
	var m Metrics
	var errs [6]error
	m.rounds, errs[0] = meter.Int64Counter("onepx_consumer_audience_rounds_total", metric.WithDescription("Rounds of the audience stream: about one a second while all is well."))
	m.failures, errs[1] = meter.Int64Counter("onepx_consumer_audience_failures_total", metric.WithDescription("Times that the audience stream has failed; it is tried again."))
	m.changes, errs[2] = meter.Int64Counter("onepx_consumer_audience_changes_total", metric.WithDescription("Changes of streamed segments that were found, by type."))
	m.published, errs[3] = meter.Int64Counter("onepx_consumer_audience_published_total", metric.WithDescription("Changes that were written to topic onepx.audiences; less than were found where people were erased meanwhile."))
	m.behind, errs[4] = meter.Int64Gauge("onepx_consumer_audience_behind_offsets", metric.WithDescription("Stored offsets of onepx.events that the audience stream has not looked at."))
	m.waiting, errs[5] = meter.Int64Gauge("onepx_consumer_audience_waiting_timestamp_seconds", metric.WithDescription("When the oldest change was found that is not published, or since when some partition of events cannot be looked at; 0 when neither."))
	for _, kind := range []string{store.AudienceEntered, store.AudienceLeft} {
		m.changed(kind, 0)
	}
	for _, counter := range []metric.Int64Counter{m.rounds, m.failures, m.published} {
		counter.Add(context.Background(), 0)
	}
	m.behind.Record(context.Background(), 0)
	m.Waiting(time.Time{})
	return &m, errors.Join(errs[:]...)
}

func (m *Metrics) changed(kind string, n int64) {
	m.changes.Add(context.Background(), n, metric.WithAttributes(attribute.String("type", kind)))
}

// Waiting shows since when something waits; zero when nothing does.
func (m *Metrics) Waiting(since time.Time) {
	m.waiting.Record(context.Background(), telemetry.Timestamp(since))
}
