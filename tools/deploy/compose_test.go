package deploy_test

import (
	"encoding/xml"
	"errors"
	"io"
	"iter"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// secrets is the least that people must fill in.
func secrets() map[string]string {
	return map[string]string{
		"ONEPX_SECRET": strings.Repeat("5e", 32), "ONEPX_CLICKHOUSE_PASSWORD": strings.Repeat("c1", 32), "ONEPX_CLICKHOUSE_CONSOLE_PASSWORD": strings.Repeat("c2", 32),
		"ONEPX_MAIL_KEYS": "k1:" + strings.Repeat("A1", 22),
	}
}

// load reads docker-compose.yml, and files that are laid over it, as `docker compose` does, with this environment alone.
func load(t *testing.T, env map[string]string, over ...string) (*types.Project, error) {
	t.Helper()
	root := repository(t)
	files := []string{filepath.Join(root, "docker-compose.yml")}
	for _, name := range over {
		files = append(files, filepath.Join(root, name))
	}
	var pairs []string
	for name, value := range env {
		pairs = append(pairs, name+"="+value)
	}
	options, err := cli.NewProjectOptions(files, cli.WithWorkingDirectory(root), cli.WithEnv(pairs))
	require.NoError(t, err)
	return options.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, secrets())
	require.NoError(t, err)
	return p
}

// projects are docker-compose.yml by itself and with what may be laid over it.
func projects(t *testing.T) map[string]*types.Project {
	t.Helper()
	return map[string]*types.Project{"alone": project(t), "observed": observed(t)}
}

// services are those of all projects.
func services(t *testing.T) iter.Seq2[string, types.ServiceConfig] {
	t.Helper()
	return func(yield func(string, types.ServiceConfig) bool) {
		for _, p := range projects(t) {
			for name, service := range p.Services {
				if !yield(name, service) {
					return
				}
			}
		}
	}
}

func TestWithoutASecretNothingStartsAndTheMessageSaysWhereToSetIt(t *testing.T) {
	for name := range observers() {
		for _, env := range []struct {
			name string
			with func(map[string]string)
		}{
			{"is not there", func(m map[string]string) { delete(m, name) }},
			{"is empty", func(m map[string]string) { m[name] = "" }},
		} {
			t.Run(name+" "+env.name, func(t *testing.T) {
				values := observers()
				env.with(values)
				_, err := load(t, values, observability)
				require.ErrorContains(t, err, name)
				require.ErrorContains(t, err, ".env.example")
			})
		}
	}
}

// variable is a name that Compose fills in, or the only thing on a line of `environment` that takes it from outside.
var variable = regexp.MustCompile(`\$\{([A-Z_]+)|(?m)^ +([A-Z][A-Z_]+):$`)

func TestTheExampleEnvironmentHasEveryVariableAndNoSecret(t *testing.T) {
	root := repository(t)
	var wanted, got []string
	for _, m := range variable.FindAllStringSubmatch(read(t, root, "docker-compose.yml")+read(t, root, observability), -1) {
		wanted = append(wanted, m[1]+m[2])
	}
	slices.Sort(wanted)
	example := read(t, root, ".env.example")
	for _, m := range regexp.MustCompile(`(?m)^#?([A-Z_]+)=(.*)$`).FindAllStringSubmatch(example, -1) {
		got = append(got, m[1])
		if _, secret := observers()[m[1]]; secret {
			require.Empty(t, m[2], m[1])
		}
	}
	require.ElementsMatch(t, slices.Compact(wanted), got)

	ignored := exec.CommandContext(t.Context(), "git", "check-ignore", "--quiet", ".env")
	ignored.Dir = root
	require.NoError(t, ignored.Run(), "git does not ignore .env")
}

// ours are the containers of our programs: which program, and what its command cannot do without.
var ours = map[string]struct {
	program string
	needs   []string // besides what the page calls required, for a command that is not run
}{
	"collector": {program: "collector"},
	"consumer":  {program: "consumer"},
	"console":   {program: "console"},
	"topics":    {program: "consumer", needs: []string{"ONEPX_KAFKA_BROKERS"}},
	"migrate":   {program: "consumer", needs: []string{"ONEPX_CLICKHOUSE_ADDR"}},
	"jobs":      {program: "consumer", needs: []string{"ONEPX_KAFKA_BROKERS", "ONEPX_CLICKHOUSE_ADDR"}},
}

