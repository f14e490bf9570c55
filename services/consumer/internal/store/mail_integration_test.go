//go:build integration

package store_test

import (
	"fmt"
	"regexp"
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
			r.VisitorKind, r.VisitorID = "minted", id(campaign+value)
		case "head":
			r.Head = true
		case "aggregate":
			r.RecipientKey, r.MailMessageID = uuid.Nil, ""
		case "unsent":
			r.MailSentAt = time.Unix(0, 0).UTC()
		case "agent": // _ is a space
			r.UserAgent = strings.ReplaceAll(value, "_", " ")
		case "page":
			r.Kind, r.Name, r.Transport, r.VisitorKind, r.VisitorID = "page_view", "page_view", "gif", value, id(campaign+"visitor")
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
	"what says that it is a machine is one":         "1h open class=machine_open -> machine_open; 1h click class=datacenter link=a -> datacenter; 1h open class=crawler -> crawler; 1h open class=prefetch -> prefetch; 3s open class=scanner -> scanner",
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
	"all links and the hidden one":                  "1h0s click link=1-aaaaaa -> honeypot; 1h1s click link=2-aaaaaa -> honeypot; 1h2s click link=3-aaaaaa -> honeypot; 1h3s click link=4-aaaaaa -> honeypot; 1h4s click link=5-aaaaaa -> honeypot; 1h5s click link=6-aaaaaa -> honeypot; 1h6s click link=7-aaaaaa -> honeypot; 1h7s click link=8-aaaaaa -> honeypot; 1h8s click link=honeypot -> honeypot",
	"ten links in a second after an early open":     "9s open -> early; 43.0s click link=l0 -> sweep; 43.1s click link=l1 -> sweep; 43.2s click link=l2 -> sweep; 43.3s click link=l3 -> sweep; 43.4s click link=l4 -> sweep; 43.5s click link=l5 -> sweep; 43.6s click link=l6 -> sweep; 43.7s click link=l7 -> sweep; 43.8s click link=l8 -> sweep; 43.9s click link=l9 -> sweep; 1h click link=l3 net=203.0.113.0 -> calm",
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
			rows = append(rows, row)
			if rule != "" {
				wanted[row.EventID] = fmt.Sprintf("%s: %s -> %s", name, line, rule)
			}
		}
	}
	d.add(rows...)
	seen := map[string]bool{}
	found, err := d.conn.Query(t.Context(), fmt.Sprintf("SELECT event_id, rule FROM %s.mail_hits_explained(site='shop')", d.name))
	require.NoError(t, err)
	defer func() { require.NoError(t, found.Close()) }()
	for found.Next() {
		var event uuid.UUID
		var rule string
		require.NoError(t, found.Scan(&event, &rule))
		line, _, _ := strings.Cut(wanted[event], " -> ")
		require.Equal(t, wanted[event], line+" -> "+rule)
		delete(wanted, event)
		seen[rule] = true
	}
	require.NoError(t, found.Err())
	require.Empty(t, wanted, "each hit is explained")
	for _, rule := range mailrules.Rules {
		switch rule.ID {
		case "nonbrowser", "impossible", "scanner": // as crawler
		default:
			require.True(t, seen[rule.ID], rule.ID)
		}
	}
}

// hitsOf are the hits of one of mailCases.
func hitsOf(name string) string { return afterArrow.ReplaceAllString(mailCases[name], "") }

var afterArrow = regexp.MustCompile(" -> [a-z_]+")

