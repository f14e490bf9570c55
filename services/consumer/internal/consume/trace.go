package consume

import (
	"context"
	"slices"
	"strconv"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/onepx/onepx/services/shared/eventlog"
)

// maxLinks bounds the links of a span: where more requests of a batch were sampled, the first show as much as all.
const maxLinks = 32

// startSpan begins the span of a batch's insert, from the decoding of its records to ClickHouse's answer, with links to the
// requests that were sampled. It is a trace of its own, as a batch has many requests; a batch of which none was sampled has
// no span. An insert that is tried again has one for each attempt. Nothing that is stored depends on any of this.
func (w *Worker) startSpan(ctx context.Context, b *batch) (context.Context, trace.Span) {
	links := linksOf(b.records)
	if len(links) == 0 {
		return ctx, trace.SpanFromContext(ctx)
	}
	return w.Tracer.Start(ctx, "INSERT events", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...),
		trace.WithAttributes(
			semconv.DBSystemNameClickHouse, semconv.DBOperationName("INSERT"), semconv.DBCollectionName("events"), semconv.DBOperationBatchSize(int(b.size())),
			semconv.MessagingSystemKafka, semconv.MessagingOperationTypeProcess, semconv.MessagingDestinationName(b.Topic),
			semconv.MessagingDestinationPartitionID(strconv.Itoa(b.ID)), semconv.MessagingKafkaOffset(int(b.First)),
			semconv.MessagingBatchMessageCount(len(b.records)),
		))
}

// linksOf are links to the first requests that were sampled, at most maxLinks, each once however many events it brought.
func linksOf(records []kafka.Message) []trace.Link {
	var links []trace.Link
	for i := range records {
		span := eventlog.SampledTrace(records[i].Headers)
		if !span.IsValid() || slices.ContainsFunc(links, func(l trace.Link) bool { return l.SpanContext.Equal(span) }) {
			continue
		}
		if links = append(links, trace.Link{SpanContext: span}); len(links) == maxLinks {
			break
		}
	}
	return links
}

// endSpan ends it with what became of the insert. The error stays out of the trace: ClickHouse may quote what it refuses.
func endSpan(span trace.Span, err error) {
	if err != nil {
		span.SetAttributes(semconv.ErrorTypeKey.String(resultOf(err)))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
