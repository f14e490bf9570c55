package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/client"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// nowhere takes everything.
type nowhere struct{}

func (nowhere) Publish(context.Context, *onepxv1.Event) reason.Reason { return "" }

func (nowhere) PublishAll(_ context.Context, events []*onepxv1.Event) []reason.Reason {
	return make([]reason.Reason, len(events))
}

func benchServer(b *testing.B, changes ...func(*api.Deps)) http.Handler {
	b.Helper()
	tel, err := telemetry.New(b.Context(), telemetry.Config{Service: "collector"})
	require.NoError(b, err)
	config, err := siteconfig.Parse("onepx.yaml", []byte(sites))
	require.NoError(b, err)
	deps := api.Deps{
		Sites: config, Clients: client.New([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, nil, nil),
		Identities: identity.New("0123456789abcdef0123456789abcdef"), Suppressions: &suppressions{}, Publisher: nowhere{},
		Meter: tel.Meter, Tracer: tel.Tracer, Logger: tel.Logger, Now: time.Now,
	}
	for _, change := range changes {
		change(&deps)
	}
	server, err := api.New(deps)
	require.NoError(b, err)
	return server.Handler()
}

// BenchmarkPixel is a hit through all steps but Kafka and the connection. It is not traced.
func BenchmarkPixel(b *testing.B) { benchPixel(b, benchServer(b)) }

// BenchmarkPixelTraced is one that is.
func BenchmarkPixelTraced(b *testing.B) {
	provider := sdktrace.NewTracerProvider()
	benchPixel(b, benchServer(b, func(d *api.Deps) { d.Tracer, d.Sampling.TraceRatio = provider.Tracer("onepx/collector"), 1 }))
}

func benchPixel(b *testing.B, handler http.Handler) {
	b.Helper()
	request := httptest.NewRequest(http.MethodGet, "/p.gif?site=shop&e=page_view&u=https%3A%2F%2Fshop.example%2Ftea%3Futm_source%3Dnews%26gclid%3Dabc&r=https%3A%2F%2Fnews.example%2F&t=Green+tea&sr=1920x1080&color=red", nil)
	request.RemoteAddr = "10.1.1.1:4711"
	request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	request.Header.Set("X-Forwarded-For", "81.2.69.160")
	request.Header.Set("Accept-Language", "de-CH,de;q=0.9")
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
}

// BenchmarkServerEvents is a full body; ns/event is to be compared with BenchmarkPixel.
func BenchmarkServerEvents(b *testing.B) {
	handler := benchServer(b)
	event := `{"e":"page_view","u":"https://shop.example/tea?utm_source=news&gclid=abc","r":"https://news.example/","t":"Green tea","sr":"1920x1080","color":"red","v":"ann","ip":"81.2.69.160","ua":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}`
	body := strings.Repeat(event+"\n", params.MaxEvents)
	b.ReportAllocs()
	for b.Loop() {
		request := httptest.NewRequest(http.MethodPost, "/v1/events", strings.NewReader(body))
		request.Header.Set("X-Write-Key", "key")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		require.Equal(b, http.StatusOK, recorder.Code)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*params.MaxEvents), "ns/event")
}
