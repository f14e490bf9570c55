package siteconfig_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestPartnersAreRead(t *testing.T) {
	cfg, err := siteconfig.Load("testdata/good/partners.yaml")
	require.NoError(t, err)
	adnet := siteconfig.Partner{
		ID: "adnet", URL: "https://sync.adnet.example/match?v={visitor}&to={callback}$UID",
		Redirects: []string{"sync.adnet.example", "next.adnet.example", "xn--bcher-kva.example"}, Vendor: 755,
	}
	require.Equal(t, []siteconfig.Partner{adnet, {ID: "sends_us"}}, cfg.Sites[0].Partners)
	got, known := cfg.Sites[0].Partner("adnet")
	require.True(t, known)
	require.Equal(t, adnet, *got)
	_, known = cfg.Sites[0].Partner("Adnet")
	require.False(t, known)
	require.Empty(t, cfg.Sites[1].Partners)
}

func TestThereAreAsManyPartnersAndRedirectsAsAllowed(t *testing.T) {
	parse := func(partners string) error {
		_, err := siteconfig.Parse("f", []byte("sites: [{id: a, timezone: UTC, currency: EUR, sync_partners: ["+partners+"]}]"))
		return err
	}
	var partners, hosts []string
	for i := range 101 {
		partners, hosts = append(partners, fmt.Sprintf("{id: p%d}", i)), append(hosts, fmt.Sprintf("h%d.example", i))
	}
	require.NoError(t, parse(strings.Join(partners[:100], ", ")))
	require.ErrorContains(t, parse(strings.Join(partners, ", ")), "sites[0].sync_partners: has 101 partners; at most 100 are allowed")
	require.NoError(t, parse("{id: a, redirects: ["+strings.Join(hosts[:20], ", ")+"]}"))
	require.ErrorContains(t, parse("{id: a, redirects: ["+strings.Join(hosts[:21], ", ")+"]}"), "sites[0].sync_partners[0].redirects: has 21 hosts; at most 20 are allowed")
}

func TestAPartnersURLGetsIDsEncodedAndKeepsItsMacro(t *testing.T) {
	p := siteconfig.Partner{URL: "https://a.example/m?v={visitor}&to={callback}%24UID&again={callback}$UID"}
	require.Equal(t, "https://a.example/m?v=5&to=https%3A%2F%2Fpx.example%2Fsync%3Fa%3D1%26uid%3D%24UID&again=https%3A%2F%2Fpx.example%2Fsync%3Fa%3D1%26uid%3D$UID",
		p.SyncURL("5", "https://px.example/sync?a=1&uid="))
	require.Equal(t, "https://a.example/m?v=%7Bcallback%7D%0D%0A", (&siteconfig.Partner{URL: "https://a.example/m?v={visitor}"}).SyncURL("{callback}\r\n", ""))
}

var redirecting = siteconfig.Partner{Redirects: []string{"adnet.example", "xn--bcher-kva.example"}}

