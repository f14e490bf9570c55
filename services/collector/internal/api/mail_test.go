package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

const mailSecret = "00112233445566778899aabbccddeeff00112233445"

var (
	mailRing    = ring("k2:" + mailSecret + ",k1:" + strings.ToUpper(mailSecret) + ":2020-01-01")
	recipient   = [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	expiredOpen = sign(ring("k1:"+strings.ToUpper(mailSecret)), token(mailtoken.Open, nil), "")
)

const (
	target    = "https://shop.example/sale?utm_source=news&utm_medium=email&utm_campaign=autumn&gclid=abc#top"
	gmailUA   = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
	mailSites = `
sites:
  - {id: shop, timezone: UTC, currency: EUR, cookie_domain: shop.example}
  - {id: asking, timezone: UTC, currency: EUR, privacy: opt_in, consent: {without: nothing}}
  - {id: cookieless, timezone: UTC, currency: EUR, privacy: cookieless}
`
)

func ring(setting string) *mailtoken.Ring {
	r, err := mailtoken.ParseRing(setting)
	if err != nil {
		panic(err)
	}
	return r
}

func token(kind mailtoken.Kind, change func(*mailtoken.Token)) mailtoken.Token {
	t := mailtoken.Token{Kind: kind, Site: "shop", Campaign: "autumn", Message: "m-1", Recipient: recipient, Sent: arrival.Add(-time.Hour).Truncate(time.Second)}
	if kind == mailtoken.Click {
		t.Link = "l3"
	}
	if change != nil {
		change(&t)
	}
	if t.Kind != mailtoken.Unsubscribe && t.Mode == mailtoken.Aggregate {
		t.Recipient, t.Message = [16]byte{}, ""
	}
	return t
}

func sign(r *mailtoken.Ring, t mailtoken.Token, to string) string {
	text, err := r.Sign(t, to)
	if err != nil {
		panic(err)
	}
	return text
}

func openURL(change func(*mailtoken.Token)) string {
	return "/o/" + sign(mailRing, token(mailtoken.Open, change), "") + ".gif"
}

func clickURL(change func(*mailtoken.Token)) string {
	return "/c/" + sign(mailRing, token(mailtoken.Click, change), target) + "/" + mailtoken.EncodeTarget(target)
}

func unsubscribeURL(change func(*mailtoken.Token)) string {
	return "/u/" + sign(mailRing, token(mailtoken.Unsubscribe, change), "")
}

func onSite(id string) func(*mailtoken.Token) { return func(t *mailtoken.Token) { t.Site = id } }

func aggregate(t *mailtoken.Token) { t.Mode = mailtoken.Aggregate }

func TestAnOpenIsAnEventOfTheRecipientAndOfNoVisitor(t *testing.T) {
	e := on(t, mailSites)
	got := e.get(openURL(nil), append([]string{"User-Agent", gmailUA, "Referer", "https://mail.example/inbox/7"}, onPx...)...)
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Equal(t, "image/gif", got.Header.Get("Content-Type"))
	require.Contains(t, got.Header.Get("Cache-Control"), "no-store")
	require.Len(t, got.body, 43)
	require.Nil(t, got.setCookie("onepx_v"))
	event := e.stored()
	require.Equal(t, onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN, event.GetKind())
	require.Equal(t, "email_open", event.GetName())
	require.Equal(t, []any{"autumn", "m-1", "", recipient[:], arrival.Add(-time.Hour).Truncate(time.Second).UnixMilli()},
		[]any{event.GetMail().GetCampaignId(), event.GetMail().GetMessageId(), event.GetMail().GetLinkId(), event.GetMail().GetRecipientKey(), event.GetMail().GetSentAtMs()})
	require.Equal(t, onepxv1.VisitorKind_VISITOR_KIND_NONE, event.GetVisitor().GetKind(), "the cookie says who reads, on no account")
	require.Empty(t, event.GetVisitor().GetVisitorId())
	require.Empty(t, event.GetPage().GetUrl(), "where a mail is read is nobody's business")
	require.Equal(t, gmailUA, event.GetClient().GetUserAgent())
}

func TestAClickIsAnEventOfTheVisitorToo(t *testing.T) {
	e := on(t, mailSites)
	got := e.get(clickURL(nil), append([]string{"User-Agent", fullAgent}, onPx...)...)
	require.Equal(t, http.StatusFound, got.StatusCode)
	require.Equal(t, target, got.Header.Get("Location"))
	require.Equal(t, "no-referrer", got.Header.Get("Referrer-Policy"))
	require.Contains(t, got.Header.Get("Cache-Control"), "no-store")
	event := e.stored()
	require.Equal(t, "email_click", event.GetName())
	require.Equal(t, "l3", event.GetMail().GetLinkId())
	require.Equal(t, recipient[:], event.GetMail().GetRecipientKey())
	require.Equal(t, onepxv1.VisitorKind_VISITOR_KIND_COOKIE, event.GetVisitor().GetKind())
	require.Equal(t, "https://shop.example/sale", event.GetPage().GetUrl(), "the target, cleaned")
	require.Equal(t, "autumn", event.GetMarketing().GetUtmCampaign())
}

func TestTheHiddenLinkLeadsToAPageAndKnowsNoVisitor(t *testing.T) {
	e := on(t, mailSites)
	got := e.get(clickURL(func(t *mailtoken.Token) { t.Link = mailtoken.Honeypot }), append([]string{"User-Agent", fullAgent}, onPx...)...)
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Empty(t, got.Header.Get("Location"))
	require.Contains(t, string(got.body), "There is nothing here")
	require.Nil(t, got.setCookie("onepx_v"))
	event := e.stored()
	require.Equal(t, []any{"email_click", "honeypot", recipient[:]}, []any{event.GetName(), event.GetMail().GetLinkId(), event.GetMail().GetRecipientKey()})
	require.Equal(t, onepxv1.VisitorKind_VISITOR_KIND_NONE, event.GetVisitor().GetKind())
	require.Empty(t, event.GetMarketing().GetClickId())
}

// A proxy that keeps images asks for this one at each opening all the same, and in each mail for another.
func TestEachFetchOfTheImageIsAnOpen(t *testing.T) {
	e := on(t, mailSites)
	for range 2 {
		got := e.get(openURL(nil), "User-Agent", gmailUA)
		require.Equal(t, "no-store, no-cache, must-revalidate, private, max-age=0", got.Header.Get("Cache-Control"))
		require.Empty(t, got.Header.Get("ETag")+got.Header.Get("Last-Modified"), "there is nothing to ask by whether it has changed")
	}
	require.Len(t, e.publisher.events, 2)
	require.NotEqual(t, e.publisher.events[0].GetEventId(), e.publisher.events[1].GetEventId())
	for name, value := range map[string]string{"If-None-Match": "*", "If-Modified-Since": "Wed, 25 Nov 2026 00:00:00 GMT"} {
		got := e.get(openURL(nil), "User-Agent", gmailUA, name, value)
		require.Equal(t, http.StatusOK, got.StatusCode, name)
		require.Len(t, got.body, 43, name)
		require.Equal(t, "ignored; reason=not_modified_asked", got.onepx(), name)
	}
	require.Len(t, e.publisher.events, 2)
	urls := map[string]bool{openURL(nil): true}
	urls[openURL(func(t *mailtoken.Token) { t.Message = "m-2" })] = true
	urls[openURL(func(t *mailtoken.Token) { t.Recipient[0]++ })] = true
	require.Len(t, urls, 3)
}

func TestHeadAndPrefetchAreMarked(t *testing.T) {
	for _, url := range []string{openURL(nil), clickURL(nil)} {
		e := on(t, mailSites)
		got := e.do(http.MethodHead, url)
		require.Empty(t, got.body)
		require.True(t, e.stored().GetTransport().GetHead())
		e = on(t, mailSites)
		e.get(url, "Sec-Purpose", "prefetch")
		require.True(t, e.stored().GetTransport().GetPrefetch())
		require.False(t, e.stored().GetTransport().GetHead())
	}
}

func TestWhatARecipientAllows(t *testing.T) {
	const all, nobody = "recipient", "nobody"
	mail, site := onepxv1.ConsentSignal_CONSENT_SIGNAL_MAIL, onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT
	for _, test := range []struct {
		name, url string
		headers   []string
		// of is whose the event is; "" if nothing is stored.
		of string
		by onepxv1.ConsentSignal
	}{
		{"the recipient allows all, and so does the site", clickURL(nil), nil, all, site},
		{"the site asks visitors first, and has asked the recipient", clickURL(onSite("asking")), nil, all, mail},
		{"the same of an open", openURL(onSite("asking")), nil, all, mail},
		{"the recipient allows counts of a campaign", openURL(aggregate), nil, nobody, mail},
		{"the same of a click, with a visitor's cookie", clickURL(aggregate), onPx, nobody, mail},
		{"the same on a site that asks", clickURL(func(t *mailtoken.Token) { aggregate(t); t.Site = "asking" }), nil, nobody, mail},
		{"the browser has opted out", clickURL(nil), []string{"Cookie", "onepx_optout=1"}, "", 0},
		{"it has opted out, and counts would be allowed", clickURL(aggregate), []string{"Cookie", "onepx_optout=1"}, "", 0},
		{"the browser does not want to be tracked, which takes its cookie only", clickURL(onSite("asking")), []string{"DNT", "1"}, all, mail},
		{"the same on a site that does not ask", clickURL(nil), append([]string{"Sec-GPC", "1"}, onPx...), all, onepxv1.ConsentSignal_CONSENT_SIGNAL_GPC},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := on(t, mailSites)
			got := e.get(test.url, test.headers...)
			if strings.HasPrefix(test.url, "/c/") {
				require.Equal(t, target, got.Header.Get("Location"), "a link works for everybody")
			}
			if test.of == "" {
				require.Empty(t, e.publisher.events)
				require.Len(t, e.tallies, 1)
				return
			}
			event := e.stored()
			if test.by == mail {
				require.Equal(t, onepxv1.VisitorKind_VISITOR_KIND_NONE, event.GetVisitor().GetKind(), "only the recipient was asked")
				require.Empty(t, event.GetMarketing().GetClickId())
			}
			require.Equal(t, test.by, event.GetConsent().GetDecidedBy())
			require.Equal(t, "autumn", event.GetMail().GetCampaignId())
			require.Equal(t, test.of == all, event.GetConsent().GetMeasure())
			if test.of == nobody {
				require.Empty(t, event.GetMail().GetRecipientKey())
				require.Empty(t, event.GetMail().GetMessageId())
				require.Empty(t, event.GetVisitor().GetVisitorId())
				require.Empty(t, event.GetVisitor().GetDailyHash())
				require.Empty(t, event.GetClient().GetIpPrefix())
				require.Empty(t, event.GetMarketing().GetClickId())
			}
			require.Equal(t, test.by == onepxv1.ConsentSignal_CONSENT_SIGNAL_GPC, len(e.suppressions.written) > 0, "only a browser has a word about audiences")
		})
	}
}

