package mailrewrite_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/mailtoken"
)

const head = "From: shop@shop.example\r\nTo: anna@example.com\r\nSubject: x\r\n"

// render reads and writes a message.
func render(t testing.TB, message string, recipient mailrewrite.Recipient, changes ...func(*mailrewrite.Config)) string {
	t.Helper()
	c := config(t)
	for _, change := range changes {
		change(&c)
	}
	template, err := mailrewrite.Message([]byte(message), c)
	require.NoError(t, err)
	out, err := template.Render(recipient)
	require.NoError(t, err)
	return string(out)
}

func TestMessagesThatAreRefused(t *testing.T) {
	html := func(charset, encoding, body string) string {
		return head + "Content-Type: text/html; charset=" + charset + "\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + body
	}
	nested := ""
	for i := range 30 {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for name, test := range map[string]struct {
		message string
		want    error
		says    string
	}{
		"nothing":                  {"", mailrewrite.ErrMalformed, "does not begin with a header"},
		"an HTML document":         {"<html><body>Hi: there</body>: </html>", mailrewrite.ErrMalformed, "does not begin with a header"},
		"a body without header":    {"\r\nFrom: a@b.example\r\n\r\n", mailrewrite.ErrMalformed, "does not begin with a header"},
		"no field in the header":   {head + "x\r\nX-A: b\r\n\r\n", mailrewrite.ErrMalformed, "before X-A, a line of its header is no field"},
		"no field at its end":      {head + "x\r\n\r\n", mailrewrite.ErrMalformed, "the last line of its header is no field"},
		"no boundary":              {head + "Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx\r\n--b--", mailrewrite.ErrMalformed, "without its boundary"},
		"another boundary":         {head + "Content-Type: multipart/mixed; boundary=a\r\n\r\n--b\r\n\r\nx\r\n--b--", mailrewrite.ErrMalformed, "without its boundary"},
		"too deep":                 {head + nested, mailrewrite.ErrMalformed, "20 deep"},
		"too many parts":           {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 1001) + "--b--", mailrewrite.ErrMalformed, "1000 parts"},
		"too many links":           {head + "\r\n" + strings.Repeat("https://a.example\r\n", 10_001), mailrewrite.ErrMalformed, "more than 10000 links"},
		"too many fields":          {head + "\r\n" + strings.Repeat("{{a}}", 100_000), mailrewrite.ErrMalformed, "too many links and fields"},
		"too many attributes":      {head + "Content-Type: text/html\r\n\r\n<p " + strings.Repeat("a ", 257) + ">", mailrewrite.ErrMalformed, "a tag with more than 256 attributes"},
		"S/MIME, signed":           {head + "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\r\n\r\n--b--", mailrewrite.ErrSigned, "multipart/signed"},
		"S/MIME, opaque":           {head + "Content-Type: application/x-pkcs7-mime; smime-type=enveloped-data\r\n\r\nx", mailrewrite.ErrSigned, "pkcs7"},
		"PGP/MIME within":          {head + "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/encrypted; boundary=b\r\n\r\n--b--\r\n--a--", mailrewrite.ErrSigned, "multipart/encrypted"},
		"PGP text":                 {head + "\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA256\r\n\r\nx", mailrewrite.ErrSigned, "PGP"},
		"a DKIM signature":         {"dkim-signature: v=1; b=x\r\n" + head + "\r\nx", mailrewrite.ErrSigned, "rewrite first and sign then"},
		"an ARC seal":              {"ARC-Seal: i=1; b=x\r\n" + head + "\r\nx", mailrewrite.ErrSigned, "ARC-Seal"},
		"UTF-16":                   {html("utf-16", "base64", "AAAA"), mailrewrite.ErrCharset, "send UTF-8"},
		"UTF-16 that says UTF-8":   {html("utf-8", "base64", "//48AGEA"), mailrewrite.ErrCharset, "UTF-16"},
		"UTF-7":                    {html("utf-7", "7bit", "x"), mailrewrite.ErrCharset, "unknown"},
		"ISO-2022-KR":              {html("iso-2022-kr", "7bit", "x"), mailrewrite.ErrCharset, "send UTF-8"},
		"a charset nobody knows":   {html("x-secret", "7bit", "x"), mailrewrite.ErrCharset, "unknown"},
		"broken base64":            {html("utf-8", "base64", "%%%"), mailrewrite.ErrEncoding, "broken base64"},
		"broken quoted-printable":  {html("utf-8", "quoted-printable", "a\x01"), mailrewrite.ErrEncoding, "broken quoted-printable"},
		"an encoding nobody knows": {html("utf-8", "x-uuencode", "x"), mailrewrite.ErrEncoding, "not known"},
		"too large":                {head + "\r\n" + strings.Repeat("x", mailrewrite.MaxSize), mailrewrite.ErrTooLarge, "26214400 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mailrewrite.Message([]byte(test.message), config(t))
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.says)
		})
	}
	_, err := mailrewrite.HTML([]byte("\xff\xfe<\x00"), config(t))
	require.ErrorIs(t, err, mailrewrite.ErrCharset)
	_, err = mailrewrite.HTML(make([]byte, mailrewrite.MaxSize+1), config(t))
	require.ErrorIs(t, err, mailrewrite.ErrTooLarge)
}

