package params_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
)

// hashed is what the docs promise for an event id that is no UUID.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return hex.EncodeToString(sum[:16])
}

func TestStoredURLs(t *testing.T) {
	for _, test := range []struct{ name, url, want string }{
		{"an ordinary URL stays", "https://shop.example/a/b?x=1&y=2", "https://shop.example/a/b?x=1&y=2"},
		{"scheme and host are lower case, the rest is not", "HTTPS://Shop.Example:8443/Path?Q=A", "https://shop.example:8443/Path?Q=A"},
		{"without a path", "http://shop.example", "http://shop.example"},
		{"a fragment is dropped", "https://a.b/x?y=1#token=secret", "https://a.b/x?y=1"},
		{"user and password are dropped", "https://ann:pw@a.b/x", "https://a.b/x"},
		{"an at sign in the path is no user", "https://a.b/@ann", "https://a.b/@ann"},
		{"utm parameters and click ids are dropped in any case", "https://a.b/?utm_source=x&UTM_Foo=y&gclid=1&FBCLID=2&gad_source=1&q=tea", "https://a.b/?q=tea"},
		{"secrets are dropped", "https://a.b/cb?code=1&access_token=2&Password=3&session_id=4&q=5&api_key=6", "https://a.b/cb?q=5"},
		{"an escaped name is dropped too", "https://a.b/?%74oken=1&q=2", "https://a.b/?q=2"},
		{"nothing of the query may be left", "https://a.b/x?gclid=1", "https://a.b/x"},
		{"several sessions too", "https://a.b/;JSessionID=1;x=2;jsessionid=3/c", "https://a.b/;x=2/c"},
		{"also after letters whose lower case is longer", "https://a.b/ȺȺȺȺȺȺȺȺȺȺȺȺȺȺ;jsessionid=S", "https://a.b/ȺȺȺȺȺȺȺȺȺȺȺȺȺȺ"},
		{"or shorter", "https://a.b/İ;jsessionid=S", "https://a.b/İ"},
		{"a session in the path is dropped", "https://a.b/shop;jsessionid=1A2B/cart?x=1", "https://a.b/shop/cart?x=1"},
		{"a session at the end of the path is dropped", "https://a.b/cart;JSESSIONID=1A2B", "https://a.b/cart"},
		{"a bad escape stays", "https://a.b/100%?q=50%", "https://a.b/100%?q=50%"},
		{"text that is not ASCII stays", "https://a.b/café?q=thé", "https://a.b/café?q=thé"},
		{"a space is escaped", "https://a.b/my page", "https://a.b/my%20page"},
		{"an IPv6 host stays", "http://[2001:db8::1]:80/x", "http://[2001:db8::1]:80/x"},
		{"HTML-escaped separators are seen through", "https://a.b/?x=1&amp;gclid=2", "https://a.b/?x=1"},
		{"no scheme", "//evil.example", ""},
		{"no slashes", "https:evil.example", ""},
		{"backslashes", `\\evil.example`, ""},
		{"script", "javascript:alert(1)", ""},
		{"another scheme", "android-app://com.example", ""},
		{"a file", "file:///etc/passwd", ""},
		{"no host", "https:///x", ""},
		{"a user but no host", "https://ann@/x", ""},
		{"a host with a space", "https://a b/", ""},
		{"a backslash ends the host", `https://good.example\@evil.example`, `https://good.example\@evil.example`},
		{"just words", "home page", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(encode("u", test.url, "r", test.url))
			require.Equal(t, test.want, hit.Event.Page.Url)
			require.Equal(t, test.want, hit.Event.Page.Referrer)
			if test.want == "" {
				require.Equal(t, params.Flags{reason.URLInvalid, reason.ReferrerInvalid}, hit.Flags)
			} else {
				require.Empty(t, hit.Flags)
			}
		})
	}
	long := read(encode("u", "https://a.b/"+strings.Repeat("a", 9000)))
	require.Len(t, long.Event.Page.Url, 8192)
	require.Equal(t, params.Flags{reason.TextTruncated}, long.Flags)
}

func TestThePageIsTheRefererUnlessGiven(t *testing.T) {
	hit := params.Read(params.ParseQuery(""), arrival, "https://a.b/x?utm_source=News&gclid=1#y")
	require.Equal(t, "https://a.b/x", hit.Event.Page.Url)
	require.Equal(t, "News", hit.Event.Marketing.UtmSource)
	require.Equal(t, "1", hit.Event.Marketing.ClickId)
	given := params.Read(params.ParseQuery("u=https%3A%2F%2Fc.d%2F"), arrival, "https://a.b/x")
	require.Equal(t, "https://c.d/", given.Event.Page.Url)
	raw := params.Read(params.ParseQuery(""), arrival, "https://a.b/\xe9")
	require.Equal(t, "https://a.b/�", raw.Event.Page.Url)
	require.Equal(t, params.Flags{reason.InvalidUTF8}, raw.Flags)
}

