package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCrawlersAreReadWithTheirClassAndAnExample(t *testing.T) {
	patterns, examples, err := readCrawlers([]byte(`[
		{"pattern": "Googlebot\\/", "instances": ["Googlebot/2.1"], "tags": ["search-engine"]},
		{"pattern": "curl", "instances": ["nothing that fits", "curl/8"], "tags": ["http-library"]},
		{"pattern": "Fetch\\/", "instances": ["MozacFetch/1"]},
		{"pattern": "Fluid", "instances": ["Fluid/0.9"]}
	]`))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"crawler\tGooglebot/", "nonbrowser\tcurl", "crawler\t^Fetch/"}, patterns[len(added):])
	require.Equal(t, []string{"Googlebot/2.1", "curl/8"}, examples)
	_, _, err = readCrawlers([]byte(`[{"pattern": "("}]`))
	require.ErrorContains(t, err, `"("`)
}

func TestBrowsersThatMachinesPretendToBeAreLeftOut(t *testing.T) {
	userAgents, err := readBrowsers([]byte(`[{"userAgent": "Mozilla/5.0 (X) Chrome/153.0.0.0 Safari/537.36"}, {"userAgent": "Mozilla/5.0 (iPhone) Chrome/53.0.5491.1183"}, {"userAgent": "Mozilla/5.0 (Y) Chrome/153.0.8010.36"}]`))
	require.NoError(t, err)
	require.Equal(t, []string{"Mozilla/5.0 (X) Chrome/153.0.0.0 Safari/537.36", "Mozilla/5.0 (Y) Chrome/153.0.8010.36"}, userAgents)
}

func TestAListSaysWhereItIsFrom(t *testing.T) {
	p, err := describe([]byte(`{"name": "robots", "version": "1.2.3", "license": "MIT", "time": {"1.2.3": "2026-08-10T11:09:40.878Z", "1.2.4": "2026-09-01T00:00:00.000Z"}}`))
	require.NoError(t, err)
	p.LicenceFile = "robots.LICENSE"
	name := filepath.Join(t.TempDir(), "robots.txt")
	require.NoError(t, p.write(name, "robots", []string{"b", "a", "b"}))
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "# 2 robots, from robots 1.2.3 (npm) of 2026-08-10, MIT licence: robots.LICENSE. Made by `make lists`. DO NOT EDIT.\na\nb\n", string(text))
	for _, text := range []string{"", "{}", `{"version": "1.2.3", "time": {"1.2.3": "2026-08-10T11:09:40.878Z"}}`, `{"version": "1.2.3", "license": "MIT", "time": {}}`} {
		_, err := describe([]byte(text))
		require.ErrorContains(t, err, "npm view", text)
	}
}
