package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Answers that make the browser forget the visitor's cookie: the one of the host, and the one of the site shop.
const (
	gone       = "onepx_v=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
	goneOfShop = "onepx_v=; Path=/; Domain=shop.example; Max-Age=0; HttpOnly; SameSite=Lax"
	optedOut   = "onepx_optout=1; Path=/; Domain=shop.example; Max-Age=34560000; HttpOnly; SameSite=Lax"
)

func TestARefusalRemovesTheCookie(t *testing.T) {
	const refusing = "gdpr=1&gdpr_consent=CQuSqEAQuSqEAEsABBDECWFgAAAAAAAAAAYgAAAAAAAA.YAAAAAAAAAA"
	for _, test := range []struct {
		name, query, cookie string
		headers             []string
		answer              string
		set                 []string
	}{
		{"who has opted out has no cookie of any site, and the wish does not lapse", "site=blog", "onepx_optout=1; onepx_v=" + cookieValue, nil,
			"suppressed; reason=opted_out", []string{gone, goneOfShop, optedOut}},
		{"nor anything else to remove", "site=shop", "onepx_optout=1", nil, "suppressed; reason=opted_out", []string{optedOut}},
		{"a no to one site removes its cookie", "site=shop&c=0", "onepx_v=" + cookieValue, nil, "suppressed; reason=opted_out", []string{goneOfShop}},
		{"and to another site that one's", "site=blog&c=0", "onepx_v=" + cookieValue, nil, "suppressed; reason=opted_out", []string{gone}},
		{"a no to storage removes it, and the hit is stored", "site=shop&" + refusing, "onepx_v=" + cookieValue, nil, "stored", []string{goneOfShop}},
		{"where there is none, none is removed", "site=shop&" + refusing, "", nil, "stored", nil},
		{"nor set by what GPC leaves", "site=shop&c=1", "onepx_v=" + cookieValue, []string{"Sec-GPC", "1"}, "stored", nil},
		{"DNT removes none", "site=shop", "onepx_v=" + cookieValue, []string{"DNT", "1"}, "stored", nil},
		{"a banner without an answer removes none", "site=shop&gdpr=1", "onepx_v=" + cookieValue, nil, "stored", nil},
		{"nor does a cookieless site", "site=quiet", "onepx_v=" + cookieValue, nil, "stored", nil},
		{"nor a question what would be", "site=shop&c=0&debug=1", "onepx_v=" + cookieValue, nil, "ignored; reason=debug_request", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := start(t).get("/p.gif?"+test.query, append([]string{"Host", "px.shop.example", "Cookie", test.cookie}, test.headers...)...)
			require.Equal(t, test.answer, got.onepx())
			require.Equal(t, test.set, got.Header.Values("Set-Cookie"))
		})
	}
}

func TestTheWishReachesAsFarAsAnyCookie(t *testing.T) {
	for host, domain := range map[string]string{
		"px.shop.example": "shop.example", "shop.example:8080": "shop.example", "PX.Shop.Example": "shop.example",
		"px.other.example": "", "notshop.example": "", "127.0.0.1:8080": "", "[::1]:8080": "",
	} {
		got := start(t).get("/p.gif?site=blog", "Host", host, "Cookie", "onepx_optout=1")
		require.Equal(t, domain, got.setCookie("onepx_optout").Domain, host)
	}
}
