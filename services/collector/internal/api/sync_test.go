package api_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

const syncSites = `
sites:
  - id: shop
    timezone: UTC
    currency: EUR
    cookie_domain: shop.example
    sync_partners:
      - {id: adnet, url: "https://sync.adnet.example/match?v={visitor}&to={callback}$UID", redirects: [sync.adnet.example], tcf_vendor: 12}
      - {id: begins, redirects: [begins.example]}
  - {id: open, timezone: UTC, currency: EUR, privacy: opt_out, sync_partners: [{id: adnet, url: "https://sync.adnet.example/?v={visitor}"}]}
  - {id: cookieless, timezone: UTC, currency: EUR, privacy: cookieless, sync_partners: [{id: adnet, url: "https://sync.adnet.example/?v={visitor}"}]}
`

// TC strings that allow the publisher everything, and vendor 12 too or not.
const (
	toAll       = "CQuSqEAQuSqEAEsABBDECWFgAP_gAAAAAAYgAGAAQAAAAA.IAGAAQ.f_wAAAAAAAA"
	toPublisher = "CQuSqEAQuSqEAEsABBDECWFgAAAAAAAAAAYgAAAAAAAA.f_wAAAAAAAA"
)

// shopVisitor is the shop's visitor of the cookie.
func shopVisitor(t *testing.T, site string) uuid.UUID {
	t.Helper()
	id, ok := identities.CookieVisitor(site, cookieValue)
	require.True(t, ok)
	return uuid.UUID(id)
}

func TestAPartnerTellsItsIDOfTheVisitor(t *testing.T) {
	e := on(t, syncSites)
	got := e.get("/sync?site=shop&partner=adnet&uid=aB%2B4%3D%3D&c=1", append([]string{"Referer", "https://news.example/secret?utm_source=x", "User-Agent", fullAgent}, onPx...)...)
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Equal(t, "stored", got.onepx())
	require.Equal(t, "image/gif", got.Header.Get("Content-Type"))
	require.Len(t, got.body, 43)
	event := e.stored()
	id := shopVisitor(t, "shop")
	require.Equal(t, id[:], event.GetVisitor().GetVisitorId())
	require.Equal(t, onepxv1.VisitorKind_VISITOR_KIND_COOKIE, event.GetVisitor().GetKind())
	require.Equal(t, "partner_sync", event.GetName())
	require.Equal(t, onepxv1.EventKind_EVENT_KIND_SYNC, event.GetKind())
	require.Equal(t, map[string]string{"partner": "adnet", "partner_uid": "aB+4=="}, event.GetProps())
	require.Equal(t, onepxv1.TransportKind_TRANSPORT_KIND_REDIRECT, event.GetTransport().GetKind())
	require.Empty(t, event.GetPage().GetUrl(), "the page of another site is none of ours")
	require.Empty(t, event.GetMarketing().GetUtmSource())
	require.Empty(t, event.GetVisitor().GetUserKey(), "uid is the partner's here")
}

func TestAPartnerTakesItsIDBack(t *testing.T) {
	for _, query := range []string{"uid=", "uid", "uid=&c=1", "x=1&amp;uid=&"} {
		e := on(t, syncSites)
		got := e.get("/sync?site=shop&partner=adnet&c=1&"+query, onPx...)
		require.Equal(t, "stored", got.onepx(), query)
		require.Equal(t, "partner_unsync", e.stored().GetName())
		require.Equal(t, map[string]string{"partner": "adnet"}, e.stored().GetProps())
	}
}

