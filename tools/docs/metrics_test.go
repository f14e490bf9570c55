package docs_test

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var metricName = regexp.MustCompile(`"(onepx_(collector|consumer|console)_\w+)"`)

func TestEveryMetricOfTheCodeIsOnThePageOfItsService(t *testing.T) {
	root := repository(t)
	found := map[string]bool{}
	for _, name := range files(t, root) {
		if !strings.HasPrefix(name, "services/") || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range metricName.FindAllSubmatch(read(t, root, name), -1) {
			service := string(m[2])
			require.Contains(t, string(read(t, root, "docs/metrics-"+service+".md")), "| `"+string(m[1])+"` |", name)
			found[service] = true
		}
	}
	require.Len(t, found, 3, "services with metrics")
}
