package publish

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

// startSpan begins the span of events on their way to Kafka, within that of their request. It is the one that their records
// carry. A request that is not sampled gets none.
func (p *Publisher) startSpan(ctx context.Context, events int) (context.Context, trace.Span) {
	if request := trace.SpanFromContext(ctx); !request.IsRecording() {
		return ctx, request
	}
	ctx, span := p.cfg.Tracer.Start(ctx, "send "+eventlog.TopicEvents, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		semconv.MessagingSystemKafka, semconv.MessagingOperationName("send"), semconv.MessagingOperationTypeSend,
		semconv.MessagingDestinationName(eventlog.TopicEvents),
	))
	if events > 1 {
		span.SetAttributes(semconv.MessagingBatchMessageCount(events))
	}
	return ctx, span
}

// endSpan ends it with the first reason why Kafka does not have an event: InSpool is one.
func endSpan(span trace.Span, words ...reason.Reason) {
	if !span.IsRecording() {
		return
	}
	for _, word := range words {
		if word != "" {
			span.SetAttributes(semconv.ErrorTypeKey.String(string(word)))
			span.SetStatus(codes.Error, "")
			break
		}
	}
	span.End()
}
