package chart_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// setting is a row of a generated page of settings.
type setting struct {
	standard string // as the page writes it, without its quotes
	required bool
}

// settingsOf reads docs/configuration-SERVICE.md, which the service writes about itself.
func settingsOf(t *testing.T, service string) map[string]setting {
	t.Helper()
	settings := make(map[string]setting)
	for line := range strings.Lines(read(t, repository(t), "docs", "configuration-"+service+".md")) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		cell := func(i int) string { return strings.Trim(strings.TrimSpace(cells[i]), "`") }
		settings[cell(1)] = setting{standard: cell(3), required: strings.HasPrefix(cell(4), "required")}
	}
	require.NotEmpty(t, settings)
	return settings
}

// program is which of ours a container runs, or "".
func program(c core.Container) string {
	found := regexp.MustCompile(`/(collector|consumer|console)[:@]`).FindStringSubmatch(c.Image)
	if found == nil {
		return ""
	}
	return found[1]
}

// commands are what our programs are asked to do, and what each cannot do without.
var commands = map[string][]string{
	"collector run":              {"ONEPX_KAFKA_BROKERS", "ONEPX_CONFIG", "ONEPX_SECRET"},
	"collector config check":     {},
	"collector drain-spool":      {"ONEPX_KAFKA_BROKERS"},
	"consumer run":               {"ONEPX_KAFKA_BROKERS", "ONEPX_CLICKHOUSE_ADDR", "ONEPX_CONFIG"},
	"consumer jobs":              {"ONEPX_KAFKA_BROKERS", "ONEPX_CLICKHOUSE_ADDR", "ONEPX_CONFIG"},
	"consumer topics":            {"ONEPX_KAFKA_BROKERS"},
	"consumer migrate":           {"ONEPX_CLICKHOUSE_ADDR"},
	"consumer rollup":            {"ONEPX_CLICKHOUSE_ADDR", "ONEPX_CONFIG"},
	"consumer privacy retention": {"ONEPX_CLICKHOUSE_ADDR"},
	"consumer import rates":      {"ONEPX_CLICKHOUSE_ADDR"},
	"console run":                {"ONEPX_KAFKA_BROKERS", "ONEPX_CLICKHOUSE_ADDR", "ONEPX_CONFIG", "ONEPX_SECRET"},
}

func TestEverySettingIsOneOfItsProgramAndNoRequiredOneIsMissing(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		for _, w := range workloads(all) {
			for _, c := range w.containers() {
				service := program(c)
				if service == "" {
					continue
				}
				var words []string
				for _, arg := range c.Args {
					if !strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "/") && !regexp.MustCompile(`^\d`).MatchString(arg) {
						words = append(words, arg)
					}
				}
				command := service + " " + strings.Join(words, " ")
				needs, known := commands[command]
				require.True(t, known, command)
				settings, given := settingsOf(t, service), make(map[string]bool)
				for _, env := range c.Env {
					require.False(t, given[env.Name], "%s: %s is there twice", w.name, env.Name)
					given[env.Name] = true
					if strings.HasPrefix(env.Name, "ONEPX_") {
						assert.Contains(t, settings, env.Name, "%s/%s", w.name, c.Name)
					}
					assert.True(t, env.Value != "" || env.ValueFrom != nil, "%s/%s: %s is empty: leave it out instead", w.name, c.Name, env.Name)
				}
				for _, need := range needs {
					assert.True(t, given[need], "%s/%s lacks %s", w.name, c.Name, need)
				}
			}
		}
	})
}