func TestWhoHasWithdrawnIsMeasuredByNoMailThatWasSent(t *testing.T) {
	for _, url := range []string{openURL(nil), clickURL(nil)} {
		e := on(t, mailSites)
		e.suppressions.kind, e.suppressions.id = suppression.Recipient, recipient[:]
		got := e.get(url, onPx...)
		require.Equal(t, "suppressed; reason=suppression_list", got.onepx())
		require.Empty(t, e.publisher.events)
		require.Nil(t, got.setCookie("onepx_v"))
	}
	e := on(t, mailSites)
	e.suppressions.kind, e.suppressions.id = suppression.Recipient, recipient[:]
	require.Equal(t, "stored", e.post(unsubscribeURL(nil), "List-Unsubscribe=One-Click").onepx(), "but may want no more mail")
}

func TestNobodyIsUnsubscribedWithoutPressingAButton(t *testing.T) {
	e := on(t, mailSites)
	url := unsubscribeURL(nil)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		page := e.do(method, url, "Accept-Language", "de")
		require.Equal(t, http.StatusOK, page.StatusCode)
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Equal(t, method == http.MethodGet, strings.Contains(string(page.body), `<form method="post"><button>Abmelden</button></form>`))
	}
	require.Empty(t, e.publisher.events)
	done := e.post(url, "")
	require.Equal(t, http.StatusOK, done.StatusCode)
	require.Contains(t, string(done.body), "You have unsubscribed")
	require.NotContains(t, string(done.body), "<form")
	event := e.stored()
	require.Equal(t, "email_unsubscribe", event.GetName())
	require.Equal(t, recipient[:], event.GetMail().GetRecipientKey())
	require.Empty(t, event.GetClient().GetIpPrefix())
}

