// Package telemetry gives a service its metrics, traces and log.
//
// Each main calls New once, hands Meter, Tracer and Logger to what it builds,
// serves MetricsHandler on the admin port (see AdminServer), and calls Shutdown
// as the last step of stopping, so that what the other steps report is still sent.
//
// Metrics are exposed under exactly the name the code gives them:
// onepx_<service>_<noun>_<unit>_total for counters,
// onepx_<service>_<noun>_<unit> for the rest. No suffix and no scope label is added.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Settings are the settings every service has about its own reporting.
type Settings struct {
	LogLevel     slog.Level `name:"log-level" env:"ONEPX_LOG_LEVEL" default:"info" bounds:"debug, info, warn or error" help:"Least important level that is logged."`
	LogFormat    string     `name:"log-format" env:"ONEPX_LOG_FORMAT" default:"json" enum:"json,text" help:"json for machines, text for people."`
	OTLPEndpoint string     `name:"otlp-endpoint" env:"OTEL_EXPORTER_OTLP_ENDPOINT" help:"Base URL of an OpenTelemetry collector (OTLP over HTTP) for traces; none are made without it. The other OTEL_ variables, such as OTEL_EXPORTER_OTLP_HEADERS, work as OpenTelemetry defines them."`
	Metrics      string     `name:"metrics-exporter" env:"OTEL_METRICS_EXPORTER" default:"prometheus" bounds:"prometheus, none, otlp or a list" help:"How metrics leave besides /metrics of the admin port, which Prometheus fetches whatever this says: otlp sends them to OTEL_EXPORTER_OTLP_ENDPOINT too, every OTEL_METRIC_EXPORT_INTERVAL (a minute)."`
	SDKDisabled  bool       `name:"otel-sdk-disabled" env:"OTEL_SDK_DISABLED" help:"Count, time and trace nothing, to see what that costs. Only the log is left, and the metrics of Go and the process; alerts see nothing."`
}

// metricsByOTLP tells that Settings.Metrics names OTLP.
func (s Settings) metricsByOTLP() bool { return slices.Contains(strings.Split(s.Metrics, ","), "otlp") }

// Validate says what is wrong with the settings.
func (s Settings) Validate() error {
	for word := range strings.SplitSeq(s.Metrics, ",") {
		if !slices.Contains([]string{"", "prometheus", "none", "otlp"}, word) {
			return fmt.Errorf("OTEL_METRICS_EXPORTER: %q is none of prometheus, none and otlp", word)
		}
	}
	if s.OTLPEndpoint == "" {
		if s.metricsByOTLP() {
			return errors.New("OTEL_METRICS_EXPORTER is otlp, but OTEL_EXPORTER_OTLP_ENDPOINT does not say where to")
		}
		return nil
	}
	if u, err := url.Parse(s.OTLPEndpoint); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %q is not a URL such as http://localhost:4318", s.OTLPEndpoint)
	}
	return nil
}

// Config is what New needs.
type Config struct {
	Settings
	// Service is the name of the binary: "collector". It names the meter, the
	// tracer and the resource (service.name "onepx-collector").
	Service string
	// Version is the version of the binary.
	Version string
	// LogOutput receives the log, one line a record; nil means standard error.
	LogOutput io.Writer
}

// Telemetry is a running set of reporters. Its fields are safe for concurrent use.
type Telemetry struct {
	Meter  metric.Meter
	Tracer trace.Tracer
	Logger *slog.Logger

	registry *prom.Registry
	stops    []func(context.Context) error
}

// New starts the reporters. Traces are made and sent only if an OTLP endpoint is
// set; without one the tracer costs next to nothing and still passes an incoming
// trace context on. New also routes OpenTelemetry's own errors, which have no
// other way out than a process-wide handler, to the log.
func New(ctx context.Context, cfg Config) (*Telemetry, error) {
	out := cfg.LogOutput
	if out == nil {
		out = os.Stderr
	}
	t := &Telemetry{
		Logger:   NewLogger(out, cfg.Settings),
		registry: prom.NewRegistry(),
	}
	outage := NewOutageLog(t.Logger, "telemetry export", time.Now)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(outage.Failed))
	res, err := resource.New(ctx,
		resource.WithAttributes(
			semconv.ServiceName("onepx-"+cfg.Service),
			semconv.ServiceVersion(cfg.Version)),
		resource.WithFromEnv(), resource.WithHost())
	if err != nil {
		return nil, fmt.Errorf("describe the service: %w", err)
	}
	t.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if cfg.SDKDisabled {
		t.Meter, t.Tracer = metricnoop.Meter{}, noop.Tracer{}
		return t, nil
	}
	if err := t.startMetrics(ctx, cfg, res); err != nil {
		return nil, err
	}
	if err := t.startTraces(ctx, cfg, res); err != nil {
		t.Shutdown(ctx)
		return nil, err
	}
	return t, nil
}

func (t *Telemetry) startMetrics(ctx context.Context, cfg Config, res *resource.Resource) error {
	exporter, err := prometheus.New(
		prometheus.WithRegisterer(t.registry),
		prometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithoutSuffixes),
		prometheus.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("start metrics: %w", err)
	}
	options := []sdkmetric.Option{sdkmetric.WithReader(exporter), sdkmetric.WithResource(res)}
	if cfg.metricsByOTLP() {
		endpoint, err := url.JoinPath(cfg.OTLPEndpoint, "v1/metrics")
		if err != nil {
			return fmt.Errorf("start metrics: %w", err)
		}
		push, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(endpoint))
		if err != nil {
			return fmt.Errorf("start metrics: %w", err)
		}
		options = append(options, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(push)))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.Meter = provider.Meter("onepx/" + cfg.Service)
	t.stops = append(t.stops, provider.Shutdown)
	return nil
}

func (t *Telemetry) startTraces(ctx context.Context, cfg Config, res *resource.Resource) error {
	if cfg.OTLPEndpoint == "" {
		t.Tracer = noop.Tracer{}
		return nil
	}
	endpoint, err := url.JoinPath(cfg.OTLPEndpoint, "v1/traces")
	if err != nil {
		return fmt.Errorf("start traces: %w", err)
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return fmt.Errorf("start traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res))
	t.Tracer = provider.Tracer("onepx/" + cfg.Service)
	t.stops = append(t.stops, provider.Shutdown)
	return nil
}

// MetricsHandler serves all metrics in the Prometheus text or OpenMetrics format.
func (t *Telemetry) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Timestamp is a moment as a gauge has it: seconds since 1970, 0 for the zero time.
func Timestamp(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

// flushTimeout is how long what is held back may take to be sent.
const flushTimeout = 5 * time.Second

// Shutdown sends what is still held back and stops the reporters, for 5 seconds at
// most, also after ctx has ended. The logger keeps working. A receiver that is away
// is logged and no failure of the service.
func (t *Telemetry) Shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	for _, stop := range t.stops {
		if err := stop(ctx); err != nil {
			t.Logger.Warn("telemetry is not sent in full", "error", err)
		}
	}
}
