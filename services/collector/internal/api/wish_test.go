package api_test

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// cookieValue is that of a visitor's cookie.
const cookieValue = "AAECAwQFBgcICQoLDA0ODw"

// identities are those of the server under test.
var identities = identity.New("0123456789abcdef0123456789abcdef")

// visitors are the keys of the visitor of the cookie on all sites that know cookies.
func visitors(t *testing.T, sign string) []string {
	t.Helper()
	var keys []string
	for _, site := range []string{"shop", "blog", "named", "half", "slow"} {
		id, ok := identities.CookieVisitor(site, cookieValue)
		require.True(t, ok)
		keys = append(keys, sign+string(suppression.Key(suppression.Visitor, id)))
	}
	return keys
}

// linkTo is the query of a link to the recipient of the site, and the recipient's key on the list.
func linkTo(site, address string, expires time.Time) (query, key string) {
	id := identities.RecipientKey(site, address)
	token := identities.SignLink(site, identity.Link{Kind: identity.LinkRecipient, Key: id, Expires: expires})
	return "link=" + token + "&site=" + site, string(suppression.Key(suppression.Recipient, id))
}

// onPx are the headers of a browser at the shop's own collector that has the visitor's cookie.
var onPx = []string{"X-Forwarded-Proto", "https", "Host", "px.shop.example", "Cookie", "onepx_v=" + cookieValue}

// wishes is how many requests to the page ended so.
func (e *edge) wishes(request, word string) int {
	e.t.Helper()
	return e.counters()[fmt.Sprintf(`onepx_collector_wishes_total{reason="%s",request="%s"}`, word, request)]
}

// form is where the page's form goes, and its button.
func (a answer) form(t *testing.T) (action, button string) {
	t.Helper()
	found := regexp.MustCompile(`(?s)<form method="post" action="([^"]*)">.*<button>([^<]*)</button></form>`).FindAllStringSubmatch(string(a.body), -1)
	require.Len(t, found, 1, "one button")
	return html.UnescapeString(found[0][1]), found[0][2]
}

func TestAVisitorOptsOutAndInAgain(t *testing.T) {
	e := start(t)
	page := e.get("/optout")
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Equal(t, "text/html; charset=UTF-8", page.Header.Get("Content-Type"))
	require.Equal(t, "no-store", page.Header.Get("Cache-Control"))
	action, _ := page.form(t)
	require.Equal(t, "/optout", action)
	require.NotContains(t, string(page.body), "<script")

	out := e.do(http.MethodPost, "/optout", onPx...)
	require.Equal(t, http.StatusSeeOther, out.StatusCode)
	require.Equal(t, "/optout?asked=1", out.Header.Get("Location"))
	require.Equal(t, []string{
		"onepx_v=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None",
		"onepx_v=; Path=/; Domain=shop.example; Max-Age=0; HttpOnly; Secure; SameSite=None",
		"__Host-onepx_v=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None",
		"onepx_optout=1; Path=/; Domain=shop.example; Max-Age=34560000; HttpOnly; Secure; SameSite=None",
	}, out.Header.Values("Set-Cookie"))
	require.Equal(t, visitors(t, ""), e.suppressions.written)

	for _, path := range []string{"/optout?asked=1", "/optin"} {
		page = e.get(path, "Cookie", "onepx_optout=1")
		require.Contains(t, string(page.body), "<h1>You have opted out</h1>")
		action, _ = page.form(t)
		require.Equal(t, "/optin", action)
	}
	in := e.do(http.MethodPost, "/optin", "Cookie", "onepx_optout=1", "Host", "px.shop.example")
	require.Equal(t, "/optin?asked=1", in.Header.Get("Location"))
	require.Equal(t, []string{
		"onepx_optout=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
		"onepx_optout=; Path=/; Domain=shop.example; Max-Age=0; HttpOnly; SameSite=Lax",
	}, in.Header.Values("Set-Cookie"))
	require.Equal(t, visitors(t, ""), e.suppressions.written, "the cookie that says who it was is gone: the old id stays on the list")
	require.Equal(t, []int{3, 1, 1}, []int{e.wishes("page", ""), e.wishes("opt_out", ""), e.wishes("opt_in", "")})
}

