package api_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"image"
	"image/gif"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/tally"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

func TestTheAnswerIsATransparentPixelThatNobodyKeeps(t *testing.T) {
	e := start(t)
	got := e.get("/p.gif?site=shop")
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Len(t, got.body, 43)
	picture, err := gif.Decode(bytes.NewReader(got.body))
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 1, 1), picture.Bounds())
	_, _, _, alpha := picture.At(0, 0).RGBA()
	require.Zero(t, alpha)
	for name, value := range map[string]string{
		"Content-Type": "image/gif", "Content-Length": "43", "Onepx-Event": "stored",
		"Cache-Control": "no-store, no-cache, must-revalidate, private, max-age=0", "Pragma": "no-cache", "Expires": "0",
		"Cross-Origin-Resource-Policy": "cross-origin", "Access-Control-Allow-Origin": "*", "Timing-Allow-Origin": "*",
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Access-Control-Expose-Headers": "Onepx-Event, Retry-After", "ETag": "", "Last-Modified": "",
	} {
		require.Equal(t, value, got.Header.Get(name), name)
	}
}

func TestHeadHasTheHeadersAndIsNoEvent(t *testing.T) {
	e := start(t)
	got := e.do(http.MethodHead, "/p.gif?site=shop")
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Equal(t, "43", got.Header.Get("Content-Length"))
	require.Equal(t, "ignored; reason=head_request", got.onepx())
	require.Empty(t, got.body)
	require.Empty(t, e.publisher.events)
}

func TestAConditionalRequestIsAnEvent(t *testing.T) {
	e := start(t)
	got := e.get("/p.gif?site=shop", "If-None-Match", "*", "If-Modified-Since", "Wed, 25 Nov 2026 00:00:00 GMT")
	require.Equal(t, http.StatusOK, got.StatusCode)
	e.stored()
}

func TestNoFullAddressIsStored(t *testing.T) {
	e := start(t)
	e.get("/p.gif?site=shop", "X-Forwarded-For", "81.2.69.160")
	data, err := proto.Marshal(e.stored())
	require.NoError(t, err)
	require.NotContains(t, string(data), "81.2.69.160")
}

func TestWhatTheBrowserSaysOfItself(t *testing.T) {
	e := start(t)
	e.get("/p.gif?site=shop&sr=1920x1080", "User-Agent", "Mozilla/5.0 \xe9"+strings.Repeat("x", 2000), "Accept-Language", "de-CH, de;q=0.9",
		"Sec-CH-UA", `"Chromium";v="140"`, "Sec-CH-UA-Mobile", "?1", "Sec-CH-UA-Platform", `"Android"`)
	c := e.stored().GetClient()
	require.Len(t, c.GetUserAgent(), 1024)
	require.True(t, strings.HasPrefix(c.GetUserAgent(), "Mozilla/5.0 �x"))
	require.Equal(t, []string{`"Chromium";v="140"`, "?1", `"Android"`, "de-CH"}, []string{c.GetHintBrands(), c.GetHintMobile(), c.GetHintPlatform(), c.GetLanguage()})
	require.ElementsMatch(t, []string{"text_truncated", "invalid_utf8"}, e.stored().GetFlags())
}

