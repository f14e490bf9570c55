package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns telemetry of a service "collector" that ends with the test.
func start(t *testing.T, cfg telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	cfg.Service, cfg.Version = "collector", "1.2.3"
	if cfg.LogOutput == nil {
		cfg.LogOutput = io.Discard
	}
	tel, err := telemetry.New(t.Context(), cfg)
	require.NoError(t, err)
	return tel
}

func TestMetricsAreExposedUnderTheNameInTheCode(t *testing.T) {
	tel := start(t, telemetry.Config{})
	defer tel.Shutdown(t.Context())
	events, err := tel.Meter.Int64Counter("onepx_collector_events_total", metric.WithUnit("{event}"), metric.WithDescription("Events."))
	require.NoError(t, err)
	events.Add(t.Context(), 3, metric.WithAttributes(attribute.String("reason", "unknown_site")))
	seconds, err := tel.Meter.Float64Histogram("onepx_collector_request_duration_seconds",
		metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1))
	require.NoError(t, err)
	seconds.Record(t.Context(), 0.5)
	inFlight, err := tel.Meter.Int64UpDownCounter("onepx_collector_requests_in_flight", metric.WithUnit("{request}"))
	require.NoError(t, err)
	inFlight.Add(t.Context(), 2)

	for name, accept := range map[string]string{"Prometheus text": "", "OpenMetrics": "application/openmetrics-text"} {
		t.Run(name, func(t *testing.T) {
			body := get(t, tel.MetricsHandler(), accept)
			ours := regexp.MustCompile(`(?m)^onepx_.*$`).FindAllString(body, -1)
			for i := range ours {
				ours[i] = regexp.MustCompile(`\.0\b`).ReplaceAllString(ours[i], "") // OpenMetrics writes 3.0
			}
			require.ElementsMatch(t, []string{
				`onepx_collector_events_total{reason="unknown_site"} 3`,
				`onepx_collector_request_duration_seconds_bucket{le="0.1"} 0`,
				`onepx_collector_request_duration_seconds_bucket{le="1"} 1`,
				`onepx_collector_request_duration_seconds_bucket{le="+Inf"} 1`,
				`onepx_collector_request_duration_seconds_sum 0.5`,
				`onepx_collector_request_duration_seconds_count 1`,
				`onepx_collector_requests_in_flight 2`,
			}, ours)
			require.Contains(t, body, `service_name="onepx-collector"`)
			require.Contains(t, body, `service_version="1.2.3"`)
			require.Contains(t, body, "go_goroutines ")
		})
	}
}

func TestCounterExistsAtZeroOnceItWasToldSo(t *testing.T) {
	tel := start(t, telemetry.Config{})
	defer tel.Shutdown(t.Context())
	lost, err := tel.Meter.Int64Counter("onepx_collector_lost_total")
	require.NoError(t, err)
	lost.Add(t.Context(), 0)
	require.Contains(t, get(t, tel.MetricsHandler(), ""), "onepx_collector_lost_total 0\n")
}

func TestTracesAreSentBeforeShutdownReturnsAndTheirIDsAreLogged(t *testing.T) {
	paths := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	defer receiver.Close()
	var log bytes.Buffer
	tel := start(t, telemetry.Config{
		Settings:  telemetry.Settings{OTLPEndpoint: receiver.URL + "/", LogFormat: "json"},
		LogOutput: &log,
	})
	ctx, span := tel.Tracer.Start(t.Context(), "publish")
	tel.Logger.With("batch", 1).WithGroup("kafka").InfoContext(ctx, "in a span")
	span.End()
	tel.Shutdown(t.Context())

	require.Equal(t, "/v1/traces", <-paths)
	var line struct {
		Batch int
		Kafka struct {
			TraceID string `json:"trace_id"`
			SpanID  string `json:"span_id"`
		}
	}
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	require.Equal(t, 1, line.Batch)
	require.Equal(t, span.SpanContext().TraceID().String(), line.Kafka.TraceID)
	require.Equal(t, span.SpanContext().SpanID().String(), line.Kafka.SpanID)
}

