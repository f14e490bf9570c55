package api_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// hit is a request that ends in a reason.
type hit struct {
	method, target, body string
	headers              []string
	prepare              func(*edge)
}

// withKey is the header of a server of the site shop.
var withKey = []string{"X-Write-Key", "key"}

func answering(word reason.Reason) func(*edge) {
	return func(e *edge) { e.publisher.answer = word }
}

// ofPostmark is the header of Postmark's webhook of the site shop.
var ofPostmark = []string{"Authorization", "Basic b25lcHg6cGFzc3dvcmQ="} // onepx:password

// refused has one request for every reason for which the collector does not store an event.
var refused = map[reason.Reason]hit{
	reason.WrongPath:        {target: "/P.gif/?site=shop"},
	reason.URLTooLong:       {target: "/p.gif?site=shop&x=" + strings.Repeat("a", 17<<10)},
	reason.SiteMissing:      {target: "/p.gif?e=hello"},
	reason.SiteUnknown:      {target: "/p.gif?site=nowhere"},
	reason.NameInvalid:      {target: "/p.gif?site=shop&e=" + strings.Repeat("a", 65)},
	reason.EventIDInvalid:   {target: "/p.gif?site=shop&id=" + strings.Repeat("a", 201)},
	reason.TooManyProps:     {target: "/p.gif?site=shop" + props(65)},
	reason.PropNameInvalid:  {target: "/p.gif?site=shop&p.=1"},
	reason.TooManyItems:     {target: "/p.gif?site=shop&items=[" + strings.Repeat(`{%22id%22:1},`, 100) + `{%22id%22:1}]`},
	reason.MailTokenInvalid: {target: "/o/x.gif"},
	reason.MailTokenExpired: {target: "/o/" + expiredOpen + ".gif"},
	reason.MailTest:         {target: openURL(func(t *mailtoken.Token) { t.Test = true })},
	reason.NotModifiedAsked: {target: openURL(nil), headers: []string{"If-None-Match", `"x"`}},

	reason.DeliveryUnproven:    {target: "/v1/mail/shop/postmark", body: "{}"},
	reason.ProviderUnreachable: {target: "/v1/mail/shop/ses", body: notification},
	reason.DeliveryInvalid:     {target: "/v1/mail/shop/postmark", body: "{}", headers: ofPostmark},
	reason.DeliveryIgnored:     {target: "/v1/mail/shop/postmark", body: `{"RecordType":"Open"}`, headers: ofPostmark},

	reason.HeadRequest:   {method: http.MethodHead, target: "/p.gif?site=shop"},
	reason.DebugRequest:  {target: "/p.gif?site=shop&debug=1"},
	reason.NoConsent:     {target: "/p.gif?site=asking&gdpr=1"},
	reason.OptedOut:      {target: "/p.gif?site=shop", headers: []string{"Cookie", "onepx_optout=1"}},
	reason.OnSuppression: {target: "/p.gif?site=shop&v=00112233-4455-6677-8899-aabbccddeeff", prepare: suppressVisitor},
	reason.EventTooLarge: {target: "/p.gif?site=shop", prepare: answering(reason.EventTooLarge)},

	reason.BodyTooLarge:        {target: "/e?site=shop", body: `{"x":"` + strings.Repeat("a", 1<<20) + `"}`},
	reason.EncodingUnsupported: {target: "/e?site=shop", body: "{}", headers: []string{"Content-Encoding", "br"}},
	reason.CompressionInvalid:  {target: "/e?site=shop", body: shortened(gzipped("{}"), 8), headers: []string{"Content-Encoding", "gzip"}},
	reason.JSONInvalid:         {target: "/e?site=shop", body: `{"e":"a"`},
	reason.EventNotObject:      {target: "/e?site=shop", body: `["?site=shop"]`},
	reason.TooManyEvents:       {target: "/e?site=shop", body: "[" + strings.Repeat("{},", 500) + "{}]"},
	reason.WriteKeyMissing:     {target: "/v1/events", body: `{"e":"a"}`},
	reason.WriteKeyWrong:       {target: "/v1/events", body: `{"e":"a"}`, headers: []string{"X-Write-Key", "kex"}},
	reason.SiteMismatch:        {target: "/v1/events", body: `{"site":"blog"}`, headers: withKey},
	reason.RateLimited: {target: "/e", body: `{"site":"slow"}`, prepare: func(e *edge) {
		e.post("/e", "["+strings.Repeat(`{"site":"slow","c":0},`, 499)+`{"site":"slow","c":0}]`)
	}},

	reason.PartnerUnknown:    {target: "/sync?site=shop&partner=adnex&uid=1&c=1"},
	reason.PartnerUIDInvalid: {target: "/sync?site=shop&partner=adnet&uid=$UID&c=1"},
	reason.RedirectUnlisted:  {target: "/sync?site=shop&partner=adnet&uid=1&c=1&redir=https://other.example/"},
	reason.SyncLoop:          {target: "/sync?site=shop&partner=adnet&hop=2&c=1"},
	reason.SharingRefused:    {target: "/sync?site=shop&partner=adnet&uid=1"},
	reason.SyncRedirect:      {target: "/sync?site=shop&partner=adnet&c=1", headers: []string{"Cookie", "onepx_v=" + cookieValue}},
	reason.SyncCookieless:    {target: "/sync?site=shop&partner=adnet&uid=1&c=1"},

	reason.SpoolFull:        {target: "/p.gif?site=shop", prepare: answering(reason.SpoolFull)},
	reason.SpoolFailed:      {target: "/p.gif?site=shop", prepare: answering(reason.SpoolFailed)},
	reason.KafkaUnavailable: {target: "/p.gif?site=shop", prepare: answering(reason.KafkaUnavailable)},
	reason.Overloaded:       {target: "/p.gif?site=shop", prepare: answering(reason.Overloaded)},
	reason.Stopping:         {target: "/p.gif?site=shop", prepare: answering(reason.Stopping)},
	reason.InternalError:    {target: "/p.gif?site=shop", prepare: func(e *edge) { e.publisher.panics = true }},
}

