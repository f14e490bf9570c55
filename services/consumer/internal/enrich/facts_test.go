package enrich_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
)

var update = flag.Bool("update", false, "rewrite testdata/facts.golden")

func TestTheDayIsThatOfTheSite(t *testing.T) {
	enricher, err := shared()
	require.NoError(t, err)
	for name, test := range map[string]struct{ site, at, day string }{
		"before midnight in Berlin":                    {"shop", "2026-11-25T22:59:59.999Z", "2026-11-25"},
		"at midnight in Berlin":                        {"shop", "2026-11-25T23:00:00Z", "2026-11-26"},
		"at midnight in New York":                      {"york", "2026-11-25T05:00:00Z", "2026-11-25"},
		"before midnight in New York":                  {"york", "2026-11-25T04:59:59.999Z", "2026-11-24"},
		"14 hours before UTC":                          {"kiribati", "2026-11-25T10:00:00Z", "2026-11-26"},
		"a millisecond before that":                    {"kiribati", "2026-11-25T09:59:59.999Z", "2026-11-25"},
		"the day that summer time begins, its start":   {"shop", "2026-03-28T23:00:00Z", "2026-03-29"},
		"the day that summer time begins, its end":     {"shop", "2026-03-29T21:59:59Z", "2026-03-29"},
		"the day after summer time began":              {"shop", "2026-03-29T22:00:00Z", "2026-03-30"},
		"the day that summer time ends, its start":     {"shop", "2026-10-24T22:00:00Z", "2026-10-25"},
		"the day that summer time ends, its 25th hour": {"shop", "2026-10-25T22:59:59Z", "2026-10-25"},
		"the day after summer time ended":              {"shop", "2026-10-25T23:00:00Z", "2026-10-26"},
		"a site that the rules don't know is in UTC":   {"gone", "2026-11-25T23:59:59Z", "2026-11-25"},
		"a leap day":                         {"shop", "2028-02-29T12:00:00Z", "2028-02-29"},
		"the first day of ClickHouse's Date": {"york", "1970-01-01T00:00:00Z", "1970-01-01"},
		"before the first day":               {"shop", "1890-01-01T00:00:00Z", "1970-01-01"},
		"after the last day":                 {"shop", "2200-01-01T00:00:00Z", "2149-06-06"},
	} {
		t.Run(name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339Nano, test.at)
			require.NoError(t, err)
			day, err := time.Parse(time.DateOnly, test.day)
			require.NoError(t, err)
			require.Equal(t, day, enricher.SiteDay(test.site, at))
			event := hit("", func(event *onepxv1.Event) { event.SiteId, event.OccurredAtMs = test.site, at.UnixMilli() })
			require.Equal(t, day, enricher.Facts(event).SiteDay)
		})
	}
}

func TestTheSiteGivesWhatTheEventLeavesOut(t *testing.T) {
	for name, test := range map[string]struct {
		options                []func(*onepxv1.Event)
		currency, siteCurrency string
		retention              uint16
	}{
		"the event's currency":             {with(worth(1, "CHF")), "CHF", "EUR", 395},
		"the site's currency":              {with(worth(1, "")), "EUR", "EUR", 395},
		"no value":                         {nil, "EUR", "EUR", 395},
		"another site":                     {with(site("york")), "USD", "USD", 30},
		"a site that the rules don't know": {with(site("gone")), "", "", 395},
		"its event's currency":             {with(site("gone"), worth(1, "CHF")), "CHF", "", 395},
	} {
		t.Run(name, func(t *testing.T) {
			got := facts(t, hit(chromeOnWindows, test.options...))
			require.Equal(t, test.currency, got.Currency)
			require.Equal(t, test.siteCurrency, got.SiteCurrency)
			require.Equal(t, test.retention, got.RetentionDays)
		})
	}
}

