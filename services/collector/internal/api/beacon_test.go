package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/reason"
)

// told is the JSON answer to events.
type told struct {
	Results []struct {
		ID, Result, Reason string
		Retry              bool
		Debug              *struct {
			Outcome string
			Event   json.RawMessage
		}
	}
	Result, Reason, Message string
	Retry                   bool
}

func (a answer) told(t *testing.T) told {
	t.Helper()
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	var all told
	require.NoError(t, json.Unmarshal(a.body, &all), "%s", a.body)
	return all
}

// words are the results as "id result reason".
func (all told) words() []string {
	var words []string
	for _, one := range all.Results {
		words = append(words, strings.TrimSpace(one.ID+" "+one.Result+" "+one.Reason))
	}
	return words
}

func (e *edge) names() []string {
	var names []string
	for _, ev := range e.publisher.events {
		names = append(names, ev.GetName())
	}
	return names
}

func TestWhatABeaconBodyMayBe(t *testing.T) {
	const object, array, form = `{"site":"shop","e":"signup"}`, `[{"site":"shop","e":"signup"},{"site":"shop"}]`, "site=shop&e=signup&p.plan=a+b"
	const formType = "application/x-www-form-urlencoded"
	for _, test := range []struct {
		name, target, contentType, body string
		stored                          []string
		answer                          string
	}{
		{"JSON as sendBeacon sends a text", "/e", "text/plain;charset=UTF-8", object, []string{"signup"}, "stored"},
		{"JSON under its own type", "/e", "application/json", object, []string{"signup"}, "stored"},
		{"JSON under no type", "/e", "", object, []string{"signup"}, "stored"},
		{"JSON under an unreadable type", "/e", "what / ever;", object, []string{"signup"}, "stored"},
		{"JSON under the form type, as curl --data sends it", "/e", formType, object, []string{"signup"}, "stored"},
		{"an array", "/e", "text/plain", array, []string{"signup", "page_view"}, "stored"},
		{"a byte order mark and space around", "/e", "", "\uFEFF \n" + object + "\r\n", []string{"signup"}, "stored"},
		{"a form", "/e", formType + "; charset=UTF-8", form, []string{"signup"}, "stored"},
		{"nothing: all is in the URL", "/e?" + form, "", "", []string{"signup"}, "stored"},
		{"only space", "/e?" + form, "text/plain", " \n", []string{"signup"}, "stored"},
		{"the URL has the defaults", "/e?site=shop&e=from_url", "", `[{},{"e":"own"},{"e":null},{"e":""}]`, []string{"from_url", "own", "from_url", "from_url"}, "stored"},
		{"the URL has the defaults of a form too", "/e?site=shop&e=from_url", formType, "t=x", []string{"from_url"}, "stored"},
		{"an empty array", "/e?site=shop", "", "[]", nil, ""},
		{"a form under another type", "/e?site=shop", "text/plain", form, nil, "rejected; reason=json_invalid"},
		{"JSON that is cut off", "/e?site=shop", "", array[:40], nil, "rejected; reason=json_invalid"},
		{"JSON lines", "/e?site=shop", "", object + "\n" + object, nil, "rejected; reason=json_invalid"},
		{"nested too deep", "/e?site=shop", "", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), nil, "rejected; reason=json_invalid"},
		{"a text", "/e?site=shop", "", `"hello"`, nil, "rejected; reason=event_not_object"},
		{"null", "/e?site=shop", "", `null`, nil, "rejected; reason=event_not_object"},
		{"500 events", "/e?site=blog", "", "[" + strings.Repeat("{},", 499) + "{}]", nil, "stored"},
		{"501 events", "/e?site=blog", "", "[" + strings.Repeat("{},", 500) + "{}]", nil, "rejected; reason=too_many_events"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			var headers []string
			if test.contentType != "" {
				headers = []string{"Content-Type", test.contentType}
			}
			got := e.post(test.target, test.body, headers...)
			require.Equal(t, test.answer, got.onepx(), "%s", got.body)
			if test.stored != nil {
				require.Equal(t, test.stored, e.names())
			}
			if strings.HasPrefix(test.answer, "rejected") {
				require.Empty(t, e.publisher.events)
				return
			}
			require.Equal(t, http.StatusNoContent, got.StatusCode)
			require.Empty(t, got.body)
			for _, ev := range e.publisher.events {
				require.Equal(t, onepxv1.TransportKind_TRANSPORT_KIND_BEACON, ev.GetTransport().GetKind())
			}
		})
	}
}

