//go:build integration

package main

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	collected "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/onepx/onepx/services/shared/eventlog"
)

// receiver is an OpenTelemetry collector that keeps the spans it is sent.
type receiver struct {
	mu    sync.Mutex
	spans []*otlp.Span
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var export collected.ExportTraceServiceRequest
	body, err := io.ReadAll(request.Body)
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

func TestTheInsertOfARecordIsLinkedToTheTraceOfItsRequest(t *testing.T) {
	received := &receiver{}
	server := httptest.NewServer(received)
	defer server.Close()
	w := begun(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	c := w.start()
	request := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	records := w.views(2)
	records[1].Headers = eventlog.TraceHeaders(trace.ContextWithSpanContext(context.Background(), request))
	w.publish(eventlog.TopicEvents, 0, records...)
	w.publish(eventlog.TopicEvents, 1, w.views(1)...)
	require.Equal(t, []string{"0/0 event", "0/1 event", "1/0 event"}, w.awaitRows(3))
	require.Zero(t, c.stop()) // and sends what it has of spans

	require.Len(t, received.spans, 1, "the batch of partition 1 has no request that was sampled")
	span := received.spans[0]
	require.Equal(t, "INSERT events", span.GetName())
	require.Len(t, span.GetLinks(), 1)
	require.Equal(t, request.TraceID().String(), hex.EncodeToString(span.GetLinks()[0].GetTraceId()))
	require.Equal(t, request.SpanID().String(), hex.EncodeToString(span.GetLinks()[0].GetSpanId()))
}
