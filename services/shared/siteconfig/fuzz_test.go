package siteconfig_test

import (
	"os"
	"strings"
	"testing"

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
			require.Contains(t, []siteconfig.Privacy{siteconfig.PrivacyMeasure, siteconfig.PrivacyCookieless}, site.Privacy)
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
			for _, origin := range site.AllowedOrigins {
				require.True(t, site.AllowsOrigin(strings.Replace(origin, "*", "sub", 1)), origin)
			}
		}
	})
}
