package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

// claimed is what a visitor says who wants to be traced.
const claimed = "00-11111111111111111111111111111111-2222222222222222-01"

// headersOf keeps the headers that the records of events get.
type headersOf struct {
	api.Publisher
	headers [][]kafka.Header
}

func (p *headersOf) Publish(ctx context.Context, ev *onepxv1.Event) reason.Reason {
	p.headers = append(p.headers, eventlog.TraceHeaders(ctx))
	return p.Publisher.Publish(ctx, ev)
}

// traced is a server that traces a share of the requests.
func traced(t *testing.T, ratio float64) (*edge, *headersOf, *tracetest.InMemoryExporter) {
	t.Helper()
	spans, publisher := tracetest.NewInMemoryExporter(), &headersOf{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	e := start(t, func(d *api.Deps) {
		publisher.Publisher, d.Publisher = d.Publisher, publisher
		d.Tracer, d.Sampling.TraceRatio = provider.Tracer("onepx/collector"), ratio
	})
	return e, publisher, spans
}

// ended returns the spans once the server has finished with its requests: an answer may be read before its span has ended.
func (e *edge) ended(spans *tracetest.InMemoryExporter) tracetest.SpanStubs {
	e.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	require.NoError(e.t, e.server.Shutdown(context.Background()))
	return spans.GetSpans()
}

func TestARequestIsASpanThatSaysNothingOfItsVisitor(t *testing.T) {
	for name, test := range map[string]struct {
		method, target, body, route string
		status                      int
		answer                      reason.Reason
		failed                      bool
	}{
		"an image":               {http.MethodGet, "/p.gif?site=shop&u=https%3A%2F%2Fshop.example%2Ftea&v=ann", "", "/p.gif", 200, "", false},
		"a token in the path":    {http.MethodGet, "/o/token-of-ann.gif", "", "/o/:token", 200, "", false},
		"an event of a script":   {http.MethodPost, "/e?site=shop", `{"e":"page_view"}`, "/e", 204, "", false},
		"an event that is lost":  {http.MethodGet, "/p.gif?site=shop", "", "/p.gif", 503, reason.KafkaUnavailable, true},
		"a request without site": {http.MethodGet, "/p.gif", "", "/p.gif", 400, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			e, _, spans := traced(t, 1)
			e.publisher.answer = test.answer
			require.Equal(t, test.status, e.send(test.method, test.target, strings.NewReader(test.body)).StatusCode)
			all := e.ended(spans)
			require.Len(t, all, 1)
			span := all[0]
			require.Equal(t, test.method+" "+test.route, span.Name)
			require.Equal(t, trace.SpanKindServer, span.SpanKind)
			want := []attribute.KeyValue{
				attribute.String("http.request.method", test.method), attribute.String("http.route", test.route), attribute.Int("http.response.status_code", test.status),
			}
			if test.failed {
				want = append(want, attribute.String("error.type", "503"))
			}
			require.ElementsMatch(t, want, span.Attributes)
			require.Equal(t, test.failed, span.Status.Code == codes.Error)
			require.Empty(t, span.Events)
		})
	}
}

func TestTheRecordOfASampledRequestCarriesItsTraceAndNotTheVisitors(t *testing.T) {
	e, publisher, spans := traced(t, 1)
	require.Equal(t, http.StatusOK, e.get("/p.gif?site=shop", "traceparent", claimed).StatusCode)
	span := e.ended(spans)[0]
	require.False(t, span.Parent.IsValid())
	require.NotEqual(t, "11111111111111111111111111111111", span.SpanContext.TraceID().String())
	require.Len(t, publisher.headers, 1)
	carried := eventlog.SampledTrace(publisher.headers[0])
	require.Equal(t, span.SpanContext.TraceID(), carried.TraceID())
	require.Equal(t, span.SpanContext.SpanID(), carried.SpanID())
}

func TestNobodyCanForceATrace(t *testing.T) {
	e, publisher, spans := traced(t, 0)
	require.Equal(t, http.StatusOK, e.get("/p.gif?site=shop", "traceparent", claimed).StatusCode)
	require.Empty(t, e.ended(spans))
	require.Equal(t, [][]kafka.Header{nil}, publisher.headers)
}

func TestTheRatioIsTheShareOfRequestsThatAreTraced(t *testing.T) {
	const requests = 400
	e, _, spans := traced(t, 0.5)
	for range requests {
		e.get("/p.gif?site=shop")
	}
	require.InDelta(t, requests/2, len(e.ended(spans)), 100, "ten standard deviations")
}
