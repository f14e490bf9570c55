package enrich_test

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
)

const (
	open        = onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN
	clickInMail = onepxv1.EventKind_EVENT_KIND_EMAIL_CLICK
	unsubscribe = onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE
	server      = onepxv1.TransportKind_TRANSPORT_KIND_SERVER

	googleProxy   = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
	yahooProxy    = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
	gmailScanner  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0"
	headless      = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36"
	googlebot     = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	cubot         = "Mozilla/5.0 (Linux; Android 6.0; CUBOT MAX Build/MRA58K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/51.0.2704.81 Mobile Safari/537.36"
	outlook       = "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.8431; Pro)"
	slackPreview  = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
	barracuda     = "Barracuda Sentinel (EE)"
	pythonRequest = "python-requests/2.32.3"
)

func TestTheTrafficClassSaysWhoDidIt(t *testing.T) {
	for name, test := range map[string]struct {
		userAgent string
		options   []func(*onepxv1.Event)
		class     string
		bot       bool
	}{
		"a browser is a person's":                           {chromeOnWindows, nil, enrich.ClassPerson, false},
		"a CUBOT phone is a person's":                       {cubot, nil, enrich.ClassPerson, false},
		"Outlook is a person's":                             {outlook, with(kind(open)), enrich.ClassPerson, false},
		"Googlebot is a crawler":                            {googlebot, nil, enrich.ClassCrawler, true},
		"a headless browser is a crawler":                   {headless, nil, enrich.ClassCrawler, true},
		"a link preview is a crawler":                       {slackPreview, nil, enrich.ClassCrawler, true},
		"a security scanner that says so is a crawler":      {barracuda, nil, enrich.ClassCrawler, true},
		"no user agent is no browser":                       {"", nil, enrich.ClassNonbrowser, true},
		"bare Mozilla/5.0 on a page is no browser":          {"Mozilla/5.0", nil, enrich.ClassNonbrowser, true},
		"curl is no browser":                                {"curl/8.14.1", nil, enrich.ClassNonbrowser, true},
		"a library for HTTP is no browser":                  {pythonRequest, nil, enrich.ClassNonbrowser, true},
		"an unlisted program of one word is no browser":     {"PostmanRuntime/7.29.0", nil, enrich.ClassNonbrowser, true},
		"a library with brackets is no browser":             {"Apache-HttpClient/4.5.10 (Java/1.8.0_275)", nil, enrich.ClassNonbrowser, true},
		"a crawler made with a library is a crawler":        {"Python/3.12 aiohttp/3.9 (Googlebot/2.1)", nil, enrich.ClassCrawler, true},
		"a prefetch by a browser is a prefetch":             {chromeOnWindows, with(prefetch), enrich.ClassPrefetch, true},
		"a prefetch by a crawler is a crawler":              {googlebot, with(prefetch), enrich.ClassCrawler, true},
		"bare Mozilla/5.0 opening a mail is Apple":          {"Mozilla/5.0", with(kind(open)), enrich.ClassMachineOpen, true},
		"bare Mozilla/5.0 clicking in a mail is no browser": {"Mozilla/5.0", with(kind(clickInMail)), enrich.ClassNonbrowser, true},
		"Gmail's proxy opening a mail acts for its reader":  {googleProxy, with(kind(open)), enrich.ClassMailProxy, false},
		"Yahoo's proxy opening a mail acts for its reader":  {yahooProxy, with(kind(open)), enrich.ClassMailProxy, false},
		"Gmail's proxy on a page is a crawler":              {googleProxy, nil, enrich.ClassCrawler, true},
		"Gmail's scanner opening a mail is a scanner":       {gmailScanner, with(kind(open)), enrich.ClassScanner, true},
		"Gmail's scanner clicking in a mail is a scanner":   {gmailScanner, with(kind(clickInMail)), enrich.ClassScanner, true},
		"a link preview opening a mail is a crawler":        {slackPreview, with(kind(open)), enrich.ClassCrawler, true},
		"a provider unsubscribing acts for its reader":      {"", with(kind(unsubscribe)), enrich.ClassMailProxy, false},
		"a browser from a data centre is no person's":       {chromeOnWindows, with(fromDatacenter), enrich.ClassDatacenter, true},
		"a crawler from a data centre is a crawler":         {googlebot, with(fromDatacenter), enrich.ClassCrawler, true},
		"a library from a data centre is no browser":        {pythonRequest, with(fromDatacenter), enrich.ClassNonbrowser, true},
		"a prefetch through a data centre is a prefetch":    {chromeOnWindows, with(fromDatacenter, prefetch), enrich.ClassPrefetch, true},
		"a server in a data centre is a server":             {pythonRequest, with(fromDatacenter, transport(server)), enrich.ClassServer, false},
		"a server in a data centre that passes on a browser reports a person": {
			chromeOnWindows, with(fromDatacenter, transport(server)), enrich.ClassPerson, false},
		"a mail read through a data centre is read by a person":     {chromeOnWindows, with(fromDatacenter, kind(open)), enrich.ClassMailProxy, false},
		"a mail left through a data centre is left by a person":     {chromeOnWindows, with(fromDatacenter, kind(unsubscribe)), enrich.ClassMailProxy, false},
		"a click in a mail from a data centre is no person's":       {chromeOnWindows, with(fromDatacenter, kind(clickInMail)), enrich.ClassDatacenter, true},
		"Gmail's proxy is in a data centre and acts for its reader": {googleProxy, with(fromDatacenter, kind(open)), enrich.ClassMailProxy, false},
		"Yahoo's proxy is in a data centre and acts for its reader": {yahooProxy, with(fromDatacenter, kind(open)), enrich.ClassMailProxy, false},
		"Gmail's scanner is in a data centre and is a scanner":      {gmailScanner, with(fromDatacenter, kind(open)), enrich.ClassScanner, true},
		"Apple Mail through its relay's data centre is Apple":       {"Mozilla/5.0", with(fromDatacenter, kind(open)), enrich.ClassMachineOpen, true},
		"a browser that can't be is no person's":                    {notBrowsers["browser_version"], nil, enrich.ClassImpossible, true},
		"a browser that can't be is so in a data centre too":        {notBrowsers["browser_version"], with(fromDatacenter), enrich.ClassImpossible, true},
		"a browser that can't be is so when a server passes it on":  {notBrowsers["browser_version"], with(transport(server)), enrich.ClassImpossible, true},
		"a crawler that can't be what it says is a crawler":         {"Mozilla/5.0 () Chrome/999.0 (compatible; Googlebot/2.1)", nil, enrich.ClassCrawler, true},
		"a server reporting an order is a server":                   {pythonRequest, with(transport(server)), enrich.ClassServer, false},
		"a server without a user agent is a server":                 {"", with(transport(server)), enrich.ClassServer, false},
		"a server that passes on a browser reports a person": {
			chromeOnWindows, with(transport(server)), enrich.ClassPerson, false},
		"a server that passes on a crawler reports a crawler": {
			googlebot, with(transport(server)), enrich.ClassCrawler, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := facts(t, hit(test.userAgent, test.options...))
			require.Equal(t, test.class, got.TrafficClass)
			require.Equal(t, test.bot, got.IsBot)
		})
	}
}

