package chart_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const (
	someRules     = "groups:\n  - name: try\n    rules:\n      - alert: Try\n        expr: up == 0\n        annotations: {summary: \"{{ $labels.pod }} is away\"}\n"
	someDashboard = `{"title": "try {{ pod }}"}`
)

// withMonitoring is the chart with one more file of rules and one more dashboard than it has.
func withMonitoring(t *testing.T) *chart.Chart {
	t.Helper()
	c := load(t)
	c.Files = append(c.Files,
		&common.File{Name: "rules/try.yaml", Data: []byte(someRules)}, &common.File{Name: "dashboards/try.json", Data: []byte(someDashboard)})
	return c
}

func TestRulesAndDashboardsAreFilesAndStayAsTheyAre(t *testing.T) {
	found := 0
	for _, o := range objects(t, documentsOf(t, withMonitoring(t), sets(t)["full"])) {
		switch decoded := o.decoded.(type) {
		case *monitoring.PrometheusRule:
			if o.name != "onepx-try" {
				continue
			}
			found++
			require.Equal(t, "{{ $labels.pod }} is away", decoded.Spec.Groups[0].Rules[0].Annotations["summary"])
			require.Equal(t, "prometheus", decoded.Labels["release"])
		case *core.ConfigMap:
			if o.name != "onepx-dashboard-try" {
				continue
			}
			found++
			require.JSONEq(t, someDashboard, decoded.Data["try.json"])
			require.Equal(t, "1", decoded.Labels["grafana_dashboard"])
		}
	}
	require.Equal(t, 2, found)
}

func TestFilesOfRulesAndDashboardsCanBeRead(t *testing.T) {
	root := filepath.Join(repository(t), "charts", "onepx")
	rules, err := filepath.Glob(filepath.Join(root, "rules", "*"))
	require.NoError(t, err)
	for _, file := range rules {
		require.True(t, strings.HasSuffix(file, ".yaml"), file)
		require.NoError(t, yaml.UnmarshalStrict([]byte(read(t, file)), new(monitoring.PrometheusRuleSpec)), file)
	}
	dashboards, err := filepath.Glob(filepath.Join(root, "dashboards", "*"))
	require.NoError(t, err)
	for _, file := range dashboards {
		require.True(t, strings.HasSuffix(file, ".json"), file)
		require.True(t, json.Valid([]byte(read(t, file))), file)
	}
}
