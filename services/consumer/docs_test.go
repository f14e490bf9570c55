package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThePagesAreThoseOfTheCode(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, (&docsCmd{Dir: dir}).Run())
	for _, name := range []string{"configuration-consumer.md", "metrics-consumer.md", "mail-rules.md"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run make docs")
	}
}
