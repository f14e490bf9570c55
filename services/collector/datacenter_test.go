package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/eventlog"
)

func TestAVisitorFromADataCentreIsMarkedAndTheWholeAddressStaysHere(t *testing.T) {
	list := filepath.Join(t.TempDir(), "datacenters.txt")
	require.NoError(t, os.WriteFile(list, []byte("# made up\n45.76.0.0/16\n2604:a880::/32\n"), 0o600))
	c, broker := start(t, func(s *settings) { s.DatacenterFile, s.TrustedProxies = list, []string{"127.0.0.1"} })
	for _, address := range []string{"45.76.212.199", "81.2.69.160"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/p.gif?site=shop", nil)
		require.NoError(t, err)
		req.Header.Set("X-Forwarded-For", address)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	classes := map[string]onepxv1.NetworkClass{}
	for _, event := range c.stored(t, broker) {
		classes[event.GetClient().GetIpPrefix()] = event.GetClient().GetNetworkClass()
	}
	require.Equal(t, map[string]onepxv1.NetworkClass{
		"45.76.212.0": onepxv1.NetworkClass_NETWORK_CLASS_DATACENTER, "81.2.69.0": onepxv1.NetworkClass_NETWORK_CLASS_PUBLIC,
	}, classes)
	for _, record := range broker.Records(t, eventlog.TopicEvents) {
		require.NotContains(t, string(record.Value), "212.199")
	}
	require.NotContains(t, c.log.String(), "212.199")
	require.Contains(t, get(c.admin+"/metrics").body, "onepx_collector_datacenter_prefixes 2")
}