// The schema names what may stand in `settings`: every setting of the service that the chart does not give itself.
func TestEverySettingCanBeGiven(t *testing.T) {
	own := regexp.MustCompile(`_LISTEN$|^ONEPX_(CONFIG|SECRET|MAIL_KEYS|SPOOL_DIR|SPOOL_QUOTA_BYTES|STOP_GRACE|STOP_TIMEOUT|TRUSTED_PROXIES|LOG_LEVEL|EXPORT_DIR|` +
		`EXPORT_CONTACTS_DIR|CONSUMER_GROUP|INSERT_DEADLINE|KAFKA_(BROKERS|TLS.*|SASL_.*)|CLICKHOUSE_.*|TOPIC_.*)$|^OTEL_`)
	named := make(map[string]map[string]bool)
	schema := decodeValues(t, read(t, repository(t), "charts", "onepx", "values.schema.json"))
	for _, component := range []string{"collector", "consumer", "jobs", "console"} {
		named[component] = make(map[string]bool)
		for name := range dig(schema, "properties", component, "properties", "settings", "properties") {
			named[component][name] = true
		}
	}
	pages := map[string][]string{"collector": {"collector"}, "consumer": {"consumer", "jobs"}, "console": {"console"}}
	for service, components := range pages {
		settings := settingsOf(t, service)
		for name := range settings {
			// What the collectors' is, the check of topics is given too.
			if own.MatchString(name) || service == "consumer" && name == "ONEPX_MAX_EVENT_BYTES" {
				continue
			}
			found := false
			for _, component := range components {
				found = found || named[component][name]
			}
			assert.True(t, found, "%s of the %s is in no `settings`", name, service)
		}
		for _, component := range components {
			for name := range named[component] {
				assert.Contains(t, settings, name, component)
				assert.False(t, own.MatchString(name), "%s.settings.%s: the chart gives it itself", component, name)
			}
		}
	}
}

// dig goes down by keys.
func dig(node map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		node, _ = node[key].(map[string]any)
	}
	return node
}

func TestPortsAreThoseOnWhichTheServicesListen(t *testing.T) {
	listen := func(service, setting string) int32 {
		port := intstr.Parse(strings.TrimPrefix(settingsOf(t, service)[setting].standard, ":"))
		require.Positive(t, port.IntVal, setting)
		return port.IntVal
	}
	want := map[string]map[string]int32{
		"collector": {"http": listen("collector", "ONEPX_COLLECTOR_LISTEN"), "admin": listen("collector", "ONEPX_COLLECTOR_ADMIN_LISTEN")},
		"consumer":  {"admin": listen("consumer", "ONEPX_CONSUMER_ADMIN_LISTEN")},
		"jobs":      {"admin": listen("consumer", "ONEPX_JOBS_ADMIN_LISTEN")},
		"console":   {"http": listen("console", "ONEPX_CONSOLE_LISTEN"), "admin": listen("console", "ONEPX_CONSOLE_ADMIN_LISTEN")},
	}
	each(t, func(t *testing.T, all []object) {
		for _, w := range workloads(all) {
			if !w.forLong {
				continue
			}
			ports := make(map[string]int32)
			for _, port := range w.pod.Containers[0].Ports {
				ports[port.Name] = port.ContainerPort
			}
			assert.Equal(t, want[w.component], ports, w.name)
		}
		for _, o := range all {
			switch d := o.decoded.(type) {
			case *core.Service:
				require.Len(t, d.Spec.Ports, 1)
				assert.Contains(t, want[o.component], d.Spec.Ports[0].TargetPort.StrVal, o.name)
				if strings.HasSuffix(o.name, "-admin") {
					assert.Equal(t, want[o.component]["admin"], d.Spec.Ports[0].Port, o.name)
					assert.Equal(t, core.ClusterIPNone, d.Spec.ClusterIP, "%s can be reached by more than its pods' names", o.name)
				}
			case *networking.NetworkPolicy:
				var open []int32
				for _, rule := range d.Spec.Ingress {
					for _, port := range rule.Ports {
						open = append(open, port.Port.IntVal)
						if port.Port.IntVal == want[o.component]["admin"] {
							assert.NotEmpty(t, rule.From, "%s: everybody may reach the admin port", o.name)
						}
					}
				}
				assert.ElementsMatch(t, values(want[o.component]), open, o.name)
			}
		}
	})
}

func values(of map[string]int32) []int32 {
	var all []int32
	for _, v := range of {
		all = append(all, v)
	}
	return all
}

