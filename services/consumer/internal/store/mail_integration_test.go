//go:build integration

package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/mailrules"
	"github.com/onepx/onepx/services/consumer/internal/store"
)

// mailOrigin is when the mails of these tests are delivered, and sent; offsets are from it.
var mailOrigin = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// mailed is a row of an event of an e-mail, written as `offset hit link fields…`: `30s click 1-aaaaaa net=10.0.0.0 to=anna`. Fields left
// out are those of a calm person.
func mailed(t *testing.T, campaign string, n int, line string) store.Row {
	t.Helper()
	f := strings.Fields(line)
	offset, err := time.ParseDuration(f[0])
	require.NoError(t, err, line)
	r := page("24 10:00:00", "")
	r.Kind, r.Name, r.Transport, r.VisitorKind, r.VisitorID = "email_"+f[1], "email_"+f[1], "redirect", "none", uuid.Nil
	switch f[1] {
	case "sent", "delivered", "bounced", "complained":
		r.Kind = "email_delivery"
	}
	r.OccurredAt, r.EventID = mailOrigin.Add(offset), uuid.NewSHA1(uuid.Nil, fmt.Append(nil, campaign, n))
	r.MailCampaignID, r.MailMessageID, r.RecipientKey, r.MailSentAt = campaign, "m", id("anna"), mailOrigin
	r.TrafficClass, r.IPPrefix = enrich.ClassPerson, "192.0.2.0"
	for _, field := range f[2:] {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "link":
			r.LinkID = value
		case "net":
			r.IPPrefix = value
		case "to":
			r.RecipientKey = id(value)
		case "message":
			r.MailMessageID = value
		case "class":
			r.TrafficClass = value
		case "visitor":
			r.VisitorKind, r.VisitorID = "minted", id(value)
		case "head":
			r.Head = true
		case "aggregate":
			r.RecipientKey, r.MailMessageID = uuid.Nil, ""
		case "unsent":
			r.MailSentAt = time.Unix(0, 0).UTC()
		case "page":
			r.Kind, r.Name, r.Transport, r.VisitorKind, r.VisitorID = "page_view", "page_view", "gif", value, id("visitor")
		case "bot":
			r.IsBot = true
		default:
			t.Fatalf("unknown field %s", field)
		}
	}
	return r
}

// mailCases are hits of a campaign and, where a rule is to be looked at, `-> rule` behind them.
var mailCases = map[string]string{
	"calm is who clicks later":                      "1h open -> calm; 2h click link=1-aaaaaa -> calm",
	"a HEAD request is by a machine":                "1h click link=1-aaaaaa head -> head",
	"what says that it is a machine is one":         "1h open class=machine_open -> machine_open; 1h click class=datacenter link=a -> datacenter; 1h open class=crawler -> crawler; 1h open class=prefetch -> prefetch",
	"a proxy of a mail provider hides a person":     "1h open class=mail_proxy -> image_proxy; 2h unsubscribe class=mail_proxy -> image_proxy",
	"a server only reports":                         "1h open class=server -> reported",
	"without a recipient nothing is known":          "1h open aggregate -> aggregate; 1h open aggregate class=mail_proxy -> image_proxy; 1h click link=honeypot aggregate -> honeypot; 1s click link=a aggregate -> aggregate",
	"hits without a recipient are no sweep":         "1h click link=a aggregate -> aggregate; 1h click link=b aggregate -> aggregate; 1h click link=c aggregate -> aggregate",
	"early until 10 s after the mail was sent":      "0s open -> early; 9.999s click link=a -> early; 10s open -> calm",
	"early proxies are machines":                    "4s open class=mail_proxy -> early",
	"early by the delivery where one is reported":   "5m delivered; 9s open -> calm; 4m open -> early; 3m59.999s open -> calm; 5m9.999s open -> early; 5m10s open -> calm",
	"not early when nobody knows when it went":      "1s open unsent -> calm",
	"not early is who unsubscribes":                 "1s unsubscribe -> calm",
	"a sweep is three links within ten seconds":     "1h click link=a -> sweep; 1h5s click link=b -> sweep; 1h10s click link=c -> sweep",
	"no sweep in a millisecond more":                "1h click link=a -> calm; 1h5s click link=b -> calm; 1h10.001s click link=c -> calm",
	"no sweep are two links again and again":        "1h click link=a -> calm; 1h1s click link=b -> calm; 1h2s click link=a -> calm",
	"no sweep are links of two messages":            "1h click link=a -> calm; 1h1s click link=b -> calm; 1h2s click link=c message=n -> calm",
	"a sweep need not be early, and has opens":      "39.999s open net=203.0.113.0 -> calm; 40s open net=198.51.100.0 -> sweep; 55s click link=a -> sweep; 56s click link=b -> sweep; 57s click link=c -> sweep; 1m12s click link=c net=198.51.100.0 -> sweep; 1m12.001s click link=c net=198.51.100.0 -> scanner_network",
	"a person later, from another network":          "40s click link=a -> sweep; 41s click link=b -> sweep; 42s click link=c -> sweep; 5m open net=203.0.113.0 -> calm; 6m click link=b net=203.0.113.0 -> calm",
	"who can tell, from the network of the scanner": "40s click link=a -> sweep; 41s click link=b -> sweep; 42s click link=c -> sweep; 5m open -> scanner_network; 6m open class=mail_proxy -> scanner_network; 6m open to=ben -> calm",
	"a network that nobody knows is none":           "40s click link=a net= -> sweep; 41s click link=b net= -> sweep; 42s click link=c net= -> sweep; 5m open net= -> calm",
	"the hidden link, ten seconds around":           "49.999s open net=203.0.113.0 -> calm; 50s open net=198.51.100.0 -> honeypot; 1m click link=honeypot -> honeypot; 1m10s click link=a message=n -> honeypot; 1m10.001s click link=a net=198.51.100.0 -> scanner_network; 1m open to=ben -> calm",
	"seen on the site with a cookie":                "1h click link=a visitor=visitor -> on_site; 1h1s click link=b visitor=visitor -> on_site; 1h2s click link=c visitor=visitor -> on_site; 1h1m page page=cookie",
	"seen on the site a minute later is too late":   "1h click link=a visitor=visitor -> calm; 1h1m0.001s page page=cookie",
	"not seen with another cookie":                  "1s click link=a visitor=other -> early; 2s page page=cookie",
	"not seen without a cookie, or by a machine":    "1s click link=a visitor=visitor -> early; 2s page page=minted; 2s page page=cookie bot",
	"the hidden link is a machine, seen or not":     "1h click link=honeypot visitor=visitor -> honeypot; 1h1s page page=cookie",
	"four links in their order, slowly":             "1m click link=1-aaaaaa -> in_order; 3m click link=2-aaaaaa -> in_order; 5m click link=7-aaaaaa -> in_order; 11m click link=12-aaaaaa -> in_order; 11m0.001s click link=1-aaaaaa net=198.51.100.0 -> calm; 12m click link=1-aaaaaa -> scanner_network",
	"four links too slowly":                         "1m click link=1-aaaaaa -> calm; 3m click link=2-aaaaaa -> calm; 5m click link=7-aaaaaa -> calm; 11m0.001s click link=12-aaaaaa -> calm",
	"four links in another order":                   "1m click link=1-aaaaaa -> calm; 2m click link=7-aaaaaa -> calm; 3m click link=2-aaaaaa -> calm; 4m click link=8-aaaaaa -> calm",
	"four links with one again":                     "1m click link=1-aaaaaa -> calm; 2m click link=2-aaaaaa -> calm; 3m click link=3-aaaaaa -> calm; 4m click link=4-aaaaaa -> calm; 5m click link=4-aaaaaa -> calm",
	"four links of five":                            "1m click link=1-aaaaaa -> calm; 2m click link=2-aaaaaa -> calm; 3m click link=3-aaaaaa -> calm; 4m click link=4-aaaaaa -> calm; 5m click link=9-aaaaaa to=ben -> calm",
	"three links are all":                           "1m click link=1-aaaaaa -> calm; 2m click link=2-aaaaaa -> calm; 3m click link=3-aaaaaa -> calm",
	"link and unsubscription together":              "1h click link=a -> together; 1h0.999s unsubscribe -> together",
	"link and unsubscription a second apart":        "1h click link=a -> calm; 1h1s unsubscribe -> calm",
}