func TestEverySettingIsOneOfItsProgramAndNoRequiredOneIsMissing(t *testing.T) {
	p := observed(t)
	for name, our := range ours {
		t.Run(name, func(t *testing.T) {
			settings := settingsOf(t, our.program)
			service := p.Services[name]
			needs := our.needs
			if needs == nil {
				for name, s := range settings {
					if s.required {
						needs = append(needs, name)
					}
				}
			}
			for _, need := range needs {
				require.Contains(t, service.Environment, need)
			}
			for name, value := range service.Environment {
				if name == "GOMEMLIMIT" { // Go's own
					continue
				}
				require.Contains(t, settings, name)
				if value != nil {
					require.NotEmpty(t, *value, "%s: leave it out instead", name)
				}
			}
		})
	}
}

func TestOptionalSettingsArePassedOnOnlyIfTheyAreGiven(t *testing.T) {
	require.NotContains(t, project(t).Services["collector"].Environment.RemoveEmpty(), "ONEPX_TRUSTED_PROXIES")
	env := secrets()
	env["ONEPX_TRUSTED_PROXIES"] = "172.16.0.0/12"
	p, err := load(t, env)
	require.NoError(t, err)
	require.Equal(t, "172.16.0.0/12", *p.Services["collector"].Environment["ONEPX_TRUSTED_PROXIES"])
}

func TestOnlyTheVisitorsPortCanBeReachedFromOutsideAndOnlyIfOneWantsIt(t *testing.T) {
	for _, tc := range []struct {
		name, publish string
		outside       []string
	}{
		{"as it is", "", nil},
		{"published", "0.0.0.0:8080", []string{"collector:8080"}},
		{"published on another port", "0.0.0.0:80", []string{"collector:80"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := observers()
			env["ONEPX_PUBLISH"] = tc.publish
			p, err := load(t, env, observability)
			require.NoError(t, err)
			var outside []string
			for name, service := range p.Services {
				for _, port := range service.Ports {
					if host, err := netip.ParseAddr(port.HostIP); err != nil || !host.IsLoopback() {
						outside = append(outside, name+":"+port.Published)
					}
				}
			}
			require.Equal(t, tc.outside, outside)
		})
	}
}

func TestNoContainerHasMoreRightsThanItNeeds(t *testing.T) {
	for name, service := range services(t) {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, []string{"ALL"}, service.CapDrop)
			assert.Empty(t, service.CapAdd)
			assert.False(t, service.Privileged)
			assert.Contains(t, service.SecurityOpt, "no-new-privileges:true")
			user, _, _ := strings.Cut(service.User, ":")
			assert.NotContains(t, []string{"", "root", "0"}, user)
			assert.Empty(t, service.NetworkMode)
			// The start script of Kafka's image writes its configuration beside the program.
			assert.Equal(t, name != "kafka", service.ReadOnly, "read-only root file system")
			for _, volume := range service.Volumes {
				assert.True(t, volume.ReadOnly || volume.Type == types.VolumeTypeVolume, "%s can be written to", volume.Source)
			}
		})
	}
}

func TestImagesArePinnedAndOursAreBuiltHere(t *testing.T) {
	for name, service := range services(t) {
		_, tag, _ := strings.Cut(service.Image, ":")
		require.NotContains(t, []string{"", "latest"}, tag, name)
		if _, our := ours[name]; our {
			require.Equal(t, types.PullPolicyBuild, service.PullPolicy, name)
			require.NotNil(t, service.Build, name)
			require.Equal(t, "services/"+ours[name].program+"/Dockerfile", service.Build.Dockerfile)
			require.Equal(t, repository(t), service.Build.Context)
		}
	}
}

func TestPartsStartInTheOrderInWhichTheyNeedEachOther(t *testing.T) {
	p := project(t)
	got := make(map[string]map[string]string)
	for name, service := range p.Services {
		for other, dependency := range service.DependsOn {
			if got[name] == nil {
				got[name] = make(map[string]string)
			}
			got[name][other] = dependency.Condition
			if dependency.Condition == types.ServiceConditionHealthy {
				require.NotNil(t, p.Services[other].HealthCheck, other)
			}
		}
	}
	healthy, done := types.ServiceConditionHealthy, types.ServiceConditionCompletedSuccessfully
	require.Equal(t, map[string]map[string]string{
		"topics":    {"kafka": healthy},
		"migrate":   {"clickhouse": healthy},
		"consumer":  {"topics": done, "migrate": done},
		"jobs":      {"topics": done, "migrate": done},
		"console":   {"topics": done, "migrate": done},
		"collector": {"topics": done},
	}, got)
	for name, service := range p.Services {
		want := types.RestartPolicyUnlessStopped
		if name == "topics" || name == "migrate" {
			want = types.RestartPolicyNo // Compose takes its first end for the last
		}
		require.Equal(t, want, service.Restart, name)
	}
}

