//go:build integration

package browser_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// reloads is the day-to-day of a shop without scripts: somebody comes by a newsletter, orders, loads the thank-you page again
// and again, and opens it once more two days later; then the shop pays a part back.
func (s *shop) reloads(t *testing.T) {
	clock := pipeline.Clock(filepath.Join(t.TempDir(), "clock"))
	sale := noon(t).AddDate(0, 0, -3)
	later := sale.AddDate(0, 0, 2)
	require.NoError(t, clock.Set(sale))
	collector, err := s.pipeline.StartCollector(t.Context(), "tea", clock.Setting())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, collector.Stop()) })
	image := `<img src="http://px.shop.localhost:` + port(collector.URL) + `/p.gif?site=tea%s" width="1" height="1" alt="" referrerpolicy="no-referrer-when-downgrade">`
	s.serve("/tea", fmt.Sprintf(image, ""), nil)
	s.serve("/tea/thanks", fmt.Sprintf(image, `&amp;e=purchase&amp;order_id=1001&amp;value=49.90&amp;currency=EUR`+
		`&amp;items=%5B%7B%22id%22%3A%22sku-1%22%2C%22qty%22%3A2%2C%22price%22%3A%2219.95%22%7D%2C%7B%22id%22%3A%22sku-2%22%2C%22price%22%3A%2210%22%7D%5D`), nil)

	profile := chromedp.UserDataDir(t.TempDir())
	b := start(t, profile)
	b.visit(s.url + "/tea?utm_source=news&utm_medium=email&utm_campaign=autumn-26")
	for minutes, load := range []chromedp.Action[chromedp.Void]{
		chromedp.Navigate(s.url + "/tea/thanks"), chromedp.Reload(), chromedp.Reload(), chromedp.Reload(),
	} {
		require.NoError(t, clock.Set(sale.Add(time.Duration(minutes+1)*time.Minute)))
		require.NoError(t, chromedp.Do(b.ctx, load))
	}
	require.NoError(t, chromedp.Cancel(b.ctx), "close the browser")
	require.NoError(t, clock.Set(later))
	start(t, profile).visit(s.url + "/tea/thanks")
	require.NoError(t, clock.Set(later.Add(time.Hour)))
	report(t, collector.URL, `{"e": "refund", "order_id": "1001", "value": 9.90, "currency": "EUR"}`)
	s.reports(t, sale.Format(time.DateOnly), later.Format(time.DateOnly))
}

// noon is that of today in the site's time zone.
func noon(t *testing.T) time.Time {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	year, month, day := time.Now().In(zone).Date()
	return time.Date(year, month, day, 12, 0, 0, 0, zone)
}

// report is what the shop's server says.
func report(t *testing.T, collector, event string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, collector+"/v1/events", strings.NewReader(event))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+teaKey)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "stored", res.Header.Get("Onepx-Event"), string(body))
}

// reports compares what the site tea is told of the order, day by day, with what happened.
func (s *shop) reports(t *testing.T, sale, later string) {
	s.answers(t, "SELECT count() FROM onepx.events WHERE site_id = 'tea'", []string{"[7]"}) // each load is a request, and one row
	parameters := fmt.Sprintf("(site='tea', from='%s', to='%s')", sale, later)
	for name, tc := range map[string]struct {
		query string
		want  []string
	}{
		"the profile keeps its cookie, so all loads are one visitor's": {
			"WITH (SELECT visitor_id FROM onepx.events WHERE site_id = 'tea' AND name = 'page_view') AS came " +
				"SELECT name, outcome, visitor_kind, visitor_id = came, count() FROM onepx.events WHERE site_id = 'tea' GROUP BY ALL ORDER BY name",
			[]string{`["page_view", "event", "minted", 1, 1]`, `["purchase", "event", "cookie", 1, 5]`, `["refund", "event", "none", 0, 1]`},
		},
		"one conversion, whose value is the net, and whose hits are the five loads": {
			"SELECT day, order_id, value, gross, hits, flags FROM onepx.conversions" + parameters,
			[]string{`["` + sale + `", "1001", 40, 49.9, 5, []]`},
		},
		"the campaign that brought the visitor has the net": {
			"SELECT source, medium, campaign, conversions, revenue, clicks FROM onepx.campaign_revenue" + parameters,
			[]string{`["news", "email", "autumn-26", 1, 40, 1]`},
		},
		"revenue once; the refund on the day of the sale by one date, on its own by the other": {
			"SELECT dated_by, day, orders, sales, refunded, net, repeats FROM onepx.revenue_ledger" + parameters + " ORDER BY dated_by, day",
			[]string{
				`["booking", "` + sale + `", 1, 49.9, 0, 49.9, 3]`, `["booking", "` + later + `", 0, 0, 9.9, -9.9, 1]`,
				`["sale", "` + sale + `", 1, 49.9, 9.9, 40, 3]`, `["sale", "` + later + `", 0, 0, 0, 0, 1]`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) { s.answers(t, tc.query, tc.want) })
	}
}

// answers waits until these rows, each a JSON array, are the answer: what views read is filled a moment after the events.
func (s *shop) answers(t *testing.T, query string, want []string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var rows []string
		err := s.clickHouse.Query(t.Context(), query+" FORMAT JSONCompactEachRow", func(raw json.RawMessage) error {
			rows = append(rows, string(raw))
			return nil
		})
		assert.NoError(c, err)
		assert.Equal(c, want, rows)
	}, patience, glance)
}
