package eventlog

import (
	"context"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// HeaderTrace carries the trace of the request that brought the event, as https://www.w3.org/TR/trace-context/ writes it.
// Nothing that is stored depends on it, and RecordHash does not see it.
const HeaderTrace = "traceparent"

// TraceHeaders are the headers of a record that is made under ctx: HeaderTrace, 66 bytes, if ctx carries a sampled span,
// and none otherwise.
func TraceHeaders(ctx context.Context) []kafka.Header {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return nil
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return []kafka.Header{{Key: HeaderTrace, Value: []byte(carrier.Get(HeaderTrace))}}
}

// SampledTrace is the span that TraceHeaders wrote down. It is not valid if there is none, or if the header is none of ours:
// that is no fault of the event.
func SampledTrace(headers []kafka.Header) trace.SpanContext {
	for _, h := range headers {
		if h.Key != HeaderTrace {
			continue
		}
		carrier := propagation.MapCarrier{HeaderTrace: string(h.Value)}
		ctx := propagation.TraceContext{}.Extract(context.Background(), carrier)
		if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
			return span
		}
		break
	}
	return trace.SpanContext{}
}
