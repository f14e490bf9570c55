package mailrewrite_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"mime/quotedprintable"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/mailtoken"
)

// maker makes messages at random.
type maker struct {
	*rand.Rand
	charset string
	parts   int
}

func (m *maker) pick(of ...string) string { return of[m.IntN(len(of))] }

func (m *maker) words() string {
	words := m.pick("Hallo", "sale 50 %", "a = b", "1 &lt; 2", "x &amp y", "=3D", "don't", ".", "From here", "--b1", "https://shown.example/", "a > b", " \t")
	switch m.charset {
	case "iso-2022-jp", "shift_jis", "euc-jp":
		words += m.pick("秋の新作", "＜表示＞", "ソ能", "靴")
	case "windows-1252", "iso-8859-15":
		words += m.pick("Grüße", "ça", "ß")
	case "utf-8":
		words += m.pick("שלום", "👟", "é", "𝒳")
	}
	return words
}

func (m *maker) url() string {
	return m.pick("http", "https", "HTTPS") + "://" + m.pick("shop.example", "a.b.example:8080", "SHOP.example", "[2001:db8::1]", "192.0.2.1") +
		m.pick("", "/", "/a/b.html", "/?a=b", "/?a=1&b=2#c", "/%C3%A9?x=%zz", "/a;b,c(d)", "/~x/@y", "?q", "#f", "/abmelden", "/optout")
}

func (m *maker) href() string {
	link := m.pick("mailto:a@b.example", "tel:+1", "#x", "cid:1", "/p", "*|X|*", "", "javascript:x()", m.url(), m.url(), m.url(), m.url())
	attribute := m.pick("href", "HREF", "Href")
	plain := strings.ReplaceAll(link, "&", m.pick("&", "&amp;", "&#38;"))
	switch m.IntN(3) {
	case 0:
		return attribute + `="` + m.pick("", " ", "\n") + plain + `"`
	case 1:
		return attribute + m.pick("", " ") + "=" + m.pick("", " ") + "'" + plain + "'"
	}
	if plain == "" {
		return attribute
	}
	return attribute + "=" + plain
}

func (m *maker) html(depth int) string {
	var b strings.Builder
	for range m.IntN(8) {
		inner := ""
		if depth < 4 {
			inner = m.html(depth + 1)
		}
		kind := m.IntN(9)
		if (kind == 4 || kind == 5) && strings.Contains(inner, "<!") {
			kind = 0 // no comments in comments
		}
		switch kind {
		case 0:
			b.WriteString(m.words())
		case 1, 2, 3:
			fmt.Fprintf(&b, "<%s %s%s %s>%s%s", m.pick("a", "A", "area"), m.pick("", "class=x ", "title='<a>' "), m.href(), m.pick("", "target=_blank", "href=https://second.example/"), inner, m.pick("</a>", "", "</b>"))
		case 4:
			fmt.Fprintf(&b, "<!--[if mso]>%s<![endif]-->", inner)
		case 5:
			fmt.Fprintf(&b, "<!-- %s -->", strings.ReplaceAll(inner, "--", ""))
		case 6:
			fmt.Fprintf(&b, "<v:roundrect %s arcsize=10%%>%s</v:roundrect>", m.href(), inner)
		case 7:
			fmt.Fprintf(&b, "<table%s><td>%s%s", m.pick("", " width=600"), inner, m.pick("</td></table>", "", "\r\n"))
		default:
			b.WriteString(m.pick("<br>", "<img src='https://cdn.example/x.png'>", "<style>a{b:c}</style>", "<p", "< a href=x>", "\r\n", "</body>", "<body>") + " ")
		}
	}
	return b.String()
}