func TestCookies(t *testing.T) {
	const value = "AAECAwQFBgcICQoLDA0ODw"
	for _, test := range []struct {
		name, target string
		headers      []string
		kind         onepxv1.VisitorKind
		set          string // the Set-Cookie header; V stands for the value
	}{
		{"over http", "/p.gif?site=blog&id=1", nil, onepxv1.VisitorKind_VISITOR_KIND_MINTED,
			"onepx_v=V; Path=/; Max-Age=34128000; HttpOnly; SameSite=Lax"},
		{"over https on a host that is not the site's it is kept apart for each site", "/p.gif?site=blog&id=1", []string{"X-Forwarded-Proto", "https"}, onepxv1.VisitorKind_VISITOR_KIND_MINTED,
			"__Host-onepx_v=V; Path=/; Max-Age=34128000; HttpOnly; Secure; SameSite=None"},
		{"on a host of the site it is the site's", "/p.gif?site=shop&id=1", []string{"X-Forwarded-Proto", "https", "Host", "PX.shop.example:8443"}, onepxv1.VisitorKind_VISITOR_KIND_MINTED,
			"onepx_v=V; Path=/; Domain=shop.example; Max-Age=34128000; HttpOnly; Secure; SameSite=None"},
		{"a host that only ends like the site's is not the site's", "/p.gif?site=shop&id=1", []string{"X-Forwarded-Proto", "https", "Host", "evilshop.example"}, onepxv1.VisitorKind_VISITOR_KIND_MINTED,
			"__Host-onepx_v=V; Path=/; Max-Age=34128000; HttpOnly; Secure; SameSite=None"},
		{"a cookie that came back is not set again", "/p.gif?site=shop", []string{"Cookie", "onepx_v=" + value}, onepxv1.VisitorKind_VISITOR_KIND_COOKIE, ""},
		{"the site's own id needs no cookie", "/p.gif?site=shop&v=ann", nil, onepxv1.VisitorKind_VISITOR_KIND_PROVIDED, ""},
		{"GPC: none is read or set", "/p.gif?site=shop&v=ann", []string{"Cookie", "onepx_v=" + value, "Sec-GPC", "0", "Sec-GPC", "1"}, onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH, ""},
		{"DNT: none is read or set", "/p.gif?site=shop", []string{"Cookie", "onepx_v=" + value, "DNT", "1"}, onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH, ""},
		{"a cookieless site: none is read or set", "/p.gif?site=quiet", []string{"Cookie", "onepx_v=" + value}, onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			got := e.get(test.target, test.headers...)
			require.Equal(t, test.kind, e.stored().GetVisitor().GetKind())
			set := got.Header.Get("Set-Cookie")
			if c := cmp.Or(got.setCookie("onepx_v"), got.setCookie("__Host-onepx_v")); c != nil {
				require.Len(t, c.Value, len(value))
				set = strings.Replace(set, c.Value, "V", 1)
			}
			require.Equal(t, test.set, set)
		})
	}
}

func TestOptedOutMeansNothingIsKept(t *testing.T) {
	e := start(t)
	got := e.get("/p.gif?site=shop", "Cookie", "onepx_optout=1; onepx_v=AAECAwQFBgcICQoLDA0ODw")
	require.Equal(t, "suppressed; reason=opted_out", got.onepx())
	require.Equal(t, "onepx_v=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax", got.Header.Get("Set-Cookie"))
	require.Equal(t, "suppressed; reason=opted_out", e.get("/p.gif?site=shop&c=0").onepx())
	require.Equal(t, "stored", e.get("/p.gif?site=shop", "Cookie", "onepx_optout=0").onepx())
	require.Len(t, e.publisher.events, 1)
}

func TestHitsThatAreNotStoredAreTallied(t *testing.T) {
	e := start(t)
	e.suppressions.kind, e.suppressions.id = suppression.User, userKey(t, e, "ann")
	e.publisher.events = nil
	for _, target := range []string{"/p.gif?site=shop&e=purchase&c=0", "/p.gif?site=shop&uid=ann", "/p.gif?site=asking&gdpr=1", "/p.gif?site=silent&gdpr=1", "/p.gif?site=shop&c=0&debug=1", "/p.gif?site=nowhere&c=0"} {
		e.get(target)
	}
	require.Empty(t, e.publisher.events)
	page := onepxv1.EventKind_EVENT_KIND_PAGE_VIEW
	require.Equal(t, []tally.Key{
		{Site: "shop", Kind: onepxv1.EventKind_EVENT_KIND_ORDER, Reason: reason.OptedOut, Signal: onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER},
		{Site: "shop", Kind: page, Reason: reason.OnSuppression, Signal: onepxv1.ConsentSignal_CONSENT_SIGNAL_SUPPRESSION},
		{Site: "asking", Kind: page, Reason: reason.NoConsent, Signal: onepxv1.ConsentSignal_CONSENT_SIGNAL_TCF},
	}, e.tallies)
}

// userKey is the key under which events of the user are stored.
func userKey(t *testing.T, e *edge, user string) []byte {
	t.Helper()
	e.get("/p.gif?site=shop&uid=" + user)
	return e.stored().GetVisitor().GetUserKey()
}

