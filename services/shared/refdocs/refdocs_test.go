package refdocs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/refdocs"
)

func TestAPageSaysWhichCommandWritesIt(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, refdocs.Write(dir, "consumer docs", map[string]func(*bytes.Buffer) error{
		"a.md": func(page *bytes.Buffer) error { _, err := page.WriteString("# A\n"); return err },
	}))
	text, err := os.ReadFile(filepath.Join(dir, "a.md"))
	require.NoError(t, err)
	require.Equal(t, "<!-- Written by `consumer docs` from the code. DO NOT EDIT: change the code and run make docs. -->\n# A\n", string(text))
}

func TestAPageThatCannotBeMadeIsNamed(t *testing.T) {
	err := refdocs.Write(t.TempDir(), "x", map[string]func(*bytes.Buffer) error{"b.md": func(*bytes.Buffer) error { return errors.New("no") }})
	require.EqualError(t, err, "b.md: no")
}