// office is n recipients who click from one network, a second after the other, and what rule their clicks have.
func office(n int, apart time.Duration, rule string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s click link=a to=r%d -> %s", time.Hour+time.Duration(i)*apart, i, rule))
	}
	return strings.Join(all, "; ")
}

func TestTheRuleOfAHitOfAMail(t *testing.T) {
	cases := map[string]string{
		"more than ten recipients within a minute":         office(11, 5*time.Second, "network") + "; 59m29s open -> calm; 1h0m20s open -> network; 1h0m20s open net=198.51.100.0 -> calm",
		"ten recipients within a minute":                   office(10, time.Second, "calm"),
		"eleven recipients of whom one is in a later half": office(11, 6*time.Second, "calm"),
	}
	for name, text := range mailCases {
		cases[name] = text
	}
	d := migrated(t)
	var rows []store.Row
	wanted := map[uuid.UUID]string{}
	for name, text := range cases {
		for n, line := range strings.Split(text, "; ") {
			line, rule, _ := strings.Cut(line, " -> ")
			row := mailed(t, name, n, line)
			row.SiteID = name // the page views too
			rows = append(rows, row)
			if rule != "" {
				wanted[row.EventID] = fmt.Sprintf("%s: %s -> %s", name, line, rule)
			}
		}
	}
	d.add(rows...)
	seen := map[string]bool{}
	for name := range cases {
		found, err := d.conn.Query(t.Context(), fmt.Sprintf("SELECT event_id, rule FROM %s.mail_hits_explained(site='%s', campaign='%s')", d.name, name, name))
		require.NoError(t, err)
		for found.Next() {
			var event uuid.UUID
			var rule string
			require.NoError(t, found.Scan(&event, &rule))
			want := wanted[event]
			line, _, _ := strings.Cut(want, " -> ")
			require.Equal(t, want, line+" -> "+rule)
			delete(wanted, event)
			seen[rule] = true
		}
		require.NoError(t, found.Err())
		require.NoError(t, found.Close())
	}
	require.Empty(t, wanted, "each hit is explained")
	for _, rule := range mailrules.Rules {
		switch rule.ID {
		case "nonbrowser", "impossible", "scanner": // as crawler
		default:
			require.True(t, seen[rule.ID], rule.ID)
		}
	}
}
