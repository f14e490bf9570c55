// Package reference asks the reference library of a consent format, which is written in JavaScript, for strings and what they
// mean: for the tests of our own decoders.
package reference

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each installs what testdata/package-lock.json of the calling test names and calls do for each of the lines that
// testdata/generate.mjs prints, which must be count. It needs Node.js and npm.
func Each(t *testing.T, count, seed int, do func(line []byte)) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600)) //nolint:gosec // two names of ours
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), name, args...) //nolint:gosec // npm and node, for tests
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		return cmd
	}
	require.NoError(t, run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts").Run())
	script, err := filepath.Abs("testdata/generate.mjs")
	require.NoError(t, err)
	node := run("node", script, strconv.Itoa(count), strconv.Itoa(seed))
	out, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	read := 0
	for ; lines.Scan(); read++ {
		do(lines.Bytes())
	}
	require.NoError(t, lines.Err())
	require.NoError(t, node.Wait())
	require.Equal(t, count, read)
}
