package main

import (
	"context"
	"math"
	"strconv"

	dto "github.com/prometheus/client_model/go"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// series is what a rule asks of a metric. Only buckets of histograms have a limit, in seconds: how old a batch may be.
type series struct {
	name, label, value string
	limit              float64
}

// String is the selector of PromQL, as it stands in the rule.
func (s series) String() string {
	if s.label == "" {
		return s.name
	}
	return s.name + "{" + s.label + "=" + strconv.Quote(s.value) + "}"
}

// What the alerts of the drill ask.
var (
	lostEvents      = series{name: "onepx_collector_events_total", label: "outcome", value: "lost"}
	waitingEvents   = series{name: spoolEvents}
	longestWait     = series{name: "onepx_collector_spool_oldest_age_seconds"}
	storingFailures = series{name: "onepx_consumer_storing_failures_total"}
	youngBatches    = series{name: "onepx_consumer_event_age_seconds_bucket", limit: 10}
	allBatches      = series{name: "onepx_consumer_event_age_seconds_bucket", limit: math.Inf(1)}
	deadRows        = series{name: "onepx_consumer_rows_total", label: "outcome", value: "dead"}
)

// spoolWait is how old the oldest event of a spool may be, in seconds. The rule waits for minutes; a drill cannot.
const spoolWait = 2

// symptom is how a fault shows in what its alert asks.
type symptom struct {
	// fault is its word in the report, alert the name of the rule.
	fault, alert string
	asks         []series
	// raised tells it from two readings of one process.
	raised func(before, now reading) bool
}

var (
	kafkaIsAway      = symptom{"kafka_away", "OnepxEventsLost", []series{lostEvents}, grows(lostEvents)}
	clickHouseIsAway = symptom{"clickhouse_away", "OnepxInsertsFail", []series{storingFailures}, grows(storingFailures)}
	rowsAreLate      = symptom{"lag", "OnepxRowsLate", []series{youngBatches, allBatches}, late}
	spoolGrows       = symptom{"spool", "OnepxSpoolGrows", []series{waitingEvents, longestWait}, waits}
	deadLetters      = symptom{"dead_letters", "OnepxDeadLetters", []series{deadRows}, grows(deadRows)}
)

// symptoms are all that the drill shows, in the order of the report.
func symptoms() []symptom {
	return []symptom{kafkaIsAway, clickHouseIsAway, rowsAreLate, spoolGrows, deadLetters}
}

// grows is rate(s) > 0.
func grows(s series) func(before, now reading) bool {
	return func(before, now reading) bool { return now[s] > before[s] }
}

// late is histogram_quantile(0.9, rate(age)) > limit: less than nine in ten of the batches since are young.
func late(before, now reading) bool {
	batches := now[allBatches] - before[allBatches]
	return batches > 0 && now[youngBatches]-before[youngBatches] < 0.9*batches
}

// waits is events > 0 and delta(events) >= 0 and age > limit.
func waits(before, now reading) bool {
	return now[waitingEvents] > 0 && now[waitingEvents] >= before[waitingEvents] && now[longestWait] > spoolWait
}

// reading has the values of one process at one time; what a process of its kind does not have is 0.
type reading map[series]float64

func read(families map[string]*dto.MetricFamily) reading {
	r := reading{}
	for _, symptom := range symptoms() {
		for _, s := range symptom.asks {
			r[s] = s.sum(families)
		}
	}
	return r
}

func (s series) sum(families map[string]*dto.MetricFamily) (sum float64) {
	if s.limit > 0 {
		return s.batches(families)
	}
	for _, m := range families[s.name].GetMetric() {
		if s.label == "" || pipeline.Label(m, s.label) == s.value {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return sum
}

// batches is the value of the bucket.
func (s series) batches(families map[string]*dto.MetricFamily) (sum float64) {
	const suffix = "_bucket"
	for _, m := range families[s.name[:len(s.name)-len(suffix)]].GetMetric() {
		for _, b := range m.GetHistogram().GetBucket() {
			if b.GetUpperBound() == s.limit {
				sum += float64(b.GetCumulativeCount())
			}
		}
	}
	return sum
}

// readAll reads processes; one that does not answer is an error.
func readAll(ctx context.Context, services []*pipeline.Service) ([]reading, error) {
	readings := make([]reading, len(services))
	for i, s := range services {
		families, err := s.Metrics(ctx)
		if err != nil {
			return nil, err
		}
		readings[i] = read(families)
	}
	return readings, nil
}

// anywhere tells whether the symptom is raised in a process, of which there are two readings each.
func (s symptom) anywhere(before, now []reading) bool {
	for i := range before {
		if s.raised(before[i], now[i]) {
			return true
		}
	}
	return false
}