func TestMetricsAreSentByOTLPIfAskedForAndLastBeforeShutdownReturns(t *testing.T) {
	for exporter, want := range map[string]string{"prometheus": "", "otlp": "/v1/metrics onepx_collector_lost_total"} {
		t.Run(exporter, func(t *testing.T) {
			received := make(chan string, 1)
			receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				received <- r.URL.Path + " " + regexp.MustCompile(`onepx_\w+`).FindString(string(body))
			}))
			defer receiver.Close()
			tel := start(t, telemetry.Config{Settings: telemetry.Settings{OTLPEndpoint: receiver.URL, Metrics: exporter}})
			lost, err := tel.Meter.Int64Counter("onepx_collector_lost_total")
			require.NoError(t, err)
			lost.Add(t.Context(), 2)
			require.Contains(t, get(t, tel.MetricsHandler(), ""), "onepx_collector_lost_total 2\n", "Prometheus has them either way")
			tel.Shutdown(t.Context())
			close(received)
			require.Equal(t, want, <-received)
		})
	}
}

func TestWithoutEndpointAnIncomingTraceIsStillPassedOn(t *testing.T) {
	tel := start(t, telemetry.Config{})
	defer tel.Shutdown(t.Context())
	incoming := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, Remote: true})
	ctx, span := tel.Tracer.Start(trace.ContextWithSpanContext(t.Context(), incoming), "publish")
	defer span.End()
	require.Equal(t, incoming.TraceID(), trace.SpanContextFromContext(ctx).TraceID())
}

func TestWhereTheSDKIsDisabledOnlyLogAndRuntimeAreLeft(t *testing.T) {
	var log bytes.Buffer
	tel := start(t, telemetry.Config{Settings: telemetry.Settings{SDKDisabled: true, OTLPEndpoint: "http://localhost:1"}, LogOutput: &log})
	counter, err := tel.Meter.Int64Counter("onepx_collector_lost_total")
	require.NoError(t, err)
	counter.Add(t.Context(), 1)
	_, span := tel.Tracer.Start(t.Context(), "publish")
	require.False(t, span.IsRecording())
	tel.Logger.Info("here")
	tel.Shutdown(t.Context())
	metrics := get(t, tel.MetricsHandler(), "")
	require.NotContains(t, metrics, "onepx_")
	require.Contains(t, metrics, "go_goroutines ")
	require.Contains(t, log.String(), "here")
}

func TestErrorsOfOpenTelemetryReachTheLog(t *testing.T) {
	var log bytes.Buffer
	tel := start(t, telemetry.Config{LogOutput: &log})
	defer tel.Shutdown(t.Context())
	otel.Handle(errors.New("collector away"))
	require.Contains(t, log.String(), "collector away")
}

func TestLogLevelAndFormatAreObeyed(t *testing.T) {
	var log bytes.Buffer
	logger := telemetry.NewLogger(&log, telemetry.Settings{LogLevel: slog.LevelWarn, LogFormat: "text"})
	logger.Info("not this")
	logger.Warn("this", "n", 1)
	require.NotContains(t, log.String(), "not this")
	require.Contains(t, log.String(), "level=WARN msg=this n=1")
}

func TestSettingsAreReadFromTheEnvironmentAndChecked(t *testing.T) {
	parse := func() (telemetry.Settings, error) {
		var cli struct {
			telemetry.Settings `embed:""`
		}
		parser, err := kong.New(&cli)
		require.NoError(t, err)
		_, err = parser.Parse(nil)
		return cli.Settings, err
	}
	s, err := parse()
	require.NoError(t, err)
	require.Equal(t, telemetry.Settings{LogLevel: slog.LevelInfo, LogFormat: "json", Metrics: "prometheus"}, s)

	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	_, err = parse()
	require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_ENDPOINT")
	t.Setenv("ONEPX_LOG_LEVEL", "debug")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
	s, err = parse()
	require.NoError(t, err)
	require.Equal(t, slog.LevelDebug, s.LogLevel)
	require.Equal(t, "http://localhost:4318", s.OTLPEndpoint)

	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")
	_, err = parse()
	require.ErrorContains(t, err, "OTEL_EXPORTER_OTLP_ENDPOINT")
	t.Setenv("ONEPX_LOG_LEVEL", "loud")
	_, err = parse()
	require.ErrorContains(t, err, "loud")
}

func get(t *testing.T, h http.Handler, accept string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}
