package client_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/client"
)

func TestAnAddressInAListedRangeIsADataCentres(t *testing.T) {
	list, err := client.OpenDatacenters("testdata/datacenters.txt")
	require.NoError(t, err)
	require.Equal(t, 6, list.Len(), "a range that is listed twice is one")
	resolver := client.New(prefixes(t, "81.2.69.160"), list, nil)
	for _, test := range []struct {
		name, peer, forwarded string
		class                 onepxv1.NetworkClass
	}{
		{"first address", "45.76.0.0:1", "", datacenter},
		{"last address", "45.76.255.255:1", "", datacenter},
		{"the next one is not listed", "45.77.0.0:1", "", public},
		{"a single address", "138.68.7.9:1", "", datacenter},
		{"the one beside it", "138.68.7.8:1", "", public},
		{"IPv6", "[2604:a880:1::7]:1", "", datacenter},
		{"IPv4 on an IPv6 socket", "[::ffff:45.76.1.1]:1", "", datacenter},
		{"a private address is private, listed or not", "10.1.1.1:1", "", private},
		{"behind a proxy the visitor counts", "81.2.69.160:1", "45.76.1.1", datacenter},
		{"a proxy that is not trusted is the visitor", "45.76.1.1:1", "81.2.69.7", datacenter},
		{"no believable address", "81.2.69.160:1", "unknown", unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/p.gif", nil)
			r.RemoteAddr = test.peer
			if test.forwarded != "" {
				r.Header.Set("X-Forwarded-For", test.forwarded)
			}
			require.Equal(t, test.class, resolver.Resolve(r).Class)
		})
	}
	given, ok := resolver.Given("45.76.1.1")
	require.True(t, ok)
	require.Equal(t, client.Info{Prefix: "45.76.1.0", Class: datacenter}, given)
}

func TestWithoutAListThereAreNoDataCentres(t *testing.T) {
	list, err := client.OpenDatacenters("")
	require.NoError(t, err)
	require.Zero(t, list.Len())
	given, _ := client.New(nil, list, nil).Given("45.76.1.1")
	require.Equal(t, public, given.Class)
}

func TestAMistakeInTheListOfDataCentresIsNamedByItsLine(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		want    []string
	}{
		"empty":          {"", []string{"no prefix in it"}},
		"comments alone": {"# a\n\n  # b\n", []string{"no prefix in it"}},
		"a web page":     {"<html>\n", []string{"line 1", "<html>", "10.0.0.0/8"}},
		"several": {"45.76.0.0/16\nvultr\n\n45.76.0.0/33 # typing error\n::ffff:45.76.0.0/112\n45.76.0.0-45.76.255.255\nfe80::1%eth0\n", []string{
			"line 2: \"vultr\"", "line 4: \"45.76.0.0/33\"", "line 5: \"::ffff:45.76.0.0/112\"", "line 6: ", "line 7: ",
		}},
		"everybody":           {"0.0.0.0/0\n", []string{"line 1", "wider than a /8"}},
		"everybody with IPv6": {"45.76.0.0/16\n2000::/3\n", []string{"line 2", "wider than a /16"}},
		"a binary file":       {"45.76.0.0/16\n" + strings.Repeat("\xff", 1<<17), []string{"line 2", "too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "list.txt")
			require.NoError(t, os.WriteFile(path, []byte(test.content), 0o600))
			_, err := client.OpenDatacenters(path)
			require.ErrorContains(t, err, path)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "list.txt")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x\n", 40_000)), 0o600))
	_, err := client.OpenDatacenters(path)
	require.Equal(t, 10, strings.Count(err.Error(), "line "), "not a line of the log for each line of the file")
	_, err = client.OpenDatacenters(t.TempDir())
	require.Error(t, err)
}

func FuzzDatacenters(f *testing.F) {
	for _, content := range []string{"45.76.0.0/16\n", "2604:a880::/32 # x", "::/0", "\xff", "1.2.3.4\r\n", "1.2.3.4/8\n1.2.3.4/9"} {
		f.Add(content)
	}
	path := filepath.Join(f.TempDir(), "list.txt")
	f.Fuzz(func(t *testing.T, content string) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		list, err := client.OpenDatacenters(path)
		require.Equal(t, err == nil, list.Len() > 0)
	})
}