// flagged has one request for every flag.
var flagged = map[reason.Reason]hit{
	reason.BadEscape:          {target: "/p.gif?site=shop&x=%zz"},
	reason.SecretRemoved:      {target: "/p.gif?site=shop&Token=abc"},
	reason.EmailMasked:        {target: "/p.gif?site=shop&u=https%3A%2F%2Fa.b%2F%3Fx%3Dann%2540shop.com"},
	reason.TokenMasked:        {target: "/p.gif?site=shop&x=eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0."},
	reason.CardMasked:         {target: "/p.gif?site=shop&t=4111+1111+1111+1111"},
	reason.PhoneMasked:        {target: "/p.gif?site=shop&t=%2B49+170+1234567"},
	reason.DuplicateParameter: {target: "/p.gif?site=shop&e=a&e=b"},
	reason.EscapedAmpersand:   {target: "/p.gif?site=shop&amp;e=a"},
	reason.InvalidUTF8:        {target: "/p.gif?site=shop&t=%E9t%E9"},
	reason.ControlCharacters:  {target: "/p.gif?site=shop&t=a%00b"},
	reason.TextTruncated:      {target: "/p.gif?site=shop&t=" + strings.Repeat("a", 513)},
	reason.TimeClamped:        {target: "/p.gif?site=shop&ts=0"},
	reason.TimeInvalid:        {target: "/p.gif?site=shop&ts=now"},
	reason.URLInvalid:         {target: "/p.gif?site=shop&u=javascript:alert(1)"},
	reason.URLUnencoded:       {target: "/p.gif?site=shop&u=https://a.b/?x=1&y=2"},
	reason.ReferrerInvalid:    {target: "/p.gif?site=shop&r=nonsense"},
	reason.ValueInvalid:       {target: "/p.gif?site=shop&value=1,234"},
	reason.CurrencyInvalid:    {target: "/p.gif?site=shop&value=1&currency=coins"},
	reason.ItemsInvalid:       {target: "/p.gif?site=shop&items=tea"},
	reason.VisitorInvalid:     {target: "/p.gif?site=shop", headers: []string{"Cookie", "onepx_v=garbage"}},
	reason.Placeholder:        {target: "/p.gif?site=shop&uid=undefined"},
	reason.ConsentInvalid:     {target: "/p.gif?site=shop&us_privacy=yes"},
	reason.IPInvalid:          {target: "/v1/events", body: `{"ip":"unknown"}`, headers: withKey},
	reason.MailMisplaced:      {target: "/p.gif?site=shop&mail_campaign=autumn"},
	reason.RecipientInvalid:   {target: "/v1/events", body: `{"e":"email_sent","mail_to":"anna"}`, headers: withKey},
	reason.ForwardedInvalid:   {target: "/p.gif?site=shop", headers: []string{"X-Forwarded-For", "unknown"}},
}