// part is a part with its header, and what it is a part of.
func (m *maker) part(depth int) string {
	if depth < 3 && m.IntN(3) == 0 {
		m.parts++
		boundary := m.pick("=_", "b.", "x'") + fmt.Sprint(m.parts, "e")
		out := "Content-Type: multipart/" + m.pick("mixed", "alternative", "related") + ";" + m.pick(" ", "\r\n\t") + `boundary="` + boundary + `"` + "\r\n\r\n" + m.pick("", "preamble\r\n")
		for range 1 + m.IntN(3) {
			out += "--" + boundary + "\r\n" + m.part(depth+1) + "\r\n"
		}
		return out + "--" + boundary + "--\r\n" + m.pick("", "epilogue\r\n")
	}
	m.charset = m.pick("utf-8", "utf-8", "windows-1252", "iso-8859-15", "iso-2022-jp", "shift_jis", "euc-jp")
	media, body := "text/html", m.html(0)
	if m.IntN(3) == 0 {
		media, body = "text/plain", m.words()+"\r\n"+m.url()+m.pick(" ", "\r\n", ".\r\n", ")\r\n")+m.words()
	}
	set, err := htmlindex.Get(m.charset)
	if err != nil {
		panic(err)
	}
	data, err := set.NewEncoder().String(body)
	if err != nil {
		panic(err)
	}
	encoding := m.pick("8bit", "quoted-printable", "base64")
	switch encoding {
	case "quoted-printable":
		var b bytes.Buffer
		w := quotedprintable.NewWriter(&b)
		_, _ = w.Write([]byte(data))
		_ = w.Close()
		data = b.String()
	case "base64":
		data = base64.StdEncoding.EncodeToString([]byte(data))
	}
	return "Content-Type: " + media + "; charset=" + m.charset + "\r\nContent-Transfer-Encoding: " + encoding + m.pick("", "\r\nContent-Disposition: attachment") + "\r\n\r\n" + data
}

func TestMessagesMadeAtRandomStayAsTheyWereButForTheirLinks(t *testing.T) {
	for seed := range uint64(100) {
		m := &maker{Rand: rand.New(rand.NewPCG(seed, 7))}
		before := []byte(head + m.part(0))
		template, err := mailrewrite.Message(before, config(t))
		require.NoError(t, err, "seed %d", seed)
		after, err := template.Render(mailrewrite.Recipient{Token: anna})
		require.NoError(t, err, "seed %d", seed)
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { checkMessage(t, before, after) }) {
			t.Fatalf("%s\n=>\n%s", before, after)
		}
		requireUntouched(t, mailrewrite.Message, before)
	}
}

// requireUntouched checks that nothing changes for nobody in mode none, unless the document asks for an unsubscribe link.
func requireUntouched(t *testing.T, read func([]byte, mailrewrite.Config) (*mailrewrite.Template, error), document []byte) {
	t.Helper()
	c := config(t)
	keepUnsubscribe(&c)
	template, err := read(document, c)
	require.NoError(t, err)
	untouched, err := template.Render(mailrewrite.Recipient{Token: mailtoken.Token{Mode: mailtoken.None}})
	if errors.Is(err, mailrewrite.ErrNobody) {
		return
	}
	require.NoError(t, err)
	require.Equal(t, string(document), string(untouched))
}

// hrefs are the links that the tokenizer itself finds.
func hrefs(document []byte) (links []string) {
	z := html.NewTokenizer(bytes.NewReader(document))
	for z.Next() != html.ErrorToken {
		token := z.Token()
		if token.Type != html.StartTagToken && token.Type != html.SelfClosingTagToken || token.Data != "a" && token.Data != "area" {
			continue
		}
		for _, a := range token.Attr {
			if a.Key == "href" {
				links = append(links, a.Val)
			}
		}
	}
	return links
}

func FuzzHTML(f *testing.F) {
	for _, name := range corpus(f) {
		if data, err := os.ReadFile(name); err == nil && strings.HasSuffix(name, ".html") {
			f.Add(data)
		}
	}
	for _, seed := range []string{`<a/href="https://a.example"/`, "<a =href=https://a.example>", "<!--[if mso]><a href='https://a.example'><![endif]-->", "<noscript><a href=https://a.example>", "<a href='https://a.example' href", "<plaintext><a href=https://a.example>", "{{onepx.unsubscribe}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		template, err := mailrewrite.HTML(document, config(t))
		if err != nil {
			return
		}
		requireUntouched(t, mailrewrite.HTML, document)
		if bytes.Contains(document, []byte("onepx")) {
			return // in the document are options of ours, or URLs of the collector
		}
		after, err := template.Render(mailrewrite.Recipient{Token: anna})
		if err != nil {
			require.ErrorIs(t, err, mailtoken.ErrTooLong)
			return
		}
		before, through := hrefs(document), hrefs(pixelForm.ReplaceAll(after, nil))
		require.Len(t, through, len(before))
		for i, link := range before {
			if link != through[i] {
				require.True(t, clickForm.MatchString(through[i]) && isHTTP(strings.TrimFunc(link, func(r rune) bool { return r <= ' ' })) || clickForm.MatchString(through[i]), "%q became %q", link, through[i])
				to, _ := target(t, through[i])
				require.NoError(t, mailtoken.CheckTarget(to))
			}
		}
	})
}

