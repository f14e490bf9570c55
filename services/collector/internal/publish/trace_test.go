package publish_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/publish"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

func TestEventsOnTheirWayAreASpanOfTheirRequestWhichTheirRecordsCarry(t *testing.T) {
	common := []attribute.KeyValue{
		attribute.String("messaging.system", "kafka"), attribute.String("messaging.operation.name", "send"), attribute.String("messaging.operation.type", "send"),
		attribute.String("messaging.destination.name", eventlog.TopicEvents),
	}
	for name, c := range map[string]struct {
		events  int
		tooLong bool
		want    []attribute.KeyValue
	}{
		"one event":                        {1, false, nil},
		"several":                          {3, false, []attribute.KeyValue{attribute.Int("messaging.batch.message_count", 3)}},
		"several, of which one is refused": {3, true, []attribute.KeyValue{attribute.Int("messaging.batch.message_count", 3), attribute.String("error.type", "event_too_large")}},
	} {
		t.Run(name, func(t *testing.T) {
			spans := tracetest.NewInMemoryExporter()
			tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("")
			f := start(t, func(c *publish.Config) { c.Tracer, c.MaxEventBytes = tracer, 2000 })
			list := events(t, 0, c.events)
			if c.tooLong {
				list[1].EventId = make([]byte, 2000)
			}
			ctx, request := tracer.Start(t.Context(), "request")
			if c.events == 1 {
				require.Empty(t, f.Publish(ctx, list[0]))
			} else {
				f.PublishAll(ctx, list)
			}
			require.Len(t, spans.GetSpans(), 1)
			span := spans.GetSpans()[0]
			require.Equal(t, "send "+eventlog.TopicEvents, span.Name)
			require.Equal(t, trace.SpanKindProducer, span.SpanKind)
			require.Equal(t, request.SpanContext(), span.Parent)
			require.ElementsMatch(t, append(c.want, common...), span.Attributes)
			require.Equal(t, c.tooLong, span.Status.Code == codes.Error)
			for _, record := range f.records(t) {
				require.Equal(t, span.SpanContext.SpanID(), eventlog.SampledTrace(record.Headers).SpanID())
			}
		})
	}
}

func TestTheTraceOfAnEventInTheSpoolGoesOnWhenItIsReplayed(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("")
	f := startWithSpool(t, vfs.NewMem(), func(c *publish.Config) { c.Tracer = tracer })
	f.lose(t)
	ctx, _ := tracer.Start(t.Context(), "request")
	require.Equal(t, reason.InSpool, f.Publish(ctx, event(t, 1, 0)))
	span := spans.GetSpans()[0]
	require.Contains(t, span.Attributes, attribute.String("error.type", "spooled"))
	f.replay(t)
	f.broker.Resume()
	require.Eventually(t, func() bool { return f.config.Spool.Len() == 0 }, patience, time.Millisecond)
	require.True(t, slices.ContainsFunc(f.records(t), func(m kafka.Message) bool {
		return eventlog.SampledTrace(m.Headers).SpanID() == span.SpanContext.SpanID() && eventlog.Replayed(m.Headers)
	}))
}

func TestAnAccountKeepsItsHeader(t *testing.T) {
	f := start(t, nil)
	ev := event(t, 1, 0)
	ev.Schema, ev.SiteId, ev.Account = eventlog.SchemaAccount, "", &onepxv1.Account{Collector: make([]byte, 16)}
	require.Empty(t, f.Publish(sampled(t), ev))
	require.True(t, eventlog.IsAccount(f.records(t)[0].Headers))
	require.True(t, eventlog.SampledTrace(f.records(t)[0].Headers).IsValid())
}