// mailAnswers are questions, the answers to which follow from their campaign, whose name is the key; columns and rows as in askSite.
var mailAnswers = map[string]struct {
	hits, view, columns string
	want                []string
}{
	"rates are null when no report tells how many there are": {"1h open", "email_stats", "denominator; delivered; confirmed; open_rate; trackable; estimated_openers; ctr; ctor", []string{"none null 1 null null null null 0"}},
	"sent mails are the denominator without deliveries": {
		"-1s sent to=anna; -1s sent to=ben; -1s sent to=cid; 1m bounced to=cid; 1h open to=anna", "email_stats", "denominator; sent; delivered; bounced; open_rate", []string{"sent 3 2 1 0.5"},
	},
	"with deliveries the sent ones are none": {"-1s sent to=anna; -1s sent to=ben; 0s delivered to=ben; 1h open to=anna", "email_stats", "denominator; delivered; confirmed; open_rate", []string{"delivered 1 1 1"}},
	"delivered at last":                      {"0s bounced; 5m delivered", "email_stats", "delivered; bounced", []string{"1 0"}},
	"bounced at last":                        {"0s delivered; 5m bounced", "email_stats", "delivered; bounced", []string{"0 1"}},
	"bounced at the same instant":            {"0s delivered; 0s bounced", "email_stats", "delivered; bounced; open_rate", []string{"0 1 null"}},
	"one reader who opens ten times is one": {
		"0s delivered; 0s delivered to=ben; 0s delivered to=cid; 0s delivered to=dora; " + strings.Repeat("1h open; ", 10) + "2h complained", "email_stats", "opens_human; openers_human; confirmed; open_rate; complained", []string{"10 1 1 0.25 1"},
	},
	"who clicks has read":              {"0s delivered; 1h click link=a; 2h click link=a", "email_stats", "opens_human; openers_human; confirmed; clicks; clickers; ctr; ctor", []string{"0 0 1 2 1 1 1"}},
	"a proxy opens for its reader":     {"0s delivered; 0s delivered to=ben; 1h open class=mail_proxy", "email_stats", "opens_proxy; openers_proxy; machine_opens; confirmed; open_rate", []string{"1 1 0 1 0.5"}},
	"what a gateway clicks is nothing": {hitsOf("all links and the hidden one"), "email_stats", "clicks; clicks_unknown; machine_clicks; clickers; confirmed; unsubscribed", []string{"0 0 9 0 0 0"}},
	"a gateway first, later a person":  {hitsOf("ten links in a second after an early open"), "email_stats", "opens_human; machine_opens; clicks; clicks_unknown; machine_clicks; clickers; confirmed", []string{"0 1 1 0 10 1 1"}},
	"machines are beside people":       {"0s delivered; 1h open class=machine_open; 1h click link=a head; 1h unsubscribe class=crawler", "email_stats", "machine_opens; machine_openers; machine_clicks; machine_unsubscribed; confirmed; unsubscribed; ctr; ctor", []string{"1 1 1 1 0 0 0 null"}},
	"whoever unsubscribes by a report": {"0s delivered; 1h unsubscribe class=server", "email_stats", "unsubscribed; unsubscribe_rate; machine_unsubscribed", []string{"1 1 0"}},
	"without a recipient nobody is unique": {
		"1h open aggregate; 1h open aggregate class=mail_proxy; 1h click link=a aggregate; 1h open aggregate class=machine_open", "email_stats",
		"opens_unknown; opens_proxy; machine_opens; clicks_unknown; openers_proxy; machine_openers; confirmed; clickers; hits_without_recipient", []string{"1 1 1 1 0 0 0 0 3"},
	},
	"an estimate from one of two who can be tracked": {
		"0s delivered to=anna; 0s delivered to=ben; 0s delivered to=cid; 0s delivered to=dora; 1h open to=anna; 1h open class=machine_open to=cid; 1h open class=machine_open to=dora", "email_stats",
		"trackable; confirmed_trackable; open_rate_trackable; estimated_openers; round(estimated_low, 4); round(estimated_high, 4)", []string{"2 1 0.5 2 1.1092 2.8908"},
	},
	"an estimate is not less than what is known": {
		"0s delivered to=anna; 0s delivered to=ben; 1h open class=machine_open to=ben; 2h click link=a to=ben", "email_stats", "confirmed; estimated_openers; estimated_low; estimated_high", []string{"1 1 1 1"},
	},
	"links apart, by who clicked": {
		"1h click link=a; 2h click link=a; 3h click link=a to=ben; 3h click link=b to=ben; 3h click link=b aggregate; 3h click link=c head to=eve", "link_stats", "link_id; clicks; clickers; share; clicks_unknown; machine_clicks",
		[]string{"a 3 2 0.75 0 0", "b 1 1 0.25 1 0", "c 0 0 0 0 1"},
	},
	"readers by the hour of their first open": {
		"59m59s open; 1h30m open; 2h open to=ben class=mail_proxy; 2h click link=a to=ben; 2h open class=machine_open to=cid", "email_timeline", "hour; openers; clickers; machine_opens",
		[]string{"2026-11-24 10:00:00 1 0 0", "2026-11-24 12:00:00 1 1 1"},
	},
	"clients by what they say": {
		"1h open; 1h open class=mail_proxy to=ben; 2h open class=mail_proxy to=ben; 1h open class=machine_open to=cid", "email_clients", "client; opens; openers; round(share, 2); machine_opens",
		[]string{"other proxy 2 1 0.67 0", "browser or app 1 1 0.33 0", "Apple Mail 0 0 0 1"},
	},
	"clients by their user agents": {
		"1h open agent=Mozilla/5.0_(via_ggpht.com_GoogleImageProxy) class=mail_proxy; 1h open agent=YahooMailProxy;_https://help.yahoo.com class=mail_proxy; 1h open agent=Mozilla/5.0_(X11)_Thunderbird/128.6.0; " +
			"1h open agent=Microsoft_Office/16.0_(Windows_NT_10.0;_Microsoft_Outlook_16.0.8431;_Pro); 1h open agent=Mozilla/4.0_(compatible;_ms-office;_MSOffice_16); 1h open agent=Outlook-iOS/709.2189947.prod.iphone_(3.24.0); " +
			"1h open agent=Mozilla/5.0_(iPhone;_CPU_iPhone_OS_18_6_like_Mac_OS_X)_AppleWebKit/605.1.15_(KHTML,_like_Gecko)_Mobile/15E148", "email_clients", "client; opens",
		[]string{"Outlook 3", "Apple Mail 1", "Gmail 1", "Thunderbird 1", "Yahoo Mail 1"},
	},
	"who can be tracked, and why not": {
		"0s delivered to=anna; 0s delivered to=ben; 0s delivered to=cid; 0s delivered aggregate; 1h open to=anna; 1h click link=a to=ben; 1h open class=machine_open to=cid; 1h click link=a to=cid; 1h open to=dora", "email_trackable",
		"state; recipients; share; confirmed", []string{"apple_mail 1 0.25 1", "images_blocked 1 0.25 1", "no_recipient 1 0.25 0", "trackable 1 0.25 1"},
	},
	"machines by network": {
		"1h open; 1h click link=a head net=198.51.100.0 to=ben; 2h click link=a net=198.51.100.0 to=ben; 1h unsubscribe", "machine_share", "key; hits; machine_hits; unknown_hits; share; recipients; toString(rules)",
		[]string{"198.51.100.0 2 1 1 0.5 1 ['head']", "192.0.2.0 1 0 0 0 1 []"},
	},
}