func TestTheUserAgentSaysBrowserSystemAndDevice(t *testing.T) {
	type want struct{ browser, version, os, osVersion, device string }
	for name, test := range map[string]struct {
		userAgent string
		options   []func(*onepxv1.Event)
		want      want
	}{
		"Chrome on Windows": {chromeOnWindows, nil, want{"Chrome", "142.0.0.0", "Windows", "10.0", enrich.DeviceDesktop}},
		"Safari on a phone": {safariOnPhone, nil, want{"Safari", "18.6", "iOS", "18.6", enrich.DeviceMobile}},
		"Safari on a Mac": {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15", nil,
			want{"Safari", "18.6", "MacOS", "10.15.7", enrich.DeviceDesktop}},
		"Chrome on an iPhone": {"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1", nil,
			want{"Chrome", "142.0.7444.77", "iOS", "18.6", enrich.DeviceMobile}},
		"Safari on an iPad": {"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1", nil,
			want{"Safari", "16.6", "iOS", "16.6", enrich.DeviceTablet}},
		"Chrome on Android": {"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", nil,
			want{"Chrome", "142.0.0.0", "Android", "10", enrich.DeviceMobile}},
		"an Android that is not mobile is a tablet": {"Mozilla/5.0 (Linux; Android 12; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", nil,
			want{"Chrome", "142.0.0.0", "Android", "12", enrich.DeviceTablet}},
		"a Fire TV is a television set": {"Mozilla/5.0 (Linux; Android 5.1; AFTS Build/LMY47O) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/41.99900.2250.0242 Safari/537.36", nil,
			want{"Chrome", "41.99900.2250.0242", "Android", "5.1", enrich.DeviceTV}},
		"a smart television set": {"Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/79.0.3945.79 Safari/537.36 WebAppManager", nil,
			want{"", "", "", "", enrich.DeviceTV}},
		"Edge": {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.3595.53", nil,
			want{"Edge", "142.0.3595.53", "Windows", "10.0", enrich.DeviceDesktop}},
		"Firefox on Linux has no version of the system": {"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", nil,
			want{"Firefox", "145.0", "Linux", "", enrich.DeviceDesktop}},
		"a Chromebook": {"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36", nil,
			want{"Chrome", "142.0.0.0", "ChromeOS", "14541.0.0", enrich.DeviceDesktop}},
		"a crawler is a bot":                         {googlebot, nil, want{"", "", "", "", enrich.DeviceBot}},
		"a prefetch keeps its device":                {chromeOnWindows, with(prefetch), want{"Chrome", "142.0.0.0", "Windows", "10.0", enrich.DeviceDesktop}},
		"a mail proxy says nothing about the reader": {googleProxy, with(kind(open)), want{"", "", "", "", enrich.DeviceUnknown}},
		"Apple Mail says nothing about the reader":   {"Mozilla/5.0", with(kind(open)), want{"", "", "", "", enrich.DeviceUnknown}},
		"a server says nothing about the buyer":      {pythonRequest, with(transport(server)), want{"", "", "", "", enrich.DeviceUnknown}},
		"a version of the system stays short": {"Mozilla/5.0 (Linux; Android 1." + strings.Repeat("2", 100) + "; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36", nil,
			want{"Chrome", "142.0.0.0", "Android", "1.22222222222222", enrich.DeviceMobile}},
		"a program on no known system has no version of it": {"ExampleApp/1 (CPU OS 16_6)", nil, want{"", "", "", "", enrich.DeviceUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			got := facts(t, hit(test.userAgent, test.options...))
			require.Equal(t, test.want, want{got.Browser, got.BrowserVersion, got.OS, got.OSVersion, got.Device})
		})
	}
}