// TestABeaconIsAsAPixel sends the same event both ways.
func TestABeaconIsAsAPixel(t *testing.T) {
	e := start(t)
	headers := []string{
		"Cookie", "onepx_v=AAECAwQFBgcICQoLDA0ODw", "X-Forwarded-For", "81.2.69.160", "User-Agent", "Mozilla/5.0",
		"Accept-Language", "de", "Referer", "https://shop.example/thanks?gclid=x", "Sec-CH-UA-Mobile", "?1",
	}
	e.get("/p.gif?site=shop&e=purchase&id=1&order_id=7&value=49.90&currency=EUR&ts=1795607998&c=1&uid=ann&sr=10x20&UTM_Source=News"+
		"&items=%5B%7B%22id%22:%22a%22,%22qty%22:2%7D%5D&p.color=red&p.size=4&size.eu=false&p.nested=%7B%22a%22:%5B1%5D%7D", headers...)
	e.post("/e", `{"site": "shop", "e": "purchase", "id": 1, "order_id": 7, "value": 49.90, "currency": "EUR", "ts": 1795607998,
		"c": true, "uid": "ann", "sr": "10x20", "UTM_Source": "News", "items": [{"id": "a", "qty": 2}],
		"props": {"color": "red", "size": 4, "nested": {"a": [ 1 ]}}, "size.eu": false}`, headers...)
	require.Len(t, e.publisher.events, 2)
	gif, beacon := e.publisher.events[0], e.publisher.events[1]
	require.Empty(t, gif.GetFlags())
	gif.Transport.Kind = onepxv1.TransportKind_TRANSPORT_KIND_BEACON
	require.True(t, proto.Equal(gif, beacon), "%v\n%v", gif, beacon)
}

func TestARefusedEventDoesNotHarmTheOthers(t *testing.T) {
	e := start(t)
	e.publisher.fates = map[string]reason.Reason{"big": reason.EventTooLarge}
	got := e.post("/e?site=shop", `[
		{"id": "a"}, {"id": "b", "site": "nowhere"}, 42, {"id": "c", "e": "big"}, {"id": "d", "c": 0}, {"e": "last"}, {"id": "undefined"}]`)
	require.Equal(t, http.StatusBadRequest, got.StatusCode)
	require.Equal(t, "rejected; reason=site_unknown", got.onepx())
	all := got.told(t)
	require.Equal(t, []string{
		"a stored", "b rejected site_unknown", "rejected event_not_object", "c rejected event_too_large", "d suppressed opted_out",
	}, all.words()[:5])
	require.Len(t, all.Results[5].ID, 36, "an id that was made is told")
	require.Len(t, all.Results[6].ID, 36, "also where the one given was none")
	require.Equal(t, []string{"page_view", "last", "page_view"}, e.names())
	require.Equal(t, 7, e.counters()["onepx_collector_events_received_total"])
	require.Equal(t, 3, e.counters()[`onepx_collector_events_total{outcome="stored",reason=""}`])
}

func TestAnEventThatMayBeSentAgainDecidesTheStatus(t *testing.T) {
	e := start(t)
	e.publisher.fates = map[string]reason.Reason{"lost": reason.KafkaUnavailable}
	got := e.post("/e?site=shop", `[{"id":"a"},{"id":"b","site":""},{"id":"c","site":"nowhere"},{"id":"d","e":"lost"}]`)
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.Equal(t, "rejected; reason=kafka_unavailable", got.onepx())
	require.Equal(t, "5", got.Header.Get("Retry-After"))
	all := got.told(t)
	require.Equal(t, []string{"a stored", "b stored", "c rejected site_unknown", "d rejected kafka_unavailable"}, all.words())
	require.True(t, all.Results[3].Retry)
	require.False(t, all.Results[2].Retry)
}

func TestResultsForThoseWhoAsk(t *testing.T) {
	e := start(t)
	got := e.post("/e?site=shop", `{"id":"a"}`, "Accept", "application/json, text/plain, */*")
	require.Equal(t, http.StatusOK, got.StatusCode)
	require.Equal(t, []string{"a stored"}, got.told(t).words())
	require.Equal(t, http.StatusNoContent, e.post("/e?site=shop", `{"id":"a"}`, "Accept", "*/*").StatusCode)
	got = e.post("/e?site=shop", `[]`, "Accept", "application/json")
	require.JSONEq(t, `{"results":[]}`, string(got.body))
}