func TestWhatIsOnTheListIsNotWrittenAgain(t *testing.T) {
	e := start(t)
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optin", onPx...).StatusCode)
	require.Empty(t, e.suppressions.written, "nothing to take off")
	for range 2 {
		require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optout", onPx...).StatusCode)
	}
	require.Equal(t, visitors(t, ""), e.suppressions.written)
	require.Equal(t, "suppressed; reason=suppression_list", e.get("/p.gif?site=blog", onPx...).onepx())
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optin", onPx...).StatusCode)
	require.Equal(t, append(visitors(t, ""), visitors(t, "-")...), e.suppressions.written, "a browser that kept the cookie is known again")
	require.Equal(t, "stored", e.get("/p.gif?site=blog", onPx...).onepx())
}

func TestAskingForThePageChangesNothing(t *testing.T) {
	e := start(t)
	query, _ := linkTo("shop", "anna@example.com", arrival.Add(time.Hour))
	for _, path := range []string{"/optout", "/optin", "/optout?" + query, "/optin?asked=1&" + query} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := e.do(method, path, append([]string{"Sec-Purpose", "prefetch"}, onPx...)...)
			require.Equal(t, http.StatusOK, got.StatusCode)
			require.Empty(t, got.Header.Values("Set-Cookie"))
		}
	}
	require.Empty(t, e.suppressions.written)
	require.Equal(t, 4, e.wishes("page", ""), "HEAD is not counted")
}

func TestNoOtherSiteCanUndoAWish(t *testing.T) {
	for name, test := range map[string]struct {
		headers []string
		status  int
	}{
		"another site":                         {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another host of the site":             {[]string{"Sec-Fetch-Site", "same-site"}, 403},
		"another origin, in an older browser":  {[]string{"Origin", "https://evil.example"}, 403},
		"even one of the site's":               {[]string{"Origin", "https://shop.example", "Accept", "application/json"}, 403},
		"a sandboxed frame":                    {[]string{"Origin", "null"}, 403},
		"our own page":                         {[]string{"Sec-Fetch-Site", "same-origin", "Origin", "https://px.shop.example"}, 303},
		"our own page, in an older browser":    {[]string{"Origin", "https://px.shop.example"}, 303},
		"a person who loads the answer again":  {[]string{"Sec-Fetch-Site", "none"}, 303},
		"a program, which has no one's cookie": {nil, 303},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t)
			query, key := linkTo("shop", "anna@example.com", arrival.Add(time.Hour))
			e.suppressions.listed[key] = true
			headers := append([]string{"Host", "px.shop.example", "Cookie", "onepx_optout=1"}, test.headers...)
			got := e.do(http.MethodPost, "/optin?"+query, headers...)
			require.Equal(t, test.status, got.StatusCode)
			require.Equal(t, test.status == 303, len(got.Header.Values("Set-Cookie")) > 0)
			require.Equal(t, test.status == 303, !e.suppressions.listed[key])
			require.Equal(t, test.status == 403, e.wishes("opt_in", "opt_in_foreign") == 1)
			if test.status == 403 && got.Header.Get("Content-Type") == "text/html; charset=UTF-8" {
				action, _ := got.form(t)
				require.Equal(t, "/optin?"+query, action, "the visitor may decide on the page that is shown")
			}
		})
	}
	e := start(t)
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optout", "Sec-Fetch-Site", "cross-site", "Origin", "https://choices.example").StatusCode)
}

func TestALinkIsForWhomItNames(t *testing.T) {
	e := start(t)
	query, key := linkTo("shop", "anna@example.com", arrival.Add(time.Hour))
	page := e.get("/optout?" + query)
	action, button := page.form(t)
	require.Equal(t, "/optout?"+query, action)
	require.Equal(t, "Opt out of measurement", button)
	require.Contains(t, string(page.body), "You also opt out as the person")
	require.NotContains(t, string(page.body), "anna")

	out := e.do(http.MethodPost, action)
	require.Equal(t, "/optout?asked=1&"+query, out.Header.Get("Location"))
	require.Equal(t, []string{key}, e.suppressions.written)
	for _, test := range []struct{ path, cookie, state, action string }{
		{"/optout", "onepx_optout=1", "nor of what you do as the person", "/optin"},
		{"/optout", "", "Visits with this browser are still measured", "/optout"},
		{"/optin", "", "Visits with this browser are still measured", "/optin"},
	} {
		page = e.get(test.path+"?"+query, "Cookie", test.cookie)
		require.Contains(t, string(page.body), test.state)
		action, _ = page.form(t)
		require.Equal(t, test.action+"?"+query, action)
	}
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optin?"+query, "Cookie", "onepx_optout=1").StatusCode)
	require.Equal(t, []string{key, "-" + key}, e.suppressions.written)
	require.Contains(t, string(e.get("/optout?"+query, "Cookie", "onepx_optout=1").body), "is still measured")
}

