package deploy_test

import (
	"maps"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// observability is laid over docker-compose.yml.
const observability = "docker-compose.observability.yml"

// observers are secrets with those of observability.
func observers() map[string]string {
	all := secrets()
	maps.Copy(all, map[string]string{"ONEPX_GRAFANA_PASSWORD": strings.Repeat("9a", 32), "ONEPX_CLICKHOUSE_GRAFANA_PASSWORD": strings.Repeat("c3", 32)})
	return all
}

func observed(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, observers(), observability)
	require.NoError(t, err)
	return p
}

// configuration reads what is mounted at a place of a service, and refuses what it does not know.
func configuration(t *testing.T, p *types.Project, service, target string, into any) {
	t.Helper()
	for _, volume := range p.Services[service].Volumes {
		if volume.Target == target {
			decoder := yaml.NewDecoder(strings.NewReader(read(t, volume.Source)))
			decoder.KnownFields(true)
			require.NoError(t, decoder.Decode(into), volume.Source)
			return
		}
	}
	require.Fail(t, "nothing is mounted", "%s: %s", service, target)
}

// reaches fails unless a service can connect to another.
func reaches(t *testing.T, p *types.Project, from, to string) {
	t.Helper()
	require.Contains(t, p.Services, to)
	require.True(t, share(p, from, to), "%s cannot reach %s", from, to)
}

func TestPrometheusFetchesTheMetricsOfEveryServiceThatRuns(t *testing.T) {
	p := observed(t)
	var config struct {
		Global        map[string]string `yaml:"global"`
		RuleFiles     []string          `yaml:"rule_files"`
		ScrapeConfigs []struct {
			Job    string `yaml:"job_name"`
			Static []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	configuration(t, p, "prometheus", "/etc/prometheus/prometheus.yml", &config)
	got := map[string][]string{}
	for _, scrape := range config.ScrapeConfigs {
		got[scrape.Job] = scrape.Static[0].Targets
		reaches(t, p, "prometheus", scrape.Job)
	}
	want := map[string][]string{}
	for service, setting := range map[string]string{"collector": "ONEPX_COLLECTOR_ADMIN_LISTEN", "consumer": "ONEPX_CONSUMER_ADMIN_LISTEN", "jobs": "ONEPX_JOBS_ADMIN_LISTEN", "console": "ONEPX_CONSOLE_ADMIN_LISTEN"} {
		want[service] = []string{service + settingsOf(t, ours[service].program)[setting].standard}
	}
	require.Equal(t, want, got)
	require.Equal(t, []string{"/etc/prometheus/rules/*.yaml"}, config.RuleFiles)
	mounted(t, p, "prometheus", "/etc/prometheus/rules", "*.yaml")
}

// mounted fails unless files of the pattern are mounted at a place of a service.
func mounted(t *testing.T, p *types.Project, service, target, pattern string) {
	t.Helper()
	for _, volume := range p.Services[service].Volumes {
		if volume.Target == target {
			files, err := filepath.Glob(filepath.Join(volume.Source, pattern))
			require.NoError(t, err)
			require.NotEmpty(t, files)
			return
		}
	}
	require.Fail(t, "nothing is mounted", "%s: %s", service, target)
}

func TestTracesGoFromEveryServiceThatRunsToWhereGrafanaAsks(t *testing.T) {
	p := observed(t)
	type pipeline struct {
		Receivers, Processors, Exporters []string
	}
	var config struct {
		Receivers map[string]struct {
			Protocols map[string]struct{ Endpoint string }
		}
		Processors map[string]any
		Exporters  map[string]struct {
			Endpoint string
			TLS      map[string]bool
		}
		Service struct{ Pipelines map[string]pipeline }
	}
	configuration(t, p, "otel-collector", "/etc/otelcol/config.yaml", &config)
	traces := config.Service.Pipelines["traces"]
	_, port, _ := strings.Cut(config.Receivers[traces.Receivers[0]].Protocols["http"].Endpoint, ":")
	for _, service := range []string{"collector", "consumer", "jobs", "console"} {
		require.Equal(t, "http://otel-collector:"+port, *p.Services[service].Environment["OTEL_EXPORTER_OTLP_ENDPOINT"])
		reaches(t, p, service, "otel-collector")
	}
	for _, name := range traces.Processors {
		require.Contains(t, config.Processors, name)
	}
	to, _, _ := strings.Cut(config.Exporters[traces.Exporters[0]].Endpoint, ":")
	reaches(t, p, "otel-collector", to)
}

func TestGrafanaHasTheDashboardsAndReachesWhatTheyAsk(t *testing.T) {
	p := observed(t)
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, URL string
			IsDefault            bool `yaml:"isDefault"`
			JSONData             struct {
				Host, Protocol, Username string
				Port                     int
				DefaultDatabase          string              `yaml:"defaultDatabase"`
				Exemplars                []map[string]string `yaml:"exemplarTraceIdDestinations"`
			} `yaml:"jsonData"`
			SecureJSONData map[string]string `yaml:"secureJsonData"`
		}
	}
	configuration(t, p, "grafana", "/etc/grafana/provisioning/datasources/onepx.yaml", &sources)
	var types []string
	for _, source := range sources.Datasources {
		types = append(types, source.Type)
		at, err := url.Parse(source.URL)
		require.NoError(t, err)
		host := at.Hostname()
		if source.Type == "grafana-clickhouse-datasource" {
			host = source.JSONData.Host
			require.Equal(t, "$CLICKHOUSE_GRAFANA_PASSWORD", source.SecureJSONData["password"])
			require.Equal(t, p.Services["clickhouse"].Environment["CLICKHOUSE_GRAFANA_PASSWORD"], p.Services["grafana"].Environment["CLICKHOUSE_GRAFANA_PASSWORD"])
			require.Contains(t, read(t, repository(t), "deploy", "compose", "observability", "clickhouse.xml"), "<"+source.JSONData.Username+">")
			require.Contains(t, *p.Services["grafana"].Environment["GF_PLUGINS_PREINSTALL"], source.Type)
		}
		reaches(t, p, "grafana", host)
	}
	dashboards := ""
	for _, name := range []string{"operators", "marketers"} {
		dashboards += read(t, repository(t), "charts", "onepx", "dashboards", name+".json")
	}
	for _, kind := range []string{"prometheus", "grafana-clickhouse-datasource"} {
		require.Contains(t, dashboards, strconv.Quote(kind))
		require.Contains(t, types, kind)
	}
	var provided struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type     string
			AllowUIUpdates bool `yaml:"allowUiUpdates"`
			Options        struct{ Path string }
		}
	}
	configuration(t, p, "grafana", "/etc/grafana/provisioning/dashboards/onepx.yaml", &provided)
	mounted(t, p, "grafana", provided.Providers[0].Options.Path, "*.json")
}

func TestWhoWatchesChangesNothingOfWhoReachesWhom(t *testing.T) {
	p := observed(t)
	require.False(t, share(p, "collector", "clickhouse"))
	require.False(t, share(p, "kafka", "clickhouse"))
	for _, watcher := range []string{"prometheus", "otel-collector", "jaeger", "grafana"} {
		require.False(t, share(p, watcher, "kafka"), watcher)
		require.Equal(t, watcher == "grafana", share(p, watcher, "clickhouse"), watcher)
	}
}
