package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAChangedSiteConfigurationIsTakenOver(t *testing.T) {
	var path string
	c, _ := start(t, func(s *settings) { path = s.Config })
	require.Equal(t, "rejected; reason=site_unknown", get(c.url+"/p.gif?site=new").onepx)
	changed := filepath.Join(filepath.Dir(path), "changed")
	require.NoError(t, os.WriteFile(changed, []byte(testSites+"  - {id: new, timezone: UTC, currency: EUR}\n"), 0o600))
	require.NoError(t, os.Rename(changed, path))
	require.Eventually(t, func() bool { return get(c.url+"/p.gif?site=new").onepx == "stored" }, patience, tick)

	require.NoError(t, os.WriteFile(path, []byte("sites: [{id: shop}]"), 0o600))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.Eventually(t, func() bool {
		return strings.Contains(get(c.admin+"/metrics").body, "onepx_collector_config_last_reload_successful 0")
	}, patience, tick)
	require.Equal(t, "stored", get(c.url+"/p.gif?site=new").onepx)
	require.Contains(t, c.log.String(), path+":1:9: sites[0].timezone: is missing")
}