func TestPeopleAreNoBots(t *testing.T) {
	for _, file := range []string{"testdata/people.txt", "testdata/browsers.txt"} {
		for userAgent := range lines(t, file) {
			require.Equal(t, enrich.ClassPerson, facts(t, hit(userAgent)).TrafficClass, userAgent)
		}
	}
}

func TestEveryListedCrawlerIsABot(t *testing.T) {
	for userAgent := range lines(t, "testdata/crawlers.txt") {
		require.True(t, facts(t, hit(userAgent)).IsBot, userAgent)
	}
}

// TestTheListMeansWhatItsPatternsMatch compares the automaton with trying one pattern after the other.
func TestTheListMeansWhatItsPatternsMatch(t *testing.T) {
	type pattern struct {
		class string
		re    *regexp.Regexp
	}
	var patterns []pattern
	for line := range lines(t, "lists/crawlers.tsv") {
		class, text, _ := strings.Cut(line, "\t")
		patterns = append(patterns, pattern{class, regexp.MustCompile(text)})
	}
	require.Greater(t, len(patterns), 1400)
	for _, file := range []string{"testdata/crawlers.txt", "testdata/people.txt"} {
		number := 0
		for userAgent := range lines(t, file) {
			if number++; number%20 != 0 {
				continue // all of them would take seconds
			}
			userAgent += " (x)" // so that no user agent is a single word
			want := enrich.ClassPerson
			for _, p := range patterns {
				if want != enrich.ClassCrawler && p.re.MatchString(userAgent) {
					want = p.class
				}
			}
			require.Equal(t, want, facts(t, hit(userAgent)).TrafficClass, userAgent)
		}
	}
}

// lines are the lines of a file without comments.
func lines(t *testing.T, name string) func(yield func(string) bool) {
	t.Helper()
	file, err := os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	return func(yield func(string) bool) {
		scanner := bufio.NewScanner(file)
		for scanner.Scan() {
			if !strings.HasPrefix(scanner.Text(), "#") && !yield(scanner.Text()) {
				return
			}
		}
		require.NoError(t, scanner.Err())
	}
}
