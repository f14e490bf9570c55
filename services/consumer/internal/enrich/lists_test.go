package enrich_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A list that was edited by hand, cut short or replaced by an older one is found here, before it changes what counts.
func TestListsFromOutsideSayWhereTheyAreFromAndAreWhole(t *testing.T) {
	head := regexp.MustCompile("^# (\\d+) [a-z ]+, from ([a-z-]+) \\d+\\.\\d+\\.\\d+ \\(npm\\) of (\\d{4}-\\d\\d-\\d\\d), ([A-Z0-9a-z-]+) licence: ([A-Za-z.]+)\\. Made by `make lists`\\. DO NOT EDIT\\.$")
	for _, list := range []struct {
		file, source, licence, licenceFile string
		atLeast                            int
		notBefore                          string
	}{
		{"lists/crawlers.tsv", "crawler-user-agents", "MIT", "lists/crawlers.LICENSE", 1500, "2026-08-10"},
		{"testdata/crawlers.txt", "crawler-user-agents", "MIT", "lists/crawlers.LICENSE", 1450, "2026-08-10"},
		{"testdata/browsers.txt", "user-agents", "BSD-2-Clause", "testdata/browsers.LICENSE", 300, "2026-09-29"},
	} {
		t.Run(list.file, func(t *testing.T) {
			text, err := os.ReadFile(list.file)
			require.NoError(t, err)
			all := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			found := head.FindStringSubmatch(all[0])
			require.NotNil(t, found, all[0])
			count, err := strconv.Atoi(found[1])
			require.NoError(t, err)
			require.Len(t, all[1:], count)
			require.GreaterOrEqual(t, count, list.atLeast)
			require.Equal(t, list.source, found[2])
			_, err = time.Parse(time.DateOnly, found[3])
			require.NoError(t, err)
			require.GreaterOrEqual(t, found[3], list.notBefore, "an older list than there was")
			require.Equal(t, list.licence, found[4])
			require.True(t, strings.HasSuffix(list.licenceFile, "/"+found[5]))
			_, err = os.Stat(list.licenceFile)
			require.NoError(t, err)
		})
	}
}