func TestDebugInABody(t *testing.T) {
	e := start(t)
	got := e.post("/e?site=shop", `[{"id":"a","debug":1},{"id":"b","debug":true,"site":"nowhere"},{"id":"c"}]`, "Cookie", "onepx_v=AAECAwQFBgcICQoLDA0ODw")
	require.Equal(t, http.StatusOK, got.StatusCode)
	all := got.told(t)
	require.Equal(t, []string{"a ignored debug_request", "b ignored debug_request", "c stored"}, all.words())
	require.Equal(t, "stored", all.Results[0].Debug.Outcome)
	require.Contains(t, string(all.Results[0].Debug.Event), `"site_id"`)
	require.Equal(t, "rejected", all.Results[1].Debug.Outcome)
	require.Nil(t, all.Results[2].Debug)
	require.Equal(t, "stored", got.onepx())
	require.Len(t, e.publisher.events, 1)
	require.Nil(t, e.post("/e?site=shop&debug=1", `{"c":0}`, "Cookie", "onepx_v=AAECAwQFBgcICQoLDA0ODw").setCookie("onepx_v"))
}

func TestTheEventsOfABodyAreOneVisitors(t *testing.T) {
	for _, test := range []struct {
		name, body string
		kinds      string
		set        bool
	}{
		{"the first one makes the visitor", `[{"id":"a"},{"id":"b"},{"id":"c"}]`, "MINTED MINTED MINTED", true},
		{"which is not that of an event with an id of its own", `[{"id":"a","v":"ann"},{"id":"b"}]`, "PROVIDED MINTED", true},
		{"whoever refuses later gets no cookie", `[{"id":"a"},{"id":"b","c":false}]`, "MINTED", false},
		{"what debug=1 makes is nobody's", `[{"id":"a","debug":1},{"id":"b"}]`, "MINTED", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			got := e.post("/e?site=shop", test.body)
			require.Equal(t, test.set, got.setCookie("onepx_v") != nil)
			var kinds []string
			minted := map[string]bool{}
			for _, ev := range e.publisher.events {
				kind := strings.TrimPrefix(ev.GetVisitor().GetKind().String(), "VISITOR_KIND_")
				kinds = append(kinds, kind)
				if kind == "MINTED" {
					minted[string(ev.GetVisitor().GetVisitorId())] = true
				}
			}
			require.Equal(t, test.kinds, strings.Join(kinds, " "))
			require.Len(t, minted, 1)
			if test.set {
				next := e.post("/e?site=shop", "{}", "Cookie", "onepx_v="+got.setCookie("onepx_v").Value)
				require.Nil(t, next.setCookie("onepx_v"))
				last := e.publisher.events[len(e.publisher.events)-1].GetVisitor()
				require.Equal(t, onepxv1.VisitorKind_VISITOR_KIND_COOKIE, last.GetKind())
				require.True(t, minted[string(last.GetVisitorId())])
			}
		})
	}
}

func TestAnEventIDInTheURLIsThatOfOneEventOnly(t *testing.T) {
	e := start(t)
	e.post("/e?site=shop&id=x", "{}")
	e.post("/e?site=shop&id=x", `[{},{"id":"x"}]`)
	require.Equal(t, e.publisher.events[0].GetEventId(), e.publisher.events[2].GetEventId())
	require.NotEqual(t, e.publisher.events[0].GetEventId(), e.publisher.events[1].GetEventId())
}

func TestADefectCostsItsOwnEvents(t *testing.T) {
	e := start(t)
	e.publisher.panics = true
	got := e.post("/e?site=shop", `[{"id":"a"},{"id":"b","site":"nowhere"},{"id":"c"}]`)
	require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	require.Equal(t, []string{"a rejected internal_error", "b rejected site_unknown", "c rejected internal_error"}, got.told(t).words())
	require.Equal(t, 1, e.counters()["onepx_collector_panics_total"])

	e.publisher.panics = false
	suppressVisitor(e)
	e.suppressions.panics = true
	got = e.post("/e?site=shop", `[{"id":"a"},{"id":"b","v":"00112233-4455-6677-8899-aabbccddeeff"},{"id":"c"}]`)
	require.Equal(t, []string{"a stored", "b rejected internal_error", "c stored"}, got.told(t).words())
}

