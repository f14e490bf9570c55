package siteconfig_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

// FuzzParse checks that a file is either refused with a place for each problem, or
// yields sites that keep every promise of the Site type.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		names, err := os.ReadDir("testdata/" + dir)
		require.NoError(f, err)
		for _, name := range names {
			data, err := os.ReadFile("testdata/" + dir + "/" + name.Name())
			require.NoError(f, err)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := siteconfig.Parse("f.yaml", data)
		if err != nil {
			require.Nil(t, cfg)
			require.True(t, strings.HasPrefix(err.Error(), "f.yaml:"), err)
			return
		}
		require.NotEmpty(t, cfg.Sites)
		ids, keys := map[string]bool{}, map[siteconfig.KeyHash]string{}
		for _, site := range cfg.Sites {
			require.Regexp(t, `^[a-z0-9][a-z0-9_-]{0,63}$`, site.ID)
			require.False(t, ids[site.ID])
			ids[site.ID] = true
			require.NotNil(t, site.Timezone)
			require.Len(t, site.Currency, 3)
			require.Contains(t, siteconfig.Modes, site.Privacy)
			require.LessOrEqual(t, siteconfig.MinRetentionDays, site.RetentionDays)
			require.GreaterOrEqual(t, siteconfig.MaxRetentionDays, site.RetentionDays)
			require.GreaterOrEqual(t, site.RateLimit, 0)
			require.GreaterOrEqual(t, siteconfig.MaxRateLimit, site.RateLimit)
			for _, key := range site.WriteKeys {
				require.Contains(t, []string{"", site.ID}, keys[key])
				keys[key] = site.ID
			}
			for _, path := range []string{site.Paths.Tag, site.Paths.Events, site.Paths.Pixel} {
				require.Regexp(t, `^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`, path)
				require.LessOrEqual(t, len(path), 128)
			}
			requireGoals(t, site)
			requireSegments(t, site)
			for _, origin := range site.AllowedOrigins {
				require.True(t, site.AllowsOrigin(strings.Replace(origin, "*", "sub", 1)), origin)
			}
		}
	})
}

func requireGoals(t *testing.T, site siteconfig.Site) {
	t.Helper()
	require.LessOrEqual(t, len(site.Goals), siteconfig.MaxGoals)
	ids := map[string]bool{}
	for _, goal := range site.Goals {
		require.Regexp(t, `^[a-z0-9][a-z0-9_-]{0,63}$`, goal.ID)
		require.False(t, ids[goal.ID])
		ids[goal.ID] = true
		require.False(t, goal.Event == "" && goal.URL == "" && len(goal.Props) == 0, "no condition")
		require.LessOrEqual(t, utf8.RuneCountInString(goal.Event), 64)
		require.LessOrEqual(t, len(goal.URL), 1024)
		_, err := regexp.Compile(goal.URL)
		require.NoError(t, err)
		require.LessOrEqual(t, len(goal.Props), siteconfig.MaxGoalProps)
		for name, value := range goal.Props {
			require.NotEmpty(t, name)
			require.NotEmpty(t, value)
		}
		require.Contains(t, []siteconfig.OncePer{siteconfig.OncePerOrder, siteconfig.OncePerEvent, siteconfig.OncePerSession, siteconfig.OncePerHit}, goal.OncePer)
		require.Contains(t, []siteconfig.ValueSource{siteconfig.ValueEvent, siteconfig.ValueFixed, siteconfig.ValueNone}, goal.Value)
		require.Equal(t, goal.Value == siteconfig.ValueFixed, len(goal.Currency) == 3)
		require.True(t, goal.ValueMicros == 0 || goal.Value == siteconfig.ValueFixed && goal.ValueMicros > 0)
		require.LessOrEqual(t, siteconfig.MinWindowDays, goal.ViewWindowDays)
		require.LessOrEqual(t, goal.ViewWindowDays, goal.ClickWindowDays)
		require.LessOrEqual(t, goal.ClickWindowDays, siteconfig.MaxWindowDays)
	}
}
