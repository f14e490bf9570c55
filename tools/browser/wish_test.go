//go:build integration

package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/storage"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// px is a collector of these tests alone, whose metrics count nobody else.
type px struct {
	*pipeline.Service
	url string
}

func (s *shop) ownCollector(t *testing.T, name string) px {
	t.Helper()
	collector, err := s.pipeline.StartCollector(t.Context(), name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, collector.Stop()) })
	return px{collector, "http://px.shop.localhost:" + port(collector.URL)}
}

// page puts a page with the pixel of the collector at the path, and is its URL.
func (s *shop) page(on px, name string) string {
	s.serve("/"+name, fmt.Sprintf(`<img src="%s/p.gif?site=shop&amp;p.case=%s" width="1" height="1" alt="" referrerpolicy="no-referrer-when-downgrade">`, on.url, name), nil)
	return s.url + "/" + name
}

// counts are the collector's events by outcome and reason.
func (p px) counts(t *testing.T, outcome, reason string) float64 {
	t.Helper()
	n, err := p.Metric(t.Context(), "onepx_collector_events_total", "outcome", outcome, "reason", reason)
	require.NoError(t, err)
	return n
}

// cookies are all cookies of the browser, as name=value, by name.
func (b *browser) cookies() map[string]string {
	b.t.Helper()
	all, err := chromedp.CallBrowser(b.ctx, storage.GetCookies, storage.GetCookiesParams{})
	require.NoError(b.t, err)
	values := map[string]string{}
	for _, c := range all.Cookies {
		values[c.Name] += c.Value
	}
	return values
}

// press presses keys on the page.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		require.NoError(b.t, chromedp.Do(b.ctx, chromedp.KeyEvent(key)))
	}
}

// titled waits until the browser's page has the title. It needs no scripts.
func (b *browser) titled(title string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		targets, err := chromedp.CallBrowser(b.ctx, target.GetTargets, target.GetTargetsParams{})
		require.NoError(b.t, err)
		for _, info := range targets.TargetInfos {
			if info.Type == "page" && info.Title == title {
				return true
			}
		}
		return false
	}, patience, glance, title)
}

const tab, enter = "\t", "\r"

// optsOut is somebody without a mouse whose browser runs no scripts.
func (s *shop) optsOut(t *testing.T) {
	on := s.ownCollector(t, "wishes")
	b := start(t, chromedp.Flag("blink-settings", "scriptEnabled=false"))
	b.visit(s.page(on, "before"))
	before := s.row(t, "before")
	known := b.cookies()
	require.Len(t, known, 1)

	b.visit(on.url + "/optout")
	b.press(tab, enter)
	b.titled("You have opted out")
	require.Equal(t, map[string]string{"onepx_optout": "1"}, b.cookies())
	b.visit(s.page(on, "after"))
	require.EqualValues(t, 1, on.counts(t, "suppressed", "opted_out"))
	require.EqualValues(t, 1, on.counts(t, "stored", ""))
	s.elsewhere(t, "onepx_v="+known["onepx_v"])
	s.atTheConsumer(t, uuid.MustParse(before.VisitorID))

	b.visit(on.url + "/optout")
	b.press(tab, enter)
	b.titled("Opt out of measurement")
	require.Empty(t, b.cookies())
	b.visit(s.page(on, "again"))
	again := s.row(t, "again")
	require.Equal(t, "minted", again.VisitorKind)
	require.NotEqual(t, before.VisitorID, again.VisitorID, "nobody knows who it was")
	require.Len(t, s.rows(t, "/after"), 0)
}

// elsewhere holds that a collector which never saw the wish stores nothing of the visitor either.
func (s *shop) elsewhere(t *testing.T, cookie string) {
	t.Helper()
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:"+port(s.px)+"/p.gif?site=shop&p.case=elsewhere", http.NoBody)
		require.NoError(t, err)
		request.Header.Set("Cookie", cookie)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.Header.Get("Onepx-Event") == "suppressed; reason=suppression_list"
	}, patience, glance)
}