func TestWhatPartnersSeeOfAnExchange(t *testing.T) {
	const sync, adnet = "/sync?site=shop&partner=adnet", "https://sync.adnet.example/match?v=ID&to="
	back := func(query string) string {
		return adnet + url.QueryEscape("https://px.shop.example/sync?site=shop&partner=adnet&"+query+"&uid=") + "$UID"
	}
	e := on(t, syncSites)
	for _, test := range []struct {
		name, target string
		status       int
		answer       string
		// location is where the visitor is sent to, with ID for the visitor's id, or "".
		location string
	}{
		{"an id", sync + "&c=1&uid=7", 200, "stored", ""},
		{"an id and where to go on to", sync + "&c=1&uid=7&redir=" + url.QueryEscape("https://sync.adnet.example/next?a=1&b=2"), 302, "stored", "https://sync.adnet.example/next?a=1&b=2"},
		{"no id any more, and where to go on to", sync + "&c=1&uid=&redir=https://sync.adnet.example", 302, "stored", "https://sync.adnet.example"},
		{"no id yet: the visitor goes and gets one", sync + "&c=1", 302, "ignored; reason=sync_redirect", back("hop=1&c=1")},
		{"came back without: once more", sync + "&c=1&hop=1", 302, "ignored; reason=sync_redirect", back("hop=2&c=1")},
		{"came back without for the second time", sync + "&c=1&hop=2", 400, "rejected; reason=sync_loop", ""},
		{"a number of hops that we never give", sync + "&c=1&hop=0", 400, "rejected; reason=sync_loop", ""},
		{"no number of hops", sync + "&c=1&hop=-x", 400, "rejected; reason=sync_loop", ""},
		{"came back with an id, whatever the hop", sync + "&c=1&hop=9&uid=7", 200, "stored", ""},
		{"what was asked for and wished goes along", sync + "&f=b&redir=https://sync.adnet.example/&gdpr=1&gdpr_consent=" + toAll, 302, "ignored; reason=sync_redirect",
			back("hop=1&f=b&redir=" + url.QueryEscape("https://sync.adnet.example/") + "&gdpr=1&gdpr_consent=" + toAll)},
		{"what is nobody's to know does not", sync + "&c=1&v=me&e=x&u=https://shop.example/&note=secret", 302, "ignored; reason=sync_redirect", back("hop=1&c=1")},
		{"a partner who begins, and does not", "/sync?site=shop&partner=begins&c=1", 400, "rejected; reason=partner_uid_invalid", ""},
		{"an unknown partner", "/sync?site=shop&partner=other&c=1&uid=7", 400, "rejected; reason=partner_unknown", ""},
		{"another spelling of one", "/sync?site=shop&partner=ADNET&c=1&uid=7", 400, "rejected; reason=partner_unknown", ""},
		{"no partner", "/sync?site=shop&c=1&uid=7", 400, "rejected; reason=partner_unknown", ""},
		{"another site's partner", "/sync?site=open&partner=begins&uid=7", 400, "rejected; reason=partner_unknown", ""},
		{"an unknown site", "/sync?site=nowhere&partner=adnet&uid=7", 400, "rejected; reason=site_unknown", ""},
		{"no site", "/sync?partner=adnet&uid=7", 400, "rejected; reason=site_missing", ""},
		{"another partner's host", sync + "&c=1&uid=7&redir=https://begins.example/", 400, "rejected; reason=redirect_unlisted", ""},
		{"a host that is not listed", sync + "&c=1&uid=7&redir=https://other.example/", 400, "rejected; reason=redirect_unlisted", ""},
		{"a user that looks like the host", sync + "&c=1&uid=7&redir=https://sync.adnet.example@other.example/", 400, "rejected; reason=redirect_unlisted", ""},
		{"a backslash", sync + "&c=1&uid=7&redir=https://sync.adnet.example%5C@other.example/", 400, "rejected; reason=redirect_unlisted", ""},
		{"the scheme of the page", sync + "&c=1&uid=7&redir=//sync.adnet.example/", 400, "rejected; reason=redirect_unlisted", ""},
		{"a header after the URL", sync + "&c=1&uid=7&redir=https://sync.adnet.example/%0d%0aSet-Cookie:%20a=b", 400, "rejected; reason=redirect_unlisted", ""},
		{"a tab that would be left out", sync + "&c=1&uid=7&redir=https://sync.ad%09net.example/", 400, "rejected; reason=redirect_unlisted", ""},
		{"a host that is not listed, on the way to the partner", sync + "&c=1&redir=https://other.example/", 400, "rejected; reason=redirect_unlisted", ""},
		{"the second of two", sync + "&c=1&uid=7&redir=https://other.example/&redir=https://sync.adnet.example/", 400, "rejected; reason=redirect_unlisted", ""},
		{"a macro that was not filled in", sync + "&c=1&uid=$UID", 400, "rejected; reason=partner_uid_invalid", ""},
		{"another one", sync + "&c=1&uid={OPENX_ID}", 400, "rejected; reason=partner_uid_invalid", ""},
		{"and another", sync + "&c=1&uid=%23PMUID", 400, "rejected; reason=partner_uid_invalid", ""},
		{"what scripts print for nothing", sync + "&c=1&uid=undefined", 400, "rejected; reason=partner_uid_invalid", ""},
		{"an e-mail address", sync + "&c=1&uid=ann@shop.com", 400, "rejected; reason=partner_uid_invalid", ""},
		{"a space", sync + "&c=1&uid=a+b", 400, "rejected; reason=partner_uid_invalid", ""},
		{"a line end", sync + "&c=1&uid=a%0ab", 400, "rejected; reason=partner_uid_invalid", ""},
		{"letters beyond ASCII", sync + "&c=1&uid=%C3%A9", 400, "rejected; reason=partner_uid_invalid", ""},
		{"bytes that are no letters", sync + "&c=1&uid=%ff", 400, "rejected; reason=partner_uid_invalid", ""},
		{"the longest id", sync + "&c=1&uid=" + strings.Repeat("a", 512), 200, "stored", ""},
		{"one that is longer", sync + "&c=1&uid=" + strings.Repeat("a", 513), 400, "rejected; reason=partner_uid_invalid", ""},
		{"digits that look like a card's", sync + "&c=1&uid=4111111111111111", 200, "stored", ""},
		{"a URL that is too long", sync + "&c=1&uid=7&x=" + strings.Repeat("a", 17<<10), 400, "rejected; reason=url_too_long", ""},
		{"a question what would be stored", sync + "&c=1&uid=7&debug=1&redir=https://sync.adnet.example/", 200, "ignored; reason=debug_request", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e.publisher.events = nil
			got := e.get(test.target, onPx...)
			require.Equal(t, test.answer, got.onepx())
			require.Equal(t, test.status, got.StatusCode)
			require.Equal(t, strings.Replace(test.location, "ID", shopVisitor(t, "shop").String(), 1), got.Header.Get("Location"))
			require.Equal(t, test.answer == "stored", len(e.publisher.events) == 1)
			require.Empty(t, got.Cookies())
			require.Equal(t, "no-referrer", got.Header.Get("Referrer-Policy"))
			require.Contains(t, got.Header.Get("Cache-Control"), "no-store")
			for name, values := range got.Header {
				if name != "Location" {
					require.NotContains(t, strings.Join(values, ""), "adnet", "nothing of the request is in the answer")
				}
			}
			if !strings.Contains(test.target, "debug") {
				require.Contains(t, []int{0, 43}, len(got.body))
			}
		})
	}
}

