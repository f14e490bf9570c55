package privacy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/pause"
)

// Metrics count jobs.
type Metrics struct {
	jobs     metric.Int64Counter
	failures metric.Int64Counter
	asked    metric.Int64Gauge
}

// The words of the label result.
const (
	resultDone    = "done"
	resultRefused = "refused"
)

// NewMetrics makes the instruments; counters are born at 0 with all their labels.
func NewMetrics(meter metric.Meter) (*Metrics, error) {
	var m Metrics
	var errs [3]error
	m.jobs, errs[0] = meter.Int64Counter("onepx_consumer_jobs_total", metric.WithDescription("Jobs that have ended, by result; refused: the record is no job."))
	m.failures, errs[1] = meter.Int64Counter("onepx_consumer_job_failures_total", metric.WithDescription("Attempts at a job that have failed; it is tried again."))
	m.asked, errs[2] = meter.Int64Gauge("onepx_consumer_job_asked_timestamp_seconds", metric.WithDescription("When the job that is being done was asked for; 0 while there is none."))
	for _, result := range []string{resultDone, resultRefused} {
		m.ended(result, 0)
	}
	m.failures.Add(context.Background(), 0)
	m.Working(time.Unix(0, 0))
	return &m, errors.Join(errs[:]...)
}

func (m *Metrics) ended(result string, n int64) {
	m.jobs.Add(context.Background(), n, metric.WithAttributes(attribute.String("result", result)))
}

// Working shows when the present job was asked for.
func (m *Metrics) Working(asked time.Time) { m.asked.Record(context.Background(), asked.Unix()) }

// Reader is the topic of jobs as a member of a group reads it (kafka.Reader).
type Reader interface {
	FetchMessage(ctx context.Context) (kafka.Message, error)
	CommitMessages(ctx context.Context, messages ...kafka.Message) error
}

// Worker does jobs, one after the other. A job is committed when it is done; so one that was cut off comes again.
type Worker struct {
	Reader Reader
	// Tasks do the jobs of each kind. After an error they are called again with the same job.
	Tasks   map[jobs.Kind]func(context.Context, jobs.Job) error
	Metrics *Metrics
	Logger  *slog.Logger
}

// The pause between two attempts grows from retryMin to retryMax.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 10 * time.Second
)

// Run works until the context ends. Nothing else ends it: what fails is tried again.
func (w *Worker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		w.retry(ctx, "jobs cannot be read", func() error {
			message, err := w.Reader.FetchMessage(ctx)
			if err != nil {
				return err
			}
			w.do(ctx, message)
			if ctx.Err() != nil {
				return ctx.Err() // it is not done
			}
			return w.Reader.CommitMessages(ctx, message)
		})
	}
}

// do does one job, or refuses it.
func (w *Worker) do(ctx context.Context, message kafka.Message) {
	job, err := jobs.Parse(message.Value)
	task := w.Tasks[job.Kind]
	if err == nil && task == nil {
		err = fmt.Errorf("nobody does jobs of kind %q", job.Kind)
	}
	if err != nil {
		w.Logger.Warn("a record of onepx.jobs is left out", "offset", message.Offset, "error", err)
		w.Metrics.ended(resultRefused, 1)
		return
	}
	w.Metrics.Working(job.AskedAt)
	defer w.Metrics.Working(time.Unix(0, 0))
	w.retry(ctx, "job fails and is tried again", func() error {
		err := task(ctx, job)
		if err != nil && ctx.Err() == nil {
			w.Metrics.failures.Add(ctx, 1)
		}
		return err
	})
	if ctx.Err() == nil {
		w.Metrics.ended(resultDone, 1)
	}
}

// retry calls do until it succeeds or the context ends.
func (w *Worker) retry(ctx context.Context, what string, do func() error) {
	for wait := retryMin; ; wait = min(2*wait, retryMax) {
		err := do()
		if err == nil || ctx.Err() != nil {
			return
		}
		w.Logger.Warn(what, "error", err)
		if pause.For(ctx, wait/2+rand.N(wait/2)) != nil { //nolint:gosec // jitter is no secret
			return
		}
	}
}
