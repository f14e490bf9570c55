//go:build integration

package golden_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// mailCollectors is how many collectors take the mails' hits, each with a clock of its own: no two hits have one time.
	mailCollectors = 6
	// scannersNetwork is one of a data centre, scannersFile the file that says so.
	scannersNetwork = "104.131.3.0/24"
	scannersFile    = "datacenters.txt"
	// mailBatch is how many events a server sends at once.
	mailBatch = 500
)

// moment is a request at a time.
type moment struct {
	at   time.Time
	send func(ctx context.Context, m *mailer) error
}

// mailer sends to one collector.
type mailer struct {
	*world
	collector string
	clock     pipeline.Clock
	urls      *mailtoken.URLs
	moments   []moment
	// visitors are the cookies of visitors.
	visitors map[string]string
}

// pushMail sends what the readers do and what the sender reports, each at its time.
func (w *world) pushMail(t *testing.T, l *letters) {
	t.Helper()
	keys := mailtoken.NewKeys()
	ring, err := mailtoken.ParseRing(keys)
	require.NoError(t, err)
	mailers := make([]*mailer, mailCollectors)
	for i := range mailers {
		m := &mailer{world: w, clock: pipeline.Clock(filepath.Join(w.pipeline.Dir, fmt.Sprint("clock-", i))), visitors: map[string]string{}}
		require.NoError(t, m.clock.Set(time.Now()))
		collector, err := w.pipeline.StartCollector(t.Context(), fmt.Sprint("mail-", i), m.clock.Setting(), "ONEPX_MAIL_KEYS="+keys,
			"ONEPX_DATACENTER_FILE="+filepath.Join(w.pipeline.Dir, scannersFile))
		require.NoError(t, err)
		defer func() { require.NoError(t, collector.Stop()) }()
		m.collector = collector.URL
		m.urls, err = mailtoken.NewURLs(collector.URL, ring)
		require.NoError(t, err)
		mailers[i] = m
	}
	l.divide(mailers)
	sending, ctx := errgroup.WithContext(t.Context())
	for _, m := range mailers {
		sending.Go(func() error { return m.sendAll(ctx) })
	}
	require.NoError(t, sending.Wait())
	require.NoError(t, mailers[0].report(t.Context(), l.hits))
}

// divide gives all that a visitor and a recipient do to one of them.
func (l *letters) divide(mailers []*mailer) {
	of := func(who string) *mailer {
		hash := fnv.New32()
		_, _ = hash.Write([]byte(who))
		return mailers[hash.Sum32()%mailCollectors]
	}
	recipients := map[string]string{}
	for _, h := range l.hits {
		if h.Visitor != "" {
			recipients[h.Visitor] = h.Recipient
		}
		if !isDelivery(h) {
			m := of(h.Recipient)
			m.moments = append(m.moments, moment{h.At, func(ctx context.Context, m *mailer) error { return m.hit(ctx, h) }})
		}
	}
	for _, p := range l.pages {
		m := of(recipients[p.Visitor])
		m.moments = append(m.moments, moment{p.At, func(ctx context.Context, m *mailer) error {
			return m.browse(ctx, p.Visitor, map[string]string{"u": target(p.Campaign)})
		}})
	}
	for _, o := range l.orders {
		m := of(recipients[o.Visitor])
		m.moments = append(m.moments, moment{o.At, func(ctx context.Context, m *mailer) error {
			return m.browse(ctx, o.Visitor, map[string]string{"e": "purchase", "order_id": o.ID, "currency": "EUR", "value": fmt.Sprintf("%d.%02d", o.Cents/100, o.Cents%100), "u": "https://shop.example/thanks"})
		}})
	}
	for _, m := range mailers {
		slices.SortStableFunc(m.moments, func(a, b moment) int { return a.at.Compare(b.at) })
	}
}

