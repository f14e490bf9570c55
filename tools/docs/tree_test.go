// Package docs_test holds what is true of the repository as text: links lead somewhere, the README tells the life of
// an event in the order it happens, files stay short, and nothing in them belongs to one machine.
// It reads the files that git tracks or would track, so it needs a clone, not an export.
package docs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// repository is the folder that holds go.work: two above this one.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "go.work"))
	return root
}

// files lists, relative to the root and sorted, every file git tracks or would track, less those just deleted.
func files(t *testing.T, root string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	require.NoError(t, err)

	var names []string
	for name := range strings.SplitSeq(string(out), "\x00") {
		info, err := os.Stat(filepath.Join(root, name))
		if name != "" && err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	require.NotEmpty(t, names)
	slices.Sort(names)
	return names
}

// read returns the file's content, or nil if it is not text (it holds a zero byte, as git decides it).
func read(t *testing.T, root, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	if bytes.IndexByte(content, 0) >= 0 {
		return nil
	}
	return content
}
