package hygiene_test

import (
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/hygiene"
)

// jwt is a token of no meaning, in the form of RFC 7519.
const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLW9mLW5vYm9keQ"

// github and stripe are put together here, so that no scanner takes this file for a leak.
var (
	github = "gh" + "p_" + strings.Repeat("a1B2c3", 6)
	stripe = "sk" + "_live_" + strings.Repeat("a1B2c3", 4)
)

var masked = []struct{ name, text, want string }{
	{"an address alone", "ann@shop.com", "[email]"},
	{"an address in a sentence", "Thank you, Ann.Lee@Shop.co.uk!", "Thank you, [email]!"},
	{"a dot after an address", "Write to ann@shop.com. Soon.", "Write to [email]. Soon."},
	{"no space after the dot", "ann@shop.com.Please", "[email].Please"},
	{"plus addressing", "ann+news@shop.com", "[email]"},
	{"a name with an apostrophe", "o'brien@shop.com", "[email]"},
	{"in quotes", "'ann@shop.com'", "'[email]'"},
	{"several addresses", "ann@shop.com,bob@shop.com;c@d.org", "[email],[email];[email]"},
	{"letters of other scripts", "jürgen@bücher.de и анна@почта.рф", "[email] и [email]"},
	{"a domain in punycode", "ann@xn--bcher-kva.xn--p1ai", "[email]"},
	{"a registry that gives out third-level names only", "ann@shop.com.np", "[email]"},
	{"a company's own domain", "ann@mail.corp", "[email]"},
	{"an underscore after the domain", "ann@gmail.com_2026", "[email]_2026"},
	{"a hyphen after the domain", "ann@gmail.com-2026", "[email]-2026"},
	{"a mailto link", "mailto:ann@shop.com?subject=Tea", "mailto:[email]?subject=Tea"},
	{"in a path", "/unsubscribe/ann@shop.com/now", "/unsubscribe/[email]/now"},
	{"in a query", "/x?mail=ann@shop.com&y=1", "/x?mail=[email]&y=1"},
	{"in a fragment", "/x#mail=ann@shop.com", "/x#mail=[email]"},
	{"percent-encoded", "/x?mail=ann%40shop.com&y=1", "/x?mail=[email]&y=1"},
	{"encoded twice", "/x?next=%2Flogin%3Fmail%3Dann%2540shop.com%26y%3D1", "/x?next=%2Flogin%3Fmail%3D[email]%26y%3D1"},
	{"encoded three times", "ann%252540shop.com", "[email]"},
	{"every character encoded", "%61%6e%6E%40%73%68%6f%70%2e%63%6f%6d", "[email]"},
	{"letters of other scripts, encoded", "/x?m=j%C3%BCrgen%40b%C3%BCcher.de", "/x?m=[email]"},
	{"in JSON", `{"mail":"ann@shop.com","n":1}`, `{"mail":"[email]","n":1}`},
	{"escaped in JSON", `{"mail":"ann\u0040shop.com"}`, `{"mail":"[email]"}`},
	{"two @", "ann@shop.com@evil.org", "[email]"},
	{"a name longer than allowed", strings.Repeat("a", 300) + "@shop.com", "[email]"},

	{"a JWT", "Bearer " + jwt, "Bearer [token]"},
	{"a JWT in a query", "/cb?state=" + jwt + "&x=1", "/cb?state=[token]&x=1"},
	{"a JWT without signature", "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.", "[token]"},
	{"a JWE", "eyJhbGciOiJkaXIifQ..aXYtb2YtdGhpcw.Y2lwaGVydGV4dA.dGFnLXRhZw", "[token]"},
	{"a key with a prefix", "/x?k=" + github + "&y=" + stripe, "/x?k=[token]&y=[token]"},
	{"a JWT after prefixes of keys", strings.Repeat("sk-ant-", 9) + "eyJhbGciOiJub.xxxxxxxx.", strings.Repeat("sk-ant-", 9) + "[token]"},
	{"a key after prefixes of others", strings.Repeat("xoxb-", 9) + "SG." + strings.Repeat("a1", 10) + "." + strings.Repeat("b2", 20), strings.Repeat("xoxb-", 9) + "[token]"},
	{"a token to the end of its word", github + "-and-more", "[token]"},
	{"in an encoded URL", "/x?next=%2Fcb%3Fstate%3D" + jwt, "/x?next=%2Fcb%3Fstate%3D[token]"},

	{"a card number", "4111111111111111", "[card]"},
	{"with spaces", "Card 4111 1111 1111 1111 12/28", "Card [card] 12/28"},
	{"with hyphens", "5555-5555-5555-4444", "[card]"},
	{"with dots", "5105.1051.0510.5100", "[card]"},
	{"with encoded spaces", "/pay?n=4111%201111%201111%201111", "/pay?n=[card]"},
	{"with spaces as forms encode them", "/pay?n=4111+1111+1111+1111&x=1", "/pay?n=[card]&x=1"},
	{"in the groups of American Express", "3782 822463 10005", "[card]"},
	{"of the second range of Mastercard", "2223003122003222", "[card]"},
	{"of Diners Club", "30569309025904", "[card]"},
	{"of Discover, JCB and UnionPay", "6011111111111117 3530111333300000 6200000000000005", "[card] [card] [card]"},
	{"of 19 digits", "4111111111111111110", "[card]"},
	{"in JSON as a number", `{"pan":4111111111111111}`, `{"pan":[card]}`},
	{"after an underscore", "cc_4111111111111111", "cc_[card]"},
	{"a telephone number", "+491701234567", "[phone]"},
	{"two", "+41 44 668 18 00 / +1 (415) 555-2671", "[phone] / [phone]"},
	{"two without a space", "+49 170 1234567/+1 415 555 2671", "[phone]/[phone]"},
	{"with hyphens and dots", "+1-415-555-2671, +33.1.42.68.53.00", "[phone], [phone]"},
	{"in brackets", "(+49) 170 1234567", "[phone]"},
	{"with the zero of calls within the country", "+49 (0)30 901820", "[phone]"},
	{"another way", "+44 (0) 20 7946 0018", "[phone]"},
	{"a telephone number after 00", "0049 170 1234567", "[phone]"},
	{"after 00 in one run", "/x?tel=00491701234567&y=1", "/x?tel=[phone]&y=1"},
	{"a telephone number, percent-encoded", "/x?p=%2B49%20170%201234567", "/x?p=[phone]"},
	{"as forms encode it", "/x?p=%2B49+170+1234567&y=1", "/x?p=[phone]&y=1"},
	{"as forms should not encode it", "/x?p=+491701234567&y=1", "/x?p=[phone]&y=1"},
	{"in words as forms encode them", "/x?q=call+%2B491701234567+now", "/x?q=call+[phone]+now"},
	{"escaped in JSON, a telephone number", `{"p":"\u002b491701234567"}`, `{"p":"[phone]"}`},
	{"a tel link", "tel:+41-44-668-18-00", "tel:[phone]"},
	{"a tel link within a country", "TEL:030-901820", "TEL:[phone]"},
	{"a link of a messenger", "https://wa.me/+491701234567?text=Hi", "https://wa.me/[phone]?text=Hi"},
	{"before the end of a sentence", "Call +43 1 58858.", "Call [phone]."},
	{"a price after it", "+43 1 588580, 4.90", "[phone], 4.90"},
	{"of several kinds", "ann@shop.com paid with 4111111111111111", "[email] paid with [card]"},
}

