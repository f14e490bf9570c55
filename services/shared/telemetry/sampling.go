package telemetry

import (
	"fmt"
	"math/rand/v2"
)

// Sampling is a setting of services that begin traces. They ask it before they make a span: one that is not sampled would cost memory too.
type Sampling struct {
	TraceRatio float64 `env:"ONEPX_TRACE_RATIO" default:"0.001" bounds:"0 to 1" help:"Share of requests that are traced, those to a collector on their way to ClickHouse, if OTEL_EXPORTER_OTLP_ENDPOINT is set: 0 none, 1 all. What requests say about traces is not heeded. docs/operations.md says what a trace shows."`
}

// Validate says what is wrong with the setting.
func (s Sampling) Validate() error {
	if s.TraceRatio >= 0 && s.TraceRatio <= 1 {
		return nil
	}
	return fmt.Errorf("ONEPX_TRACE_RATIO is %g; allowed are 0 to 1", s.TraceRatio)
}

// Sampled tells whether this request is traced.
func (s Sampling) Sampled() bool { return rand.Float64() < s.TraceRatio } //nolint:gosec // a sample
