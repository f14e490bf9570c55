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
  - {id: all, timezone: UTC, currency: EUR, privacy: opt_out, write_keys: ["sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"]}
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

// ways are the endpoints that take events, with what sends one.
var ways = []struct {
	name string
	send func(s *sender, fields map[string]any, headers ...string)
}{
	{"GET /p.gif", func(s *sender, fields map[string]any, headers ...string) {
		query := url.Values{}
		for name, value := range fields {
			query.Set(name, fmt.Sprint(value))
		}
		s.send(http.MethodGet, "/p.gif?"+query.Encode(), "", headers...)
	}},
	{"POST /e", func(s *sender, fields map[string]any, headers ...string) {
		s.send(http.MethodPost, "/e", object(fields), headers...)
	}},
	{"POST /v1/events", func(s *sender, fields map[string]any, headers ...string) {
		s.send(http.MethodPost, "/v1/events", object(fields), append([]string{"X-Write-Key", writeKey}, headers...)...)
	}},
}

func object(fields map[string]any) string {
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(fields) // texts and lists only
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
		for _, name := range parameters(s.t) {
			for _, k := range inText {
				way.send(s, map[string]any{"site": site, name: s.at(k, way.name+" "+name)})
			}
		}
		for _, k := range inText {
			way.send(s, map[string]any{"site": site, s.at(k, way.name+" name of a property"): "1"})
			way.send(s, map[string]any{"site": site, "items": items(s.at(k, way.name+" item id"), s.at(k, way.name+" item category"))})
			way.send(s, map[string]any{"site": site, "deep": map[string]any{"a": []string{s.at(k, way.name+" within a property")}}})
			for _, name := range []string{"u", "r"} {
				way.send(s, map[string]any{"site": site, name: s.pageURL(k, way.name+" "+name)})
			}
		}
		way.send(s, map[string]any{"site": site, "uid": s.at(person, way.name+" uid"), "v": s.at(person, way.name+" v"), "id": s.at(person, way.name+" id")})
		way.send(s, map[string]any{"site": site, "ip": s.at(address, way.name+" ip")})
		way.send(s, map[string]any{"site": site, "ip": s.at(ipv6, way.name+" ip")})
		way.send(s, map[string]any{"site": site, "ip": s.at(address, way.name+" ip with a port") + ":443"})
		way.send(s, map[string]any{"site": site, "ip": "::ffff:" + s.at(address, way.name+" ip in an IPv6 address")})
		way.send(s, map[string]any{"site": site, "ip": s.at(address, way.name+" list of addresses") + ", 10.0.0.1"})
	}
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
	var events []map[string]any
	for _, name := range parameters(s.t) {
		for _, k := range inText {
			events = append(events, map[string]any{"site": "all", name: s.at(k, "POST /e during the outage "+name)})
		}
	}
	for _, name := range []string{"u", "r"} {
		events = append(events, map[string]any{"site": "all", name: s.pageURL(email, "POST /e during the outage "+name)})
	}
	events = append(events, map[string]any{"site": "all", "note": witness, "e": lastInSpool})
	body, err := json.Marshal(events)
	require.NoError(s.t, err)
	s.send(http.MethodPost, "/e", string(body), "X-Forwarded-For", s.at(address, "POST /e during the outage X-Forwarded-For"))
}

// headers are those that may tell something, and some that proxies set.
var headers = []string{
	"User-Agent", "Referer", "Accept", "Accept-Language", "Accept-Encoding", "Sec-CH-UA", "Sec-CH-UA-Mobile", "Sec-CH-UA-Platform", "Sec-CH-UA-Model", "Sec-Fetch-Site",
	"Sec-Purpose", "Purpose", "Sec-GPC", "DNT", "Origin", "From", "Via", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "CF-Connecting-IP",
	"True-Client-IP", "X-Client-IP", "X-Request-Id", "Traceparent", "Tracestate", "Baggage", "Authorization", "Content-Type", "Content-Encoding", "If-None-Match", "X-Write-Key", "Cookie", "Host",
}

// inHeaders puts each kind into each header of each endpoint, and into cookies of ours.
func (s *sender) inHeaders(site string) {
	for _, way := range ways {
		fields := map[string]any{"site": site}
		for _, name := range headers {
			for _, k := range inText {
				way.send(s, fields, name, s.at(k, way.name+" header "+name))
			}
			if name == "Host" {
				continue // a URL could not be had from it
			}
			for _, k := range []kind{address, ipv6} {
				way.send(s, fields, name, s.at(k, way.name+" header "+name))
			}
		}
		for _, name := range []string{"Authorization", "X-Write-Key", "From", "Cookie", "X-Request-Id"} {
			way.send(s, fields, name, s.at(secret, way.name+" header "+name))
			way.send(s, fields, name, s.at(person, way.name+" header "+name))
		}
		for _, cookie := range []string{"onepx_v", "__Host-onepx_v", "__Host-onepx_p", "session"} {
			for _, k := range append(inText, person) {
				way.send(s, fields, "Cookie", cookie+"="+strings.ReplaceAll(s.at(k, way.name+" cookie "+cookie), " ", "-"))
			}
		}
		way.send(s, fields, "X-Forwarded-For", s.at(address, way.name+" farther address")+", "+s.at(address, way.name+" nearer address"))
		way.send(s, fields, "Referer", s.pageURL(email, way.name+" header Referer"))
	}
}