func TestSignaturesAreRemovedFromWhatIsSignedAgain(t *testing.T) {
	signed := "DKIM-Signature: v=1;\r\n b=x\r\n" + head + "ARC-Seal: i=1\r\n\r\nhttps://shop.example/\r\n"
	out := render(t, signed, mailrewrite.Recipient{Token: anna}, func(c *mailrewrite.Config) { c.SignedLater = true })
	require.True(t, strings.HasPrefix(out, head+"List-Unsubscribe: "))
	require.NotContains(t, out, "b=x")
	require.NotContains(t, out, "ARC")
}

var honeypotForm = regexp.MustCompile(`<a href="([^"]*)" aria-hidden="true" tabindex="-1" style="display:none"></a>`)

func TestTheHiddenLink(t *testing.T) {
	const before = head + "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n--b\r\nContent-Type: text/html\r\n\r\n<body><p>Hi <a href=\"https://shop.example/\">shop</a></p></body>\r\n--b--\r\n"
	hidden := func(c *mailrewrite.Config) { c.Honeypot = true }
	out := render(t, before, mailrewrite.Recipient{Token: anna}, hidden)
	_, was := readLeaves(t, []byte(before))
	_, plain := readLeaves(t, []byte(render(t, before, mailrewrite.Recipient{Token: anna})))
	_, is := readLeaves(t, []byte(out))
	require.Equal(t, plain[0], is[0], "text has nothing that is hidden")
	require.Equal(t, plain[1].text, honeypotForm.ReplaceAllString(is[1].text, ""), "all else is the same")
	_, seen := view(was[1].text)
	_, still := view(is[1].text)
	require.Equal(t, seen, still)
	links := honeypotForm.FindAllStringSubmatch(is[1].text, -1)
	require.Len(t, links, 1)
	to, token := target(t, links[0][1])
	require.Equal(t, collector+"/", to)
	require.Equal(t, mailtoken.Honeypot, token.Link)
	require.Equal(t, anna.Recipient, token.Recipient)
	for _, mode := range []mailtoken.Mode{mailtoken.Aggregate, mailtoken.None} {
		token := anna
		token.Mode = mode
		require.NotContains(t, render(t, before, mailrewrite.Recipient{Token: token}, hidden), "aria-hidden")
	}
}

var unsubscribeForm = regexp.MustCompile(`<https://px\.shop\.example/u/([A-Za-z0-9_-]+)>`)

