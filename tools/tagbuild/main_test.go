package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheTagInGitIsThatOfItsSource(t *testing.T) {
	root, dir := filepath.Join("..", ".."), t.TempDir()
	require.NoError(t, (&command{Root: root, Dir: dir}).Run())
	want, err := os.ReadFile(filepath.Join(dir, folder, "t.min.js"))
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(root, folder, "t.min.js"))
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run make generate")
}

func TestAMistakeInTheSourceIsAnError(t *testing.T) {
	_, err := minify([]byte("let a = ;"))
	require.ErrorContains(t, err, "Unexpected")
}
