//go:build integration

package needle_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeKey is that of the site all, whose hash is in sites.
const writeKey = "key"

const sites = `
sites:
  - {id: all, timezone: UTC, currency: EUR, privacy: opt_out, write_keys: ["sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"], sync_partners: [{id: adnet, url: "https://adnet.example/?to={callback}", redirects: [adnet.example]}]}
  - {id: sparing, timezone: UTC, currency: EUR, minimise: {ip: none, referrer: origin, user_agent: reduced}}
  - {id: strict, timezone: UTC, currency: EUR, privacy: opt_in}
  - {id: counting, timezone: UTC, currency: EUR, privacy: opt_in, consent: {without: count}}
  - {id: silent, timezone: UTC, currency: EUR, privacy: opt_in, consent: {without: nothing}}
`

// sender sends requests to a collector.
type sender struct {
	t *testing.T
	*marks
	url string
}

// send sends a request with headers given as name, value, name, value …, and reads the answer.
func (s *sender) send(method, target, body string, headers ...string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+target, strings.NewReader(body))
	require.NoError(s.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req) // no redirects
	require.NoError(s.t, err, "%s %s", method, target)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, res.Body.Close())
}

// way is an endpoint that takes events, with what sends some.
type way struct {
	name string
	send func(s *sender, events []event, headers ...string)
}

// event is the parameters of one.
type event map[string]any

var ways = []way{
	{"GET /p.gif", func(s *sender, events []event, headers ...string) {
		for _, fields := range events {
			query := url.Values{}
			for name, value := range fields {
				query.Set(name, fmt.Sprint(value))
			}
			s.send(http.MethodGet, "/p.gif?"+query.Encode(), "", headers...)
		}
	}},
	{"POST /e", func(s *sender, events []event, headers ...string) {
		s.send(http.MethodPost, "/e", list(events), headers...)
	}},
	{"POST /v1/events", func(s *sender, events []event, headers ...string) {
		s.send(http.MethodPost, "/v1/events", list(events), append([]string{"X-Write-Key", writeKey}, headers...)...)
	}},
}

// one sends one event.
func (w way) one(s *sender, fields event, headers ...string) { w.send(s, []event{fields}, headers...) }

func list(events []event) string {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(events) // texts and lists only
	return b.String()
}

// parameters are all that docs/pixel.md knows, and some that it does not.
func parameters(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/pixel.md")
	require.NoError(t, err)
	_, table, found := bytes.Cut(page, []byte("## Parameters"))
	require.True(t, found)
	table, _, _ = bytes.Cut(table, []byte("\n## "))
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllSubmatch(table, -1) {
		if name := string(row[1]); name != "site" && name != "debug" && name != "c" {
			names = append(names, strings.Replace(name, "NAME", "note", 1))
		}
	}
	require.Greater(t, len(names), 30)
	return append(names, "note", "gclid", "email", "_sp", "sid")
}

// inParameters puts each kind into each parameter of each endpoint, and into the names of properties.
func (s *sender) inParameters(site string) {
	for _, way := range ways {
		if way.name == "POST /v1/events" && site != "all" {
			continue
		}
		way.send(s, s.inEachParameter(site, way.name))
	}
}

func (s *sender) inEachParameter(site, where string) []event {
	var events []event
	add := func(name string, value any) { events = append(events, event{"site": site, name: value}) }
	for _, k := range inText {
		for _, name := range parameters(s.t) {
			add(name, s.at(k, where+" "+name))
		}
		add(s.at(k, where+" name of a property"), "1")
		add("items", items(s.at(k, where+" item id"), s.at(k, where+" item category")))
		add("deep", map[string]any{"a": []string{s.at(k, where+" within a property")}})
		add("u", s.pageURL(k, where+" u"))
		add("r", s.pageURL(k, where+" r"))
	}
	for _, name := range []string{"uid", "v", "id"} {
		add(name, s.at(person, where+" "+name))
	}
	add("ip", s.at(address, where+" ip"))
	add("ip", s.at(ipv6, where+" ip"))
	add("ip", s.at(address, where+" ip with a port")+":443")
	add("ip", "::ffff:"+s.at(address, where+" ip in an IPv6 address"))
	add("ip", s.at(address, where+" list of addresses")+", 10.0.0.1")
	return events
}

