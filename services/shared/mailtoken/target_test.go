package mailtoken_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

func TestTargetsThatAClickMayLeadTo(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	for _, to := range []string{
		"http://a", "https://shop.example", "HTTPS://Shop.Example/", "https://shop.example:8443/a?b=c#d", "https://shop.example?next=//evil.example",
		"https://shop.example/a%20b%zz", "https://[2001:db8::1]:8080/", "http://192.0.2.1/", "https://xn--mnchen-3ya.example/", "https://a_b.example.",
		"https://shop.example/@anna", "https://shop.example/?mail=a@b.example", "https://shop.example/{{id}}", "https://shop.example/a'b\"c<d>|e",
		"https://shop.example/" + strings.Repeat("a", mailtoken.MaxTarget-len("https://shop.example/")),
	} {
		text, err := r.Sign(click(), to)
		require.NoError(t, err, to)
		decoded, err := mailtoken.DecodeTarget(mailtoken.EncodeTarget(to))
		require.NoError(t, err)
		_, err = r.Verify(mailtoken.Click, text, decoded, noon)
		require.NoError(t, err, to)
		require.Less(t, len(mailtoken.ClickPath)+mailtoken.MaxLength+1+len(mailtoken.EncodeTarget(to)), 16<<10, "the collector takes the URL")
	}
}

// TestOpenRedirects has the tricks by which redirects are led astray. None can be signed, so none can be verified.
func TestOpenRedirects(t *testing.T) {
	r := ring(t, "k1:"+secretA)
	for _, to := range []string{
		"", "/", "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "evil.example", "www.evil.example",
		"https:evil.example", "https:/evil.example", "https:///evil.example", "http:////evil.example", "https:\\\\evil.example", "https:/\\evil.example", "https://\\evil.example",
		"https://", "http://", "https://?", "https://#", "https://:80", "https://:80/", "https://.", "https://..", "https://.evil.example", "http:",
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", "javascript://shop.example/%0aalert(1)", " javascript:alert(1)", "java\tscript:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)",
		"data:text/html,<script>alert(1)</script>", "vbscript:msgbox(1)", "file:///etc/passwd", "ftp://evil.example", "blob:https://evil.example/1", "about:blank", "intent://evil.example#Intent;scheme=https;end",
		"mailto:a@b.example", "tel:+491", "sms:+491", "cid:1", "ws://evil.example", "view-source:https://evil.example", "x-https://evil.example", "https+x://evil.example", "httpss://evil.example", "feed:https://evil.example",
		"https://shop.example@evil.example", "https://shop.example:x@evil.example/", "https://@evil.example", "https://:@evil.example", "https://shop.example%40evil.example", "https://shop.example%2f@evil.example",
		"https://shop.example\\@evil.example", "https://evil.example\\.shop.example", "https://shop.example\\evil", "https://evil.example%00.shop.example", "https://evil.example%2f.shop.example", "https://%65vil.example",
		"https://shop.example:80:80", "https://shop.example:", "https://shop.example:99999", "https://shop.example:+80", "https://shop.example:8a",
		"https://[::1", "https://::1]", "https://[]", "https://[shop.example]", "https://[::1]evil.example", "https://[::1%25eth0]/", "https://[127.0.0.1]", "https://a[::1]",
		"https://evil.example;.shop.example", "https://evil.example,shop.example", "https://evil.example*", "https://ev!l.example", "https://(evil.example)", "https://evil.example|", "https://$evil",
		"https://shop.example/\r\nLocation: https://evil.example", "https://shop.example/\nSet-Cookie: a=b", "https://shop.example/\r", "https://shop.example/\t", "https://shop.example/\x00", "https://shop.example/\x7f",
		" https://shop.example", "https://shop.example ", "https://shop .example", "https://shop.example/a b", "\thttps://shop.example", "https://\tshop.example", "\ufeffhttps://shop.example",
		"https://evil。example", "https://shop.example／@evil.example", "https://münchen.example", "https://shop.example/é", "https://evil.example\u2044.shop.example", "https://shop.example/\u202e", "\u00a0https://shop.example", "https://shop.example/\xff",
		"https://shop.example/" + strings.Repeat("a", mailtoken.MaxTarget),
	} {
		require.ErrorIs(t, mailtoken.CheckTarget(to), mailtoken.ErrTarget, "%q", to)
		_, err := r.Sign(click(), to)
		require.ErrorIs(t, err, mailtoken.ErrTarget, "%q", to)
		_, err = r.Verify(mailtoken.Click, sign(t, r, click()), to, noon)
		require.Error(t, err, "%q", to)
	}
}

func TestATargetHasOneEncoding(t *testing.T) {
	text := mailtoken.EncodeTarget("https://a.example/b") // 19 bytes: two bits of the last character are free
	for _, other := range []string{text + "=", text + "==", text + "\n", "\r\n" + text, " " + text, text[:len(text)-1] + "h", text[:len(text)-1], text + "A", "ä", strings.Repeat("A", 20_000)} {
		decoded, err := mailtoken.DecodeTarget(other)
		if err != nil {
			require.ErrorIs(t, err, mailtoken.ErrTarget, other)
			continue
		}
		require.NotEqual(t, "https://a.example/b", decoded, other)
	}
}

func FuzzCheckTarget(f *testing.F) {
	for _, seed := range []string{target, "//evil.example", "https://[::1]:80/", "https://a@b", "https:evil.example", "https://a.example%40b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, to string) {
		if mailtoken.CheckTarget(to) != nil {
			return
		}
		u, err := url.Parse(to)
		if err != nil {
			_, query, _ := strings.Cut(to, "://")
			require.Contains(t, query, "%", "%q: only escapes may be broken", to)
			return
		}
		require.Contains(t, []string{"http", "https"}, u.Scheme)
		require.NotEmpty(t, u.Hostname())
		require.Nil(t, u.User)
		require.Empty(t, u.Opaque)
		require.True(t, strings.HasPrefix(strings.ToLower(to), u.Scheme+"://"+strings.ToLower(u.Host)), "%q", to)
	})
}
