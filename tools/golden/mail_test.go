//go:build integration

package golden_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/newsletter"
)

// mailSite is the site of the newsletters.
const mailSite = "letters"

// compareMail holds what is said of two newsletters to the same readers, and of one that is not told to have been sent, against
// the reference.
func compareMail(t *testing.T, w *world) {
	t.Helper()
	sent := time.Date(2026, 11, 2, 22, 0, 0, 0, time.UTC)
	hits, pages := []answers.MailHit{}, []answers.MailPage{}
	for i, campaign := range []string{"one", "two", "untold"} {
		n := newsletter.New(seed(t)+uint64(i), campaign, 700, sent.AddDate(0, 0, 40*i))
		for _, h := range n.Hits {
			if told := h.Hit == "open" || h.Hit == "click" || h.Hit == "unsubscribe"; told || campaign != "untold" {
				hits = append(hits, h)
			}
		}
		pages = append(pages, n.Pages...)
	}
	storeMail(t, w, hits, pages)
	reference := answers.NewMail(hits, pages)
	rules := map[string]string{}
	require.NoError(t, w.clickHouse.Query(t.Context(), "SELECT event_id, rule FROM onepx.mail_hits_explained(site = '"+mailSite+"')", func(raw json.RawMessage) error {
		var row struct {
			EventID string `json:"event_id"`
			Rule    string `json:"rule"`
		}
		err := json.Unmarshal(raw, &row)
		rules[row.EventID] = row.Rule
		return err
	}))
	require.Equal(t, reference.Explained(), rules)
	c := newComparison(w.clickHouse, mailSite, nil)
	all := answers.Range{From: "2026-11-01", To: "2027-12-31"}
	first := answers.Range{From: "2026-11-01", To: "2026-11-30"}
	zone, err := time.LoadLocation("Asia/Kolkata")
	require.NoError(t, err)
	for _, q := range []struct {
		question
		r answers.Range
	}{
		{question{"email_stats", "", reference.EmailStats(all)}, all},
		{question{"email_stats", ", campaign = 'one'", reference.EmailStats(first)}, first},
		{question{"link_stats", "", reference.LinkStats(all)}, all},
		{question{"email_timeline", ", tz = 'Asia/Kolkata'", reference.EmailTimeline(all, zone)}, all},
		{question{"email_trackable", "", reference.EmailTrackable(all)}, all},
		{question{"machine_share", "", reference.MachineShare(first, "network")}, first},
		{question{"machine_share", ", by = 'user_agent'", reference.MachineShare(all, "user_agent")}, all},
		{question{"machine_share", ", by = 'rule'", reference.MachineShare(all, "rule")}, all},
	} {
		t.Run(q.view+q.more, func(t *testing.T) {
			t.Parallel()
			c.compare(t, q.question, q.r)
		})
	}
}

// storeMail puts the hits into the tables of facts.
func storeMail(t *testing.T, w *world, hits []answers.MailHit, pages []answers.MailPage) {
	t.Helper()
	const instant = "2006-01-02 15:04:05.000"
	text := func(s string) string { return "'" + s + "'" }
	id := func(s string) string { return text(cmp.Or(s, nobody)) }
	var rows []string
	for _, h := range hits {
		rows = append(rows, fmt.Sprintf("(%s)", strings.Join([]string{
			text(mailSite), text(h.Campaign), id(h.Recipient), text(h.Message), text(h.Hit), text(h.Link), fmt.Sprintf("toUInt16OrZero(splitByChar('-', %s)[1])", text(h.Link)),
			text(h.At.Format(instant)), id(h.ID), text(h.At.Format(time.DateOnly)), text(h.Sent.UTC().Format(time.DateTime)), id(h.Visitor),
			text(h.Traffic), fmt.Sprint(h.Head), text(h.Network), text(h.Agent), "now() + toIntervalYear(1)",
		}, ", ")))
	}
	require.NoError(t, w.clickHouse.Query(t.Context(), "INSERT INTO onepx.mail_hits (site_id, campaign, recipient_key, message, hit, link_id, position, occurred_at, event_id, "+
		"site_day, sent_at, visitor_id, traffic_class, head, ip_prefix, user_agent, expires_at) VALUES "+strings.Join(rows, ","), nil))
	rows = nil
	for i, p := range pages {
		rows = append(rows, fmt.Sprintf("('%s', 'cookie', '%s', '%s', '%s', '%s', 'page_view', 'page_view', %t, now() + toIntervalYear(1))", mailSite, p.Visitor,
			p.At.Format(time.DateOnly), p.At.Format(instant), fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), p.Bot))
	}
	require.NoError(t, w.clickHouse.Query(t.Context(), "INSERT INTO onepx.visitor_events (site_id, visitor_kind, visitor_id, site_day, occurred_at, event_id, kind, name, is_bot, "+
		"expires_at) VALUES "+strings.Join(rows, ","), nil))
}
