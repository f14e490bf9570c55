package consume

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
)

// traceOf is the header of a record whose request was sampled.
func traceOf(request int) kafka.Header {
	return kafka.Header{Key: eventlog.HeaderTrace, Value: fmt.Appendf(nil, "00-%032x-%016x-01", request, request)}
}

func requests(numbers ...int) []string {
	var all []string
	for _, n := range numbers {
		all = append(all, fmt.Sprintf("%032x", n))
	}
	return all
}

// tracing makes a worker put its spans into the exporter.
func tracing(spans *tracetest.InMemoryExporter) func(*Deps) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	return func(d *Deps) { d.Tracer = provider.Tracer("onepx/consumer") }
}

func TestTheTraceOfASampledRequestGoesOnToItsInsert(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		spans := tracetest.NewInMemoryExporter()
		for id, headers := range [][]kafka.Header{{traceOf(7)}, nil, {replayed, traceOf(8)}, {traceOf(7)}} {
			m := recordOf(0, time.Now(), hit(1+id), headers...)
			w.log.append(&m)
		}
		p := w.run(t, tracing(spans))
		until(t, "all is stored", func() bool { return w.stored() == 4 })
		w.events(5, 6) // not sampled
		until(t, "the rest is stored", func() bool { return w.stored() == 6 })
		p.stop()
		require.NoError(t, endsSoon(t, p))

		all := spans.GetSpans()
		require.Len(t, all, 3)
		insert, second, first := all[0], all[1], all[2]
		for request, span := range map[int]tracetest.SpanStub{7: first, 8: second} {
			require.Equal(t, "process "+partition.Topic, span.Name)
			require.Equal(t, trace.SpanKindConsumer, span.SpanKind)
			require.Equal(t, requests(request)[0], span.SpanContext.TraceID().String())
			require.Equal(t, fmt.Sprintf("%016x", request), span.Parent.SpanID().String())
			require.True(t, span.Parent.IsRemote())
			require.Equal(t, codes.Unset, span.Status.Code)
			require.ElementsMatch(t, []attribute.KeyValue{
				attribute.String("messaging.system", "kafka"), attribute.String("messaging.operation.name", "process"), attribute.String("messaging.operation.type", "process"),
				attribute.String("messaging.destination.name", partition.Topic), attribute.String("messaging.destination.partition.id", "3"),
				attribute.Int("messaging.kafka.offset", map[int]int{7: 0, 8: 2}[request]),
			}, span.Attributes)
		}
		require.Equal(t, "INSERT events", insert.Name)
		require.Equal(t, trace.SpanKindClient, insert.SpanKind)
		require.Equal(t, first.SpanContext, insert.Parent)
		require.Len(t, insert.Links, 1)
		require.Equal(t, second.SpanContext, insert.Links[0].SpanContext)
		require.Equal(t, codes.Unset, insert.Status.Code)
		require.ElementsMatch(t, []attribute.KeyValue{
			attribute.String("db.system.name", "clickhouse"), attribute.String("db.operation.name", "INSERT"), attribute.String("db.collection.name", "events"),
		}, insert.Attributes)
	})
}

func TestEachAttemptOfAnInsertIsASpanThatSaysHowItEnded(t *testing.T) {
	inVirtualTime(t, func(t *testing.T, w *world) {
		spans, failing := tracetest.NewInMemoryExporter(), &partStore{}
		failing.insert = func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
			switch failing.inserts.Load() {
			case 1:
				return fmt.Errorf("%w: a URL of somebody", errAway)
			case 2:
				return fmt.Errorf("%w: a URL of somebody", store.ErrRefused)
			}
			return failing.Store.Insert(ctx, token, rows)
		}
		m := recordOf(0, time.Now(), hit(1), traceOf(7))
		w.log.append(&m)
		p := w.run(t, tracing(spans), func(d *Deps) { failing.Store, d.Store = d.Store, failing })
		until(t, "all is stored", func() bool { return w.stored() == 1 })
		p.stop()
		<-p.ended
		require.NoError(t, p.err)

		var ends []string
		for _, span := range spans.GetSpans() {
			require.Equal(t, requests(7)[0], span.SpanContext.TraceID().String())
			end := span.Status.Code.String() + span.Status.Description
			for _, a := range span.Attributes {
				if a.Key == "error.type" {
					end += " " + a.Value.AsString()
				}
			}
			ends = append(ends, end)
		}
		require.Equal(t, []string{"Error " + resultUnknown, "Error " + resultUnknown, "Error " + resultRefused, "Error " + resultRefused, "Unset", "Unset"}, ends)
	})
}

func TestSampledRequestsOfABatch(t *testing.T) {
	many, first := make([]kafka.Message, 3*maxTraced), make([]int, maxTraced)
	for i := range many {
		many[i] = recordOf(int64(i), noon, hit(i), traceOf(1+i))
	}
	for i := range first {
		first[i] = 1 + i
	}
	unsampled := traceOf(7)
	unsampled.Value[len(unsampled.Value)-1] = '0'
	for name, c := range map[string]struct {
		records []kafka.Message
		want    []string
	}{
		"no records":                       {nil, nil},
		"no request was sampled":           {[]kafka.Message{recordOf(0, noon, hit(1)), recordOf(1, noon, hit(2), unsampled)}, nil},
		"a record that is no event":        {[]kafka.Message{{Value: []byte("no event"), Headers: []kafka.Header{traceOf(7)}}}, requests(7)},
		"a header that is no trace":        {[]kafka.Message{recordOf(0, noon, hit(1), kafka.Header{Key: eventlog.HeaderTrace, Value: []byte("x")})}, nil},
		"events of one request":            {[]kafka.Message{recordOf(0, noon, hit(1), traceOf(7)), recordOf(1, noon, hit(2), traceOf(7))}, requests(7)},
		"more sampled requests than go on": {many, requests(first...)},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, m := range sampled(c.records) {
				got = append(got, eventlog.SampledTrace(m.Headers).TraceID().String())
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestNothingThatIsStoredDependsOnTraces(t *testing.T) {
	at := noon
	plain := from100(102, recordOf(100, at, hit(1)), garbage(101, at), recordOf(102, at, hit(1)))
	traced := from100(102, recordOf(100, at, hit(1), traceOf(7)), garbage(101, at), recordOf(102, at, hit(1), traceOf(8)))
	traced.records[1].Headers = []kafka.Header{traceOf(9)}
	require.Equal(t, newMaker().rowMaker(plain).declaration.Token(), newMaker().rowMaker(traced).declaration.Token())
	require.Equal(t, newMaker().rowMaker(plain).declaration.Metadata(), newMaker().rowMaker(traced).declaration.Metadata())
	require.Equal(t, newMaker().make(t, plain).rows, newMaker().make(t, traced).rows)
}
