package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

// startSpan begins the trace of a request that is sampled; others get no span, which costs them no memory. What the request
// says about traces (traceparent) is not believed: anybody could have every request traced.
//
// A span has nothing of the visitor. That is why it has the route and no URL: in mails, paths are somebody's too.
func (s *Server) startSpan(c echo.Context) (context.Context, trace.Span) {
	ctx := c.Request().Context()
	if !s.deps.Sampling.Sampled() {
		return ctx, trace.SpanFromContext(ctx)
	}
	method := c.Request().Method // one that the route has
	return s.deps.Tracer.Start(ctx, method+" "+c.Path(), trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(method), semconv.HTTPRoute(c.Path())))
}

// endSpan ends it with the status of the answer. Where there is none yet, a defect ends the request: see recovered.
func endSpan(span trace.Span, c echo.Context) {
	if !span.IsRecording() {
		return
	}
	status := c.Response().Status
	if !c.Response().Committed {
		status = http.StatusInternalServerError
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError {
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
