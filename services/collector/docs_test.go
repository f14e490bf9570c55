package main

import (
	"html"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/api/params"
)

func TestThePagesAreThoseOfTheCode(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, (&docsCmd{Dir: dir}).Run())
	for _, name := range []string{"pixel.md", "privacy.md", "reasons.md", "configuration-collector.md", "metrics-collector.md"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run make docs")
	}
}

func TestEverySnippetIsAHit(t *testing.T) {
	source := regexp.MustCompile(`src="([^"]*)"`)
	for _, s := range snippets() {
		found := source.FindStringSubmatch(s.HTML)
		require.NotNil(t, found, s.Title)
		target, err := url.Parse(html.UnescapeString(found[1]))
		require.NoError(t, err)
		query := params.ParseQuery(target.RawQuery)
		require.Equal(t, "shop", query.Get("site"))
		hit := params.Read(query, time.Now(), "")
		require.Empty(t, hit.Reject, s.Title)
		require.Empty(t, hit.Flags, s.Title)
	}
}

func TestEveryExampleIsAHit(t *testing.T) {
	for target, list := range examples() {
		for _, example := range list {
			if example.Body == "" {
				continue
			}
			queries, refused := params.ParseJSON([]byte(example.Body))
			require.Empty(t, refused, target)
			for _, query := range queries {
				hit := params.Read(query, time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), "")
				require.Empty(t, hit.Reject, example.Text())
				require.Empty(t, hit.Flags, example.Text())
			}
		}
	}
}