func TestALinkToACustomer(t *testing.T) {
	e := start(t)
	id := identities.UserKey("shop", "customer-77")
	link := "site=shop&link=" + identities.SignLink("shop", identity.Link{Kind: identity.LinkUser, Key: id, Expires: arrival.AddDate(1, 0, 0)})
	require.Equal(t, "stored", e.get("/p.gif?site=shop&uid=customer-77").onepx())
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optout?"+strings.ReplaceAll(link, "&", "&amp;")).StatusCode, "mail programs write links so")
	require.Equal(t, "suppressed; reason=suppression_list", e.get("/p.gif?site=shop&uid=customer-77").onepx())
	require.Equal(t, "suppressed; reason=suppression_list", e.post("/v1/events", `{"uid":"Customer-77 "}`, withKey...).onepx())
	require.Equal(t, "stored", e.get("/p.gif?site=shop&uid=customer-78").onepx())
}

func TestALinkThatCannotBeUsedShowsThePlainPage(t *testing.T) {
	good, _ := linkTo("shop", "anna@example.com", arrival.Add(time.Hour))
	late, _ := linkTo("shop", "anna@example.com", arrival)
	forged, _ := linkTo("shop", "anna@example.com", arrival.Add(time.Hour))
	forged = strings.Replace(forged, "link=AQI", "link=AQE", 1) // a user instead of a recipient
	require.NotEqual(t, good, forged)
	for name, test := range map[string]struct{ query, word string }{
		"expired":         {late, "link_expired"},
		"forged":          {forged, "link_invalid"},
		"of another site": {strings.Replace(good, "site=shop", "site=blog", 1), "link_invalid"},
		"cut off":         {strings.Replace(good, "&site=shop", "", 1), "link_invalid"},
		"huge":            {"site=shop&link=" + strings.Repeat("A", 20_000), "link_invalid"},
		"no text":         {"site=shop&link=%ff%fe%00", "link_invalid"},
		"markup":          {"site=shop&link=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "link_invalid"},
		"unicode":         {"site=shop&link=%F0%9F%8D%B5%E2%80%AE", "link_invalid"},
		"of no site":      {strings.Replace(good, "site=shop", "site=gone", 1), "site_unknown"},
		"unknown site":    {"site=" + url.QueryEscape("<Grüner Tee>"), "site_unknown"},
		"a huge site":     {"site=" + strings.Repeat("s", 20_000), "site_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t)
			page := e.get("/optout?" + test.query)
			require.Equal(t, http.StatusOK, page.StatusCode)
			action, _ := page.form(t)
			require.Regexp(t, `^/optout(\?site=(shop|blog))?$`, action, "the form is for the browser alone")
			require.Equal(t, strings.Contains(test.query, "link="), strings.Contains(string(page.body), "incomplete or has expired"))
			require.NotContains(t, string(page.body), "<script")
			require.Equal(t, 1, e.wishes("page", test.word))

			out := e.do(http.MethodPost, "/optout?"+test.query, onPx...)
			require.Equal(t, http.StatusSeeOther, out.StatusCode)
			require.Equal(t, visitors(t, ""), e.suppressions.written, "it is a wish all the same")
			require.Equal(t, 1, e.wishes("opt_out", test.word))
			require.Empty(t, e.log.String())
		})
	}
}

func TestWhatCannotBeWrittenIsToldAndCanBeTriedAgain(t *testing.T) {
	e := start(t)
	e.suppressions.fails = errors.New("kafka is away")
	query, key := linkTo("shop", "anna@example.com", arrival.Add(time.Hour))
	out := e.do(http.MethodPost, "/optout?"+query, onPx...)
	require.Equal(t, http.StatusServiceUnavailable, out.StatusCode)
	require.Equal(t, "30", out.Header.Get("Retry-After"))
	require.Contains(t, string(out.body), `<p role="alert" class="alert">Your choice is kept in this browser`)
	require.NotContains(t, string(out.body), `role="status"`)
	require.Contains(t, string(out.body), `<input type="hidden" name="v" value="`+cookieValue+`">`)
	require.Len(t, out.Cookies(), 4, "the browser keeps the choice, and is not recognized any more")
	require.Equal(t, 1, e.wishes("opt_out", "suppression_unwritten"))
	require.Contains(t, e.log.String(), "write to the suppression list fails")
	require.NotContains(t, e.log.String(), cookieValue)

	e.suppressions.fails = nil
	action, _ := out.form(t)
	out = e.post(action, "v="+cookieValue, "Content-Type", "application/x-www-form-urlencoded", "Cookie", "onepx_optout=1")
	require.Equal(t, http.StatusSeeOther, out.StatusCode)
	require.Equal(t, append(visitors(t, ""), key), e.suppressions.written)

	e.suppressions.fails = errors.New("kafka is away")
	in := e.do(http.MethodPost, "/optin?"+query, "Cookie", "onepx_optout=1")
	require.Equal(t, http.StatusServiceUnavailable, in.StatusCode)
	action, button := in.form(t)
	require.Equal(t, "/optin?"+query, action)
	require.Equal(t, "Allow measurement again", button)
	require.Equal(t, 1, e.wishes("opt_in", "suppression_unwritten"))
}

