package api_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/kept"
)

const sparing = `
sites:
  - {id: all, timezone: UTC, currency: EUR}
  - {id: short, timezone: UTC, currency: EUR, minimise: {ip: short}}
  - {id: none, timezone: UTC, currency: EUR, minimise: {ip: none}}
  - {id: origin, timezone: UTC, currency: EUR, minimise: {referrer: origin}}
  - {id: reduced, timezone: UTC, currency: EUR, minimise: {user_agent: reduced}}
  - {id: exempt, timezone: UTC, currency: EUR, privacy: audience_exemption}
`

const fullAgent = "Mozilla/5.0 (Linux; Android 13; SM-A528B Build/TP1A.220624.014) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.5615.101 Mobile Safari/537.36"

func TestASiteMayWantLess(t *testing.T) {
	ask := func(t *testing.T, query string) *onepxv1.Event {
		t.Helper()
		e := on(t, sparing)
		e.get("/p.gif?u=https%3A%2F%2Fshop.example%2Ftea&r=https%3A%2F%2Fwww.search.example%2Fresults%3Fq%3Dtea&"+query, "X-Forwarded-For", "81.2.69.160",
			"User-Agent", fullAgent, "Sec-CH-UA", `"Chromium";v="112"`, "Sec-CH-UA-Mobile", "?1", "Sec-CH-UA-Platform", `"Android"`, "Accept-Language", "de-CH")
		return e.stored()
	}
	whole := ask(t, "site=all")
	for _, test := range []struct {
		name, query string
		change      func(*onepxv1.Event)
	}{
		{"everything that consent allows", "site=all", func(*onepxv1.Event) {}},
		{"the short prefix of the address", "site=short", func(ev *onepxv1.Event) { ev.Client.IpPrefix = "81.2.0.0" }},
		{"none of it", "site=none", func(ev *onepxv1.Event) { ev.Client.IpPrefix = "" }},
		{"none of it where consent allows all", "site=none&c=1", func(ev *onepxv1.Event) { ev.Client.IpPrefix = "" }},
		{"the short prefix in the mode that needs no consent", "site=exempt", func(ev *onepxv1.Event) { ev.Client.IpPrefix = "81.2.0.0" }},
		{"the origin of a foreign referrer", "site=origin", func(ev *onepxv1.Event) { ev.Page.Referrer = "https://www.search.example/" }},
		{"browser and system", "site=reduced", func(ev *onepxv1.Event) {
			ev.Client.UserAgent = "Mozilla/5.0 (Linux; Android; K) AppleWebKit/537.0 (KHTML, like Gecko) Chrome/112.0 Mobile Safari/537.0"
			ev.Client.HintBrands, ev.Client.HintMobile, ev.Client.HintPlatform, ev.Client.Language = "", "", "", ""
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _ := proto.Clone(whole).(*onepxv1.Event)
			test.change(got)
			event := ask(t, test.query)
			require.Equal(t, got.Client.String(), event.Client.String())
			require.Equal(t, got.Page.String(), event.Page.String())
		})
	}
}

func TestTheDailyHashIsMadeOfTheWhole(t *testing.T) {
	const few = `{id: few, timezone: UTC, currency: EUR, privacy: cookieless`
	hash := func(yaml, address, agent string) []byte {
		e := on(t, "sites: ["+yaml+"}]")
		e.get("/p.gif?site=few", "X-Forwarded-For", address, "User-Agent", agent)
		return e.stored().GetVisitor().GetDailyHash()
	}
	const less = few + ", minimise: {ip: none, user_agent: reduced}"
	whole := hash(less, "81.2.69.160", fullAgent)
	require.Len(t, whole, 16)
	require.Equal(t, hash(few, "81.2.69.160", fullAgent), whole, "it is the same as without")
	require.NotEqual(t, whole, hash(less, "81.2.70.160", fullAgent))
	require.NotEqual(t, whole, hash(less, "81.2.69.160", fullAgent+" Edg/1"))
}

func TestReferrersOfTheSameHost(t *testing.T) {
	for _, test := range []struct{ name, page, referrer, want string }{
		{"a page of the site is the site's", "https://shop.example/b?x=1", "https://shop.example/a?q=tea", "https://shop.example/a?q=tea"},
		{"over http too", "https://shop.example", "http://shop.example/a", "http://shop.example/a"},
		{"another host of the domain is not", "https://shop.example/b", "https://www.shop.example/a", "https://www.shop.example/"},
		{"nor another port", "https://shop.example/b", "https://shop.example:8443/a", "https://shop.example:8443/"},
		{"nor any where the page is not known", "", "https://shop.example/a", "https://shop.example/"},
		{"a query without a path", "https://shop.example/b", "https://a.example?q=tea", "https://a.example/"},
		{"none", "https://shop.example/b", "", ""},
		{"one that is none", "https://shop.example/b", "about:blank", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := on(t, sparing)
			e.post("/e", `{"site":"origin","u":"`+test.page+`","r":"`+test.referrer+`"}`)
			require.Equal(t, test.want, e.stored().GetPage().GetReferrer())
		})
	}
}

// TestWhatIsKeptIsWhatTheTableSays sends everything that can be sent in each state of consent, and looks which fields are there.
func TestWhatIsKeptIsWhatTheTableSays(t *testing.T) {
	const everything = `"e":"purchase","id":"1","u":"https://shop.example/tea","r":"https://a.example/","t":"Tea","ts":1764072000,"v":"ann","uid":"ann","order_id":"1","value":"1","currency":"EUR",` +
		`"items":[{"id":"1","qty":1,"price":"1","category":"tea"}],"utm_source":"a","utm_medium":"a","utm_campaign":"a","utm_term":"a","utm_content":"a","utm_id":"a","gclid":"a","sr":"1x1","note":"a"`
	// unsent are those that nothing sets, is set by a fault only, or has no value but true and false.
	unsent := []string{"visitor.foreign_session_id", "mail.", "tally.", "flags", "consent.", "transport.", "client.region", "client.country", "visitor.kind"}
	for name, test := range map[string]struct {
		fields string
		kept   func(kept.Row) string
	}{
		"known":     {`"c":"1"`, func(r kept.Row) string { return r.Known }},
		"measured":  {`"coppa":"1"`, func(r kept.Row) string { return r.Measured }},
		"anonymous": {`"gdpr":"1"`, func(r kept.Row) string { return r.Anonymous }},
	} {
		t.Run(name, func(t *testing.T) {
			e := on(t, sparing)
			e.post("/e", `{"site":"all",`+everything+`,`+test.fields+`}`, "X-Forwarded-For", "81.2.69.160", "User-Agent", fullAgent,
				"Sec-CH-UA", `"Chromium";v="112"`, "Sec-CH-UA-Mobile", "?1", "Sec-CH-UA-Platform", `"Android"`, "Accept-Language", "de-CH")
			there := map[string]bool{}
			present(e.stored().ProtoReflect(), "", there)
			for _, row := range kept.Table {
				for _, field := range row.Fields {
					if !slices.ContainsFunc(unsent, func(prefix string) bool { return strings.HasPrefix(field, prefix) }) {
						require.Equal(t, !strings.HasPrefix(test.kept(row), kept.No), there[field], field)
					}
				}
			}
		})
	}
}

// present notes the fields that the message has.
func present(m protoreflect.Message, prefix string, there map[string]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := prefix + string(f.Name())
		switch {
		case f.IsMap() || f.Message() == nil:
			there[name] = true
		case f.IsList():
			present(v.List().Get(0).Message(), name+".", there)
		default:
			present(v.Message(), name+".", there)
		}
		return true
	})
}
