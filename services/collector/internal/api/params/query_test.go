package params_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
)

func pairs(q params.Query) map[string]string {
	got := map[string]string{}
	for _, p := range q.Pairs {
		got[p.Name] = p.Value
	}
	return got
}

func TestParseQuery(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		want      map[string]string
		flags     params.Flags
	}{
		{"an empty query has no parameters", "", map[string]string{}, nil},
		{"escapes and plus signs are decoded", "t=a%20b+c&u=https%3A%2F%2Fa.b%2F%3Fx%3D1", map[string]string{"t": "a b c", "u": "https://a.b/?x=1"}, nil},
		{"names are decoded too", "p%2Ecolor=red", map[string]string{"p.color": "red"}, nil},
		{"a value may hold an equals sign", "ue_px=fX19==", map[string]string{"ue_px": "fX19=="}, nil},
		{"HTML-escaped separators are read", "id=134132097137679&amp;ev=PageView&amp;noscript=1", map[string]string{"id": "134132097137679", "ev": "PageView", "noscript": "1"}, params.Flags{reason.EscapedAmpersand}},
		{"separators may be escaped twice", "a=1&amp;amp;b=2", map[string]string{"a": "1", "b": "2"}, params.Flags{reason.EscapedAmpersand}},
		{"a semicolon is data", "a=1;b=2&c=3", map[string]string{"a": "1;b=2", "c": "3"}, nil},
		{"a bad escape stays as it is", "x=%zz&y=1&z=1%&w=%4", map[string]string{"x": "%zz", "y": "1", "z": "1%", "w": "%4"}, params.Flags{reason.BadEscape}},
		{"bytes that are no UTF-8 are replaced", "x=%E9t%E9", map[string]string{"x": "�t�"}, params.Flags{reason.InvalidUTF8}},
		{"raw bytes that are no UTF-8 are replaced", "x=\xe9", map[string]string{"x": "�"}, params.Flags{reason.InvalidUTF8}},
		{"raw UTF-8 is text", "x=été", map[string]string{"x": "été"}, nil},
		{"control characters are removed", "x=a%00b%0Ac%7F", map[string]string{"x": "abc"}, params.Flags{reason.ControlCharacters}},
		{"the first of several counts", "a=1&a=2&a=3", map[string]string{"a": "1"}, params.Flags{reason.DuplicateParameter}},
		{"the first of several is decoded", "utm_source=a%20b&utm_source=c", map[string]string{"utm_source": "a b"}, params.Flags{reason.DuplicateParameter}},
		{"an empty value is not given", "cx=&a&e=x&=&&", map[string]string{"e": "x"}, nil},
		{"an empty value does not hide a later one", "site=&site=shop", map[string]string{"site": "shop"}, nil},
		{"leading separators do no harm", "&e=pv&page=Root%20README", map[string]string{"e": "pv", "page": "Root README"}, nil},
		{"utm names are read in any case and values keep theirs", "UTM_Source=A", map[string]string{"utm_source": "A"}, nil},
		{"click ids are read in any case and values keep theirs", "GCLID=AbC&sccid=x", map[string]string{"gclid": "AbC", "ScCid": "x"}, nil},
		{"other names keep their case", "Site=shop", map[string]string{"Site": "shop"}, nil},
		{"utm names of different case are one", "utm_source=a&UTM_SOURCE=b", map[string]string{"utm_source": "a"}, params.Flags{reason.DuplicateParameter}},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := params.ParseQuery(test.raw)
			require.Equal(t, test.want, pairs(q))
			require.Equal(t, test.flags, q.Flags)
		})
	}
}

// realQueries are query strings that real pixels send, or that their documentation and bug reports show.
var realQueries = []string{
	"id=134132097137679&amp;ev=PageView&amp;noscript=1",
	"data=eyJ3cml0ZUtleSI6ICJZT1VSX1dSSVRFX0tFWSIsICJ1c2VySWQiOiAiMDI1cGlrYWNodTAyNSIsICJldmVudCI6ICJFbWFpbCBPcGVuZWQifQ",
	`anonymousId="abc"`,
	"idgoal=0&ec_id=A1&revenue=22.2&ec_items=%5B%5B%22item1%20SKU%22%2C%22item1%20name%22%2C%22item1%20category%22%2C11.1111%2C2%5D%5D",
	"&e=pv&page=Root%20README&url=http%3A%2F%2Fgithub.com%2Fsnowplow%2Fsnowplow&aid=snowplow&p=web&tv=no-js-0.1.0",
	"cx=&dtm=1665401016632",
	"ue_px=fX19==&ue_px=-_+/",
	"wbraid=abc&gbraid=def",
	"access_token=<token>&status=new&tracking_uuid=<bannerid>&transaction_id=<orderid>&payout=<payout>",
	"utm_campaign=workshop-2026&utm_medium=cpc&utm_source=unknown",
	"utm_source=a%20b&utm_source=c",
	"fbclid=IwAR2F4-dbP0l7Mn1IawQQGCINEz7PYXQvwjNwB_qa2ofrHyiLjcbCRxTDMgk",
	"transaction_id=",
	"gdpr=1&gdpr_consent=${GDPR_CONSENT_123}",
	"gpp=DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN&gpp_sid=2",
	"addtl_consent=2~1.35.41.101~dv.9.21.81",
	"site=shop&u=https://a.b/?x=1&y=2",
	"site=shop&x=%zz&y=1%&z=%E9t%E9&n=a%00b&UTM_Source=A",
}

func FuzzParseQuery(f *testing.F) {
	for _, raw := range realQueries {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q := params.ParseQuery(raw)
		seen := map[string]bool{}
		for _, p := range q.Pairs {
			require.False(t, seen[p.Name], "a name comes once")
			seen[p.Name] = true
			require.NotEmpty(t, p.Value)
			for _, text := range []string{p.Name, p.Value} {
				require.True(t, utf8.ValidString(text))
				require.Equal(t, -1, strings.IndexFunc(text, unicode.IsControl))
			}
		}
		for _, word := range q.Flags {
			require.Contains(t, reason.With(reason.Flagged), word)
		}
	})
}
