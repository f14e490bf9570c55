package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/tools/internal/answers"
	letters "github.com/onepx/onepx/tools/internal/newsletter"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// mailSite is the site that sends the newsletter.
	mailSite       = "letter"
	mailCampaign   = "autumn-26"
	mailRecipients = 300
	mailSeed       = 3
	// mailAge is how long ago the newsletter was sent: none of its events is older than the 7 days that the collector takes.
	mailAge = 5 * 24 * time.Hour
	// mailServers is where those of the newsletter's gateways are that stand in a data centre.
	mailServers = "198.18.3.0/24"
)

// mailRoom is a collector with a clock of its own, which gets what happens to the newsletter's mails over days.
type mailRoom struct {
	collector, key string
	clock          pipeline.Clock
	urls           *mailtoken.URLs
}

// start starts the collector.
func (m *mailRoom) start(ctx context.Context, p *pipeline.Pipeline) (*pipeline.Service, error) {
	m.clock = pipeline.Clock(filepath.Join(p.Dir, "clock"))
	servers, keys := filepath.Join(p.Dir, "datacenters"), mailtoken.NewKeys()
	ring, err := mailtoken.ParseRing(keys)
	if err := errors.Join(err, m.clock.Set(time.Now()), os.WriteFile(servers, []byte(mailServers+"\n"), 0o600)); err != nil {
		return nil, err
	}
	service, err := p.StartCollector(ctx, "mail-collector", m.clock.Setting(), "ONEPX_MAIL_KEYS="+keys, "ONEPX_DATACENTER_FILE="+servers)
	if err != nil {
		return nil, err
	}
	m.collector = service.URL
	m.urls, err = mailtoken.NewURLs(service.URL, ring)
	return service, err
}

// play lets everything happen to the newsletter: what mail servers tell, what clients, gateways and browsers ask for.
func (m *mailRoom) play(ctx context.Context, n *letters.Newsletter) error {
	var told []serverEvent
	var requests []mailRequest
	for _, h := range n.Hits {
		switch h.Hit {
		case "open", "click", "unsubscribe":
			r, err := m.request(ctx, h)
			if err != nil {
				return err
			}
			requests = append(requests, r)
		default:
			told = append(told, serverEvent{Name: "email_" + h.Hit, ID: h.ID, At: h.At, Mail: h.Campaign, Message: h.Message, Recipient: h.Recipient})
		}
	}
	for _, v := range n.Pages {
		r, err := m.page(ctx, v)
		if err != nil {
			return err
		}
		requests = append(requests, r)
	}
	const batch = 500
	for part := range slices.Chunk(told, batch) {
		if err := send(ctx, m.collector, m.key, part); err != nil {
			return err
		}
	}
	slices.SortStableFunc(requests, func(a, b mailRequest) int { return a.at.Compare(b.at) })
	// A redirect is not followed: the shop's pages are not there.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for _, r := range requests {
		if err := m.clock.Set(r.at); err != nil {
			return err
		}
		response, err := client.Do(r.request)
		if err != nil {
			return err
		}
		_ = response.Body.Close()
		if answer := response.Header.Get("Onepx-Event"); answer != "stored" {
			return fmt.Errorf("%s %s: %s, %q", r.request.Method, r.request.URL.Path, response.Status, answer)
		}
	}
	return nil
}

// mailRequest is what somebody asks for at an instant.
type mailRequest struct {
	at      time.Time
	request *http.Request
}

// request is what brings the hit about.
func (m *mailRoom) request(ctx context.Context, h answers.MailHit) (mailRequest, error) {
	token := mailtoken.Token{Site: mailSite, Campaign: h.Campaign, Message: h.Message, Sent: h.Sent, Mode: mailtoken.Aggregate}
	if h.Recipient != "" {
		token.Mode, token.Recipient = mailtoken.Full, uuid.MustParse(h.Recipient)
	}
	method, body := http.MethodGet, ""
	var target string
	var err error
	switch h.Hit {
	case "open":
		target, err = m.urls.Open(token)
	case "click":
		target, err = m.urls.Click(token, h.Link, "https://shop.localhost/"+h.Link)
	default:
		method, body = http.MethodPost, "List-Unsubscribe=One-Click"
		target, err = m.urls.Unsubscribe(token)
	}
	if err != nil {
		return mailRequest{}, err
	}
	if h.Head {
		method = http.MethodHead
	}
	return m.asked(ctx, h.At, method, target, body, h.Agent, h.Network, h.Visitor)
}

// page is what the tag of a page asks for when a visitor reads it.
func (m *mailRoom) page(ctx context.Context, v answers.MailPage) (mailRequest, error) {
	query := url.Values{"site": {mailSite}, "e": {"page_view"}, "u": {"https://shop.localhost/"}}
	return m.asked(ctx, v.At, http.MethodGet, m.collector+"/p.gif?"+query.Encode(), "", personAgent, "81.2.69.0", v.Visitor)
}