func TestOneClickUnsubscribesWhateverElseIsAllowed(t *testing.T) {
	for name, change := range map[string]func(*mailtoken.Token){
		"all is allowed": nil, "counts only": aggregate, "nothing": func(t *mailtoken.Token) { t.Mode = mailtoken.None }, "a site that asks": onSite("asking"),
	} {
		e := on(t, mailSites)
		got := e.post(unsubscribeURL(change), "List-Unsubscribe=One-Click", "Content-Type", "application/x-www-form-urlencoded", "Cookie", "onepx_optout=1", "DNT", "1")
		require.Equal(t, http.StatusOK, got.StatusCode, name)
		event := e.stored()
		require.Equal(t, recipient[:], event.GetMail().GetRecipientKey(), name)
		require.Equal(t, "m-1", event.GetMail().GetMessageId(), name)
		require.False(t, event.GetConsent().GetMeasure(), name)
	}
}

func TestAFormAlwaysDoesWhatItSays(t *testing.T) {
	e := on(t, mailSites)
	require.Contains(t, string(e.post(unsubscribeURL(nil)+"?debug=1", "").body), "You have unsubscribed")
	require.Equal(t, "email_unsubscribe", e.stored().GetName())
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		gone := e.do(method, unsubscribeURL(onSite("gone")))
		require.Equal(t, http.StatusNotFound, gone.StatusCode, "a site that is not configured any more")
		require.NotContains(t, string(gone.body), "<form")
	}
}