func TestWhatConsentIsStamped(t *testing.T) {
	for _, test := range []struct {
		name, target string
		headers      []string
		want         *onepxv1.Consent
	}{
		{"nothing said", "/p.gif?site=shop", []string{"Sec-GPC", "true", "DNT", "0"}, &onepxv1.Consent{Measure: true, Cookie: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT}},
		{"granted", "/p.gif?site=shop&c=1", nil, &onepxv1.Consent{Measure: true, Profile: true, Share: true, Cookie: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER}},
		{"GPC", "/p.gif?site=shop&c=1&uid=ann", []string{"Sec-GPC", "1"}, &onepxv1.Consent{Measure: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_GPC}},
		{"DNT in a second header", "/p.gif?site=shop&uid=ann", []string{"DNT", "0", "DNT", "1"}, &onepxv1.Consent{Measure: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_DNT}},
		{"GPC folded into one header", "/p.gif?site=shop&uid=ann", []string{"Sec-GPC", "0, 1"}, &onepxv1.Consent{Measure: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_GPC}},
		{"the GDPR applies and nobody has consented", "/p.gif?site=shop&gdpr=1&gdpr_consent=${GDPR_CONSENT_123}&c=1&uid=ann", nil, &onepxv1.Consent{DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_TCF}},
		{"consent to measuring by the framework", "/p.gif?site=shop&gdpr=1&gdpr_consent=CQuSqEAQuSqEAEsABBDECWFgAAAAAAAAAAYgAAAAAAAA.cCAAAAAAAAA", nil, &onepxv1.Consent{Measure: true, Cookie: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_TCF}},
		{"a US law's section opts out", "/p.gif?site=shop&c=1&gpp=DBABLA~CEAQAAAAAACA&gpp_sid=7", nil, &onepxv1.Consent{Measure: true, Cookie: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_GPP}},
		{"US Privacy opts out", "/p.gif?site=shop&c=1&us_privacy=1YYN", nil, &onepxv1.Consent{Measure: true, Cookie: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_US_PRIVACY}},
		{"consent mode denies storage", "/p.gif?site=shop&gcs=G100&uid=ann", nil, &onepxv1.Consent{Measure: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_GOOGLE_CONSENT_MODE}},
		{"DNT", "/p.gif?site=shop&uid=ann", []string{"DNT", "1"}, &onepxv1.Consent{Measure: true, DecidedBy: onepxv1.ConsentSignal_CONSENT_SIGNAL_DNT}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			e.get(test.target, test.headers...)
			require.True(t, proto.Equal(test.want, e.stored().GetConsent()), "%v", e.stored().GetConsent())
			require.Empty(t, e.stored().GetVisitor().GetUserKey())
		})
	}
}

func TestHowMuchOfTheAddressIsKept(t *testing.T) {
	const measured, precise = "CQuSqEAQuSqEAEsABBDECWFgAAAAAAAAAAYgAAAAAAAA.cCAAAAAAAAA", "CQuSqEAQuSqEAEsABBDECWFoAAAAAAAAAAYgAAAAAAAA.cCAAAAAAAAA"
	for _, test := range []struct {
		name, query, want string
		headers           []string
	}{
		{"nothing said", "", "127.0.0.0", nil},
		{"GPC", "", "127.0.0.0", []string{"Sec-GPC", "1"}},
		{"behind a proxy, nothing said", "", "81.2.69.0", []string{"X-Forwarded-For", "81.2.69.160"}},
		{"GPC behind a proxy", "", "81.2.0.0", []string{"X-Forwarded-For", "81.2.69.160", "Sec-GPC", "1"}},
		{"IPv6", "", "2a00:1450:4001::", []string{"X-Forwarded-For", "2a00:1450:4001:81b::200e"}},
		{"GPC with IPv6", "", "2a00:1450::", []string{"X-Forwarded-For", "2a00:1450:4001:81b::200e", "Sec-GPC", "1"}},
		{"a TC string without precise location", "&gdpr=1&gdpr_consent=" + measured, "81.2.0.0", []string{"X-Forwarded-For", "81.2.69.160"}},
		{"a TC string with precise location", "&gdpr=1&gdpr_consent=" + precise, "81.2.69.0", []string{"X-Forwarded-For", "81.2.69.160"}},
		{"not even measured", "&gdpr=1", "", []string{"X-Forwarded-For", "81.2.69.160"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			e.get("/p.gif?site=shop"+test.query, test.headers...)
			require.Equal(t, test.want, e.stored().GetClient().GetIpPrefix())
		})
	}
}