func TestTheUnsubscribeHeader(t *testing.T) {
	for name, test := range map[string]struct{ had, more string }{
		"none":                  {"", ""},
		"mailto is kept":        {"List-Unsubscribe: <mailto:leave@shop.example?subject=a,b>\r\n", ",\r\n <mailto:leave@shop.example?subject=a,b>"},
		"https is replaced":     {"LIST-UNSUBSCRIBE: <https://shop.example/u>, <mailto:leave@shop.example>\r\nList-unsubscribe-post: List-Unsubscribe=One-Click\r\n", ",\r\n <mailto:leave@shop.example>"},
		"folded, without space": {"List-Unsubscribe:\r\n <http://shop.example/u>,\r\n\t<MAILTO:leave@shop.example>\r\n", ",\r\n <MAILTO:leave@shop.example>"},
		"mailto with fields":    {"List-Unsubscribe: <mailto:leave-{{id}}@shop.example?subject={{ id }}>\r\n", ",\r\n <mailto:leave-a%3E%0D%0A@shop.example?subject=a%3E%0D%0A>"},
		"broken":                {"List-Unsubscribe: <mailto:leave@shop.example\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []mailtoken.Mode{mailtoken.Full, mailtoken.Aggregate, mailtoken.None} {
				token := anna
				token.Mode = mode
				out := render(t, test.had+head+"\r\nbody\r\n", mailrewrite.Recipient{Token: token, Data: map[string]string{"id": "a>\r\n"}})
				u := unsubscribeForm.FindStringSubmatch(out)
				require.NotNil(t, u)
				require.Equal(t, head+"List-Unsubscribe: "+u[0]+test.more+"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n\r\nbody\r\n", out)
				got, err := ring(t).Verify(mailtoken.Unsubscribe, u[1], "", noon)
				require.NoError(t, err)
				require.Equal(t, anna.Recipient, got.Recipient, "whoever it is, in every mode")
				require.Equal(t, mode, got.Mode)
			}
		})
	}
	nobody := mailtoken.Token{Mode: mailtoken.Aggregate, Site: "shop", Sent: noon}
	require.Equal(t, head+"\r\nbody", render(t, head+"\r\nbody", mailrewrite.Recipient{Token: nobody}, keepUnsubscribe), "nobody to unsubscribe")
	require.Equal(t, head+"\r\nbody", render(t, head+"\r\nbody", mailrewrite.Recipient{Token: anna}, keepUnsubscribe))
	require.Contains(t, render(t, strings.TrimSuffix(head, "\r\n"), mailrewrite.Recipient{Token: anna}), "Subject: x\r\nList-Unsubscribe: ", "no body")
}

func TestWithoutARecipientThereIsNoUnsubscribeLink(t *testing.T) {
	keep := config(t)
	keepUnsubscribe(&keep)
	for name, test := range map[string]struct {
		read     func([]byte, mailrewrite.Config) (*mailrewrite.Template, error)
		document string
		config   mailrewrite.Config
	}{
		"the header":            {mailrewrite.Message, head + "\r\nbody", config(t)},
		"a field":               {mailrewrite.Message, head + "\r\n{{onepx.unsubscribe}}", keep},
		"a field in the header": {mailrewrite.Message, head + "X-A: {{onepx.unsubscribe}}\r\n\r\n", keep},
		"a link":                {mailrewrite.HTML, `<a data-onepx="unsubscribe" href="#">x</a>`, config(t)},
	} {
		template, err := test.read([]byte(test.document), test.config)
		require.NoError(t, err)
		for _, mode := range []mailtoken.Mode{mailtoken.Aggregate, mailtoken.None} {
			for _, data := range []map[string]string{nil, {}} {
				_, err = template.Render(mailrewrite.Recipient{Token: mailtoken.Token{Mode: mode, Site: "shop", Sent: noon}, Data: data})
				require.ErrorIs(t, err, mailrewrite.ErrNobody, name)
			}
		}
	}
}