var kept = []struct{ name, text string }{
	{"nothing", ""},
	{"an ordinary URL", "https://shop.example/tea/green?sort=price&page=2"},
	{"an ordinary encoded URL", "/search?q=green%20tea%20%26%20caf%C3%A9&next=%2Fa%3Fb%3D1"},
	{"a picture for sharp screens", "/img/logo@2x.png"},
	{"another one", "icon@1.5x.webp"},
	{"a version of a package", "/npm/react@18.2.0/umd/react.js"},
	{"a version with a file", "/npm/vue@3.min.js"},
	{"no domain", "user@"},
	{"no name", "@shop.com"},
	{"a name on social networks", "Thanks @ann_lee!"},
	{"a profile", "https://social.example/@ann"},
	{"a profile on another server", "https://social.example/@ann/with"},
	{"one label", "ann@localhost"},
	{"two dots", "ann@shop..com"},
	{"a map", "/maps/@47.3769,8.5417,13z"},
	{"prices", "3 @ 4.99"},
	{"a bad escape", "100%@%zz"},

	{"a word like a token", "eyJust.a.word"},
	{"JSON in base64 without a signature", "eyJhIjoxLCJiIjoyfQ"},
	{"a long slug", "npm_install_of_a_package_with_a_very_long_name"},
	{"a prefix within a word", "x" + github},
	{"a short key", "ghp_abc123"},
	{"a session of no known form", "9f1c3b524a0e4c0f9c550a5d2a0b7e11"},

	{"a wrong check digit", "4111111111111112"},
	{"no issuer", "1234567812345670"},
	{"a GTIN-13", "4006381333931"},
	{"another whose digits would do as a card", "4222222222222"},
	{"Unix time in milliseconds", "1764061234567"},
	{"Unix time in microseconds", "1764061234567890"},
	{"Unix time in nanoseconds", "1764061234567890123"},
	{"a date and time", "20261125093742"},
	{"part of a longer run", "99994111111111111111999"},
	{"within a hash", "a4111111111111111f"},
	{"before a letter", "4111111111111111px"},
	{"a fraction", "0.4111111111111111"},
	{"groups of another layout", "41 11111111 111111"},
	{"mixed separators", "4111 1111-1111 1111"},
	{"a telephone number without country", "044 668 18 00 / (415) 555-2671"},
	{"a sum", "/x?q=tea+4917012345678"},
	{"Unix time after a plus", "+1764061234 +1764061234567"},
	{"an offset from UTC", "2026-11-25T10:00:00+01:00 2026-11-25T10:00:00.123456 +0100"},
	{"a price with sign", "+1 000 000.00 / +49.90 / +4 990,00"},
	{"a place", "?lat=+47.37691234&lon=+008.54170000"},
	{"a code of no country", "+2101234567890"},
	{"too few digits for the country", "+41 44 668"},
	{"too many", "+4144668180000"},
	{"before a letter, after a plus", "+491701234567px"},
	{"a product code with leading zeros", "/p/0012345678905 /p/00614141000012"},
	{"an order number with leading zeros", "order 0000004711 / 000123456789"},
	{"a number in groups", "1 004 917 012 345"},
	{"a small fraction", "0.004917012345"},
	{"midnight", "2026-11-25 00:00:00.000 20261125000000"},
	{"the word tel", "tel: 12 / hotel:42"},
	{"a UUID", "41111111-1111-4111-8111-111111111111"},
	{"an order number", "2026-0000-1111-2222"},

	{"what stands for what was masked", "[email] [token] [card] [phone]"},
}

