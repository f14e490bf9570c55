package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/reason"
)

func TestTheWriteKey(t *testing.T) {
	for _, test := range []struct {
		name    string
		headers []string
		status  int
		word    string
	}{
		{"as a header of its own", []string{"X-Write-Key", "key"}, 200, "stored"},
		{"as a bearer token", []string{"Authorization", "Bearer key"}, 200, "stored"},
		{"in any case", []string{"Authorization", "bearer  key"}, 200, "stored"},
		{"as a user without password", []string{"Authorization", "Basic a2V5Og=="}, 200, "stored"},
		{"none", nil, 401, "rejected; reason=write_key_missing"},
		{"in the URL it is none", []string{"Host", "px"}, 401, "rejected; reason=write_key_missing"},
		{"another scheme", []string{"Authorization", "Digest key"}, 401, "rejected; reason=write_key_missing"},
		{"wrong", []string{"X-Write-Key", "Key"}, 401, "rejected; reason=write_key_wrong"},
		{"its hash is not the key", []string{"X-Write-Key", "sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"}, 401, "rejected; reason=write_key_wrong"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			got := e.post("/v1/events?write_key=key", `{"e":"signup"}`, test.headers...)
			require.Equal(t, test.status, got.StatusCode)
			require.Equal(t, test.word, got.onepx())
			require.Equal(t, test.status == 401, got.Header.Get("WWW-Authenticate") != "")
			require.Empty(t, got.Header.Get("Access-Control-Allow-Origin"), "no browser is to hold a key")
			if test.status == 200 {
				require.Equal(t, "shop", e.stored().GetSiteId())
				return
			}
			require.Empty(t, e.publisher.events)
			require.Empty(t, e.log.String())
		})
	}
}

func TestWhatAServerBodyMayBe(t *testing.T) {
	const lines = "{\"id\":\"a\"}\n{\"id\":\"b\"}\r\n\n{\"id\":\"c\"}\n"
	for _, test := range []struct {
		name, contentType, body string
		status                  int
		words                   []string
		reason                  string
	}{
		{"an object", "application/json", `{"id":"a"}`, 200, []string{"a stored"}, ""},
		{"an array", "application/json", `[{"id":"a"},{"id":"b"}]`, 200, []string{"a stored", "b stored"}, ""},
		{"an object over several lines", "", "{\n\"id\":\n\"a\"}", 200, []string{"a stored"}, ""},
		{"lines", "application/x-ndjson", lines, 200, []string{"a stored", "b stored", "c stored"}, ""},
		{"lines by their looks", "application/x-www-form-urlencoded", lines, 200, []string{"a stored", "b stored", "c stored"}, ""},
		{"one line", "application/x-ndjson", `{"id":"a"}`, 200, []string{"a stored"}, ""},
		{"lines under the type of JSON", "application/json", lines, 400, nil, "json_invalid"},
		{"a bad line", "application/x-ndjson", "{\"id\":\"a\"}\n{\"id\":\n{\"id\":\"c\"}", 200, []string{"a stored", "rejected json_invalid", "c stored"}, ""},
		{"a bad first line", "application/x-ndjson", "nonsense\n{\"id\":\"c\"}", 200, []string{"rejected json_invalid", "c stored"}, ""},
		{"a line that is no object", "application/x-ndjson", "[]\n{\"id\":\"c\"}", 200, []string{"rejected event_not_object", "c stored"}, ""},
		{"no events", "", "[]", 200, nil, ""},
		{"no lines", "application/x-ndjson", "", 200, nil, ""},
		{"nothing", "", "", 400, nil, "json_invalid"},
		{"a syntax error refuses the body", "", `[{"id":"a"},{"id":"b"]`, 400, nil, "json_invalid"},
		{"501 lines", "application/x-ndjson", strings.Repeat("{}\n", 501), 413, nil, "too_many_events"},
		{"a bad event", "", `[{"id":"a","e":"` + strings.Repeat("x", 65) + `"},{"id":"b"},{"id":"c","site":"blog"},{"id":"d","site":"shop"}]`, 200,
			[]string{"a rejected name_invalid", "b stored", "c rejected site_mismatch", "d stored"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			got := e.post("/v1/events", test.body, append([]string{"Content-Type", test.contentType}, withKey...)...)
			require.Equal(t, test.status, got.StatusCode, "%s", got.body)
			all := got.told(t)
			require.Equal(t, test.words, all.words())
			require.Equal(t, test.reason, all.Reason)
			require.Equal(t, strings.Count(strings.Join(test.words, "\n"), "stored"), len(e.publisher.events))
			for _, ev := range e.publisher.events {
				require.Equal(t, "shop", ev.GetSiteId())
				require.Equal(t, onepxv1.TransportKind_TRANSPORT_KIND_SERVER, ev.GetTransport().GetKind())
			}
		})
	}
}