func TestHostAndPathAreThoseOfTheURL(t *testing.T) {
	for name, test := range map[string]struct{ url, host, path string }{
		"a plain page":                     {"https://shop.example/p/42", "shop.example", "/p/42"},
		"upper case, port and a dot":       {"HTTPS://Shop.Example.:8443/P", "shop.example", "/P"},
		"no path":                          {"https://shop.example", "shop.example", "/"},
		"a query without a path":           {"https://shop.example?a=/b", "shop.example", "/"},
		"query and fragment are left out":  {"https://shop.example/p?q#f", "shop.example", "/p"},
		"a fragment with a question mark":  {"https://shop.example/p#f?q", "shop.example", "/p"},
		"escapes stay":                     {"https://shop.example/a%20b/%C3%BC", "shop.example", "/a%20b/%C3%BC"},
		"a percent sign that is no escape": {"https://shop.example/100%-off", "shop.example", "/100%-off"},
		"user info is left out":            {"https://me:secret@shop.example/", "shop.example", "/"},
		"an IPv6 address":                  {"http://[2001:DB8::1]:8080/x", "2001:db8::1", "/x"},
		"an IPv6 address without a port":   {"http://[2001:db8::1]/x", "2001:db8::1", "/x"},
		"another scheme":                   {"ftp://shop.example/", "", ""},
		"a path that names a URL":          {"/redirect?to=https://shop.example/", "", ""},
		"no host":                          {"https:///p", "", ""},
		"no URL":                           {"shop.example/p", "", ""},
		"nothing":                          {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := facts(t, hit("", page(test.url, test.url)))
			require.Equal(t, test.host, got.PageHost)
			require.Equal(t, test.path, got.PagePath)
			require.Equal(t, test.host, got.ReferrerHost)
		})
	}
}

func TestAnEmptyEventHasFacts(t *testing.T) {
	want := enrich.Facts{
		SiteDay: time.Unix(0, 0).UTC(), RetentionDays: 395, Device: enrich.DeviceBot,
		TrafficClass: enrich.ClassNonbrowser, IsBot: true, Channel: enrich.ChannelDirect,
	}
	require.Equal(t, want, facts(t, nil))
	require.Equal(t, want, facts(t, &onepxv1.Event{}))
}

func TestFactsAreTheSameFromManyGoroutines(t *testing.T) {
	enricher, err := shared()
	require.NoError(t, err)
	events := goldenEvents()
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for name, event := range events {
				if got, want := enricher.Facts(event), enricher.Facts(event); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %v, then %v", name, got, want)
				}
			}
		})
	}
	wait.Wait()
}

// TestOutputsChangeOnlyWithTheRules holds the promise that one hash of rules means one outcome. A changed outcome needs a
// raised enrich.Enrichment (or a changed list); only then -update writes it.
func TestOutputsChangeOnlyWithTheRules(t *testing.T) {
	const name = "testdata/facts.golden"
	rules := enrich.NewRules(config())
	delete(rules.Lists, "time_zones") // those of this machine
	got := []string{"rules\t" + rules.Hash()}
	for name, event := range goldenEvents() {
		text, err := json.Marshal(facts(t, event))
		require.NoError(t, err)
		got = append(got, fmt.Sprintf("%s\t%s", name, text))
	}
	slices.Sort(got[1:])

	text, err := os.ReadFile(name)
	require.NoError(t, err)
	want := strings.Split(strings.TrimSpace(string(text)), "\n")
	if want[0] == got[0] {
		for _, line := range want[1:] {
			event, _, _ := strings.Cut(line, "\t")
			i := slices.IndexFunc(got, func(line string) bool { return strings.HasPrefix(line, event+"\t") })
			require.True(t, i > 0 && got[i] == line, "other facts of %q under the same rules: raise enrich.Enrichment", event)
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(strings.Join(got, "\n")+"\n"), 0o644))
		return
	}
	require.Equal(t, want, got, "if this is meant, run the test with -update")
}

