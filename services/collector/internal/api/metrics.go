package api

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/shared/reason"
)

// outcome says what became of an event. For each event received exactly one is counted:
//
//	received = stored + spooled + suppressed + ignored + rejected + lost
type outcome string

const (
	stored     outcome = "stored"
	spooled    outcome = "spooled"
	suppressed outcome = "suppressed"
	ignored    outcome = "ignored"
	rejected   outcome = "rejected"
	lost       outcome = "lost"
)

// outcomeOf is the outcome of an event that ends with the reason; "" is the reason of a stored one.
func outcomeOf(word reason.Reason) outcome {
	return outcomes[word]
}

var outcomes = func() map[reason.Reason]outcome {
	words := map[reason.Reason]outcome{"": stored}
	for effect, o := range map[reason.Effect]outcome{
		reason.Spooled: spooled, reason.Suppressed: suppressed, reason.Ignored: ignored, reason.Rejected: rejected, reason.Lost: lost,
	} {
		for _, word := range reason.With(effect) {
			words[word] = o
		}
	}
	return words
}()

// metrics counts events. All counters exist at 0 from the start, because a rate can't see the step from nothing to 1.
type metrics struct {
	received metric.Int64Counter
	ended    metric.Int64Counter
	flagged  metric.Int64Counter
	wished   metric.Int64Counter
	panics   metric.Int64Counter
	duration metric.Float64Histogram
	// account is told how each event ended, beside the counters.
	account func(reason.Reason)

	// The labels, as lists: made anew for each call they would be garbage of each hit.
	endedBy   map[reason.Reason][]metric.AddOption
	flaggedBy map[reason.Reason][]metric.AddOption
	wishedBy  map[wishLabels][]metric.AddOption
	steps     map[string][]metric.RecordOption
}

func newMetrics(meter metric.Meter, account func(reason.Reason)) (*metrics, error) {
	m := &metrics{
		account:   account,
		endedBy:   map[reason.Reason][]metric.AddOption{},
		flaggedBy: map[reason.Reason][]metric.AddOption{},
		wishedBy:  map[wishLabels][]metric.AddOption{},
		steps:     map[string][]metric.RecordOption{},
	}
	var errs [6]error
	m.received, errs[0] = meter.Int64Counter("onepx_collector_events_received_total",
		metric.WithDescription("Events received. Each ends in one outcome of onepx_collector_events_total."))
	m.ended, errs[1] = meter.Int64Counter("onepx_collector_events_total",
		metric.WithDescription("Events by outcome (stored, spooled, suppressed, ignored, rejected, lost) and reason."))
	m.flagged, errs[2] = meter.Int64Counter("onepx_collector_flags_total",
		metric.WithDescription("Repairs that stored events needed, by flag."))
	m.panics, errs[3] = meter.Int64Counter("onepx_collector_panics_total",
		metric.WithDescription("Defects that a request ran into."))
	m.duration, errs[4] = meter.Float64Histogram("onepx_collector_step_duration_seconds",
		metric.WithDescription("Time a request spent in each step; parse includes the arrival of its body, publish is the wait for Kafka, decide is all between."), metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(.0001, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	m.wished, errs[5] = meter.Int64Counter("onepx_collector_wishes_total",
		metric.WithDescription("Requests to /optout and /optin (page, opt_out, opt_in), and hits of visitors who refuse or allow audiences (refuse_profiling, allow_profiling) where the suppression list must change, by the reason why they were not met, empty if they were."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	m.bear()
	return m, nil
}

// wishRequests are all that the counter of wishes knows.
var wishRequests = []string{"page", "opt_out", "opt_in", "refuse_profiling", "allow_profiling"}

// wishLabels are one of wishRequests and the reason why it was not met.
type wishLabels struct {
	request string
	word    reason.Reason
}

// bear makes every label known and every counter exist.
func (m *metrics) bear() {
	ctx := context.Background()
	set := func(labels ...attribute.KeyValue) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(labels...))
	}
	for word, o := range outcomes {
		m.endedBy[word] = []metric.AddOption{set(attribute.String("outcome", string(o)), attribute.String("reason", string(word)))}
	}
	for _, word := range reason.With(reason.Flagged) {
		m.flaggedBy[word] = []metric.AddOption{set(attribute.String("flag", string(word)))}
	}
	for _, request := range wishRequests {
		for _, word := range append([]reason.Reason{"", reason.SiteUnknown}, reason.With(reason.Unmet)...) {
			m.wishedBy[wishLabels{request, word}] = []metric.AddOption{set(attribute.String("request", request), attribute.String("reason", string(word)))}
		}
	}
	for _, s := range steps {
		m.steps[s.name] = []metric.RecordOption{set(attribute.String("step", s.name))}
	}
	for _, label := range m.endedBy {
		m.ended.Add(ctx, 0, label...)
	}
	for _, label := range m.flaggedBy {
		m.flagged.Add(ctx, 0, label...)
	}
	for _, label := range m.wishedBy {
		m.wished.Add(ctx, 0, label...)
	}
	m.received.Add(ctx, 0)
	m.panics.Add(ctx, 0)
}

// Sample records what has no measurement from the start under each of its labels, for the reference page.
func (s *Server) Sample() {
	for _, step := range steps {
		s.metrics.step(context.Background(), step.name, 0)
	}
}

// durable tells that the event is or will be in Kafka.
func durable(word reason.Reason) bool { return word == "" || word == reason.InSpool }

// end counts how an event ended: by a reason, or durable with flags.
func (m *metrics) end(ctx context.Context, word reason.Reason, flags []reason.Reason) {
	m.ended.Add(ctx, 1, m.endedBy[word]...)
	m.account(word)
	if !durable(word) {
		return
	}
	for _, flag := range flags {
		m.flagged.Add(ctx, 1, m.flaggedBy[flag]...)
	}
}

// wish counts one of wishRequests.
func (m *metrics) wish(ctx context.Context, request string, word reason.Reason) {
	m.wished.Add(ctx, 1, m.wishedBy[wishLabels{request, word}]...)
}

func (m *metrics) step(ctx context.Context, name string, took time.Duration) {
	m.duration.Record(ctx, took.Seconds(), m.steps[name]...)
}
