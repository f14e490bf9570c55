package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

const otherSites = `
sites:
  - {id: shop, timezone: UTC, currency: EUR, cookie_domain: shop.example, allowed_origins: ["https://partner.example"]}
  - {id: blog, timezone: UTC, currency: EUR}
  - {id: framed, timezone: UTC, currency: EUR, embedded_cookie: partitioned}
`

// on starts an edge with other sites.
func on(t *testing.T, yaml string) *edge {
	t.Helper()
	config, err := siteconfig.Parse("onepx.yaml", []byte(yaml))
	require.NoError(t, err)
	return start(t, func(d *api.Deps) { d.Sites = config })
}

func TestAVisitorOfOtherPagesIsKnownOnlyWithConsentToSharing(t *testing.T) {
	const (
		minted, cookie, hash = onepxv1.VisitorKind_VISITOR_KIND_MINTED, onepxv1.VisitorKind_VISITOR_KIND_COOKIE, onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH
		shops                = "onepx_v=V; Path=/; Domain=shop.example; Max-Age=34128000; HttpOnly; Secure; SameSite=None"
		hosts                = "__Host-onepx_v=V; Path=/; Max-Age=34128000; HttpOnly; Secure; SameSite=None"
		framed               = "__Host-onepx_p=V; Path=/; Max-Age=34128000; HttpOnly; Secure; SameSite=None; Partitioned"
	)
	elsewhere := []string{"Sec-Fetch-Site", "cross-site", "Referer", "https://news.example/"}
	knownTo := func(headers []string, name string) []string {
		return append([]string{"Cookie", name + "=" + cookieValue}, headers...)
	}
	for _, test := range []struct {
		name, query string
		headers     []string
		kind        onepxv1.VisitorKind
		set         string
	}{
		{"the site's own page gets a cookie", "site=shop", []string{"Sec-Fetch-Site", "same-site", "Referer", "https://shop.example/"}, minted, shops},
		{"and is known by it", "site=shop", knownTo([]string{"Sec-Fetch-Site", "same-site"}, "onepx_v"), cookie, ""},
		{"a page of another site gets none", "site=shop", elsewhere, hash, ""},
		{"and one that is there is not read", "site=shop", knownTo(elsewhere, "onepx_v"), hash, ""},
		{"under neither name", "site=blog", knownTo(elsewhere, "__Host-onepx_v"), hash, ""},
		{"with consent to sharing it gets one", "site=shop&c=1", elsewhere, minted, shops},
		{"and it is read", "site=blog&c=1", knownTo(elsewhere, "__Host-onepx_v"), cookie, ""},
		{"with consent that does not reach so far it gets none", "site=shop&c=1&us_privacy=1YYN", elsewhere, hash, ""},
		{"a page of the site's origins is the site's, wherever the collector is", "site=shop", []string{"Sec-Fetch-Site", "cross-site", "Referer", "https://partner.example/a"}, minted, shops},
		{"the origin goes before the referrer", "site=shop", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://news.example", "Referer", "https://partner.example/a"}, hash, ""},
		{"an opaque origin is none of them", "site=shop", []string{"Sec-Fetch-Site", "cross-site", "Origin", "null"}, hash, ""},
		{"a page that does not say which it is is none of them", "site=shop", []string{"Sec-Fetch-Site", "cross-site"}, hash, ""},
		{"a browser that does not say so is judged by the page", "site=shop", []string{"Referer", "https://news.example/"}, hash, ""},
		{"and a page of the same domain is the site's", "site=shop", []string{"Referer", "https://www.shop.example/"}, minted, shops},
		{"where nothing is said the page is taken for the site's", "site=shop", nil, minted, shops},
		{"the site's own id needs no cookie", "site=shop&v=ann", elsewhere, onepxv1.VisitorKind_VISITOR_KIND_PROVIDED, ""},

		{"a site may want a cookie for each page that embeds it", "site=framed", elsewhere, minted, framed},
		{"which is read there", "site=framed", knownTo(elsewhere, "__Host-onepx_p"), cookie, ""},
		{"and the other one is not", "site=framed", knownTo(elsewhere, "__Host-onepx_v"), minted, framed},
		{"with consent to sharing it is the other one", "site=framed&c=1", knownTo(elsewhere, "__Host-onepx_p"), minted, hosts},
		{"as it is in its own pages", "site=framed", []string{"Sec-Fetch-Site", "same-origin"}, minted, hosts},

		{"the name before it had the prefix is still read", "site=blog", knownTo(nil, "onepx_v"), cookie, ""},
		{"the name with the prefix goes before it", "site=blog", []string{"Cookie", "onepx_v=broken; __Host-onepx_v=" + cookieValue}, cookie, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := on(t, otherSites)
			got := e.get("/p.gif?"+test.query, append([]string{"X-Forwarded-Proto", "https", "Host", "px.shop.example"}, test.headers...)...)
			require.Equal(t, test.kind, e.stored().GetVisitor().GetKind())
			require.NotContains(t, e.stored().Flags, "visitor_invalid")
			set := got.Header.Get("Set-Cookie")
			if cookies := got.Cookies(); len(cookies) > 0 {
				set = strings.Replace(set, cookies[0].Value, "V", 1)
			}
			require.Equal(t, test.set, set)
		})
	}
}

