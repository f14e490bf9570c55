package chart_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// metricName finds the metrics of onepx in an expression; those of a histogram without their ending.
var metricName = regexp.MustCompile(`onepx_[a-z_]+`)

func TestEachAlertAsksForMetricsThatThereAreAndHasItsPageAndItsTrial(t *testing.T) {
	root := repository(t)
	var rules monitoring.PrometheusRuleSpec
	require.NoError(t, yaml.UnmarshalStrict([]byte(read(t, filepath.Join(root, "charts", "onepx", "rules", "onepx.yaml"))), &rules))
	pages, trials := read(t, filepath.Join(root, "docs", "operations.md")), read(t, filepath.Join(root, "tools", "chart", "alerts", "onepx.test.yaml"))
	found, err := exec.CommandContext(t.Context(), "git", "-C", root, "grep", "-hoE", "--untracked", `"onepx_[a-z_]+"|prefix\+"[a-z_]+"`, "--", "services/*.go").Output()
	require.NoError(t, err)
	known := string(found)
	alerts := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			alerts++
			require.Contains(t, pages, "\n### "+rule.Alert+"\n")
			require.Contains(t, trials, "alertname: "+rule.Alert+"\n        exp_alerts:\n", "it fires on its fault")
			require.Contains(t, trials, "alertname: "+rule.Alert+", exp_alerts: []", "it is silent while all is well")
			for _, metric := range metricName.FindAllString(rule.Expr.String(), -1) {
				metric = strings.TrimSuffix(metric, "_bucket")
				if rest, ofFile := strings.CutPrefix(metric, "onepx_collector_config_"); ofFile {
					require.Contains(t, known, `prefix+"`+rest+`"`, metric)
					continue
				}
				require.Contains(t, known, `"`+metric+`"`, rule.Alert)
			}
		}
	}
	require.Equal(t, alerts, strings.Count(pages, "\n### Onepx"), "no page of an alert that is gone")
}
