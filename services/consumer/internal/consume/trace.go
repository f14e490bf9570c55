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

// maxTraced bounds the requests of a batch whose traces go on: where more were sampled, the first show as much as all.
const maxTraced = 32

// startSpans begins the spans of an insert, from the decoding of the batch's records to ClickHouse's answer: one in the trace
// of each sampled request of the batch, then that of the insert itself, in the trace of the first of them and with links to
// the others. A batch without a sampled request has none. An insert that is tried again has them for each attempt. Nothing
// that is stored depends on any of this.
func (w *Worker) startSpans(ctx context.Context, b *batch) (context.Context, []trace.Span) {
	var all []trace.Span
	var links []trace.Link
	of := ctx
	for _, m := range sampled(b.records) {
		request := trace.ContextWithRemoteSpanContext(ctx, eventlog.SampledTrace(m.Headers))
		within, span := w.Tracer.Start(request, "process "+b.Topic, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
			semconv.MessagingSystemKafka, semconv.MessagingOperationName("process"), semconv.MessagingOperationTypeProcess,
			semconv.MessagingDestinationName(b.Topic), semconv.MessagingDestinationPartitionID(strconv.Itoa(b.ID)), semconv.MessagingKafkaOffset(int(m.Offset)),
		))
		if len(all) == 0 {
			of = within
		} else {
			links = append(links, trace.Link{SpanContext: span.SpanContext()})
		}
		all = append(all, span)
	}
	if len(all) == 0 {
		return ctx, nil
	}
	ctx, insert := w.Tracer.Start(of, "INSERT events", trace.WithSpanKind(trace.SpanKindClient), trace.WithLinks(links...), trace.WithAttributes(
		semconv.DBSystemNameClickHouse, semconv.DBOperationName("INSERT"), semconv.DBCollectionName("events"),
	))
	return ctx, append(all, insert)
}

// sampled are the first records of the first requests that were sampled, at most maxTraced.
func sampled(records []kafka.Message) []*kafka.Message {
	var first []*kafka.Message
	var seen []trace.SpanID
	for i := range records {
		span := eventlog.SampledTrace(records[i].Headers)
		if !span.IsValid() || slices.Contains(seen, span.SpanID()) {
			continue
		}
		first, seen = append(first, &records[i]), append(seen, span.SpanID())
		if len(first) == maxTraced {
			break
		}
	}
	return first
}

// endSpans ends them with what became of the insert. The error stays out of the traces, as ClickHouse may quote what it
// refuses: it is in the log, with the id of the insert's trace.
func (w *Worker) endSpans(ctx context.Context, all []trace.Span, err error) {
	if err != nil && len(all) > 0 {
		w.Logger.WarnContext(ctx, "a traced insert failed", "error", err)
	}
	for _, span := range slices.Backward(all) {
		if err != nil {
			span.SetAttributes(semconv.ErrorTypeKey.String(resultOf(err)))
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
