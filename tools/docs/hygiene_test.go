package docs_test

import (
	"bytes"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// maxLines is how long a file may be before it holds two things.
const maxLines = 400

func TestNoFileIsLongerThan400Lines(t *testing.T) {
	root := repository(t)
	for _, name := range files(t, root) {
		content := read(t, root, name)
		if lines := bytes.Count(content, []byte("\n")); lines > maxLines && !mayBeLong(name, content) {
			assert.Fail(t, "too long", "%s has %d lines", name, lines)
		}
	}
}

// mayBeLong is true for what nobody reads top to bottom: generated files, lock files and test data.
func mayBeLong(name string, content []byte) bool {
	switch path.Base(name) {
	case "go.sum", "go.mod", "go.work.sum", "package-lock.json":
		return true
	}
	head, _, _ := bytes.Cut(content, []byte("\n"))
	return strings.Contains(name, "testdata/") || path.Dir(name) == "charts/onepx/dashboards" || // JSON has no place for a mark
		bytes.Contains(bytes.ToUpper(head), []byte("DO NOT EDIT"))
}

// local matches what only makes sense where it was typed: absolute paths below somebody's home, work or temporary
// folder, and the hosts that packages came from (a mirror is configured outside the repository). It is put together
// from parts so that this file does not match itself.
var local = regexp.MustCompile(`(^|[^\w./-])/(` + strings.Join([]string{"work", "root", "tmp", "Users"}, "|") + `)/` +
	`|\b(` + strings.Join([]string{
	`(proxy|sum)\.gol` + `ang\.org`,
	`registry\.(npm` + `js|yarn` + `pkg)\.(org|com)`,
	`repo1?\.maven\.(apache\.)?` + `org`,
	`(files\.python` + `hosted|py` + `pi)\.org`,
	`(static\.)?cra` + `tes\.io`,
	`deb\.deb` + `ian\.org`,
}, "|") + `)\b`)

func TestNoTextNamesAMachinesPathsOrAPackageRegistry(t *testing.T) {
	root := repository(t)
	for _, name := range files(t, root) {
		if strings.Contains(name, "testdata/") {
			continue // what clients really send names such hosts
		}
		for number, line := range bytes.Split(read(t, root, name), []byte("\n")) {
			if found := local.Find(line); found != nil {
				assert.Fail(t, "belongs to one machine", "%s:%d: %s", name, number+1, found)
			}
		}
	}
}

func TestLocalNamesAreTold(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       bool
	}{
		{"a scratch file", `cat ` + `/tmp` + `/x`, true},
		{"a home", `"/root` + `/.cache"`, true},
		{"a registry", `https://registry.npm` + `js.org/x`, true},
		{"a variable with a default", `${TMPDIR:-/tmp}`, false},
		{"a path of a site", `https://shop.example/work/1`, false},
		{"a folder of the repository", `tools/work/x`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, local.MatchString(tc.line))
		})
	}
}