func TestAnswersAboutMails(t *testing.T) {
	d := migrated(t)
	var rows []store.Row
	for name, c := range mailAnswers {
		for n, line := range strings.Split(c.hits, "; ") {
			row := mailed(t, name, n, line)
			row.SiteID = name
			rows = append(rows, row)
		}
	}
	d.add(rows...)
	for name, c := range mailAnswers {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, d.of(t).askSite(name, c.columns, c.view, 24, 24, ""))
		})
	}
	require.Empty(t, d.askSite("delivered at last", "campaign", "email_stats", 25, 30, ""), "the campaign began before")
	require.Equal(t, []string{"1"}, d.askSite("delivered at last", "delivered", "email_stats", 24, 24, ", campaign='delivered at last'"))
	require.Empty(t, d.askSite("delivered at last", "campaign", "email_stats", 24, 24, ", campaign='another'"))
	require.Equal(t, []string{"2026-11-24 16:00:00", "2026-11-24 17:00:00"}, d.askSite("readers by the hour of their first open", "hour", "email_timeline", 24, 24, ", tz='Asia/Kolkata'"))
	query := "SELECT * FROM " + d.name + ".machine_share(site='shop', by='country')"
	require.ErrorContains(t, d.conn.Exec(t.Context(), query), "by: write network, user_agent or rule")
}

// A mail two months ago that Apple Mail fetched tells that opens of this one can't be seen; one four months ago doesn't.
func TestAppleMailIsRemembered(t *testing.T) {
	d := migrated(t)
	var rows []store.Row
	for n, line := range []string{"-2160h open class=machine_open to=anna", "-2184h open class=machine_open to=ben"} {
		rows = append(rows, mailed(t, "before", n, line))
	}
	for n, line := range []string{"0s delivered to=anna", "0s delivered to=ben", "1h open to=ben"} {
		rows = append(rows, mailed(t, "now", n, line))
	}
	for i := range rows {
		rows[i].SiteDay = rows[i].OccurredAt.Truncate(24 * time.Hour)
	}
	d.add(rows...)
	require.Equal(t, []string{"2 1 1 2"}, d.askSite("shop", "delivered; trackable; confirmed_trackable; estimated_openers", "email_stats", 24, 24, ""))
}

// Anna buys twice after a click in a mail. Ben's click turns out to be one of a sweep, so that nothing is said to come of the mail.
func TestRevenueOfMailsIsThatOfClicksByPeople(t *testing.T) {
	d := migrated(t)
	value := int64(20_000_000)
	var rows []store.Row
	for n, line := range []string{
		"1h click link=a to=anna", "1h click link=a to=ben", "1h1s click link=b to=ben net=198.51.100.0", "1h2s click link=c to=ben net=198.51.100.0",
	} {
		row := mailed(t, "autumn-26", n, line)
		row.VisitorKind, row.VisitorID = "minted", row.RecipientKey
		row.Source, row.Medium, row.Campaign, row.Channel = "news", "email", row.RecipientKey.String(), "Email"
		rows = append(rows, row)
	}
	for i, buyer := range []string{"anna", "ben", "anna"} {
		number := fmt.Sprint(buyer, i)
		rows = append(rows, page("24 11:30:00", "/", by("cookie", buyer, buyer), event(number), order("purchase", number, &value, "purchase"), func(r *store.Row) {
			r.Currency, r.SiteCurrency, r.GoalCurrencies = "EUR", "EUR", []string{"EUR"}
		}))
	}
	d.add(rows...)
	const columns = "goal; currency; campaign; conversions; revenue; clicks; machine_revenue"
	require.Equal(t, []string{"purchase EUR autumn-26 2 40 2 20"}, d.ask(columns, "email_revenue", 24, 24, ""))
	require.Equal(t, []string{"purchase EUR autumn-26 2 40 2 20"}, d.ask(columns, "email_revenue", 24, 24, ", campaign='autumn-26', model='first', goal='purchase'"))
	require.Empty(t, d.ask(columns, "email_revenue", 24, 24, ", campaign='another'"))
}