func TestAServerSpeaksForItsVisitor(t *testing.T) {
	e := start(t)
	got := e.post("/v1/events", `{"ip":"81.2.69.160","ua":"Mozilla/5.0 (X11)","u":"https://shop.example/thanks"}`, append([]string{
		"User-Agent", "Go-http-client/1.1", "Accept-Language", "de", "Cookie", "onepx_v=AAECAwQFBgcICQoLDA0ODw; onepx_optout=1",
		"Sec-GPC", "1", "DNT", "1", "Referer", "https://backend.example/", "X-Forwarded-For", "9.9.9.9", "Sec-Purpose", "prefetch",
	}, withKey...)...)
	require.Equal(t, "stored", got.onepx(), "headers are the server's own and say nothing of the visitor's wishes")
	require.Nil(t, got.setCookie("onepx_v"))
	ev := e.stored()
	require.True(t, proto.Equal(&onepxv1.Client{
		IpPrefix: "81.2.69.0", NetworkClass: onepxv1.NetworkClass_NETWORK_CLASS_PUBLIC, UserAgent: "Mozilla/5.0 (X11)",
	}, ev.GetClient()), "%v", ev.GetClient())
	require.Equal(t, onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH, ev.GetVisitor().GetKind())
	require.Equal(t, onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT, ev.GetConsent().GetDecidedBy())
	require.False(t, ev.GetTransport().GetPrefetch())
	require.Empty(t, ev.GetFlags())
	data, err := proto.Marshal(ev)
	require.NoError(t, err)
	require.NotContains(t, string(data), "81.2.69.160")
}

func TestVisitorsOfServerEvents(t *testing.T) {
	for _, test := range []struct {
		name, event string
		kind        onepxv1.VisitorKind
	}{
		{"the site's id", `{"v":"ann","ip":"81.2.69.160"}`, onepxv1.VisitorKind_VISITOR_KIND_PROVIDED},
		{"no id, but an address", `{"ip":"81.2.69.160"}`, onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH},
		{"neither", `{}`, onepxv1.VisitorKind_VISITOR_KIND_NONE},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			e.post("/v1/events", test.event, withKey...)
			require.Equal(t, test.kind, e.stored().GetVisitor().GetKind())
		})
	}
}

func TestConsentOfServerEvents(t *testing.T) {
	e := start(t)
	got := e.post("/v1/events", `[{"id":"a","c":"0"},{"id":"b","c":1},{"id":"c"}]`, withKey...)
	require.Equal(t, []string{"a suppressed opted_out", "b stored", "c stored"}, got.told(t).words())
	require.True(t, e.publisher.events[0].GetConsent().GetProfile())
	require.False(t, e.publisher.events[1].GetConsent().GetProfile())
}

func TestAnAddressIsNotReadFromBrowsers(t *testing.T) {
	e := start(t)
	for _, send := range []func(){
		func() { e.get("/p.gif?site=shop&ip=9.9.9.9&ua=evil") },
		func() { e.post("/e", `{"site":"shop","ip":"9.9.9.9","ua":"evil"}`) },
	} {
		e.publisher.events = nil
		send()
		require.Equal(t, "127.0.0.0", e.stored().GetClient().GetIpPrefix())
		require.NotEqual(t, "evil", e.stored().GetClient().GetUserAgent())
		require.Empty(t, e.stored().GetProps(), "an address is not kept as a property either")
	}
}

func TestServerEventsThatAreLost(t *testing.T) {
	e := start(t)
	e.publisher.fates = map[string]reason.Reason{"lost": reason.KafkaUnavailable}
	got := e.post("/v1/events", `[{"id":"a"},{"id":"b","e":"lost"},{"id":"c","e":""}]`, withKey...)
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.Equal(t, "5", got.Header.Get("Retry-After"))
	all := got.told(t)
	require.Equal(t, []string{"a stored", "b rejected kafka_unavailable", "c stored"}, all.words())
	require.True(t, all.Results[1].Retry)
}

func TestServersAreNotBrowsers(t *testing.T) {
	e := start(t)
	preflight := e.do(http.MethodOptions, "/v1/events", "Origin", "https://shop.example", "Access-Control-Request-Method", "POST")
	require.Empty(t, preflight.Header.Get("Access-Control-Allow-Origin"), "no leave for scripts")
	require.Equal(t, http.StatusMethodNotAllowed, e.do(http.MethodGet, "/v1/events").StatusCode)
	require.Equal(t, http.StatusMethodNotAllowed, e.do(http.MethodGet, "/e?site=shop").StatusCode)
}
