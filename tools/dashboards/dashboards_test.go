package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// repository is the folder that holds go.work: two above this one.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "go.work"))
	return root
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elements...))
	require.NoError(t, err)
	return string(content)
}

// shown is what the tests read of a dashboard's JSON.
type shown struct {
	UID    string
	Panels []struct {
		ID          int
		Type, Title string
		Description string
		GridPos     struct{ X, Y, W, H int }
		FieldConfig struct {
			Defaults struct {
				Thresholds struct{ Steps []struct{ Value *float64 } }
			}
		}
		Targets []struct{ Expr, RawSQL, RefID string }
	}
	Templating struct {
		List []struct{ Name string }
	}
}

func parse(t *testing.T, name string) (shown, string) {
	t.Helper()
	content, err := render(name)
	require.NoError(t, err)
	var d shown
	require.NoError(t, json.Unmarshal(content, &d))
	return d, string(content)
}

func TestTheChartHasTheDashboardsThatTheCodeMakes(t *testing.T) {
	dir := filepath.Join(repository(t), "charts", "onepx", "dashboards")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, len(builders), "no file of a dashboard that is gone")
	for name := range builders {
		_, content := parse(t, name)
		require.Equal(t, read(t, dir, name+".json"), content, "run make dashboards")
	}
}

func TestWhatIsWrittenIsWhatIsRendered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dashboards")
	require.NoError(t, write(dir))
	for name := range builders {
		_, content := parse(t, name)
		require.Equal(t, content, read(t, dir, name+".json"))
	}
}

func TestPanelsHaveNumbersTitlesQueriesAndPlacesOfTheirOwn(t *testing.T) {
	for name := range builders {
		d, _ := parse(t, name)
		require.Equal(t, "onepx-"+name, d.UID)
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range d.Panels {
			require.False(t, ids[p.ID], p.Title)
			ids[p.ID] = true
			require.NotEmpty(t, p.Title)
			require.Equal(t, p.Type == "row", len(p.Targets) == 0, p.Title)
			require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					require.Empty(t, taken[[2]int{x, y}], p.Title)
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

var (
	metricName = regexp.MustCompile(`onepx_(?:collector|consumer|console)_[a-z_]+`)
	ofSeries   = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// metrics are the names of the metrics that the services make.
func metrics(t *testing.T, root string) string {
	t.Helper()
	found, err := exec.CommandContext(t.Context(), "git", "-C", root, "grep", "-hoE", "--untracked", `"onepx_[a-z_]+"|prefix\+"[a-z_]+"`,
		"--", "services/*.go", ":!*_test.go").Output()
	require.NoError(t, err)
	return string(found)
}

func TestOperatorsSeeMetricsThatThereAreAndEachOne(t *testing.T) {
	root := repository(t)
	known := metrics(t, root)
	d, content := parse(t, "operators")
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			names := metricName.FindAllString(q.Expr, -1)
			require.NotEmpty(t, names, p.Title)
			for _, name := range names {
				name = ofSeries.ReplaceAllString(name, "")
				if rest, ofFile := strings.CutPrefix(name, "onepx_collector_config_"); ofFile {
					require.Contains(t, known, `prefix+"`+rest+`"`, p.Title)
					continue
				}
				require.Contains(t, known, `"`+name+`"`, p.Title)
			}
		}
	}
	// Not there: what says little by itself.
	left := []string{"onepx_collector_datacenter_prefixes", "onepx_collector_wishes_total"}
	for _, name := range metricName.FindAllString(known, -1) {
		require.NotEqual(t, slices.Contains(left, name), strings.Contains(content, name), name)
	}
}

var ruleOf = regexp.MustCompile(`(?s)- alert: (\w+)\n\s+expr: (.+?)\n\s+(?:for|labels): `)

func TestOperatorsSeeWhatEachAlertFiresOnWithItsLimit(t *testing.T) {
	rules := map[string]string{}
	for _, m := range ruleOf.FindAllStringSubmatch(read(t, repository(t), "charts", "onepx", "rules", "onepx.yaml"), -1) {
		rules[m[1]] = m[2]
	}
	require.NotEmpty(t, rules)
	seen := map[string]bool{}
	d, _ := parse(t, "operators")
	for _, p := range d.Panels {
		_, name, found := strings.Cut(p.Description, "Alert ")
		if !found {
			continue
		}
		name = strings.TrimSuffix(name, ".")
		seen[name] = true
		require.Contains(t, rules, name, p.Title)
		steps := p.FieldConfig.Defaults.Thresholds.Steps
		require.Len(t, steps, 2, p.Title)
		if limit := *steps[1].Value; limit > 2 {
			require.Contains(t, rules[name], "> "+strconv.FormatFloat(limit, 'f', -1, 64), p.Title)
		}
		metric := metricName.FindString(p.Targets[0].Expr)
		require.Contains(t, rules[name], metric, p.Title)
	}
	require.Len(t, seen, len(rules), "each alert has a panel")
}

var (
	viewName = regexp.MustCompile(`\bonepx\.([a-z_]+)(\()?`)
	variable = regexp.MustCompile(`\$\{([a-z]+)`)
)

func TestMarketersAskViewsThatThereAreAboutTheSiteAndTheTimeChosen(t *testing.T) {
	migrations, err := filepath.Glob(filepath.Join(repository(t), "services", "consumer", "migrations", "*.sql"))
	require.NoError(t, err)
	var schema strings.Builder
	for _, file := range migrations {
		schema.WriteString(read(t, file))
	}
	d, content := parse(t, "marketers")
	asked := map[string]bool{}
	for _, m := range viewName.FindAllStringSubmatch(content, -1) {
		kind := "TABLE"
		if m[2] != "" || m[1] == "active_segments" {
			kind = "VIEW"
		}
		require.Regexp(t, `\nCREATE `+kind+` IF NOT EXISTS \{\{\.(Database|Facts)\}\}\.`+m[1]+` \{\{\.OnCluster\}\}`, schema.String())
		asked[m[1]] = true
	}
	for _, view := range []string{"traffic", "conversions", "campaign_revenue", "email_stats", "link_stats", "audience_sizes"} {
		require.True(t, asked[view], view)
	}
	variables := []string{}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	for _, m := range variable.FindAllStringSubmatch(content, -1) {
		require.Contains(t, variables, m[1])
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			require.Contains(t, q.RawSQL, "(site=${site:sqlstring}, ", p.Title)
			require.Contains(t, q.RawSQL, days, p.Title)
		}
	}
}
