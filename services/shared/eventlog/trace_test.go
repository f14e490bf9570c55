package eventlog_test

import (
	"context"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/onepx/onepx/services/shared/eventlog"
)

// under is a context with a span.
func under(t *testing.T, flags trace.TraceFlags) (context.Context, trace.SpanContext) {
	t.Helper()
	state, err := trace.ParseTraceState("vendor=value")
	require.NoError(t, err)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: flags, TraceState: state})
	return trace.ContextWithSpanContext(t.Context(), span), span
}

func TestASampledSpanComesThroughTheHeadersOfARecord(t *testing.T) {
	ctx, span := under(t, trace.FlagsSampled)
	headers := eventlog.TraceHeaders(ctx)
	require.Equal(t, []kafka.Header{{Key: "traceparent", Value: []byte("00-01000000000000000000000000000000-0200000000000000-01")}}, headers,
		"and no tracestate, which may be long")
	got := eventlog.SampledTrace(append([]kafka.Header{{Key: eventlog.HeaderReplayed, Value: []byte("1")}}, headers...))
	require.Equal(t, span.TraceID(), got.TraceID())
	require.Equal(t, span.SpanID(), got.SpanID())
	require.True(t, got.IsSampled())
}

func TestWhatIsNotSampledHasNoHeader(t *testing.T) {
	unsampled, _ := under(t, 0)
	for name, ctx := range map[string]context.Context{"no span": t.Context(), "a span that is not sampled": unsampled} {
		t.Run(name, func(t *testing.T) {
			require.Nil(t, eventlog.TraceHeaders(ctx))
			require.Zero(t, testing.AllocsPerRun(100, func() { eventlog.TraceHeaders(ctx) }))
		})
	}
}

func TestHeadersThatNameNoSampledSpan(t *testing.T) {
	for name, value := range map[string]string{
		"empty": "", "not sampled": "00-01000000000000000000000000000000-0200000000000000-00",
		"no trace": "00-00000000000000000000000000000000-0200000000000000-01", "cut off": "00-0100000000000000", "a text": "trace of 1",
	} {
		t.Run(name, func(t *testing.T) {
			require.False(t, eventlog.SampledTrace([]kafka.Header{{Key: eventlog.HeaderTrace, Value: []byte(value)}}).IsValid())
		})
	}
	require.False(t, eventlog.SampledTrace(nil).IsValid())
}

func FuzzSampledTrace(f *testing.F) {
	f.Add([]byte("00-01000000000000000000000000000000-0200000000000000-01"))
	f.Add([]byte("ff-01000000000000000000000000000000-0200000000000000-01-more"))
	f.Fuzz(func(t *testing.T, value []byte) {
		span := eventlog.SampledTrace([]kafka.Header{{Key: eventlog.HeaderTrace, Value: value}})
		require.Equal(t, span.IsValid(), span.IsSampled())
		if span.IsValid() {
			again := eventlog.SampledTrace(eventlog.TraceHeaders(trace.ContextWithSpanContext(t.Context(), span)))
			require.Equal(t, span.TraceID(), again.TraceID())
		}
	})
}

func TestTheHashOfARecordDoesNotSeeItsHeaders(t *testing.T) {
	ctx, _ := under(t, trace.FlagsSampled)
	plain, err := eventlog.Encode(event(), time.UnixMilli(1))
	require.NoError(t, err)
	traced := plain
	traced.Headers = eventlog.TraceHeaders(ctx)
	hash := func(m kafka.Message) uint64 { return eventlog.RecordHash(m.Key, m.Value, m.Time) }
	require.Equal(t, hash(plain), hash(traced))
}
