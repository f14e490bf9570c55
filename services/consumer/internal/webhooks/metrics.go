package webhooks

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Metrics count what is sent, of all addresses together.
type Metrics struct {
	attempts metric.Int64Counter
	changes  metric.Int64Counter
	failures metric.Int64Counter
	untaken  untaken
}

// untaken has how many batches each address has not taken.
type untaken struct {
	gauge metric.Int64Gauge
	mu    *sync.Mutex
	of    map[Address]int
}

// The words of the label result.
const (
	resultTaken   = "taken"
	resultRefused = "refused"
)

// NewMetrics makes the instruments; counters are born at 0 with all their labels.
func NewMetrics(meter metric.Meter) (*Metrics, error) {
	m := Metrics{untaken: untaken{mu: &sync.Mutex{}, of: map[Address]int{}}}
	var errs [4]error
	m.attempts, errs[0] = meter.Int64Counter("onepx_consumer_webhook_attempts_total", metric.WithDescription("Requests to webhooks, by result; refused ones are tried again for a day."))
	m.changes, errs[1] = meter.Int64Counter("onepx_consumer_webhook_changes_total", metric.WithDescription("Changes of audiences, and unsubscribes, that webhooks have taken."))
	m.failures, errs[2] = meter.Int64Counter("onepx_consumer_webhook_failures_total", metric.WithDescription("Batches that webhooks have not taken in time, or have answered with 410."))
	m.untaken.gauge, errs[3] = meter.Int64Gauge("onepx_consumer_webhook_untaken_batches", metric.WithDescription("Such batches that have not been taken since: see `consumer webhooks list`."))
	for _, taken := range []bool{true, false} {
		m.count(taken, 0)
	}
	m.changes.Add(context.Background(), 0)
	m.failures.Add(context.Background(), 0)
	m.untaken.gauge.Record(context.Background(), 0)
	return &m, errors.Join(errs[:]...)
}

func (m *Metrics) attempted(taken bool) { m.count(taken, 1) }

func (m *Metrics) count(taken bool, n int64) {
	result := resultRefused
	if taken {
		result = resultTaken
	}
	m.attempts.Add(context.Background(), n, metric.WithAttributes(attribute.String("result", result)))
}

// set shows how many batches an address has not taken.
func (u untaken) set(address Address, n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.of[address] = n
	all := 0
	for _, n := range u.of {
		all += n
	}
	u.gauge.Record(context.Background(), int64(all))
}