// goldenEvents are events by name that touch every rule.
func goldenEvents() map[string]*onepxv1.Event {
	events := map[string]*onepxv1.Event{}
	add := func(name string, event *onepxv1.Event) { events[name] = event }
	for name, userAgent := range map[string]string{
		"chrome": chromeOnWindows, "safari": safariOnPhone, "cubot": cubot, "outlook": outlook, "googlebot": googlebot,
		"headless": headless, "slack preview": slackPreview, "barracuda": barracuda, "python": pythonRequest,
		"google proxy": googleProxy, "yahoo proxy": yahooProxy, "gmail scanner": gmailScanner, "bare": "Mozilla/5.0", "none": "",
	} {
		add("page by "+name, hit(userAgent))
		add("open by "+name, hit(userAgent, kind(open), mail("May")))
		add("report by "+name, hit(userAgent, transport(server)))
	}
	add("click in a mail", hit(chromeOnWindows, kind(clickInMail), mail("May")))
	add("unsubscription by a provider", hit("", kind(unsubscribe), mail("May")))
	add("prefetch", hit(chromeOnWindows, prefetch))
	for name, userAgent := range map[string]string{"chrome": chromeOnWindows, "googlebot": googlebot, "python": pythonRequest, "google proxy": googleProxy} {
		add("page from a data centre by "+name, hit(userAgent, fromDatacenter))
		add("open from a data centre by "+name, hit(userAgent, fromDatacenter, kind(open), mail("May")))
		add("report from a data centre by "+name, hit(userAgent, fromDatacenter, transport(server)))
	}
	for rule, userAgent := range notBrowsers {
		add("page by what breaks "+rule, hit(userAgent))
	}
	for _, source := range []string{"google", "adwords", "facebook", "youtube", "ebay", "chatgpt.com", "newsletter", "partner", "sms"} {
		for _, medium := range []string{"", "cpc", "cpm", "email", "referral"} {
			add("utm "+source+" "+medium, hit(chromeOnWindows, utm(source, medium, "Spring")))
		}
	}
	for _, param := range []string{"gclid", "dclid", "fbclid", "msclkid", "epik", "mc_eid", "irclickid", "newclid"} {
		add("click "+param, hit(chromeOnWindows, clicked(param, "network")))
	}
	for _, host := range []string{"www.google.de", "docs.google.com", "l.facebook.com", "mail.google.com", "blog.example", "shop.example", "claude.ai"} {
		add("referrer "+host, hit(chromeOnWindows, page("https://www.shop.example/p?x", "https://"+host+"/")))
	}
	for _, name := range []string{"purchase", "refund", "signup", "page_view"} {
		for i, options := range [][]func(*onepxv1.Event){
			{worth(1_500_000, "USD")}, {worth(-1, "")}, {page("https://shop.example/de/thanks?x", ""), props("size", "big", "plan", "pro", "paid", "1")},
			{props("test", "yes"), transport(server)}, {site("kiribati")}, {site("york")}, {site("gone"), worth(1, "EUR")},
		} {
			add(fmt.Sprintf("goals of %s %d", name, i), hit(chromeOnWindows, append(options, named(name))...))
		}
	}
	for _, name := range []string{"view_item", "add_to_cart", "purchase"} {
		bought := []func(*onepxv1.Event){named(name), page("https://shop.example/tea/p-1", ""), item("p-1", "tea", 12_000_000), item("p-2", "", 9_900_000), item("p-1", "tea", 1)}
		add("segments of "+name, hit(chromeOnWindows, append(bought, allowing("visitor"))...))
		add("segments of "+name+" without consent", hit(chromeOnWindows, bought...))
	}
	return events
}

func FuzzFacts(f *testing.F) {
	for _, event := range goldenEvents() {
		f.Add(event.SiteId, event.OccurredAtMs, int32(event.Kind), int32(event.Transport.Kind), event.Client.UserAgent,
			event.Page.Url, event.Page.Referrer, event.Marketing.UtmSource, event.Marketing.UtmMedium, event.Marketing.ClickIdParam)
	}
	enricher, err := shared()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, site string, at int64, kind, transport int32, userAgent, url, referrer, source, medium, param string) {
		event := hit(userAgent, page(url, referrer), utm(source, medium, source), clicked(param, medium))
		event.SiteId, event.OccurredAtMs = site, at
		event.Kind, event.Transport.Kind = onepxv1.EventKind(kind), onepxv1.TransportKind(transport)
		event.Name, event.Props = source, map[string]string{"plan": medium, "size": medium, "test": medium}
		got := enricher.Facts(event)
		require.Equal(t, got, enricher.Facts(event))
		require.Contains(t, enrich.TrafficClasses, got.TrafficClass)
		require.Contains(t, enrich.Channels, got.Channel)
		require.Contains(t, enrich.Devices, got.Device)
		require.Zero(t, got.SiteDay.Unix()%86400)
		require.True(t, got.SiteDay.Year() >= 1970 && got.SiteDay.Year() <= 2149)
		require.NotZero(t, got.RetentionDays)
		require.LessOrEqual(t, len(got.BrowserVersion), 32)
		require.LessOrEqual(t, len(got.OSVersion), 16)
		require.True(t, got.PagePath == "" || got.PagePath[0] == '/')
		require.Equal(t, got.PageHost == "", got.PagePath == "")
		for _, goal := range got.Goals {
			require.NotEmpty(t, goal.ID)
			require.Len(t, goal.Currency, 3)
			require.NotZero(t, goal.ClickWindowDays)
			require.LessOrEqual(t, goal.ViewWindowDays, goal.ClickWindowDays)
		}
	})
}