func TestVisitorsAreSentOnToListedHostsOnly(t *testing.T) {
	for _, test := range []struct {
		name, target string
		allowed      bool
	}{
		{"a listed host", "https://adnet.example/match?uid=1&next=https%3A%2F%2Fother.example%2F", true},
		{"a listed host alone", "https://adnet.example", true},
		{"a listed host with a query at once", "https://adnet.example?x=1", true},
		{"a listed host with a fragment at once", "https://adnet.example#x", true},
		{"a listed host in its ASCII form", "https://xn--bcher-kva.example/", true},
		{"what looks like a host further on", "https://adnet.example/@other.example:443", true},
		{"another host", "https://other.example/", false},
		{"a host below a listed one", "https://sub.adnet.example/", false},
		{"a host above a listed one", "https://example/", false},
		{"a host that begins like a listed one", "https://adnet.example.other.example/", false},
		{"a host that ends like a listed one", "https://notadnet.example/", false},
		{"http", "http://adnet.example/", false},
		{"no scheme", "adnet.example/", false},
		{"the scheme of the page", "//adnet.example/", false},
		{"a path", "/adnet.example", false},
		{"nothing", "", false},
		{"a scheme alone", "https://", false},
		{"a script", "javascript:alert(1)//https://adnet.example/", false},
		{"data", "data:text/html,https://adnet.example/", false},
		{"a scheme without slashes", "https:adnet.example/", false},
		{"a scheme with one slash", "https:/adnet.example/", false},
		{"three slashes", "https:///adnet.example/", false},
		{"a scheme in capitals", "HTTPS://adnet.example/", false},
		{"a host in capitals", "https://ADNET.example/", false},
		{"a user", "https://user@adnet.example/", false},
		{"a listed host as user of another", "https://adnet.example@other.example/", false},
		{"a listed host as user with password of another", "https://adnet.example:x@other.example/", false},
		{"an encoded @", "https://adnet.example%40other.example/", false},
		{"an encoded slash", "https://other.example%2Fadnet.example/", false},
		{"an encoded dot", "https://adnet%2Eexample/", false},
		{"an encoded zero byte", "https://adnet.example%00.other.example/", false},
		{"a backslash for the slash", `https://adnet.example\@other.example/`, false},
		{"backslashes for all slashes", `https:\\adnet.example\`, false},
		{"a backslash far behind", `https://adnet.example/\other.example`, false},
		{"a port", "https://adnet.example:443/", false},
		{"a port without number", "https://adnet.example:/", false},
		{"a dot at the end", "https://adnet.example./", false},
		{"two dots", "https://adnet..example/", false},
		{"a semicolon", "https://adnet.example;other.example/", false},
		{"a space before", " https://adnet.example/", false},
		{"a space after the host", "https://adnet.example /", false},
		{"a space in the path", "https://adnet.example/a b", false},
		{"a tab in the host", "https://adnet\t.example/", false},
		{"a line end", "https://adnet.example/\r\nSet-Cookie: a=b", false},
		{"a line feed before", "\nhttps://adnet.example/", false},
		{"a zero byte", "https://adnet.example\x00/", false},
		{"a host in letters of its language", "https://bücher.example/", false},
		{"a letter that looks like another", "https://аdnet.example/", false},
		{"a full-width letter", "https://ａdnet.example/", false},
		{"a full-width dot", "https://adnet。example/", false},
		{"a full-width slash", "https://other.example／adnet.example/", false},
		{"a soft hyphen", "https://ad\u00adnet.example/", false},
		{"a character beyond ASCII in the path", "https://adnet.example/é", false},
		{"bytes that are no UTF-8", "https://adnet.example/\xff", false},
		{"an IPv4 address", "https://192.0.2.1/", false},
		{"an IPv6 address", "https://[2001:db8::1]/", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.allowed, redirecting.AllowsRedirect(test.target))
		})
	}
	require.False(t, (&siteconfig.Partner{}).AllowsRedirect("https://"), "a partner without hosts")
	require.False(t, (&siteconfig.Partner{}).AllowsRedirect("https:///"))
}

// FuzzAllowsRedirect reads what is allowed as Go does, and as browsers do, which drop tabs and line ends and take backslashes
// for slashes, and any number of them.
func FuzzAllowsRedirect(f *testing.F) {
	for _, seed := range []string{"https://adnet.example/x?y#z", `https://adnet.example\@b.example`, "https://a@adnet.example:1/", "https:///adnet.example", "https://adnet.example/%zz", "https://adnet.example.\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		if !redirecting.AllowsRedirect(target) {
			return
		}
		if u, err := url.Parse(target); err == nil {
			require.Equal(t, "https", u.Scheme)
			require.Nil(t, u.User)
			require.Contains(t, redirecting.Redirects, u.Host)
		}
		browsers := strings.NewReplacer("\t", "", "\r", "", "\n", "", `\`, "/").Replace(strings.TrimFunc(target, func(r rune) bool { return r <= ' ' }))
		scheme, rest, _ := strings.Cut(browsers, ":")
		require.Equal(t, "https", strings.ToLower(scheme))
		authority := strings.TrimLeft(rest, "/")
		if end := strings.IndexAny(authority, "/?#"); end >= 0 {
			authority = authority[:end]
		}
		require.True(t, slices.Contains(redirecting.Redirects, authority[strings.LastIndex(authority, "@")+1:]))
		require.Equal(t, target, strings.Map(func(r rune) rune {
			if r < '!' || r > '~' {
				return -1
			}
			return r
		}, target), "nothing that could end a header")
	})
}