func props(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&x%d=1", i)
	}
	return b.String()
}

func suppressVisitor(e *edge) {
	e.suppressions.kind = suppression.Visitor
	e.suppressions.id = []byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
}

func (e *edge) hit(h hit) answer {
	e.t.Helper()
	if h.prepare != nil {
		h.prepare(e)
	}
	switch {
	case h.body != "":
		return e.post(h.target, h.body, h.headers...)
	case h.method == "":
		return e.get(h.target, h.headers...)
	}
	return e.do(h.method, h.target, h.headers...)
}

// ofConnections are the reasons that TestMalformedRequests and TestBodiesThatDoNotArrive show.
var ofConnections = map[reason.Reason]bool{reason.MalformedRequest: true, reason.BodyIncomplete: true}

// ownStatuses are those that don't follow from the effect.
var ownStatuses = map[reason.Reason]int{
	reason.EventTooLarge: 413, reason.BodyTooLarge: 413, reason.TooManyEvents: 413, reason.EncodingUnsupported: 415,
	reason.WriteKeyMissing: 401, reason.WriteKeyWrong: 401, reason.RateLimited: 429, reason.DeliveryUnproven: 401,
	reason.WrongPath: 404, reason.SharingRefused: 451, reason.SyncRedirect: 302,
	reason.MailTokenInvalid: 200, reason.MailTokenExpired: 200, // an image that a mail program shows
	reason.SiteMismatch: 200, // the reason of one event among the results
}

func TestEveryReasonNotToStore(t *testing.T) {
	outcomes := map[reason.Effect]struct {
		counted, told string
		status        int
	}{
		reason.Ignored:    {"ignored", "ignored", 200},
		reason.Suppressed: {"suppressed", "suppressed", 200},
		reason.Rejected:   {"rejected", "rejected", 400},
		reason.Lost:       {"lost", "rejected", 503},
	}
	for _, entry := range reason.All {
		want, ours := outcomes[entry.Effect]
		if !ours || ofConnections[entry.Reason] {
			continue
		}
		if status, own := ownStatuses[entry.Reason]; own {
			want.status = status
		}
		t.Run(string(entry.Reason), func(t *testing.T) {
			require.Contains(t, refused, entry.Reason)
			e := start(t)
			got := e.hit(refused[entry.Reason])
			require.Equal(t, want.status, got.StatusCode)
			require.Equal(t, want.told+"; reason="+string(entry.Reason), got.onepx())
			require.Empty(t, e.publisher.events)
			require.Equal(t, 1, e.counters()[fmt.Sprintf(`onepx_collector_events_total{outcome="%s",reason="%s"}`, want.counted, entry.Reason)])
			require.Equal(t, entry.Effect == reason.Lost || entry.Reason == reason.RateLimited, got.Header.Get("Retry-After") != "")
			switch {
			case entry.Reason == reason.HeadRequest, entry.Reason == reason.SyncRedirect:
				require.Empty(t, got.body)
			case entry.Reason == reason.DebugRequest:
				require.Equal(t, "application/json", got.Header.Get("Content-Type"))
			case refused[entry.Reason].body != "":
				require.Contains(t, string(got.body), `"reason": "`+string(entry.Reason)+`"`)
			default:
				require.Len(t, got.body, 43, "there is always an image")
			}
			require.Nil(t, got.setCookie("onepx_v"))
			require.Equal(t, entry.Reason == reason.InternalError, e.log.Len() > 0, "only a defect is logged")
		})
	}
}