// atTheConsumer holds that an event of the visitor which was on its way already is a row without anything of it.
func (s *shop) atTheConsumer(t *testing.T, visitor uuid.UUID) {
	t.Helper()
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(os.Getenv("ONEPX_TEST_KAFKA")), Transport: transport}
	var row struct {
		Outcome, Reason, URL string
		VisitorID            string `json:"visitor_id"`
	}
	require.Eventually(t, func() bool { // the consumer reads the list beside the events
		id, now := uuid.New(), time.Now()
		value, err := proto.Marshal(&onepxv1.Event{
			Schema: 1, EventId: id[:], SiteId: "shop", Name: "page_view", Kind: onepxv1.EventKind_EVENT_KIND_PAGE_VIEW, ReceivedAtMs: now.UnixMilli(), OccurredAtMs: now.UnixMilli(),
			Visitor: &onepxv1.Visitor{Kind: onepxv1.VisitorKind_VISITOR_KIND_COOKIE, VisitorId: visitor[:]},
			Page:    &onepxv1.Page{Url: "https://shop.example/on-its-way"},
		})
		require.NoError(t, err)
		res, err := client.Produce(t.Context(), &kafka.ProduceRequest{
			Topic: "onepx.events", Partition: 0, RequiredAcks: kafka.RequireAll,
			Records: kafka.NewRecordReader(kafka.Record{Time: now, Key: kafka.NewBytes(id[:]), Value: kafka.NewBytes(value)}),
		})
		require.NoError(t, err)
		require.NoError(t, res.Error)
		require.Eventually(t, func() bool {
			found := false
			require.NoError(t, s.clickHouse.Query(t.Context(), fmt.Sprintf("SELECT * FROM onepx.events WHERE kafka_partition = 0 AND kafka_offset = %d", res.BaseOffset), func(raw json.RawMessage) error {
				found = true
				return json.Unmarshal(raw, &row)
			}))
			return found
		}, patience, glance)
		return row.Outcome == "suppressed"
	}, patience, glance)
	require.Equal(t, "suppression_list", row.Reason)
	require.Empty(t, row.URL)
	require.Equal(t, uuid.Nil.String(), row.VisitorID)
}

// embedded is the page in a frame of the site's own page, and of one that the site does not list.
func (s *shop) embedded(t *testing.T) {
	on := s.ownCollector(t, "frames")
	b := start(t)
	s.serve("/privacy", fmt.Sprintf(`<title>Privacy</title><iframe src="%s/optout?site=shop" title="Opt out of measurement"></iframe>`, on.url), nil)
	b.visit(strings.Replace(s.url, "shop.localhost", "forum.shop.localhost", 1) + "/privacy")
	require.NotContains(t, b.elements(), "BUTTON")
	b.visit(s.url + "/privacy")
	require.Contains(t, b.elements(), "BUTTON")
	b.press(tab, enter) // into the frame, to its button
	require.Eventually(t, func() bool { return b.cookies()["onepx_optout"] == "1" }, patience, glance)
	wished, err := on.Metric(t.Context(), "onepx_collector_wishes_total", "request", "opt_out", "reason", "")
	require.NoError(t, err)
	require.EqualValues(t, 1, wished)
}

// elements are the page's elements, with those of frames of the same site.
func (b *browser) elements() string {
	b.t.Helper()
	document, err := chromedp.Call(b.ctx, dom.GetDocument, dom.GetDocumentParams{Depth: new(int64(-1)), Pierce: new(true)})
	require.NoError(b.t, err)
	all, err := json.Marshal(document.Root)
	require.NoError(b.t, err)
	require.Contains(b.t, string(all), "IFRAME")
	return string(all)
}

// globalPrivacyControl is a browser that sends it: no ads, and the hit counts without a cookie.
func (s *shop) globalPrivacyControl(t *testing.T) {
	on := s.ownCollector(t, "gpc")
	b := start(t)
	_, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	_, err = chromedp.Call[network.SetExtraHTTPHeadersParams, cdp.Empty](b.ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Sec-GPC": "1"}})
	require.NoError(t, err)
	b.visit(s.page(on, "gpc"))
	got := s.row(t, "gpc")
	require.Equal(t, []string{"event", "daily_hash"}, []string{got.Outcome, got.VisitorKind})
	require.Empty(t, b.cookies())
	s.answers(t, "SELECT consent_measure, consent_profile, consent_share, consent_cookie, consent_decided_by FROM onepx.events WHERE props['case'] = 'gpc'",
		[]string{`[true, false, false, false, "gpc"]`})
}