func TestRoutesLeadToPortsForThePublicAlone(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		services := make(map[string]*core.Service)
		for _, o := range all {
			if d, ok := o.decoded.(*core.Service); ok {
				services[o.name] = d
			}
		}
		leadsToPublic := func(route, service string) *core.Service {
			require.Contains(t, services, service, route)
			require.Equal(t, "http", services[service].Spec.Ports[0].TargetPort.StrVal, route)
			return services[service]
		}
		for _, o := range all {
			switch d := o.decoded.(type) {
			case *networking.Ingress:
				for _, rule := range d.Spec.Rules {
					backend := rule.HTTP.Paths[0].Backend.Service
					require.Equal(t, leadsToPublic(o.name, backend.Name).Spec.Ports[0].Name, backend.Port.Name)
				}
			case *gateway.HTTPRoute:
				backend := d.Spec.Rules[0].BackendRefs[0]
				require.Equal(t, leadsToPublic(o.name, string(backend.Name)).Spec.Ports[0].Port, *backend.Port)
			}
		}
	})
}

func TestProbesAskForPathsThatTheAdminPortHas(t *testing.T) {
	served := read(t, repository(t), "services", "shared", "telemetry", "admin.go")
	each(t, func(t *testing.T, all []object) {
		for _, w := range workloads(all) {
			if !w.forLong {
				continue
			}
			c := w.pod.Containers[0]
			for probe, path := range map[*core.Probe]string{c.LivenessProbe: "/livez", c.ReadinessProbe: "/readyz"} {
				require.NotNil(t, probe, w.name)
				require.Equal(t, "admin", probe.HTTPGet.Port.StrVal, w.name)
				require.Equal(t, path, probe.HTTPGet.Path, w.name)
				require.Contains(t, served, `"GET `+path+`"`)
			}
		}
	})
}

func TestEveryMountHasItsVolumeAndEveryFileOfASettingAMount(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		for _, w := range workloads(all) {
			volumes := make(map[string]bool)
			for _, v := range w.pod.Volumes {
				require.False(t, volumes[v.Name], "%s: volume %s is there twice", w.name, v.Name)
				volumes[v.Name] = true
			}
			if w.kind == "StatefulSet" {
				volumes["spool"] = true
			}
			for _, c := range w.containers() {
				for _, m := range c.VolumeMounts {
					assert.True(t, volumes[m.Name], "%s/%s: %s", w.name, c.Name, m.Name)
					assert.Empty(t, m.SubPath, "%s/%s: changes would never arrive", w.name, c.Name)
				}
				for _, env := range c.Env {
					if !strings.HasPrefix(env.Value, "/") {
						continue
					}
					mounted := false
					for _, m := range c.VolumeMounts {
						mounted = mounted || env.Value == m.MountPath || strings.HasPrefix(env.Value, m.MountPath+"/")
					}
					assert.True(t, mounted, "%s/%s: nothing is mounted at %s=%s", w.name, c.Name, env.Name, env.Value)
				}
			}
		}
	})
}

func TestStoppingHasAsMuchTimeAsTheSettingsAllow(t *testing.T) {
	each(t, func(t *testing.T, all []object) {
		for _, w := range workloads(all) {
			if !w.forLong {
				continue
			}
			c := w.pod.Containers[0]
			value := func(name string) time.Duration {
				text := settingsOf(t, program(c))[name].standard
				for _, env := range c.Env {
					if env.Name == name {
						text = env.Value
					}
				}
				d, err := time.ParseDuration(text)
				require.NoError(t, err, name)
				return d
			}
			const rest = 20 * time.Second // the short steps at the end
			least := rest
			switch w.component {
			case "collector": // visitors, tally, publisher
				least += value("ONEPX_STOP_GRACE") + 3*value("ONEPX_STOP_TIMEOUT")
			case "console":
				least += value("ONEPX_STOP_GRACE") + value("ONEPX_STOP_TIMEOUT")
			default:
				least += value("ONEPX_INSERT_DEADLINE")
			}
			require.GreaterOrEqual(t, time.Duration(*w.pod.TerminationGracePeriodSeconds)*time.Second, least, w.name)
		}
	})
}