func TestInModeAggregateNoTokenTellsARecipient(t *testing.T) {
	template, _ := read(t, "testdata/01-alternative-qp.eml")
	token := anna
	token.Mode, token.Sent = mailtoken.Aggregate, noon
	out, err := template.Render(mailrewrite.Recipient{Token: token})
	require.NoError(t, err)
	_, leaves := readLeaves(t, out)
	want := mailtoken.Token{Kind: mailtoken.Open, Mode: mailtoken.Aggregate, Site: "shop", Campaign: "autumn-26", Sent: noon}
	open := pixelForm.FindStringSubmatch(leaves[1].text)
	got, err := ring(t).Verify(mailtoken.Open, open[1], "", noon)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for _, through := range clickForm.FindAllString(leaves[0].text+leaves[1].text, -1) {
		_, got := target(t, through)
		require.Equal(t, mailtoken.Click, got.Kind)
		got.Kind, got.Link = mailtoken.Open, ""
		require.Equal(t, want, got)
	}
}

func TestTheParametersOfATarget(t *testing.T) {
	params := func(c *mailrewrite.Config) {
		c.UTM = []mailrewrite.Param{{"utm_source", "mail"}, {"utm_campaign", "Herbst & Co"}}
	}
	for link, want := range map[string]string{
		"https://a.example":                     "https://a.example?utm_source=mail&utm_campaign=Herbst+%26+Co",
		"https://a.example/?":                   "https://a.example/?utm_source=mail&utm_campaign=Herbst+%26+Co",
		"https://a.example/?b=c#d?e":            "https://a.example/?b=c&utm_source=mail&utm_campaign=Herbst+%26+Co#d?e",
		"https://a.example/?b&":                 "https://a.example/?b&utm_source=mail&utm_campaign=Herbst+%26+Co",
		"https://a.example/?UTM_source=x&b=%zz": "https://a.example/?UTM_source=x&b=%zz&utm_campaign=Herbst+%26+Co",
		"https://a.example/#utm_source=x":       "https://a.example/?utm_source=mail&utm_campaign=Herbst+%26+Co#utm_source=x",
	} {
		out := render(t, head+"\r\n"+link+"\r\n", mailrewrite.Recipient{Token: anna}, params)
		to, _ := target(t, clickForm.FindString(out))
		require.Equal(t, want, to)
	}
}

func TestURLsInPlainText(t *testing.T) {
	for text, want := range map[string][]string{
		"See https://a.example/b.":                           {"https://a.example/b"},
		"(https://a.example/b_(c)), [https://a.example/d]":   {"https://a.example/b_(c)", "https://a.example/d"},
		"<https://a.example/?b=c&d=e>":                       {"https://a.example/?b=c&d=e"},
		"\"https://a.example\"!? *https://b.example*":        {"https://a.example", "https://b.example"},
		"https://a.example/日本 https://b.example/é":           {"https://a.example/"},
		"https://müller.example/a http://日本.example/":        nil,
		"https://shop.example/straße?x=1":                    nil,
		"https://shop.example/e\u0301 https://shop.example“": nil,
		"https://a.example?q=ß https://a.example?q=日":        {"https://a.example?q="},
		"http://shop.example/b」 „https://a.example/c“ …":     {"http://shop.example/b", "https://a.example/c"},
		"https://a.example/b_ https://a.example/c~":          {"https://a.example/b_", "https://a.example/c~"},
		"xhttps://a.example http:// https://. http://-":      {"http://-"},
		"https://a.example/|https://b.example/":              {"https://a.example/|https://b.example/"},
		"{https://a.example/} https://b.example/{c}'":        {"https://a.example/", "https://b.example/{c}"},
		"www.a.example mailto:a@b.example ftp://c.example/":  nil,
	} {
		out := render(t, head+"Content-Type: text/plain; charset=utf-8\r\n\r\n"+text+"\r\n", mailrewrite.Recipient{Token: anna})
		var got []string
		for _, through := range clickForm.FindAllString(out, -1) {
			to, _ := target(t, through)
			got = append(got, to)
		}
		require.Equal(t, want, got, text)
	}
}