func TestAnEventInTheSpoolIsAnsweredAsDurable(t *testing.T) {
	e := start(t)
	e.publisher.answer = reason.InSpool
	got := e.get("/p.gif?site=shop&e=a&ts=x")
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Equal(t, "spooled", got.onepx())
	require.Empty(t, got.Header.Get("Retry-After"))
	require.NotNil(t, got.setCookie("onepx_v"))
	got = e.post("/v1/events", `[{"site":"shop"}]`, "X-Write-Key", "key")
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Contains(t, string(got.body), `"result": "spooled"`)
	require.NotContains(t, string(got.body), `"reason"`)
	counters := e.counters()
	require.Equal(t, 2, counters[`onepx_collector_events_total{outcome="spooled",reason="spooled"}`])
	require.Equal(t, 1, counters[`onepx_collector_flags_total{flag="time_invalid"}`])
}

func TestEveryFlag(t *testing.T) {
	for _, word := range reason.With(reason.Flagged) {
		t.Run(string(word), func(t *testing.T) {
			require.Contains(t, flagged, word)
			e := start(t)
			got := e.hit(flagged[word])
			require.Equal(t, http.StatusOK, got.StatusCode)
			require.Equal(t, "stored", got.onepx())
			require.Equal(t, []string{string(word)}, e.stored().GetFlags())
			require.Equal(t, 1, e.counters()[fmt.Sprintf(`onepx_collector_flags_total{flag="%s"}`, word)])
			require.Empty(t, e.log.String())
		})
	}
}

func TestAllCountersAreBornAtNought(t *testing.T) {
	counters := start(t).counters()
	for _, entry := range reason.All {
		for _, effect := range []reason.Effect{reason.Spooled, reason.Ignored, reason.Suppressed, reason.Rejected, reason.Lost} {
			if entry.Effect == effect {
				require.Contains(t, counters, fmt.Sprintf(`onepx_collector_events_total{outcome="%s",reason="%s"}`, effect, entry.Reason))
			}
		}
		if entry.Effect == reason.Flagged {
			require.Contains(t, counters, fmt.Sprintf(`onepx_collector_flags_total{flag="%s"}`, entry.Reason))
		}
	}
	require.Contains(t, counters, `onepx_collector_events_total{outcome="stored",reason=""}`)
}

// TestMalformedRequests sends what net/http refuses before any handler sees it.
func TestMalformedRequests(t *testing.T) {
	const get = "GET /p.gif?site=shop HTTP/1.1\r\nHost: px.example\r\n\r\n"
	for _, test := range []struct {
		name, request, status string
		malformed             int
	}{
		{"a good request is none", get, "200", 0},
		{"a raw space in the URL", "GET /p.gif?site=shop&t=a b HTTP/1.1\r\nHost: px.example\r\n\r\n", "400", 1},
		{"a control character in the URL", "GET /p.gif?site=shop&t=a\x01b HTTP/1.1\r\nHost: px.example\r\n\r\n", "400", 1},
		{"no host", "GET /p.gif?site=shop HTTP/1.1\r\n\r\n", "400", 1},
		{"huge headers", "GET /p.gif?site=shop HTTP/1.1\r\nHost: px.example\r\nX: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", "431", 1},
		{"an unknown transfer encoding", "GET /p.gif HTTP/1.1\r\nHost: px.example\r\nTransfer-Encoding: x\r\n\r\n", "501", 1},
		{"an unknown expectation", "GET /p.gif HTTP/1.1\r\nHost: px.example\r\nExpect: x\r\n\r\n", "417", 1},
		{"another protocol", "\x16\x03\x01\x02\x00\x01\r\n\r\n", "400", 1},
		{"a handler's own 400 is none", "GET /p.gif HTTP/1.1\r\nHost: px.example\r\n\r\n", "400", 0},
		{"after a good one on the same connection", get + "GET / x HTTP/1.1\r\n\r\n", "400", 1},
		{"OPTIONS * has a handler", "OPTIONS * HTTP/1.1\r\nHost: px.example\r\n\r\n", "404", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = conn.Write([]byte(test.request))
			require.NoError(t, err)
			reader := bufio.NewReader(conn)
			var status string
			for range 1 + strings.Count(test.request, get)*strings.Count(test.request, "GET / x") {
				response, err := http.ReadResponse(reader, nil)
				require.NoError(t, err)
				_, _ = reader.Discard(int(max(response.ContentLength, 0)))
				status = response.Status[:3]
			}
			require.Equal(t, test.status, status)
			require.Equal(t, test.malformed, e.counters()[`onepx_collector_events_total{outcome="rejected",reason="malformed_request"}`])
		})
	}
}
