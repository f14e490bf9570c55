package client_test

import (
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/client"
)

const (
	public  = onepxv1.NetworkClass_NETWORK_CLASS_PUBLIC
	private = onepxv1.NetworkClass_NETWORK_CLASS_PRIVATE
	unknown = onepxv1.NetworkClass_NETWORK_CLASS_UNKNOWN

	datacenter = onepxv1.NetworkClass_NETWORK_CLASS_DATACENTER
)

func prefixes(t testing.TB, texts ...string) []netip.Prefix {
	t.Helper()
	p, err := client.ParsePrefixes(texts)
	require.NoError(t, err)
	return p
}

func TestTheClientAddress(t *testing.T) {
	resolver := client.New(prefixes(t, "10.0.0.0/8", "192.168.1.7", "fd00::/8", "::ffff:172.16.0.9"), nil, nil)
	for _, test := range []struct {
		name, peer string
		forwarded  []string
		prefix     string
		class      onepxv1.NetworkClass
		invalid    bool
	}{
		{"a peer is the client", "81.2.69.160:4711", nil, "81.2.69.0", public, false},
		{"an IPv6 peer is the client", "[2a02:ff40:1:2::9]:4711", nil, "2a02:ff40:1::", public, false},
		{"an IPv4 peer on an IPv6 socket is IPv4", "[::ffff:81.2.69.160]:4711", nil, "81.2.69.0", public, false},
		{"a zone means nothing", "[fe80::1%eth0]:4711", nil, "fe80::", private, false},
		{"loopback is private", "127.0.0.1:4711", nil, "127.0.0.0", private, false},
		{"addresses of documentation are private", "203.0.113.77:4711", nil, "203.0.113.0", private, false},
		{"carrier NAT is private", "100.64.1.1:4711", nil, "100.64.1.0", private, false},
		{"the header of an untrusted peer is ignored", "81.2.69.160:4711", []string{"1.1.1.1"}, "81.2.69.0", public, false},
		{"a broken header of an untrusted peer is ignored", "81.2.69.160:4711", []string{"garbage"}, "81.2.69.0", public, false},
		{"a trusted peer forwards", "10.1.1.1:4711", []string{"81.2.69.160"}, "81.2.69.0", public, false},
		{"a trusted address on an IPv6 socket forwards", "[::ffff:172.16.0.9]:4711", []string{"81.2.69.160"}, "81.2.69.0", public, false},
		{"trusted hops are passed", "10.1.1.1:4711", []string{"81.2.69.160, 192.168.1.7,10.9.9.9"}, "81.2.69.0", public, false},
		{"what is left of the client is made up", "10.1.1.1:4711", []string{"1.1.1.1, 81.2.69.160, 10.9.9.9"}, "81.2.69.0", public, false},
		{"garbage left of the client is made up too", "10.1.1.1:4711", []string{"garbage, 81.2.69.160"}, "81.2.69.0", public, false},
		{"several headers are one list", "10.1.1.1:4711", []string{"1.1.1.1", "81.2.69.160", "10.9.9.9"}, "81.2.69.0", public, false},
		{"if all hops are trusted the farthest is the client", "10.1.1.1:4711", []string{"10.2.2.2, 10.3.3.3"}, "10.2.2.0", private, false},
		{"a trusted peer that forwards nothing is the client", "10.1.1.1:4711", nil, "10.1.1.0", private, false},
		{"an empty header is none", "10.1.1.1:4711", []string{" "}, "10.1.1.0", private, false},
		{"an unreadable hop leaves no address", "10.1.1.1:4711", []string{"81.2.69.160, unknown"}, "", unknown, true},
		{"an empty hop leaves no address", "10.1.1.1:4711", []string{"81.2.69.160,,10.9.9.9"}, "", unknown, true},
		{"an unspecified hop leaves no address", "10.1.1.1:4711", []string{"0.0.0.0"}, "", unknown, true},
		{"a name is no address", "10.1.1.1:4711", []string{"localhost"}, "", unknown, true},
		{"a hop may have a port", "10.1.1.1:4711", []string{"81.2.69.160:55"}, "81.2.69.0", public, false},
		{"an IPv6 hop may have brackets", "10.1.1.1:4711", []string{"[2a02:ff40:1:2::9]"}, "2a02:ff40:1::", public, false},
		{"and a port", "10.1.1.1:4711", []string{"[2a02:ff40:1:2::9]:55"}, "2a02:ff40:1::", public, false},
		{"or quotes", "10.1.1.1:4711", []string{`"[2a02:ff40:1:2::9]:55"`}, "2a02:ff40:1::", public, false},
		{"or neither", "[fd00::1]:4711", []string{"2a02:ff40:1:2::9"}, "2a02:ff40:1::", public, false},
		{"a mapped hop is IPv4", "10.1.1.1:4711", []string{"::ffff:81.2.69.160"}, "81.2.69.0", public, false},
		{"a peer that is no address is nobody", "@", []string{"81.2.69.160"}, "", unknown, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/p.gif", nil)
			r.RemoteAddr = test.peer
			for _, value := range test.forwarded {
				r.Header.Add("X-Forwarded-For", value)
			}
			info := resolver.Resolve(r)
			require.Equal(t, test.prefix, info.Prefix)
			require.Equal(t, test.class, info.Class)
			require.Equal(t, test.invalid, info.ForwardedInvalid)
		})
	}
}