func TestScriptsOfOtherOriginsSendBeacons(t *testing.T) {
	const listed, other = "https://shop.example", "https://evil.example"
	for _, test := range []struct{ name, method, target, body, origin, allowed, credentials string }{
		{"a listed origin may send cookies", "POST", "/e", `{"site":"shop"}`, listed, listed, "true"},
		{"another one may read without", "POST", "/e", `{"site":"shop"}`, other, "*", ""},
		{"the site may stand in the URL", "POST", "/e?site=shop", "", listed, listed, "true"},
		{"all sites of the events must list it", "POST", "/e", `[{"site":"shop"},{"site":"blog"}]`, listed, "*", ""},
		{"in any order", "POST", "/e", `[{"site":"blog"},{"site":"shop"}]`, listed, "*", ""},
		{"two may", "POST", "/e", `[{"site":"slow"},{"site":"shop"}]`, listed, listed, "true"},
		{"an event of no site does not count", "POST", "/e", `[{"site":"shop"},{"site":"nowhere"}]`, listed, listed, "true"},
		{"without a site there are no origins", "POST", "/e", `{"site":"nowhere"}`, listed, "*", ""},
		{"a refusal can be read too", "POST", "/e?site=shop", `{`, listed, listed, "true"},
		{"null is no origin", "POST", "/e?site=shop", "", "null", "*", ""},
		{"asking first: the site is known", "OPTIONS", "/e?site=shop", "", listed, listed, "true"},
		{"asking first: the site does not list it", "OPTIONS", "/e?site=blog", "", listed, "*", ""},
		{"asking first: the site will be in the body", "OPTIONS", "/e", "", listed, listed, "true"},
		{"asking first: nobody lists it", "OPTIONS", "/e", "", other, "*", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			got := e.send(test.method, test.target, strings.NewReader(test.body), "Origin", test.origin,
				"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
			require.Equal(t, test.allowed, got.Header.Get("Access-Control-Allow-Origin"))
			require.Equal(t, test.credentials, got.Header.Get("Access-Control-Allow-Credentials"))
			require.Equal(t, "Origin", got.Header.Get("Vary"))
			require.NotContains(t, fmt.Sprint(got.Header), other, "an unlisted origin is not named")
			if test.method == http.MethodOptions {
				require.Equal(t, http.StatusNoContent, got.StatusCode)
				require.Equal(t, "POST", got.Header.Get("Access-Control-Allow-Methods"))
				require.Equal(t, "Content-Type, Content-Encoding", got.Header.Get("Access-Control-Allow-Headers"))
			}
		})
	}
}

func TestASiteSendsNoMoreThanItsRate(t *testing.T) {
	e := start(t) // slow: 10 a second, 500 at once
	full := "[" + strings.Repeat(`{"site":"slow"},`, 498) + `{"site":"slow"}]`
	require.Equal(t, http.StatusNoContent, e.post("/e", full).StatusCode)
	got := e.post("/e", `[{"id":"a","site":"slow"},{"id":"b","site":"shop"},{"id":"c","site":"slow"},{"id":"d","site":"nowhere"}]`)
	require.Equal(t, http.StatusTooManyRequests, got.StatusCode)
	require.Equal(t, "1", got.Header.Get("Retry-After"))
	all := got.told(t)
	require.Equal(t, []string{"a rejected rate_limited", "b stored", "c rejected rate_limited", "d rejected site_unknown"}, all.words())
	require.True(t, all.Results[0].Retry)
	require.Equal(t, "11", e.post("/e", "["+strings.Repeat(`{"site":"slow"},`, 101)+`{"site":"slow"}]`).Header.Get("Retry-After"))
	require.Equal(t, http.StatusNoContent, e.post("/e", `{"site":"slow"}`).StatusCode, "what was refused took nothing")
	require.Equal(t, http.StatusTooManyRequests, e.post("/e", `{"site":"slow"}`).StatusCode)
	require.Equal(t, http.StatusOK, e.get("/p.gif?site=slow").StatusCode, "the pixel is not limited")
}