func TestWhoeverMustNotTalkToEachOtherCannot(t *testing.T) {
	p := project(t)
	shared := func(a, b string) bool { return share(p, a, b) }
	require.True(t, shared("collector", "kafka"))
	require.True(t, shared("consumer", "kafka"))
	require.True(t, shared("consumer", "clickhouse"))
	require.True(t, shared("migrate", "clickhouse"))
	require.True(t, shared("console", "kafka"))
	require.True(t, shared("console", "clickhouse"))
	require.False(t, shared("collector", "clickhouse"))
	require.False(t, shared("kafka", "clickhouse"))
}

// share tells whether two services have a network in common.
func share(p *types.Project, a, b string) bool {
	for name := range p.Services[a].Networks {
		if _, both := p.Services[b].Networks[name]; both {
			return true
		}
	}
	return false
}

func TestStoppingHasAsMuchTimeAsTheSettingsAllow(t *testing.T) {
	p := project(t)
	value := func(service, name string) time.Duration {
		text := settingsOf(t, service)[name].standard
		if given := p.Services[service].Environment[name]; given != nil {
			text = *given
		}
		d, err := time.ParseDuration(text)
		require.NoError(t, err, name)
		return d
	}
	const rest = 20 * time.Second // the short steps at the end
	for service, least := range map[string]time.Duration{
		"collector": value("collector", "ONEPX_STOP_GRACE") + 2*value("collector", "ONEPX_STOP_TIMEOUT") + rest,
		"consumer":  value("consumer", "ONEPX_INSERT_DEADLINE") + rest,
		"console":   value("console", "ONEPX_STOP_GRACE") + value("console", "ONEPX_STOP_TIMEOUT") + rest,
	} {
		require.GreaterOrEqual(t, time.Duration(*p.Services[service].StopGracePeriod), least, service)
	}
}

func TestWhatRunsForLongHasALimitOfMemory(t *testing.T) {
	for name, service := range services(t) {
		if service.Restart == types.RestartPolicyNo {
			continue
		}
		require.NotNil(t, service.Deploy, name)
		require.Positive(t, service.Deploy.Resources.Limits.MemoryBytes, name)
		require.Positive(t, service.Deploy.Resources.Limits.Pids, name)
	}
}

func TestEachVolumeHasOneOwnerAndWhatMustSurviveLiesInOne(t *testing.T) {
	p := project(t)
	owners := make(map[string][]string)
	for name, service := range p.Services {
		for _, volume := range service.Volumes {
			if volume.Type == types.VolumeTypeVolume {
				owners[volume.Source] = append(owners[volume.Source], name+":"+volume.Target)
			}
		}
	}
	spool := *p.Services["collector"].Environment["ONEPX_SPOOL_DIR"]
	logs := *p.Services["kafka"].Environment["KAFKA_LOG_DIRS"]
	require.Equal(t, map[string][]string{
		"kafka":      {"kafka:" + logs},
		"clickhouse": {"clickhouse:/var/lib/clickhouse"},
		"spool":      {"collector:" + spool},
	}, owners)
	require.ElementsMatch(t, slices.Collect(maps.Keys(owners)), slices.Collect(maps.Keys(p.Volumes)))
}

func TestWhatIsMountedFromTheRepositoryIsThereAndWellFormed(t *testing.T) {
	mounted := 0
	for name, service := range services(t) {
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			mounted++
			_, err := os.Stat(volume.Source)
			require.NoError(t, err, name)
			if filepath.Ext(volume.Source) == ".xml" {
				wellFormed(t, volume.Source)
			}
		}
	}
	require.NotZero(t, mounted)
}

func wellFormed(t *testing.T, name string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(read(t, name)))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err, name)
	}
}

func TestTheSitesAreAcceptedByTheCollector(t *testing.T) {
	root := repository(t)
	for _, volume := range project(t).Services["collector"].Volumes {
		if volume.Target != "/etc/onepx" {
			continue
		}
		check := exec.CommandContext(t.Context(), "go", "run", "./services/collector", "config", "check", filepath.Join(volume.Source, "onepx.yaml"))
		check.Dir = root
		out, err := check.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	require.Fail(t, "no folder of sites is mounted")
}