func items(id, category string) any {
	list, _ := json.Marshal([]map[string]string{{"id": id, "category": category}}) // texts only
	return string(list)
}

// pageURL is a URL with the kind in its path, its query, encoded twice and in a utm parameter, and secrets where URLs have them.
func (s *sender) pageURL(k kind, place string) string {
	escaped := func(part string) string { return url.QueryEscape(s.at(k, place+" "+part)) }
	return "https://" + s.at(secret, place+" user info") + ":" + s.at(secret, place+" user info") + "@shop.example/" + url.PathEscape(s.at(k, place+" path")) +
		";jsessionid=" + s.at(secret, place+" jsessionid") + "?q=" + escaped("query") + "&next=" + url.QueryEscape("https://shop.example/?m="+escaped("URL in the query")) +
		"&password=" + s.at(secret, place+" password") + "&access_token=" + s.at(secret, place+" access_token") + "&utm_term=" + escaped("utm parameter") +
		"#" + s.at(secret, place+" fragment")
}

// witness is a property of an event that is kept, and lastInSpool the name of the last event of the outage.
const (
	witness     = "witness-7c1e"
	lastInSpool = "last in the spool"
)

// inTheSpool sends one request of many events.
func (s *sender) inTheSpool() {
	events := append(s.inEachParameter("all", "POST /e during the outage"), event{"site": "all", "note": witness, "e": lastInSpool})
	ways[1].send(s, events, "X-Forwarded-For", s.at(address, "POST /e during the outage X-Forwarded-For"))
}

// headers are those that may tell something or that proxies set, and do not keep an event from being taken; heeded are those
// that may.
var (
	headers = []string{
		"User-Agent", "Referer", "Accept", "Accept-Language", "Accept-Encoding", "Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform", "Sec-CH-UA-Model", "From", "Via",
		"Forwarded", "X-Forwarded-Host", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "X-Client-IP", "X-Request-Id", "Traceparent", "Tracestate", "Baggage", "If-None-Match",
	}
	heeded = []string{
		"X-Forwarded-For", "X-Forwarded-Proto", "Sec-Fetch-Site", "Sec-Purpose", "Purpose", "Sec-GPC", "DNT", "Origin", "Authorization", "Content-Type", "Content-Encoding", "X-Write-Key", "Cookie", "Host",
	}
)

// inHeaders puts each kind into each header of each endpoint, and into cookies of ours.
func (s *sender) inHeaders(site string) {
	for _, way := range ways {
		fields := event{"site": site}
		for _, k := range []kind{email, phone, card, token, address, ipv6} {
			var together []string
			for _, name := range headers {
				together = append(together, name, s.at(k, way.name+" header "+name))
			}
			way.one(s, fields, together...)
			for _, name := range heeded {
				if name != "Host" || k.name != ipv6.name { // it would have to be in brackets
					way.one(s, fields, name, s.at(k, way.name+" header "+name))
				}
			}
		}
		var secrets []string
		for _, name := range []string{"Authorization", "X-Write-Key", "From", "X-Request-Id"} {
			secrets = append(secrets, name, s.at(secret, way.name+" header "+name), name, s.at(person, way.name+" header "+name))
		}
		for _, cookie := range []string{"onepx_v", "__Host-onepx_v", "__Host-onepx_p", "session"} {
			for _, k := range append(inText, person) {
				secrets = append(secrets, "Cookie", cookie+"="+strings.ReplaceAll(s.at(k, way.name+" cookie "+cookie), " ", "-"))
			}
		}
		way.one(s, fields, secrets...)
		way.one(s, fields, "X-Forwarded-For", s.at(address, way.name+" farther address")+", "+s.at(address, way.name+" nearer address"))
		way.one(s, fields, "Referer", s.pageURL(email, way.name+" header Referer"))
	}
}
