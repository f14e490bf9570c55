// Package chart_test holds what is true of the Helm chart charts/onepx: Helm's own library renders it for each way of use,
// every object is decoded strictly, and is safe, complete and connected to the others. It needs no cluster, and so does not show
// that anything starts.
package chart_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

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

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(filepath.Join(repository(t), "charts", "onepx"))
	require.NoError(t, err)
	return c
}

// decodeValues reads a file of values.
func decodeValues(t *testing.T, text string) map[string]any {
	t.Helper()
	values := make(map[string]any)
	require.NoError(t, yaml.Unmarshal([]byte(text), &values))
	return values
}

// render returns what Helm would apply, by template: what it says and how it refuses values is Helm's own.
func render(c *chart.Chart, values map[string]any) (map[string]string, error) {
	capabilities := common.DefaultCapabilities.Copy()
	release := common.ReleaseOptions{Name: "px", Namespace: "tracking", Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, values, release, capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// sets are the files of values in testdata, by name: the ways of use.
func sets(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	require.NoError(t, err)
	named := make(map[string]string, len(files))
	for _, file := range files {
		named[strings.TrimSuffix(filepath.Base(file), ".yaml")] = read(t, file)
	}
	require.GreaterOrEqual(t, len(named), 8)
	return named
}

// between two documents of a file.
var between = regexp.MustCompile(`(?m)^---\n`)

// documents are the objects of a way of use, as text and in a lasting order.
func documents(t *testing.T, values string) []string {
	t.Helper()
	return documentsOf(t, load(t), values)
}

func documentsOf(t *testing.T, c *chart.Chart, values string) []string {
	t.Helper()
	rendered, err := render(c, decodeValues(t, values))
	require.NoError(t, err)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if strings.HasSuffix(name, ".txt") {
			continue
		}
		for _, document := range between.Split(rendered[name], -1) {
			if text := strings.TrimSpace(document); text != "" {
				all = append(all, text)
			}
		}
	}
	require.NotEmpty(t, all)
	return all
}
