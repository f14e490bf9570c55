// Package deploy_test holds what is true of the ways to run onepx in containers: docker-compose.yml says what Compose's
// own parser understands, in a safe way and with settings that exist; the Dockerfiles say what BuildKit's parser
// understands and copy what a build needs. It needs no container engine, and so does not show that anything starts.
package deploy_test

import (
	"os"
	"path/filepath"
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