func TestMarketingFields(t *testing.T) {
	hit := read(encode("u", "https://a.b/?UTM_Source=FromURL&utm_medium=cpc&utm_id=7&utm_term=first&utm_term=second&gclid=FromURL", "utm_source", "Given"))
	require.Equal(t, "Given", hit.Event.Marketing.UtmSource, "a parameter goes before the page URL")
	require.Equal(t, "cpc", hit.Event.Marketing.UtmMedium)
	require.Equal(t, "first", hit.Event.Marketing.UtmTerm)
	require.Equal(t, "7", hit.Event.Marketing.UtmId)
	require.Equal(t, []string{"FromURL", "gclid", "google"},
		[]string{hit.Event.Marketing.ClickId, hit.Event.Marketing.ClickIdParam, hit.Event.Marketing.ClickNetwork})
}

func TestClickIDs(t *testing.T) {
	for _, test := range []struct {
		name, query, param, id, network string
		props                           map[string]string
	}{
		{"the case of the value is kept", "fbclid=IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk", "fbclid", "IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk", "meta", nil},
		{"of two, the order decides and both are kept", "gbraid=def&wbraid=abc", "wbraid", "abc", "google", map[string]string{"gbraid": "def"}},
		{"gclid goes before all", "fbclid=1&gclid=2", "gclid", "2", "google", map[string]string{"fbclid": "1"}},
		{"the name is stored as the network spells it", "sccid=1", "ScCid", "1", "snapchat", nil},
		{"a parameter goes before the page URL", "msclkid=1&u=https%3A%2F%2Fa.b%2F%3Fgclid%3D2", "msclkid", "1", "microsoft", nil},
		{"both are kept from a page URL too", "u=https%3A%2F%2Fa.b%2F%3Fgbraid%3D2%26wbraid%3D1", "wbraid", "1", "google", map[string]string{"gbraid": "2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(test.query)
			m := hit.Event.Marketing
			require.Equal(t, []string{test.param, test.id, test.network}, []string{m.ClickIdParam, m.ClickId, m.ClickNetwork})
			require.Equal(t, test.props, hit.Event.Props)
			require.Empty(t, hit.Flags)
		})
	}
}

func TestUnencodedPageURL(t *testing.T) {
	for _, test := range []struct {
		name, query, url string
		props            map[string]string
		flags            params.Flags
	}{
		{"what follows at the end is the page URL's", "site=shop&u=https://a.b/?x=1&y=a%26b&z=3", "https://a.b/?x=1&y=a%26b&z=3", nil, params.Flags{reason.URLUnencoded}},
		{"utm parameters in between are as good there", "u=https://a.b/?x=1&utm_source=news&y=2", "https://a.b/?x=1&y=2", nil, params.Flags{reason.URLUnencoded}},
		{"if ours follow nobody can tell", "u=https://a.b/?x=1&y=2&e=signup", "https://a.b/?x=1", map[string]string{"y": "2"}, params.Flags{reason.URLUnencoded}},
		{"explicit properties are ours", "u=https://a.b/?x=1&p.color=red", "https://a.b/?x=1", map[string]string{"color": "red"}, nil},
		{"if only ours follow nothing is wrong", "u=https://a.b/?x=1&e=signup", "https://a.b/?x=1", nil, nil},
		{"its own escapes stay", "u=https://a.b/?q=a%26b+c", "https://a.b/?q=a%26b+c", nil, nil},
		{"without a query there is nothing to lose", "u=https://a.b/x&color=red", "https://a.b/x", map[string]string{"color": "red"}, nil},
		{"an encoded one is none", "u=https%3A%2F%2Fa.b%2F%3Fx%3D1&color=red", "https://a.b/?x=1", map[string]string{"color": "red"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := read(test.query)
			require.Equal(t, test.url, hit.Event.Page.Url)
			require.Equal(t, test.props, hit.Event.Props)
			require.Equal(t, test.flags, hit.Flags)
		})
	}
}

// FuzzRead holds that whatever comes in, what comes out can be stored: valid texts within their limits, known flags.
func FuzzRead(f *testing.F) {
	for _, raw := range realQueries {
		f.Add(raw, "https://a.b/")
	}
	f.Add(encode("u", "https://ann:pw@a.b/;jsessionid=1?gclid=1#x", "items", `[{"id":"a","qty":"1.5","price":2}]`, "value", "1.5"), "")
	f.Add(encode("u", "https://a.b/ȺİȺİȺİȺİ;jsessionid=1;JSESSIONID=2", "items", `[{"id":"\u0000a","category":"x\ny"}]`), "")
	f.Fuzz(func(t *testing.T, raw, referer string) {
		hit := params.Read(params.ParseQuery(raw), arrival, referer)
		_, err := proto.Marshal(hit.Event) // fails on texts that are no UTF-8
		require.NoError(t, err)
		for _, url := range []string{hit.Event.Page.Url, hit.Event.Page.Referrer} {
			require.LessOrEqual(t, len(url), 8192)
			require.NotContains(t, url, "#")
			require.True(t, url == "" || strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://"))
		}
		require.LessOrEqual(t, len(hit.Event.Props), 64)
		for name, value := range hit.Event.Props {
			require.LessOrEqual(t, len(value), 1024)
			require.LessOrEqual(t, utf8.RuneCountInString(name), 64)
		}
		require.LessOrEqual(t, len(hit.Event.Commerce.Items), 100)
		for _, word := range hit.Flags {
			require.Contains(t, reason.With(reason.Flagged), word)
		}
		require.GreaterOrEqual(t, hit.Event.OccurredAtMs, arrival.AddDate(0, 0, -7).UnixMilli())
	})
}