func FuzzForwarded(f *testing.F) {
	for _, header := range []string{"81.2.69.160, 10.1.1.1", "[::1%eth0]:80", `"x"`, ",,", "::ffff:1.2.3.4", "[", "[]", ":80"} {
		f.Add(header)
	}
	resolver := client.New(prefixes(f, "10.0.0.0/8"), nil, nil)
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest("GET", "/p.gif", nil)
		r.RemoteAddr = "10.1.1.1:4711"
		r.Header.Set("X-Forwarded-For", header)
		info := resolver.Resolve(r)
		require.Equal(t, info.ForwardedInvalid, info.Prefix == "")
		if info.Prefix != "" {
			addr, err := netip.ParseAddr(info.Prefix)
			require.NoError(t, err)
			bits := 48
			if addr.Is4() {
				bits = 24
			}
			require.Equal(t, netip.PrefixFrom(addr, bits).Masked().Addr(), addr, "no full address leaves")
		}
	})
}

func TestHTTPSIsWhatATrustedProxySays(t *testing.T) {
	resolver := client.New(prefixes(t, "10.0.0.0/8"), nil, nil)
	for _, test := range []struct {
		name, peer, proto string
		want              bool
	}{
		{"nothing is said", "10.1.1.1:1", "", false},
		{"https", "10.1.1.1:1", "HTTPS", true},
		{"the visitor's side is the first", "10.1.1.1:1", "https, http", true},
		{"http", "10.1.1.1:1", "http", false},
		{"an untrusted peer may say anything", "81.2.69.160:1", "https", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/p.gif", nil)
			r.RemoteAddr = test.peer
			r.Header.Set("X-Forwarded-Proto", test.proto)
			require.Equal(t, test.want, resolver.Resolve(r).HTTPS)
		})
	}
	require.True(t, resolver.Resolve(httptest.NewRequest("GET", "https://px.example/p.gif", nil)).HTTPS, "our own TLS")
}

func TestTheShortPrefix(t *testing.T) {
	for prefix, want := range map[string]string{
		"203.0.113.0": "203.0.0.0", "2001:db8:1::": "2001:db8::", "2a00:1450:4001::": "2a00:1450::", "": "",
	} {
		require.Equal(t, want, client.Info{Prefix: prefix}.ShortPrefix())
	}
}

func TestPrefixesOfProxies(t *testing.T) {
	for text, want := range map[string]string{"10.1.2.3/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "::ffff:10.1.2.3": "10.1.2.3/32", " fd00::/8 ": "fd00::/8"} {
		require.Equal(t, want, prefixes(t, text)[0].String())
	}
	for _, text := range []string{"", "proxy", "10.0.0.0/33", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		_, err := client.ParsePrefixes([]string{text})
		require.ErrorContains(t, err, text)
	}
}

