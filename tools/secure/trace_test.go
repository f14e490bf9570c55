//go:build integration

package secure_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exported is an OpenTelemetry collector that keeps in memory what the services export.
type exported struct {
	mu    sync.Mutex
	spans []span
	// bytes is all that was received.
	bytes strings.Builder
}

// span is a span with the name of its service.
type span struct {
	*otlp.Span
	service string
}

// newExported starts one; settings make a service export all its spans to it, soon.
func newExported(t *testing.T) (received *exported, settings []string) {
	t.Helper()
	received = &exported{}
	server := httptest.NewServer(received)
	t.Cleanup(server.Close)
	return received, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "ONEPX_TRACE_RATIO=1"}
}

func (e *exported) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var export otlp.TracesData // on the wire the same as a request of OTLP
	body, err := io.ReadAll(request.Body)
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bytes.Write(body)
	for _, resource := range export.GetResourceSpans() {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				e.spans = append(e.spans, span{s, service})
			}
		}
	}
}

// forget drops the spans that were received.
func (e *exported) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.spans = nil
}

// child is the span of the name in the trace and within the span of a parent; within no span of ours for nil.
func (e *exported) child(parent *span, service, name string) *span {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.spans {
		same := parent == nil && len(s.GetParentSpanId()) == 0 ||
			parent != nil && string(s.GetTraceId()) == string(parent.GetTraceId()) && string(s.GetParentSpanId()) == string(parent.GetSpanId())
		if same && s.service == service && s.GetName() == name {
			return &s
		}
	}
	return nil
}

// attribute is that of a span, as text.
func (s *span) attribute(name string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == name {
			return cmp.Or(a.GetValue().GetStringValue(), strconv.FormatInt(a.GetValue().GetIntValue(), 10))
		}
	}
	return ""
}

func testTrace(t *testing.T, w *world) {
	w.traces.forget() // the only request is this test's
	visitor, event := uuid.New(), uuid.New()
	query := url.Values{"site": {"shop"}, "v": {visitor.String()}, "id": {event.String()}, "u": {"https://shop.example/private-page"}, "t": {"Private title"}}
	status, _, header := ask(t, http.MethodGet, w.collector.URL+"/p.gif?"+query.Encode(), "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "stored", header.Get("Onepx-Event"))

	var way []*span
	require.Eventually(t, func() bool {
		way = way[:0]
		var parent *span
		for _, step := range []struct{ service, name string }{
			{"onepx-collector", "GET /p.gif"}, {"onepx-collector", "send onepx.events"}, {"onepx-consumer", "process onepx.events"}, {"onepx-consumer", "INSERT events"},
		} {
			if parent = w.traces.child(parent, step.service, step.name); parent == nil {
				return false
			}
			way = append(way, parent)
		}
		return true
	}, patience, glance, "one trace from the request to the insert")
	request, send, process, insert := way[0], way[1], way[2], way[3]
	require.Equal(t, "200", request.attribute("http.response.status_code"))
	require.LessOrEqual(t, request.GetStartTimeUnixNano(), send.GetStartTimeUnixNano())
	require.LessOrEqual(t, send.GetStartTimeUnixNano(), process.GetStartTimeUnixNano())
	require.LessOrEqual(t, insert.GetEndTimeUnixNano(), process.GetEndTimeUnixNano())
	var rows struct {
		Inserted uint64 `json:"inserted"`
	}
	require.NoError(t, w.clickHouse.One(t.Context(), fmt.Sprintf(
		"SELECT count() AS inserted FROM onepx.events WHERE event_id = '%s' AND outcome = 'event' AND kafka_partition = %s AND kafka_offset = %s",
		event, process.attribute("messaging.destination.partition.id"), process.attribute("messaging.kafka.offset")), &rows))
	require.EqualValues(t, 1, rows.Inserted, "what the trace says is inserted is there")

	w.traces.mu.Lock()
	defer w.traces.mu.Unlock()
	for _, private := range []string{visitor.String(), string(visitor[:]), event.String(), string(event[:]), "private-page", "Private title", "site=", "Go-http-client", "/p.gif?"} {
		require.NotContains(t, w.traces.bytes.String(), private)
	}
}
