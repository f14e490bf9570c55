package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/eventlog"
)

// send sends the request with the cookies, given as in the header, and follows no redirect.
func send(t *testing.T, method, target, cookies string) *http.Response {
	t.Helper()
	request, err := http.NewRequest(method, target, nil)
	require.NoError(t, err)
	request.Header.Set("Cookie", cookies)
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response
}

func TestAnOptOutHoldsOnCollectorsThatNeverSawTheBrowser(t *testing.T) {
	first, broker := start(t, nil)
	second := launchOn(t, broker, nil)
	second.waitReady(t, http.StatusOK)
	cookie := "onepx_v=" + send(t, http.MethodGet, first.url+"/p.gif?site=shop", "").Cookies()[0].Value
	require.Equal(t, "stored", send(t, http.MethodGet, second.url+"/p.gif?site=shop", cookie).Header.Get("Onepx-Event"))

	require.Equal(t, http.StatusSeeOther, send(t, http.MethodPost, first.url+"/optout", cookie).StatusCode)
	const suppressed = "suppressed; reason=suppression_list"
	require.Equal(t, suppressed, send(t, http.MethodGet, first.url+"/p.gif?site=shop", cookie).Header.Get("Onepx-Event"), "at once where it was said")
	require.Eventually(t, func() bool {
		return send(t, http.MethodGet, second.url+"/p.gif?site=shop", cookie).Header.Get("Onepx-Event") == suppressed
	}, patience, tick)
	first.end(t)
	third := launchOn(t, broker, nil)
	third.waitReady(t, http.StatusOK)
	require.Equal(t, suppressed, send(t, http.MethodGet, third.url+"/p.gif?site=shop", cookie).Header.Get("Onepx-Event"), "as long as the topic is there")

	require.Equal(t, http.StatusSeeOther, send(t, http.MethodPost, third.url+"/optin", cookie).StatusCode)
	require.Equal(t, "stored", send(t, http.MethodGet, third.url+"/p.gif?site=shop", cookie).Header.Get("Onepx-Event"))
	require.Len(t, broker.Records(t, eventlog.TopicSuppressions), 2)
}

func TestALinkOptsItsRecipientOut(t *testing.T) {
	c, broker := start(t, nil)
	maker := identity.New(testSecret)
	key := maker.UserKey("shop", "customer-77")
	link := "/optout?" + url.Values{"site": {"shop"}, "link": {maker.SignLink("shop", identity.Link{Kind: identity.LinkUser, Key: key, Expires: time.Now().Add(time.Hour)})}}.Encode()
	require.Equal(t, http.StatusOK, send(t, http.MethodGet, c.url+link, "").StatusCode)
	require.Empty(t, broker.Records(t, eventlog.TopicSuppressions), "a scanner of mails has followed the link")
	require.Equal(t, http.StatusSeeOther, send(t, http.MethodPost, c.url+link, "").StatusCode)
	require.Equal(t, "suppressed; reason=suppression_list", get(c.url+"/p.gif?site=shop&uid=customer-77").onepx)
	records := broker.Records(t, eventlog.TopicSuppressions)
	require.Len(t, records, 1)
	require.Equal(t, "user:"+string(key), string(records[0].Key))
}

func TestAnOptOutThatKafkaDoesNotAcknowledgeIsNotCalledDone(t *testing.T) {
	c, broker := start(t, nil)
	cookie := "onepx_v=" + send(t, http.MethodGet, c.url+"/p.gif?site=shop", "").Cookies()[0].Value
	fault := broker.FailProduces(-1, kerr.NotEnoughReplicas)
	out := send(t, http.MethodPost, c.url+"/optout", cookie)
	require.Equal(t, http.StatusServiceUnavailable, out.StatusCode)
	require.Equal(t, "30", out.Header.Get("Retry-After"))
	require.Len(t, out.Cookies(), 2, "the browser keeps the choice all the same")
	metrics := get(c.admin + "/metrics").body
	require.Contains(t, metrics, `onepx_collector_wishes_total{reason="suppression_unwritten",request="opt_out"} 1`)
	require.NotContains(t, c.log.String(), strings.TrimPrefix(cookie, "onepx_v="))

	fault.Remove()
	require.Equal(t, http.StatusSeeOther, send(t, http.MethodPost, c.url+"/optout", cookie).StatusCode)
	require.Equal(t, "suppressed; reason=suppression_list", send(t, http.MethodGet, c.url+"/p.gif?site=shop", cookie).Header.Get("Onepx-Event"))
}