func FuzzMessage(f *testing.F) {
	for _, name := range corpus(f) {
		if data, err := os.ReadFile(name); err == nil && strings.HasSuffix(name, ".eml") {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		template, err := mailrewrite.Message(data, config(t))
		if err != nil {
			return
		}
		requireUntouched(t, mailrewrite.Message, data)
		after, err := template.Render(mailrewrite.Recipient{Token: anna})
		if err != nil {
			return
		}
		_, err = mailrewrite.Message(after, config(t))
		require.NoError(t, err, "what is written can be read")
	})
}

// newsletter is a newsletter of about that many bytes, with a link for each 1000.
func newsletter(bytes int) string {
	const block = `<table role="presentation" border="0" cellpadding="0" cellspacing="0" width="100%%" style="border-collapse:collapse;mso-table-lspace:0pt;mso-table-rspace:0pt"><tr><td align="left" valign="top" style="padding:16px 24px;font-family:Arial,Helvetica,sans-serif;font-size:16px;line-height:24px;color:#333333">` +
		`<!--[if mso]><v:rect href="https://shop.example/p/%[1]d?color=red&amp;size=42" fill="true"><![endif]--><a href="https://shop.example/p/%[1]d?color=red&amp;size=42" target="_blank" style="color:#cc0000;text-decoration:underline"><img src="https://cdn.shop.example/p/%[1]d.jpg" width="552" height="300" alt="Schuh %[1]d" style="display:block;border:0"></a><!--[if mso]></v:rect><![endif]-->` +
		`<p style="margin:0 0 16px">Der Schuh Nummer %[1]d ist aus echtem Leder, und er passt zu allem, was Sie schon haben: für Große und Kleine, für Frühling, Sommer, Herbst und Winter.</p></td></tr></table>` + "\r\n"
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\r\n<html><head><title>News</title></head><body>\r\n")
	for i := 0; b.Len() < bytes; i++ {
		fmt.Fprintf(&b, block, i)
	}
	return b.String() + "</body></html>\r\n"
}

func messageOf(document string) []byte {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(document))
	_ = w.Close()
	return []byte(head + "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + b.String())
}

func TestANewsletterOfAMegabyte(t *testing.T) {
	before := messageOf(newsletter(1 << 20))
	template, err := mailrewrite.Message(before, config(t))
	require.NoError(t, err)
	require.Greater(t, len(template.Links()), 1500)
	after, err := template.Render(mailrewrite.Recipient{Token: anna})
	require.NoError(t, err)
	_, was := readLeaves(t, before)
	_, is := readLeaves(t, after)
	links, text := view(was[0].text)
	through, textAfter := view(is[0].text)
	require.Equal(t, text, textAfter)
	require.Len(t, through, len(links))
	for i, link := range links {
		to, _ := target(t, through[i])
		require.Equal(t, opened(t, link), to)
	}
}

// BenchmarkRewrite reads and writes a newsletter of 100 KB; BenchmarkRender writes it for one more recipient.
func BenchmarkRewrite(b *testing.B) {
	message, c := messageOf(newsletter(100_000)), config(b)
	b.ReportAllocs()
	for b.Loop() {
		template, err := mailrewrite.Message(message, c)
		require.NoError(b, err)
		_, err = template.Render(mailrewrite.Recipient{Token: anna})
		require.NoError(b, err)
	}
}

func BenchmarkRender(b *testing.B) {
	template, err := mailrewrite.Message(messageOf(newsletter(100_000)), config(b))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, err = template.Render(mailrewrite.Recipient{Token: anna})
		require.NoError(b, err)
	}
}