func TestAFrameGetsAnEmptyPage(t *testing.T) {
	for query, status := range map[string]int{"c=1&uid=7": 200, "uid=7": 451, "c=1&uid=$UID": 400} {
		got := on(t, syncSites).get("/sync?site=shop&partner=adnet&f=b&"+query, onPx...)
		require.Equal(t, status, got.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", got.Header.Get("Content-Type"))
		require.Empty(t, got.body)
	}
}

func TestHEADAsksForNothing(t *testing.T) {
	e := on(t, syncSites)
	got := e.do(http.MethodHead, "/sync?site=shop&partner=adnet&c=1", onPx...)
	require.Equal(t, "ignored; reason=head_request", got.onepx())
	require.Empty(t, got.Header.Get("Location"))
	require.Equal(t, http.StatusMethodNotAllowed, e.do(http.MethodPost, "/sync?site=shop&partner=adnet&c=1&uid=7", onPx...).StatusCode)
	require.Empty(t, e.publisher.events)
}

func TestANewVisitorGetsACookieBeforeThePartnerHearsOfThem(t *testing.T) {
	e := on(t, syncSites)
	at := []string{"X-Forwarded-Proto", "https", "Host", "px.shop.example"}
	got := e.get("/sync?site=shop&partner=adnet&c=1", at...)
	require.Equal(t, http.StatusFound, got.StatusCode)
	cookie := got.setCookie("onepx_v")
	require.NotNil(t, cookie)
	id, ok := identities.CookieVisitor("shop", cookie.Value)
	require.True(t, ok)
	sent, err := url.Parse(got.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, uuid.UUID(id).String(), sent.Query().Get("v"))

	// The partner adds its id, and the browser comes back with the cookie, or without.
	callback, err := url.Parse(strings.Replace(sent.Query().Get("to"), "$UID", "partner-7", 1))
	require.NoError(t, err)
	require.Equal(t, "px.shop.example", callback.Host)
	require.Equal(t, "stored", e.get(callback.RequestURI(), append([]string{"Cookie", "onepx_v=" + cookie.Value}, at...)...).onepx())
	require.Equal(t, id, e.stored().GetVisitor().GetVisitorId())
	require.Equal(t, "partner-7", e.stored().GetProps()["partner_uid"])
	without := e.get(callback.RequestURI()+"&redir=https://sync.adnet.example/next", at...)
	require.Equal(t, "ignored; reason=sync_cookieless", without.onepx())
	require.Equal(t, "https://sync.adnet.example/next", without.Header.Get("Location"), "the chain does not break")
	require.Empty(t, without.Cookies(), "nobody is made of a partner's word")
}

func TestNoIDIsExchangedOfWhoDoesNotAllowIt(t *testing.T) {
	const shop, open = "site=shop&partner=adnet", "site=open&partner=adnet"
	e := on(t, syncSites)
	for _, test := range []struct {
		name, query string
		headers     []string
		answer      string
	}{
		{"a visitor who has said nothing where one must ask", shop, nil, "suppressed; reason=sharing_refused"},
		{"the opt-out cookie", shop + "&c=1", []string{"Cookie", "onepx_optout=1"}, "suppressed; reason=opted_out"},
		{"the same where nobody asks", open, []string{"Cookie", "onepx_optout=1"}, "suppressed; reason=opted_out"},
		{"GPC", open, []string{"Sec-GPC", "1"}, "suppressed; reason=sharing_refused"},
		{"GPC against the banner's yes", shop + "&c=1", []string{"Sec-GPC", "1"}, "suppressed; reason=sharing_refused"},
		{"DNT", open, []string{"DNT", "1"}, "suppressed; reason=sharing_refused"},
		{"the banner's no", open + "&c=0", nil, "suppressed; reason=opted_out"},
		{"a child", open + "&coppa=1", nil, "suppressed; reason=sharing_refused"},
		{"the opt-out of sale", open + "&us_privacy=1YYN", nil, "suppressed; reason=sharing_refused"},
		{"the opt-out of sale in a GPP string", open + "&gpp=DBABTA~1YYN&gpp_sid=6", nil, "suppressed; reason=sharing_refused"},
		{"the GDPR without a string", open + "&gdpr=1", nil, "suppressed; reason=sharing_refused"},
		{"a TC string that can't be read", open + "&gdpr=1&gdpr_consent=tea", nil, "suppressed; reason=sharing_refused"},
		{"a TC string that allows the site and not the partner", shop + "&gdpr=1&gdpr_consent=" + toPublisher, nil, "suppressed; reason=sharing_refused"},
		{"no ad storage", open + "&gcs=G101", nil, "suppressed; reason=sharing_refused"},
		{"a site without cookies", "site=cookieless&partner=adnet&c=1", nil, "suppressed; reason=sharing_refused"},
	} {
		for _, uid := range []string{"", "&uid=7", "&uid="} {
			t.Run(test.name+uid, func(t *testing.T) {
				e.tallies = nil
				got := e.get("/sync?"+test.query+uid, append(slices.Clone(test.headers), onPx...)...)
				require.Equal(t, test.answer, got.onepx())
				require.Equal(t, http.StatusUnavailableForLegalReasons, got.StatusCode)
				require.Empty(t, got.Header.Get("Location"))
				require.Len(t, got.body, 43)
				require.Empty(t, e.publisher.events)
				require.Len(t, e.tallies, 1)
				require.Equal(t, onepxv1.EventKind_EVENT_KIND_SYNC, e.tallies[0].Kind)
			})
		}
	}
}

func TestConsentToThePartnerIsEnough(t *testing.T) {
	for _, query := range []string{"site=shop&partner=adnet&gdpr=1&gdpr_consent=" + toAll, "site=shop&partner=begins&gdpr=1&gdpr_consent=" + toPublisher, "site=shop&partner=adnet&c=1", "site=open&partner=adnet"} {
		require.Equal(t, "stored", on(t, syncSites).get("/sync?uid=7&"+query, onPx...).onepx(), query)
	}
}

func TestWhoIsOnTheSuppressionListIsNotExchanged(t *testing.T) {
	for _, query := range []string{"", "&uid=7"} {
		e := on(t, syncSites)
		id := shopVisitor(t, "shop")
		e.suppressions.kind, e.suppressions.id = suppression.Visitor, id[:]
		got := e.get("/sync?site=shop&partner=adnet&c=1"+query, onPx...)
		require.Equal(t, "suppressed; reason=suppression_list", got.onepx())
		require.Equal(t, http.StatusUnavailableForLegalReasons, got.StatusCode)
		require.Empty(t, got.Header.Get("Location"))
	}
}

func TestARefusalThatNoEventTellsIsPutOnTheList(t *testing.T) {
	e := on(t, syncSites)
	e.get("/sync?site=shop&partner=adnet&us_privacy=1YYN&uid=7", onPx...)
	require.Equal(t, []string{profiled(t)}, e.suppressions.written)
}

func TestAnIDThatCannotBeStoredIsAskedForAgain(t *testing.T) {
	e := on(t, syncSites)
	e.publisher.answer = reason.KafkaUnavailable
	got := e.get("/sync?site=shop&partner=adnet&c=1&uid=7&redir=https://sync.adnet.example/", onPx...)
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.Empty(t, got.Header.Get("Location"))
	require.NotEmpty(t, got.Header.Get("Retry-After"))
}