func TestABrowserThatRefusesCookiesIsTold(t *testing.T) {
	e := start(t)
	require.Contains(t, string(e.get("/optout?asked=1&site=shop").body), `<a href="/optout?site=shop" target="_blank" rel="noopener">`)
	require.NotContains(t, string(e.get("/optout?asked=1", "Cookie", "onepx_optout=1").body), `role="alert"`)
	require.NotContains(t, string(e.get("/optin?asked=1").body), `role="alert"`)
}

func TestFormsThatAreNotOurs(t *testing.T) {
	for name, test := range map[string]struct {
		contentType, body string
		written           int
	}{
		"JSON":              {"application/json", `{"v":"` + cookieValue + `"}`, 0},
		"no type":           {"", "v=" + cookieValue, 0},
		"a broken type":     {"text/;;", "v=" + cookieValue, 0},
		"multipart":         {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"v\"\r\n\r\n" + cookieValue + "\r\n--x--", 0},
		"garbage":           {"application/x-www-form-urlencoded", "v=%zz&v=" + cookieValue, 5},
		"too long":          {"application/x-www-form-urlencoded", "x=" + strings.Repeat("a", 1<<20) + "&v=" + cookieValue, 0},
		"many cookies":      {"application/x-www-form-urlencoded", "v=" + cookieValue + strings.Repeat("&v="+cookieValue, 50), 5},
		"different cookies": {"application/x-www-form-urlencoded", manyCookies(50), 20},
		"unicode":           {"application/x-www-form-urlencoded; charset=koi8-r", "v=%F0%9F%8D%B5", 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t)
			out := e.post("/optout", test.body, "Content-Type", test.contentType)
			require.Equal(t, http.StatusSeeOther, out.StatusCode, "the wish is in the method and the path")
			require.Len(t, e.suppressions.written, test.written)
		})
	}
}

// manyCookies is a form with different values.
func manyCookies(n int) string {
	form := url.Values{}
	for i := range n {
		form.Add("v", fmt.Sprintf("%08x-0000-4000-8000-000000000000", i))
	}
	return form.Encode()
}

func TestAFloodOfWishesIsLimited(t *testing.T) {
	e := start(t)
	var last answer
	for i := range 600 { // four cookies on five sites each
		last = e.post("/optout", strings.ReplaceAll(manyCookies(4), "-0000-", fmt.Sprintf("-%04x-", i)), "Content-Type", "application/x-www-form-urlencoded")
		if last.StatusCode != http.StatusSeeOther {
			break
		}
	}
	require.Equal(t, http.StatusServiceUnavailable, last.StatusCode)
	require.NotNil(t, last.setCookie("onepx_optout"), "the cookie is not limited")
	require.Len(t, e.suppressions.written, 10_000)
	require.Equal(t, 1, e.wishes("opt_out", "wishes_limited"))
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optout").StatusCode, "nor is one without an id")
}

func TestAListThatIsSlowToReadDelaysNoOneForLong(t *testing.T) {
	e := start(t)
	e.suppressions.hides = true
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optout", onPx...).StatusCode)
	require.Equal(t, visitors(t, ""), e.suppressions.written)
}

func TestAWidelyUsedCollectorTakesTheWishOfAllItsSites(t *testing.T) {
	var yaml strings.Builder
	yaml.WriteString("sites:\n")
	for i := range 3000 {
		fmt.Fprintf(&yaml, "  - {id: s%d, timezone: UTC, currency: EUR, cookie_domain: shop.example}\n", i)
	}
	config, err := siteconfig.Parse("onepx.yaml", []byte(yaml.String()))
	require.NoError(t, err)
	e := start(t, func(d *api.Deps) { d.Sites = config })
	out := e.do(http.MethodPost, "/optout", onPx...)
	require.Equal(t, http.StatusSeeOther, out.StatusCode)
	require.Len(t, out.Cookies(), 4)
	require.Len(t, e.suppressions.written, 3000)
}