func TestOverHTTPTheCookieIsSentToItsOwnSiteOnly(t *testing.T) {
	e := on(t, otherSites)
	got := e.get("/p.gif?site=shop", "Host", "px.shop.example", "Referer", "http://news.example/")
	require.Equal(t, "onepx_v", got.Cookies()[0].Name)
	require.Equal(t, http.SameSiteLaxMode, got.Cookies()[0].SameSite)
}

func TestARefusalRemovesTheCookieUnderAllItsNames(t *testing.T) {
	const (
		old       = "onepx_v=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None"
		oldOfShop = "onepx_v=; Path=/; Domain=shop.example; Max-Age=0; HttpOnly; Secure; SameSite=None"
		host      = "__Host-onepx_v=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None"
		framed    = "__Host-onepx_p=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned"
		out       = "onepx_optout=1; Path=/; Domain=shop.example; Max-Age=34560000; HttpOnly; Secure; SameSite=None"
	)
	all := "onepx_v=" + cookieValue + "; __Host-onepx_v=" + cookieValue + "; __Host-onepx_p=" + cookieValue
	for _, test := range []struct {
		name, query, cookie string
		set                 []string
	}{
		{"a no to a site of the host", "site=blog&c=0", all, []string{host, old}},
		{"a no to a site with a cookie for each page", "site=framed&c=0", all, []string{host, old, framed}},
		{"a no to a site with a domain", "site=shop&c=0", all, []string{oldOfShop}},
		{"a no of whom nothing is known", "site=framed&c=0", "", nil},
		{"an opt-out removes all of them, and holds in the page too", "site=shop", all + "; onepx_optout=1", []string{old, oldOfShop, host, framed, out, out + "; Partitioned"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := on(t, otherSites).get("/p.gif?"+test.query, "X-Forwarded-Proto", "https", "Host", "px.shop.example", "Cookie", test.cookie)
			require.Equal(t, test.set, got.Header.Values("Set-Cookie"))
		})
	}
}

func TestTheWishIsOfAllCookies(t *testing.T) {
	e := on(t, otherSites)
	e.do(http.MethodPost, "/optout", "X-Forwarded-Proto", "https", "Host", "px.shop.example",
		"Cookie", "onepx_v="+cookieValue+"; __Host-onepx_p=AgECAwQFBgcICQoLDA0ODw")
	require.Len(t, e.suppressions.written, 6, "two visitors of three sites")
	in := e.do(http.MethodPost, "/optin", "X-Forwarded-Proto", "https", "Host", "px.shop.example", "Sec-Fetch-Site", "same-origin")
	require.Len(t, in.Header.Values("Set-Cookie"), 4, "each with and without the domain, partitioned and not")
}
