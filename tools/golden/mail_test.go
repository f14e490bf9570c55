//go:build integration

package golden_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/newsletter"
)

// letters are newsletters and all that comes of them.
type letters struct {
	all    []*newsletter.Newsletter
	hits   []answers.MailHit
	pages  []answers.MailPage
	orders []answers.MailOrder
	// made are the ids that the hits had before the collector gave them others.
	made []string
}

// newsletters are a large one, a small one and one that nobody says to have sent.
func newsletters(seed uint64) *letters {
	l := &letters{}
	sent := time.Date(2026, 6, 2, 22, 0, 0, 0, time.UTC)
	for i, one := range []struct {
		campaign   string
		recipients int
	}{{"one", 5000}, {"two", 400}, {"untold", 300}} {
		n := newsletter.New(seed+uint64(i), one.campaign, one.recipients, sent.AddDate(0, 0, 40*i))
		for _, h := range n.Hits {
			if !isDelivery(h) || one.campaign != "untold" {
				l.hits = append(l.hits, h)
			}
		}
		l.all, l.pages, l.orders = append(l.all, n), append(l.pages, n.Pages...), append(l.orders, n.Orders...)
	}
	return l
}

// isDelivery tells what the sender reports from what readers do.
func isDelivery(h answers.MailHit) bool {
	return h.Hit != "open" && h.Hit != "click" && h.Hit != "unsubscribe"
}

// compareMail holds what is said of the newsletters against the reference, and people's clicks against the truth.
func compareMail(t *testing.T, w *world, sent *letters) {
	t.Helper()
	sent.learnIDs(t, w)
	reference := answers.NewMail(sent.hits, sent.pages)
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
	sent.compareClicks(t, rules)
	c := newComparison(w.clickHouse, mailSite, nil)
	all := answers.Range{From: "2026-06-01", To: "2026-12-31"}
	first := answers.Range{From: "2026-06-01", To: "2026-06-30"}
	site := answers.Site{Zone: time.UTC, Currency: "EUR", Goals: mailGoals}
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
		{question{"email_clients", "", reference.EmailClients(all)}, all},
		{question{"email_trackable", "", reference.EmailTrackable(all)}, all},
		{question{"email_revenue", "", reference.EmailRevenue(all, site, answers.DefaultModel, sent.orders)}, all},
		{question{"email_revenue", ", model = 'linear', campaign = 'one'", reference.EmailRevenue(first, site, "linear", sent.orders)}, first},
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

// compareClicks holds the clicks that are counted as people's against those that people made: one in a hundred may be missed, and none
// may be a gateway's.
func (l *letters) compareClicks(t *testing.T, rules map[string]string) {
	t.Helper()
	human, people := 0, 0
	ids := map[string]string{} // of the newsletters to those of the collector
	for i := range l.hits {
		ids[l.made[i]] = l.hits[i].ID
	}
	for _, n := range l.all {
		for id := range n.MachineClicks {
			require.NotContains(t, []string{"calm", "on_site"}, rules[ids[id]], "a machine's click")
		}
		people += len(n.PersonClicks)
		for id := range n.PersonClicks {
			if rule := rules[ids[id]]; rule == "calm" || rule == "on_site" {
				human++
			}
		}
	}
	require.Positive(t, people)
	require.InEpsilon(t, people, human, 0.01)
}
