package pipeline

import (
	"context"
	"fmt"
	"io"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Fetch returns what the service's admin port answers under the path, such as a profile.
func (s *Service) Fetch(ctx context.Context, path string) ([]byte, error) {
	body, err := s.get(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	return io.ReadAll(body)
}

// Metrics are the service's metrics by name.
func (s *Service) Metrics(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	body, err := s.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(body)
}

// Metric is the sum of the counters or gauges of the name whose labels are as given, in pairs of name and value.
func (s *Service) Metric(ctx context.Context, name string, labels ...string) (float64, error) {
	families, err := s.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, m := range families[name].GetMetric() {
		if labelled(m, labels) {
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return sum, nil
}

func labelled(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		if Label(m, labels[i]) != labels[i+1] {
			return false
		}
	}
	return true
}

// Label is the value of a metric's label, "" if it has none of the name.
func Label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func (s *Service) get(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // the service may be killed next
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, fmt.Errorf("%s%s: %s", s.Admin, path, res.Status)
	}
	return res.Body, nil
}