func TestPrefetch(t *testing.T) {
	geo := openGeo(t)
	resolver := client.New(nil, nil, geo)
	for _, test := range []struct {
		name     string
		headers  [][2]string
		prefetch bool
		country  string
	}{
		{"an ordinary request", nil, false, "GB"},
		{"prefetch", [][2]string{{"Sec-Purpose", "prefetch"}}, true, "GB"},
		{"prerender", [][2]string{{"Sec-Purpose", "prefetch;prerender"}}, true, "GB"},
		{"through the browser maker's proxy the country is not known", [][2]string{{"Sec-Purpose", "prefetch; anonymous-client-ip"}}, true, ""},
		{"a false parameter is none", [][2]string{{"Sec-Purpose", "prefetch;anonymous-client-ip=?0"}}, true, "GB"},
		{"another purpose", [][2]string{{"Sec-Purpose", "prefetching"}}, false, "GB"},
		{"a broken list", [][2]string{{"Sec-Purpose", "prefetch;;"}}, false, "GB"},
		{"one of several", [][2]string{{"Sec-Purpose", "other"}, {"Sec-Purpose", "prefetch"}}, true, "GB"},
		{"Purpose", [][2]string{{"Purpose", "prefetch"}}, true, "GB"},
		{"X-Purpose", [][2]string{{"X-Purpose", "instant"}}, true, "GB"},
		{"X-Moz", [][2]string{{"X-Moz", "Prefetch"}}, true, "GB"},
		{"preview", [][2]string{{"X-Purpose", "preview"}}, true, "GB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/p.gif", nil)
			r.RemoteAddr = "81.2.69.160:1"
			for _, header := range test.headers {
				r.Header.Add(header[0], header[1])
			}
			info := resolver.Resolve(r)
			require.Equal(t, test.prefetch, info.Prefetch)
			require.Equal(t, test.country, info.Country)
		})
	}
}

func TestGeo(t *testing.T) {
	geo := openGeo(t)
	for addr, want := range map[string][2]string{
		"81.2.69.160":      {"GB", "ENG"},
		"2a02:ff40:1:2::9": {"IM", ""},
		"1.2.3.4":          {"", ""},
		"9.9.9.9":          {"", ""}, // a record of another shape
	} {
		country, region := geo.Lookup(netip.MustParseAddr(addr))
		require.Equal(t, want, [2]string{country, region}, addr)
	}
	none, err := client.OpenGeo("")
	require.NoError(t, err)
	country, _ := none.Lookup(netip.MustParseAddr("81.2.69.160"))
	require.Empty(t, country)
	require.NoError(t, none.Close())
}

func TestABrokenGeoFileIsFoundAtStart(t *testing.T) {
	whole, err := os.ReadFile(writeGeo(t))
	require.NoError(t, err)
	flipped := append([]byte(nil), whole...)
	for i := 100; i < 200; i++ {
		flipped[i] ^= 0xff
	}
	for name, content := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)/2], "flipped": flipped, "text": []byte("hello")} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		_, err := client.OpenGeo(path)
		require.ErrorContains(t, err, path, name)
	}
	_, err = client.OpenGeo(filepath.Join(t.TempDir(), "missing"))
	require.Error(t, err)
}

func TestTheAddressThatAServerGives(t *testing.T) {
	resolver := client.New(nil, nil, openGeo(t))
	for _, test := range []struct {
		name, address string
		want          client.Info
		ok            bool
	}{
		{"none", "", client.Info{Class: unknown}, true},
		{"unreadable", "unknown", client.Info{Class: unknown}, false},
		{"private", "10.1.2.3", client.Info{Prefix: "10.1.2.0", Class: private}, true},
		{"in a known place", "81.2.69.160", client.Info{Prefix: "81.2.69.0", Class: public, Country: "GB", Region: "ENG"}, true},
		{"IPv6 with a port", "[2a00:1450:4001:81b::200e]:443", client.Info{Prefix: "2a00:1450:4001::", Class: public}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := resolver.Given(test.address)
			require.Equal(t, test.ok, ok)
			require.Equal(t, test.want, got)
		})
	}
}

func openGeo(t *testing.T) *client.Geo {
	t.Helper()
	geo, err := client.OpenGeo(writeGeo(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, geo.Close()) })
	return geo
}

// writeGeo makes a small city database.
func writeGeo(t *testing.T) string {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "Test-City", RecordSize: 24, Languages: []string{"en"}, Description: map[string]string{"en": "test"}})
	require.NoError(t, err)
	country := func(code string) mmdbtype.Map { return mmdbtype.Map{"iso_code": mmdbtype.String(code)} }
	for prefix, record := range map[string]mmdbtype.Map{
		"81.2.69.0/24":   {"country": country("GB"), "subdivisions": mmdbtype.Slice{country("ENG"), country("LND")}},
		"2a02:ff40::/32": {"country": country("IM")},
		"9.9.9.0/24":     {"country": mmdbtype.String("US")},
	} {
		_, network, err := net.ParseCIDR(prefix)
		require.NoError(t, err)
		require.NoError(t, tree.Insert(network, record))
	}
	path := filepath.Join(t.TempDir(), "city.mmdb")
	file, err := os.Create(path)
	require.NoError(t, err)
	_, err = tree.WriteTo(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return path
}