func TestASubscriptionEndsByTheMailOfAnExpiredKey(t *testing.T) {
	e := on(t, mailSites)
	url := "/u/" + sign(ring("k1:"+strings.ToUpper(mailSecret)), token(mailtoken.Unsubscribe, nil), "")
	require.Contains(t, string(e.get(url).body), "<form")
	require.Equal(t, http.StatusOK, e.post(url, "List-Unsubscribe=One-Click").StatusCode)
	require.Equal(t, recipient[:], e.stored().GetMail().GetRecipientKey())
	require.Equal(t, "rejected; reason=mail_token_expired", e.get("/o/"+expiredOpen+".gif").onepx())
}

func TestAnUnsubscriptionThatIsNotStoredIsAskedForAgain(t *testing.T) {
	e := on(t, mailSites)
	e.publisher.answer = reason.KafkaUnavailable
	got := e.post(unsubscribeURL(nil), "")
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.Contains(t, string(got.body), "try again")
	require.Contains(t, string(got.body), "<form")
	require.NotEmpty(t, got.Header.Get("Retry-After"))
}

func TestALinkWorksWhenNothingCanBeStored(t *testing.T) {
	for name, change := range map[string]func(*edge){
		"Kafka is away": answering(reason.KafkaUnavailable), "a defect": func(e *edge) { e.publisher.panics = true },
	} {
		e := on(t, mailSites)
		change(e)
		require.Equal(t, target, e.get(clickURL(nil)).Header.Get("Location"), name)
		require.Equal(t, http.StatusOK, e.get(openURL(nil)).StatusCode, name)
	}
	e := on(t, mailSites)
	require.Equal(t, target, e.get(clickURL(onSite("gone"))).Header.Get("Location"), "a site that is not configured any more")
	require.Equal(t, target, e.get(clickURL(func(t *mailtoken.Token) { t.Test = true })).Header.Get("Location"), "a mail that is tried out")
	require.Empty(t, e.publisher.events)
}