func TestWhatIsMasked(t *testing.T) {
	for _, test := range masked {
		t.Run(test.name, func(t *testing.T) {
			got, kinds := hygiene.Mask(test.text)
			require.Equal(t, test.want, got)
			for kind, mask := range map[hygiene.Kinds]string{hygiene.Email: "[email]", hygiene.Token: "[token]", hygiene.Card: "[card]", hygiene.Phone: "[phone]"} {
				require.Equal(t, strings.Contains(got, mask), kinds&kind != 0, mask)
			}
		})
	}
}

func TestWhatIsLeftAlone(t *testing.T) {
	for _, test := range kept {
		t.Run(test.name, func(t *testing.T) {
			got, kinds := hygiene.Mask(test.text)
			require.Equal(t, test.text, got)
			require.Zero(t, kinds)
		})
	}
}

// TestTheTimeIsLinear: a body may have a megabyte in one text, of any bytes.
func TestTheTimeIsLinear(t *testing.T) {
	for _, unit := range []string{
		"eyJaaaaaaaaaa-", "xoxb-", "sk-ant-", "AIza-", "ya29.", "SG.", "ghp_", "@-ab.ab", "a@b-ab.ab", "a@", "4111-", "%2540", "eyJaaaaaaaaaa-.a ", "+", "+4", "00-", "+49 1 ", "tel:1-",
	} {
		begin := time.Now()
		hygiene.Mask(strings.Repeat(unit, 1<<20/len(unit)))
		require.Less(t, time.Since(begin), 10*time.Second, unit) // it takes less than 0.3 s, or minutes
	}
}

// FuzzMask holds the promises of the package, and that a URL with such a path and query is one afterwards too.
func FuzzMask(f *testing.F) {
	for _, test := range masked {
		f.Add(test.text)
	}
	for _, test := range kept {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, kinds := hygiene.Mask(text)
		require.Equal(t, kinds == 0, got == text)
		again, more := hygiene.Mask(got)
		require.Equal(t, got, again)
		require.Zero(t, more)
		require.LessOrEqual(t, len(got), len(text)+len(text)/6)
		if utf8.ValidString(text) {
			require.True(t, utf8.ValidString(got))
		}
		if _, err := url.Parse("https://a.b/" + text); err == nil {
			_, err = url.Parse("https://a.b/" + got)
			require.NoError(t, err)
		}
	})
}

func BenchmarkMask(b *testing.B) {
	for _, bench := range []struct{ name, text string }{
		{"URL", "https://shop.example/tea/green-tea-from-japan?sort=price&page=2&campaign=autumn-26"},
		{"EncodedURL", "https://shop.example/search?q=green%20tea%20%26%20caf%C3%A9&next=%2Fa%3Fb%3D1"},
		{"Title", "Green tea from Japan | The Shop"},
		{"LongURL", "/" + strings.Repeat("tea-1/", 1365)},
		{"Found", "/x?mail=ann%40shop.com&card=4111111111111111"},
		{"Hostile", strings.Repeat("@aa.aa.aa.aa.aa.aa.aa.aa.aa.aa.aa.aa.aa.aa.aa.aa.aa.aa", 160)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.text)))
			for b.Loop() {
				hygiene.Mask(bench.text)
			}
		})
	}
}