func TestLinksAreTakenByTheirIDs(t *testing.T) {
	ids := func(html string) (ids []string) {
		template, err := mailrewrite.HTML([]byte(html), config(t))
		require.NoError(t, err)
		for _, link := range template.Links() {
			ids = append(ids, link.ID)
		}
		return ids
	}
	before := ids(`<a href="https://a.example/">x</a><a data-onepx-link="Hero &amp; more" href="https://b.example/">x</a><a href="mailto:x">x</a><a href="https://a.example/?id={{id}}">x</a>`)
	require.Equal(t, []string{"1-befde4", "Hero & more", "3-4bccc8"}, before)
	require.Equal(t, before, ids(`<p><A class=x HREF=https://a.example/>y</A><a data-onepx-link="Hero &amp; more" href="https://c.example/">x</a><a href='https://a.example/?id={{id}}'>x</a>`), "other text around makes no other ids")
	_, err := mailrewrite.HTML([]byte(`<a data-onepx-link="honeypot" href="https://a.example/">x</a>`), config(t))
	require.ErrorIs(t, err, mailrewrite.ErrMalformed, "people who follow it would come nowhere")
}

func TestLinesStayShortEnoughForMail(t *testing.T) {
	for _, name := range corpus(t) {
		if strings.HasSuffix(name, ".html") {
			continue
		}
		template, _ := read(t, name)
		out, err := template.Render(mailrewrite.Recipient{Token: anna})
		require.NoError(t, err)
		for line := range bytes.Lines(out) {
			require.LessOrEqual(t, len(bytes.TrimRight(line, "\r\n")), 998, name)
		}
	}
	long, err := os.ReadFile("testdata/19-long-target.eml")
	require.NoError(t, err)
	out := render(t, string(long), mailrewrite.Recipient{Token: anna})
	require.NotContains(t, out, "7bit")
	require.Contains(t, out, "\r\nContent-Transfer-Encoding: quoted-printable\r\n")
}

func TestWhereAURLEndsIsReadInThePartsCharset(t *testing.T) {
	for charset, tests := range map[string]map[string]bool{
		"windows-1252": {"https://a.example/stra\xdfe": false, "https://a.example/b\x93": true},
		"koi8-r":       {"https://a.example/\xd0\xd1": false},
		"shift_jis":    {"https://a.example/b\x81\x76": true, "https://a.example\x81\x76": false},
		"iso-2022-jp":  {"https://a.example/b\x1b$B!W\x1b(B": true},
		"gb18030":      {"https://a.example/b\xa1\xb1": true},
		"us-ascii":     {"https://a.example/stra\xdfe": false},
		"utf-8":        {"https://a.example/b\xff": false},
	} {
		for text, wrapped := range tests {
			out := render(t, head+"Content-Type: text/plain; charset="+charset+"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+text+"\r\n", mailrewrite.Recipient{Token: anna})
			require.Equal(t, wrapped, clickForm.MatchString(out), "%s %q", charset, text)
			require.Equal(t, !wrapped, strings.HasSuffix(out, text+"\r\n"))
		}
	}
	out := render(t, head+"Content-Type: text/plain; charset=utf-8\r\n\r\nhttps://a.example/{{name}}é\r\n", mailrewrite.Recipient{Token: anna, Data: map[string]string{"name": "a b"}})
	require.True(t, strings.HasSuffix(out, "\r\n\r\nhttps://a.example/a%20bé\r\n"), "left alone with its fields")
}

func TestOneClickNeedsHTTPS(t *testing.T) {
	out := render(t, head+"\r\nbody", mailrewrite.Recipient{Token: anna}, func(c *mailrewrite.Config) {
		urls, err := mailtoken.NewURLs("http://localhost:8080", ring(t))
		require.NoError(t, err)
		c.URLs = urls
	})
	require.Contains(t, out, "List-Unsubscribe: <http://localhost:8080/u/")
	require.NotContains(t, out, "List-Unsubscribe-Post")
}
