package api

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

type metrics struct {
	requests metric.Int64Counter
	duration metric.Float64Histogram
	panics   metric.Int64Counter
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	var m metrics
	var errs [3]error
	m.requests, errs[0] = meter.Int64Counter("onepx_console_requests_total", metric.WithDescription("Requests by operation and status."))
	m.duration, errs[1] = meter.Float64Histogram("onepx_console_request_duration_seconds",
		metric.WithDescription("Time of a request, to the end of its answer."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	m.panics, errs[2] = meter.Int64Counter("onepx_console_panics_total", metric.WithDescription("Defects in the handling of requests."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	m.panics.Add(context.Background(), 0)
	return &m, nil
}

// measured counts and times requests, and makes their spans. Neither holds anything of a request but its operation.
func (s *Server) measured(ctx huma.Context, next func(huma.Context)) {
	operation := ctx.Operation().OperationID
	traced, span := s.deps.Tracer.Start(ctx.Context(), operation)
	defer span.End()
	start := time.Now()
	next(huma.WithContext(ctx, traced))
	name := attribute.String("operation", operation)
	s.metrics.duration.Record(traced, time.Since(start).Seconds(), metric.WithAttributes(name))
	s.metrics.requests.Add(traced, 1, metric.WithAttributes(name, attribute.Int("status", ctx.Status())))
}
