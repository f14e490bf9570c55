package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

type metrics struct {
	requests metric.Int64Counter
	duration metric.Float64Histogram
	panics   metric.Int64Counter
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	var m metrics
	var errs [3]error
	m.requests, errs[0] = meter.Int64Counter("onepx_console_requests_total", metric.WithDescription("Requests by operation, as in console-api.yaml, and status; each pair appears with its first request."))
	m.duration, errs[1] = meter.Float64Histogram("onepx_console_request_duration_seconds",
		metric.WithDescription("Time of a request, to the end of its answer, by operation."),
		metric.WithExplicitBucketBoundaries(0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
	m.panics, errs[2] = meter.Int64Counter("onepx_console_panics_total", metric.WithDescription("Defects in the handling of requests."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	m.panics.Add(context.Background(), 0)
	return &m, nil
}

// Sample records what has no measurement from the start, for the reference page.
func (s *Server) Sample() { s.metrics.answered(context.Background(), "", 0, 0) }

func (m *metrics) answered(ctx context.Context, operation string, status int, took time.Duration) {
	name := attribute.String("operation", operation)
	m.duration.Record(ctx, took.Seconds(), metric.WithAttributes(name))
	m.requests.Add(ctx, 1, metric.WithAttributes(name, attribute.Int("status", status)))
}

// measured counts and times requests, and makes their spans. Neither holds anything of a request but its operation.
func (s *Server) measured(ctx huma.Context, next func(huma.Context)) {
	operation, start := ctx.Operation(), time.Now()
	traced, span := ctx.Context(), trace.Span(noop.Span{})
	if s.deps.Sampling.Sampled() {
		traced, span = s.deps.Tracer.Start(traced, operation.Method+" "+operation.Path, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(semconv.HTTPRequestMethodKey.String(operation.Method), semconv.HTTPRoute(operation.Path)))
	}
	defer span.End()
	next(huma.WithContext(ctx, traced))
	s.metrics.answered(traced, operation.OperationID, ctx.Status(), time.Since(start))
	span.SetAttributes(semconv.HTTPResponseStatusCode(ctx.Status()))
	if ctx.Status() >= http.StatusInternalServerError {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(ctx.Status())))
		span.SetStatus(codes.Error, "")
	}
}