func TestATokenThatIsNotOursLeadsNowhere(t *testing.T) {
	e := on(t, mailSites)
	signed, other := sign(mailRing, token(mailtoken.Click, nil), target), ring("k2:"+strings.Repeat("x", 43))
	for name, url := range map[string]string{
		"nothing but a target":  "/c/x/" + mailtoken.EncodeTarget("https://evil.example/"),
		"another target":        "/c/" + signed + "/" + mailtoken.EncodeTarget("https://evil.example/"),
		"a target as it is":     "/c/" + signed + "/https:%2F%2Fevil.example%2F",
		"another key":           "/c/" + sign(other, token(mailtoken.Click, nil), target) + "/" + mailtoken.EncodeTarget(target),
		"a token of an open":    "/c/" + sign(mailRing, token(mailtoken.Open, nil), "") + "/" + mailtoken.EncodeTarget(target),
		"an expired key":        "/c/" + sign(ring("k1:"+strings.ToUpper(mailSecret)), token(mailtoken.Click, nil), target) + "/" + mailtoken.EncodeTarget(target),
		"cut off":               "/c/" + signed[:len(signed)-1] + "/" + mailtoken.EncodeTarget(target),
		"a slash behind":        "/c/" + signed + "/" + mailtoken.EncodeTarget(target) + "/",
		"no target":             "/c/" + signed,
		"a query that is meant": "/c/" + signed + "?url=https://evil.example/",
		"padding":               "/c/" + signed + "/" + mailtoken.EncodeTarget(target) + "=",
	} {
		got := e.get(url)
		require.Empty(t, got.Header.Get("Location"), name)
		require.Equal(t, http.StatusNotFound, got.StatusCode, name)
		require.Contains(t, got.onepx(), "rejected; reason=", name)
	}
	require.Equal(t, target, e.get(clickURL(nil)+"?url=https://evil.example/&utm_source=x").Header.Get("Location"), "a query changes nothing")
	require.Equal(t, http.StatusNotFound, e.get("/u/"+signed).StatusCode)
	require.Equal(t, http.StatusNotFound, e.post("/u/"+signed, "").StatusCode)
	require.Len(t, e.publisher.events, 1)
}

// TestNoPlaceForATargetLeadsAway has what redirects of others were led astray by.
func TestNoPlaceForATargetLeadsAway(t *testing.T) {
	e := on(t, mailSites)
	signed := sign(mailRing, token(mailtoken.Click, nil), target)
	for _, to := range []string{"//evil.example", "https:evil.example", "javascript:alert(1)", `\\evil.example`, "https://evil.example/", "https://shop.example@evil.example"} {
		for place, path := range map[string]string{
			"beside a token of ours":           "/c/" + signed + "/" + mailtoken.EncodeTarget(to),
			"there, as it is":                  "/c/" + signed + "/" + to,
			"there, escaped":                   "/c/" + signed + "/" + url.PathEscape(to),
			"in place of the token":            "/c/" + to,
			"there, encoded":                   "/c/" + mailtoken.EncodeTarget(to),
			"a parameter of a cut-off link":    "/c/" + signed + "?u=" + url.QueryEscape(to),
			"a parameter alone":                "/c/x?u=" + url.QueryEscape(to) + "&url=" + url.QueryEscape(to),
			"a parameter of the unsubscribing": "/u/" + signed + "?u=" + url.QueryEscape(to),
			"the path":                         "/" + to,
			"a path that is put right":         "/c/../" + to + "/..",
		} {
			got := e.get(path)
			require.Empty(t, got.Header.Get("Location"), "%s: %s", place, to)
			require.Equal(t, http.StatusNotFound, got.StatusCode, "%s: %s", place, to)
		}
	}
	require.Empty(t, e.publisher.events)
}

func TestWithoutKeysNoTokenIsOurs(t *testing.T) {
	e := start(t, func(d *api.Deps) { d.MailTokens = nil })
	require.Equal(t, "rejected; reason=mail_token_invalid", e.get(openURL(nil)).onepx())
	require.Empty(t, e.get(clickURL(nil)).Header.Get("Location"))
}