func (m *mailRoom) asked(ctx context.Context, at time.Time, method, target, body, agent, network, visitor string) (mailRequest, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return mailRequest{}, err
	}
	request.Header.Set("User-Agent", agent)
	request.Header.Set("X-Forwarded-For", strings.TrimSuffix(network, ".0")+".7")
	if visitor != "" {
		request.AddCookie(&http.Cookie{Name: "onepx_v", Value: visitor})
	}
	return mailRequest{at, request}, nil
}

// mailAnswer is what email_stats says of the newsletter; null if there is no such share.
type mailAnswer struct {
	Estimated *float64 `json:"estimated_openers"`
	Low       *float64 `json:"estimated_low"`
	High      *float64 `json:"estimated_high"`
	Clickers  int      `json:"clickers"`
	Clicks    int      `json:"clicks"`
	Other     int      `json:"other"`
	Machines  int      `json:"machines"`
}

const mailStats = `SELECT estimated_openers, estimated_low, estimated_high, toUInt32(clickers) AS clickers, toUInt32(clicks) AS clicks, toUInt32(clicks_unknown) AS other, toUInt32(machine_clicks) AS machines FROM onepx.email_stats(site='` + mailSite + `', campaign='` + mailCampaign + `')`

// printMails prints what email_stats makes of the newsletter beside the truth. The error says where they differ.
func (s demoShop) printMails(ctx context.Context, n *letters.Newsletter) error {
	var rows, views struct {
		N int `json:"n"`
	}
	err := until(ctx, func() (bool, error) {
		return rows.N == len(n.Hits) && views.N == len(n.Pages), errors.Join(
			s.sql.One(ctx, "SELECT toUInt32(count()) AS n FROM onepx.mail_hits WHERE site_id = '"+mailSite+"'", &rows),
			s.sql.One(ctx, "SELECT toUInt32(count()) AS n FROM onepx.visitor_events WHERE site_id = '"+mailSite+"' AND kind = 'page_view'", &views))
	})
	if err != nil {
		return err
	}
	var got mailAnswer
	if err := s.sql.One(ctx, mailStats, &got); err != nil {
		return err
	}
	if got.Estimated == nil || got.Low == nil || got.High == nil {
		return errors.New("email_stats estimates nothing")
	}
	fmt.Printf("\nA newsletter to %d recipients whose truth is known: people, Apple Mail, Gmail, Outlook, forwards and five kinds of gateways, over the last days\n"+
		"SELECT * FROM onepx.email_stats(site, campaign)\n", mailRecipients)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(what, said string, truth int) {
		_, _ = fmt.Fprintf(table, "  %s\t%s\ttruth %d\n", what, said, truth)
	}
	readers := len(n.Readers) - n.Unseen()
	row("readers", fmt.Sprintf("estimated %.0f (%.0f to %.0f)", *got.Estimated, *got.Low, *got.High), readers)
	row("who clicked", fmt.Sprint("counted ", got.Clickers), len(n.Clickers))
	row("clicks of people", fmt.Sprint("counted ", got.Clicks), len(n.PersonClicks))
	row("other clicks", fmt.Sprintf("counted %d (%d of machines, %d unknown)", got.Machines+got.Other, got.Machines, got.Other), clicksIn(n)-len(n.PersonClicks))
	_, _ = fmt.Fprintf(table, "  Nothing is seen of %d more who read without images and without a click.\n", n.Unseen())
	return errors.Join(table.Flush(), got.compare(n, readers))
}

// compare says where the answer is not what it must be: people's clicks within 1 %, the readers within the interval.
func (a mailAnswer) compare(n *letters.Newsletter, readers int) error {
	const most = 0.01
	var wrong []error
	for _, x := range []struct {
		what        string
		said, truth int
		share       float64
	}{
		{"who clicked", a.Clickers, len(n.Clickers), most},
		{"clicks of people", a.Clicks, len(n.PersonClicks), most},
		{"all clicks", a.Clicks + a.Machines + a.Other, clicksIn(n), 0},
	} {
		if off := float64(max(x.said, x.truth) - min(x.said, x.truth)); off > x.share*float64(x.truth) {
			wrong = append(wrong, fmt.Errorf("the newsletter's %s: %d, not %d", x.what, x.said, x.truth))
		}
	}
	if truth := float64(readers); truth < *a.Low || truth > *a.High {
		wrong = append(wrong, fmt.Errorf("the newsletter's readers: %d are not between %.1f and %.1f", readers, *a.Low, *a.High))
	}
	return errors.Join(wrong...)
}

// clicksIn is how many clicks there are, whoever made them.
func clicksIn(n *letters.Newsletter) int {
	clicks := 0
	for _, h := range n.Hits {
		if h.Hit == "click" {
			clicks++
		}
	}
	return clicks
}