func (m *mailer) sendAll(ctx context.Context) error {
	for _, next := range m.moments {
		if err := m.clock.Set(next.at); err != nil {
			return err
		}
		if err := next.send(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// target is where the links of a campaign lead.
func target(campaign string) string {
	return "https://shop.example/?utm_source=news&utm_medium=email&utm_campaign=" + campaign
}

// hit is an open, a click or an unsubscription.
func (m *mailer) hit(ctx context.Context, h answers.MailHit) error {
	token := mailtoken.Token{Site: mailSite, Campaign: h.Campaign, Message: h.Message, Sent: h.Sent}
	if h.Recipient == "" {
		token.Mode = mailtoken.Aggregate
	} else {
		token.Recipient = uuid.MustParse(h.Recipient)
	}
	method, body := http.MethodGet, ""
	var address string
	var err error
	switch h.Hit {
	case "open":
		address, err = m.urls.Open(token)
	case "click":
		address, err = m.urls.Click(token, h.Link, target(h.Campaign))
	default:
		method, body = http.MethodPost, "List-Unsubscribe=One-Click"
		address, err = m.urls.Unsubscribe(token)
	}
	if h.Head {
		method = http.MethodHead
	}
	if err != nil {
		return err
	}
	return m.ask(ctx, method, address, body, h.Agent, h.Network, h.Visitor)
}

// browse is something that a visitor does on the site.
func (m *mailer) browse(ctx context.Context, visitor string, parameters map[string]string) error {
	query := url.Values{"site": {mailSite}}
	for name, value := range parameters {
		query.Set(name, value)
	}
	return m.ask(ctx, http.MethodGet, m.collector+"/p.gif?"+query.Encode(), "", personAgent, "81.0.0.0", visitor)
}

// ask makes a request that must be stored, with the visitor's cookie.
func (m *mailer) ask(ctx context.Context, method, address, body, agent, network, visitor string) error {
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("X-Forwarded-For", strings.TrimSuffix(cmp.Or(network, "81.0.0.0"), "0")+"7")
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie := m.visitors[visitor]; cookie != "" {
		req.AddCookie(&http.Cookie{Name: "onepx_v", Value: cookie})
	}
	res, err := m.client.Transport.RoundTrip(req) // no redirect is followed
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body)
	if word := res.Header.Get("Onepx-Event"); word != "stored" {
		return fmt.Errorf("%s %s: %s, Onepx-Event %q", method, address, res.Status, word)
	}
	for _, c := range res.Cookies() {
		if c.Name == "onepx_v" && visitor != "" {
			m.visitors[visitor] = c.Value
		}
	}
	return nil
}

// report is what the sender's server says, each batch a minute after it happened.
func (m *mailer) report(ctx context.Context, hits []answers.MailHit) error {
	told := slices.DeleteFunc(slices.Clone(hits), func(h answers.MailHit) bool { return !isDelivery(h) })
	slices.SortStableFunc(told, func(a, b answers.MailHit) int { return a.At.Compare(b.At) })
	for batch := range slices.Chunk(told, mailBatch) {
		if err := m.clock.Set(batch[len(batch)-1].At.Add(time.Minute)); err != nil {
			return err
		}
		events := make([]map[string]any, len(batch))
		for i, h := range batch {
			events[i] = map[string]any{
				"site": mailSite, "e": "email_" + h.Hit, "id": h.ID, "ts": h.At.UnixMilli(), "mail_campaign": h.Campaign, "mail_message": h.Message, "mail_recipient": h.Recipient,
			}
		}
		body, err := json.Marshal(events)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.collector+"/v1/events", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+mailWriteKey)
		res, err := m.client.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			return err
		}
		if n := bytes.Count(text, []byte(`"stored"`)); n != len(batch) {
			return fmt.Errorf("%d of %d stored: %s %.300s", n, len(batch), res.Status, text)
		}
	}
	return nil
}

// events is how many rows all of that makes.
func (l *letters) events() int { return len(l.hits) + len(l.pages) + len(l.orders) }

// learnIDs gives the hits of readers the ids that the collector has given them.
func (l *letters) learnIDs(t *testing.T, w *world) {
	t.Helper()
	key := func(parts ...string) string { return strings.Join(parts, " ") }
	ids := map[string]string{}
	require.NoError(t, w.clickHouse.Query(t.Context(), "SELECT event_id, campaign, recipient_key, hit, link_id, toUnixTimestamp64Milli(occurred_at) AS at, user_agent FROM onepx.mail_hits WHERE site_id = '"+mailSite+"'", func(raw json.RawMessage) error {
		var row struct {
			EventID   string `json:"event_id"`
			Campaign  string `json:"campaign"`
			Recipient string `json:"recipient_key"`
			Hit       string `json:"hit"`
			Link      string `json:"link_id"`
			At        int64  `json:"at"`
			Agent     string `json:"user_agent"`
		}
		err := json.Unmarshal(raw, &row)
		ids[key(row.Campaign, row.Recipient, row.Hit, row.Link, strconv.FormatInt(row.At, 10), row.Agent)] = row.EventID
		return err
	}))
	l.made = make([]string, len(l.hits))
	for i := range l.hits {
		h := &l.hits[i]
		l.made[i] = h.ID
		if isDelivery(*h) {
			continue
		}
		k := key(h.Campaign, cmp.Or(h.Recipient, nobody), h.Hit, h.Link, strconv.FormatInt(h.At.UnixMilli(), 10), h.Agent)
		id, stored := ids[k]
		require.True(t, stored, k) // require.Contains compares all keys
		h.ID = id
		delete(ids, k)
	}
}