func TestASuppressedCustomerIsNotStored(t *testing.T) {
	e := start(t)
	e.get("/p.gif?site=shop&uid=ann@example.com")
	e.suppressions.kind, e.suppressions.id = suppression.User, e.stored().GetVisitor().GetUserKey()
	for name, request := range map[string][]string{
		"under her address":                        {""},
		"where her key must not be kept":           {"", "Sec-GPC", "1"},
		"where not even measuring is allowed":      {"&gdpr=1"},
		"where the site's own id must not be kept": {"&gdpr=1&v=ann"},
	} {
		require.Equal(t, "suppressed; reason=suppression_list", e.get("/p.gif?site=shop&uid=Ann@Example.com"+request[0], request[1:]...).onepx(), name)
	}
	e.stored()
}

func TestScriptsOfOtherOrigins(t *testing.T) {
	for _, test := range []struct{ name, site, origin, allowed, credentials string }{
		{"an origin of the site may read with cookies", "shop", "https://shop.example", "https://shop.example", "true"},
		{"another origin may read without", "shop", "https://evil.example", "*", ""},
		{"an origin of another site is another origin", "blog", "https://shop.example", "*", ""},
		{"an unknown site has no origins", "nowhere", "https://shop.example", "*", ""},
		{"no origin", "shop", "", "*", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			for _, method := range []string{http.MethodGet, http.MethodOptions} {
				got := e.do(method, "/p.gif?site="+test.site, "Origin", test.origin)
				require.Equal(t, test.allowed, got.Header.Get("Access-Control-Allow-Origin"), method)
				require.Equal(t, test.credentials, got.Header.Get("Access-Control-Allow-Credentials"), method)
				require.Equal(t, "Origin", got.Header.Get("Vary"), method)
				if method == http.MethodOptions {
					require.Equal(t, http.StatusNoContent, got.StatusCode)
					require.Equal(t, "GET, HEAD", got.Header.Get("Access-Control-Allow-Methods"))
				}
			}
		})
	}
}

func TestDebugShowsWhatWouldBeStored(t *testing.T) {
	e := start(t)
	e.get("/p.gif?site=shop&e=signup&id=1&uid=ann")
	e.publisher.answer = "not to be asked"
	got := e.get("/p.gif?site=shop&e=signup&id=1&uid=ann&debug=1")
	require.Nil(t, got.setCookie("onepx_v"))
	var told struct {
		Outcome, Reason string
		Event           json.RawMessage
	}
	require.NoError(t, json.Unmarshal(got.body, &told))
	require.Equal(t, "stored", told.Outcome)
	var event onepxv1.Event
	require.NoError(t, protojson.Unmarshal(told.Event, &event))
	stored := e.stored()
	require.NotEqual(t, stored.Visitor.UserKey, event.Visitor.UserKey, "nobody can ask for the hash of somebody's address")
	require.Len(t, event.Visitor.UserKey, 16)
	stored.Visitor, event.Visitor = nil, nil
	require.True(t, proto.Equal(stored, &event), "%v", &event)

	told.Event = nil
	require.NoError(t, json.Unmarshal(e.get("/p.gif?site=nowhere&debug=1").body, &told))
	require.Equal(t, []string{"rejected", "site_unknown"}, []string{told.Outcome, told.Reason})
	require.Nil(t, told.Event)
}

func TestOtherMethodsAndPaths(t *testing.T) {
	e := start(t)
	require.Equal(t, http.StatusMethodNotAllowed, e.do(http.MethodPost, "/p.gif?site=shop").StatusCode)
	require.Equal(t, http.StatusNotFound, e.get("/favicon.ico").StatusCode)
	require.Empty(t, e.publisher.events)
	require.Empty(t, e.log.String())
}
