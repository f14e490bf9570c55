package consume

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
)

// Metrics count what the workers do. Invariant: rows by outcome add up to the offsets stored; batches = inserts that
// succeeded at first + recoveries that ended.
type Metrics struct {
	rows       metric.Int64Counter
	inserts    metric.Int64Counter
	recoveries metric.Int64Counter
	failures   metric.Int64Counter
	seconds    metric.Float64Histogram
	age        metric.Float64Histogram
	stoppedNow metric.Int64Gauge
	next       metric.Int64Gauge
	history    metric.Int64Gauge
}

var outcomes = []string{store.OutcomeEvent, store.OutcomeTally, store.OutcomeAccount, store.OutcomeDuplicate, store.OutcomeSuppressed, store.OutcomeDead, store.OutcomeMissing}

// The words of the label result of inserts and of the label cause of recoveries.
const (
	resultStored  = "stored"
	resultRefused = "refused"
	resultUnknown = "unknown"

	causeInherited = "inherited"
	causeInsert    = "insert_failed"
)

// NewMetrics makes the instruments; counters are born at 0 with all their labels.
func NewMetrics(meter metric.Meter) (*Metrics, error) {
	var m Metrics
	var errs [9]error
	m.rows, errs[0] = meter.Int64Counter("onepx_consumer_rows_total", metric.WithDescription("Rows stored in events, by outcome."))
	m.inserts, errs[1] = meter.Int64Counter("onepx_consumer_inserts_total", metric.WithDescription("Inserts into events, by result; unknown means that the block may be stored."))
	m.recoveries, errs[2] = meter.Int64Counter("onepx_consumer_recoveries_total", metric.WithDescription("Declared batches that were made again, by cause."))
	m.seconds, errs[3] = meter.Float64Histogram("onepx_consumer_insert_duration_seconds", metric.WithDescription("Time of one insert into events, by result."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30))
	m.age, errs[4] = meter.Float64Histogram("onepx_consumer_event_age_seconds", metric.WithDescription("Time from the publishing of a batch's first record to its row."),
		metric.WithExplicitBucketBoundaries(.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400))
	m.stoppedNow, errs[5] = meter.Int64Gauge("onepx_consumer_partition_stopped", metric.WithDescription("1 while a partition is stopped and waits for a person, by reason; 0 when it no longer is."))
	m.next, errs[6] = meter.Int64Gauge("onepx_consumer_position_offset", metric.WithDescription("First offset of a partition that is not stored."))
	m.failures, errs[7] = meter.Int64Counter("onepx_consumer_storing_failures_total", metric.WithDescription("Attempts at storing, or at finding out what is stored, that have failed; each is made again within ten seconds."))
	m.history, errs[8] = meter.Int64Gauge("onepx_consumer_history_bytes", metric.WithDescription("Memory of the filters that tell which events of the last seven days a partition has; 0 when another consumer has it."))
	ctx := context.Background()
	m.failures.Add(ctx, 0)
	for _, outcome := range outcomes {
		m.rows.Add(ctx, 0, label("outcome", outcome))
	}
	for _, result := range []string{resultStored, resultRefused, resultUnknown} {
		m.inserts.Add(ctx, 0, label("result", result))
	}
	for _, cause := range []string{causeInherited, causeInsert} {
		m.recoveries.Add(ctx, 0, label("cause", cause))
	}
	return &m, errors.Join(errs[:]...)
}

// Sample records every instrument under every label that it can have, for the reference page.
func (m *Metrics) Sample() {
	now := time.Now()
	m.stored(tally{outcomes: map[string]int64{store.OutcomeEvent: 1}, first: now}, now)
	for _, err := range []error{nil, store.ErrRefused, context.DeadlineExceeded} {
		m.inserted(0, err)
	}
	for _, r := range reason.With(reason.Stopped) {
		m.stopped(store.Partition{}, r, true)
	}
	m.position(store.Partition{}, 0)
	m.remembers(store.Partition{}, 0)
}

func label(name, value string) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String(name, value))
}

// tally counts the rows of a block.
type tally struct {
	outcomes map[string]int64
	// first is the record time of the first row that has a record, zero when there is none.
	first time.Time
}

func (t *tally) add(row *store.Row) {
	if t.outcomes == nil {
		t.outcomes = map[string]int64{}
	}
	t.outcomes[row.Outcome]++
	if t.first.IsZero() && row.RecordHash != 0 {
		t.first = row.RecordTime
	}
}

func (m *Metrics) stored(t tally, now time.Time) {
	ctx := context.Background()
	for outcome, n := range t.outcomes {
		m.rows.Add(ctx, n, label("outcome", outcome))
	}
	if !t.first.IsZero() {
		m.age.Record(ctx, max(now.Sub(t.first), 0).Seconds())
	}
}

func (m *Metrics) inserted(took time.Duration, err error) {
	result := resultOf(err)
	m.inserts.Add(context.Background(), 1, label("result", result))
	m.seconds.Record(context.Background(), took.Seconds(), label("result", result))
}

// resultOf is what became of an insert, in a word.
func resultOf(err error) string {
	switch {
	case errors.Is(err, store.ErrRefused):
		return resultRefused
	case err != nil:
		return resultUnknown
	}
	return resultStored
}

func (m *Metrics) recovering(cause error) {
	word := causeInherited
	if cause != nil {
		word = causeInsert
	}
	m.recoveries.Add(context.Background(), 1, label("cause", word))
}

// failed counts each attempt of an outage, while inserts end with the first one: as long as ClickHouse is away, nothing gets as
// far as another insert.
func (m *Metrics) failed() { m.failures.Add(context.Background(), 1) }

func (m *Metrics) stopped(p store.Partition, r reason.Reason, on bool) {
	var value int64
	if on {
		value = 1
	}
	m.stoppedNow.Record(context.Background(), value, metric.WithAttributes(attribute.Int("partition", p.ID), attribute.String("reason", string(r))))
}

func (m *Metrics) position(p store.Partition, next int64) {
	m.next.Record(context.Background(), next, metric.WithAttributes(attribute.Int("partition", p.ID)))
}

func (m *Metrics) remembers(p store.Partition, bytes int64) {
	m.history.Record(context.Background(), bytes, metric.WithAttributes(attribute.Int("partition", p.ID)))
}
