package mailrewrite_test

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/mailtoken"
)

func TestMergeData(t *testing.T) {
	const text = "Hi {{name}}, https://shop.example/?id={{ id }}&x={{name}} {{url}} {{onepx.unsubscribe}}"
	const html = `<p title="{{name}}">Hi {{name}}</p><a href="https://shop.example/?id={{ id }}&amp;x={{name}}#{{id}}">a</a><a href="{{url}}">b</a><a href={{leave}}>c</a><a href="{{mail}}">d</a><a href="mailto:{{address}}?subject={{id}}">m</a><a href={{injected}}>i</a><a data-onepx="unsubscribe" href="#">e</a><a data-onepx=off href="https://shop.example/{{id}}">f</a>`
	message := "From: {{name}} <shop@shop.example>\r\nTo: {{ name }} <{{address}}>\r\nCc: {{address}}, {{name}} <b@example.com>,{{address}}\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe=2C_{{name}}?= and {{id}}\r\nX-Id: {{id}}\r\nX-Name: =?iso-8859-2?b?e3tuYW1lfX0h?= =?utf-8?q?=7B=7Bid=7D=7D?=\r\n" +
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=windows-1252\r\n\r\n" + text + "\r\n--b\r\nContent-Type: text/html; charset=iso-8859-1\r\n\r\n" + html + "\r\n--b--\r\n"
	data := map[string]string{"name": `Zoë "Z" <b>`, "id": "a b/&?é", "url": "https://other.example/x y?a=1&b=2", "leave": "https://shop.example/unsubscribe?a&b", "mail": "mailto:z@example.com", "address": "z@example.com", "injected": "https://shop.example/optout\n onclick=alert(1)>"}
	out := render(t, message, mailrewrite.Recipient{Token: anna, Data: data})
	top, leaves := readLeaves(t, []byte(out))

	subject, err := top.Text("Subject")
	require.NoError(t, err)
	require.Equal(t, `Grüße, Zoë "Z" <b> and a b/&?é`, subject)
	id, err := top.Text("X-Id")
	require.NoError(t, err)
	require.Equal(t, data["id"], id)
	name, err := top.Text("X-Name")
	require.NoError(t, err)
	require.Equal(t, data["name"]+"!"+data["id"], name)
	to, err := mail.ParseAddress(top.Get("To"))
	require.NoError(t, err, top.Get("To"))
	require.Equal(t, "z@example.com", to.Address)
	require.Equal(t, data["name"], to.Name)
	copies, err := mail.ParseAddressList(top.Get("Cc"))
	require.NoError(t, err)
	require.Equal(t, []*mail.Address{{Address: "z@example.com"}, {Name: data["name"], Address: "b@example.com"}, {Address: "z@example.com"}}, copies)

	unsubscribe := regexp.MustCompile(`https://px\.shop\.example/u/[A-Za-z0-9_-]+`).FindString(out)
	through := clickForm.FindAllString(leaves[0].text, -1)
	require.Len(t, through, 1)
	require.Equal(t, `Hi Zoë "Z" <b>, `+through[0]+` https://other.example/x y?a=1&b=2 `+unsubscribe, leaves[0].text)
	first, _ := target(t, through[0])
	require.Equal(t, "https://shop.example/?id=a%20b%2F%26%3F%C3%A9&x=Zo%C3%AB%20%22Z%22%20%3Cb%3E", first)

	links, seen := view(leaves[1].text)
	require.Equal(t, "Hi Zoë &#34;Z&#34; &lt;b&gt;abcdmief", seen)
	first, _ = target(t, links[0])
	require.Equal(t, "https://shop.example/?id=a%20b%2F%26%3F%C3%A9&x=Zo%C3%AB%20%22Z%22%20%3Cb%3E#a%20b%2F%26%3F%C3%A9", first)
	second, _ := target(t, links[1])
	require.Equal(t, "https://other.example/x%20y?a=1&b=2", second)
	require.Equal(t, []string{"https://shop.example/unsubscribe?a&b", "mailto:z@example.com", "mailto:z%40example.com?subject=a%20b%2F%26%3F%C3%A9", "https://shop.example/optout%20onclick=alert(1)>", unsubscribe, "https://shop.example/a%20b%2F%26%3F%C3%A9"}, links[2:])

	none := anna
	none.Mode = mailtoken.None
	_, leaves = readLeaves(t, []byte(render(t, message, mailrewrite.Recipient{Token: none, Data: data})))
	links, _ = view(leaves[1].text)
	require.Equal(t, "https://other.example/x%20y?a=1&b=2", links[1], "merged, and not wrapped")
}

func TestMergeDataThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct{ message, value, says string }{
		"missing in text":              {"\r\n{{other}}", "x", "merge field other: the recipient has no value for it"},
		"missing in a link":            {"\r\nhttps://a.example/{{other}}", "x", "merge field other"},
		"missing in the header":        {"X-A: {{other}}\r\n\r\n", "x", "merge field other"},
		"a line break in the header":   {"X-A: {{name}}\r\n\r\n", "x\r\nBcc: all@example.com", "has a line break"},
		"a line break in an address":   {"Cc: {{name}} <a@b.example>\r\n\r\n", "x\nBcc: all@example.com", "has a line break"},
		"an encoded word":              {"X-A: Hi {{name}}\r\n\r\n", "=?utf-8?q?You=0D=0ABcc:_all@example.com?=", "begins an encoded word"},
		"an encoded word of two":       {"X-A: ={{name}}\r\n\r\n", "?utf-8?q?You?=", "begins an encoded word"},
		"an encoded word in a name":    {"Cc: {{name}} <a@b.example>\r\n\r\n", "=?utf-8?q?You?=", "begins an encoded word"},
		"beyond ASCII in an id":        {"Message-ID: <{{name}}@b.example>\r\n\r\n", "é", "Message-ID may have printable ASCII only"},
		"beyond ASCII in a list's id":  {"List-Id: <{{name}}.b.example>\r\n\r\n", "é", "List-Id may have printable ASCII only"},
		"no address":                   {"Cc: {{name}}\r\n\r\n", "x", "is no list of addresses"},
		"two addresses":                {"Cc: {{name}}\r\n\r\n", "a@b.example, c@d.example", "is no list of addresses"},
		"a name in an address":         {"Cc: <{{name}}>\r\n\r\n", "X <a@b.example>", "is no list of addresses"},
		"not in the charset":           {"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n{{name}}", "日本", "characters that the part's charset has not"},
		"not in ASCII":                 {"\r\n{{name}}", "é", "characters that the part's charset has not"},
		"a zero byte":                  {"\r\n{{name}}", "a\x00", "has a zero byte"},
		"an end of the part":           {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{{name}}\r\n--b--\r\n", "x\n--b\nContent-Type: text/html\n\n<script>", "a value makes a line that ends the part"},
		"an end of an outer part":      {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n{{name}}\r\n--c--\r\n--b--\r\n", "--b", "a value makes a line that ends the part"},
		"too long":                     {"\r\n" + strings.Repeat("{{name}}", 60), strings.Repeat("x", 1<<20), "the message has more than 52428800 bytes"},
		"too long in several parts":    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n"+strings.Repeat("{{name}}", 30)+"\r\n", 2) + "--b--\r\n", strings.Repeat("x", 1<<20), "the message has more than"},
		"too long in one link":         {"\r\nhttps://a.example/" + strings.Repeat("{{name}}", 60), strings.Repeat("x", 1<<20), "the message has more than"},
		"too long in many fields":      {strings.Repeat("X-A: {{name}}\r\n", 1200) + "\r\n", "é" + strings.Repeat("x", 60_000), "the message has more than"},
		"too long in encoded words":    {"X-A: é{{name}}\r\n\r\n", strings.Repeat("x", 1<<16), "X-A is too long"},
		"too long an address":          {"Cc: {{name}} <a@b.example>\r\n\r\n", strings.Repeat("x", 1<<16), "Cc is too long"},
		"too long for a header's line": {"X-A: {{name}}\r\n\r\n", strings.Repeat("x", 1000), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			template, err := mailrewrite.Message([]byte(head+test.message), config(t))
			require.NoError(t, err)
			_, err = template.Render(mailrewrite.Recipient{Token: anna, Data: map[string]string{"name": test.value}})
			require.ErrorIs(t, err, mailrewrite.ErrField)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), test.value)
		})
	}
	template, err := mailrewrite.HTML([]byte(`<a href="https://a.example/">x</a>`), config(t))
	require.NoError(t, err)
	_, err = template.Render(mailrewrite.Recipient{Token: mailtoken.Token{Sent: noon}})
	require.ErrorIs(t, err, mailtoken.ErrContradiction)
	long := anna
	long.Campaign = strings.Repeat("c", 200)
	_, err = template.Render(mailrewrite.Recipient{Token: long})
	require.ErrorIs(t, err, mailtoken.ErrTooLong)
}

func TestValuesThatACharsetHasNotAreReferencesInHTML(t *testing.T) {
	out := render(t, head+"Content-Type: text/html; charset=iso-2022-jp\r\n\r\n<p>\x1b$B$\"\x1b(B {{name}}</p>", mailrewrite.Recipient{Token: anna, Data: map[string]string{"name": "山 ☃ é"}})
	_, leaves := readLeaves(t, []byte(out))
	require.Contains(t, leaves[0].text, "<p>あ 山 &#9731; &#233;</p>")
}

func TestLineBreaksOfValuesAreThoseOfTheMessage(t *testing.T) {
	recipient := mailrewrite.Recipient{Token: anna, Data: map[string]string{"name": "a\nb\r\nc\rd"}}
	require.Contains(t, render(t, head+"\r\n{{name}}.\r\n", recipient), "\r\n\r\na\r\nb\r\nc\r\nd.\r\n")
	require.Contains(t, render(t, strings.ReplaceAll(head, "\r", "")+"\n{{name}}.\n", recipient), "\n\na\nb\nc\nd.\n")
}

func TestAMergedValueMakesNoEightBitsWhereSevenAreTold(t *testing.T) {
	const part = head + "Content-Type: text/%s\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>{{name}}</p>\r\n"
	recipient := mailrewrite.Recipient{Token: anna, Data: map[string]string{"name": "Zoé ☃"}}
	out := render(t, fmt.Sprintf(part, "html; charset=utf-8"), recipient)
	require.Contains(t, out, "Content-Transfer-Encoding: quoted-printable\r\n")
	_, leaves := readLeaves(t, []byte(out))
	require.Contains(t, leaves[0].text, "<p>Zoé ☃</p>")
	for _, kind := range []string{"html", "html; charset=us-ascii"} {
		out = render(t, fmt.Sprintf(part, kind), recipient)
		require.Contains(t, out, "7bit\r\n")
		require.Contains(t, out, "<p>Zo&#233; &#9731;</p>")
	}
}

func TestInModeAggregateLinksThatFieldsMakePersonalAreNotMeasured(t *testing.T) {
	template, err := mailrewrite.HTML([]byte(`<a href="https://shop.example/?id={{id}}">a</a><a href="{{id}}">b</a><a href="https://shop.example/">c</a><a data-onepx="unsubscribe" href="#">d</a>`), config(t))
	require.NoError(t, err)
	for mode, want := range map[mailtoken.Mode]struct {
		wrapped int
		left    mailrewrite.Left
	}{mailtoken.Full: {3, mailrewrite.Wrapped}, mailtoken.Aggregate: {1, mailrewrite.LeftPersonal}} {
		token := anna
		token.Mode = mode
		out, err := template.Render(mailrewrite.Recipient{Token: token, Data: map[string]string{"id": "https://a.example/"}})
		require.NoError(t, err)
		require.Len(t, clickForm.FindAll(out, -1), want.wrapped)
		require.Equal(t, mode == mailtoken.Aggregate, strings.Contains(string(out), `<a href="https://shop.example/?id=https%3A%2F%2Fa.example%2F">a</a><a href="https://a.example/">b</a>`))
		links := template.Links()
		require.Equal(t, []mailrewrite.Left{want.left, want.left, mailrewrite.Wrapped, mailrewrite.LeftOurs}, []mailrewrite.Left{links[0].LeftIn(mode), links[1].LeftIn(mode), links[2].LeftIn(mode), links[3].LeftIn(mode)})
	}
}

func TestTheURLsOfTheHeaderAreLeftAloneWithTheirFields(t *testing.T) {
	for header, test := range map[string]struct{ link, want string }{
		"https://shop.example/u?{{id}}":   {"https://shop.example/u?{{ id }}", "https://shop.example/u?a%26b"},
		"{{url}}":                         {"{{ url }}", "https://shop.example/u"},
		"https://shop.example/{{letter}}": {"{{url}}", "https://shop.example/u"},
	} {
		out := render(t, "List-Unsubscribe: <"+header+">\r\n"+head+"Content-Type: text/html\r\n\r\n<a href=\""+test.link+"\">u</a>", mailrewrite.Recipient{Token: anna, Data: map[string]string{"id": "a&b", "url": "https://shop.example/u", "letter": "u"}})
		require.True(t, strings.Contains(out, "\r\n\r\n<a href=\""+test.want+"\">u</a>"), out)
	}
}

func TestAHeaderURLTooLongWithMergeDataIsRefused(t *testing.T) {
	template, err := mailrewrite.Message([]byte("List-Unsubscribe: <mailto:{{id}}@shop.example>\r\n"+head+"\r\n"), config(t))
	require.NoError(t, err)
	_, err = template.Render(mailrewrite.Recipient{Token: anna, Data: map[string]string{"id": strings.Repeat("x", 1000)}})
	require.ErrorIs(t, err, mailrewrite.ErrField)
	_, err = template.Render(mailrewrite.Recipient{Token: anna, Data: map[string]string{}})
	require.ErrorContains(t, err, "merge field id: the recipient has no value for it")
}

func TestValuesAreReferencesInDocumentsThatMayNotBeUTF8(t *testing.T) {
	for document, want := range map[string]string{
		"<meta charset=iso-8859-1><p>\xe9 {{name}}":             "<p>\xe9 Zo&#233;",
		"<meta charset=iso-8859-1><p>{{name}}":                  "<p>Zo&#233;",
		"<meta charset=iso-2022-jp><p>\x1b$B$\"\x1b(B {{name}}": "\x1b(B Zo&#233;",
		"<p>é {{name}}": "<p>é Zoé",
		"<a data-onepx=off href=https://a.example/\xe9?{{name}}>": "<a data-onepx=off href=https://a.example/\xe9?Zo%C3%A9>",
	} {
		template, err := mailrewrite.HTML([]byte(document), config(t))
		require.NoError(t, err)
		out, err := template.Render(mailrewrite.Recipient{Token: anna, Data: map[string]string{"name": "Zoé"}})
		require.NoError(t, err)
		require.Contains(t, string(out), want)
	}
}

func TestValuesMakeNoAttributes(t *testing.T) {
	const value = "x onclick=`y`\f\t\n>\"'"
	const escaped = "x&#32;onclick&#61;&#96;y&#96;&#12;&#9;&#10;&gt;&#34;&#39;"
	for document, want := range map[string]string{
		"<p title={{v}} id=a>":                              "<p title=" + escaped + " id=a>",
		"<p title='{{v}}'>{{v}}</p {{v}}><br class={{v}}/>": "<p title='" + escaped + "'>x onclick=`y`\f\t\n&gt;&#34;&#39;</p " + escaped + "><br class=" + escaped + "/>",
		"<a title={{v}} href={{v}} id={{v}}>":               "<a title=" + escaped + " href=x%20onclick=`y`%0C&gt;&#34;&#39; id=" + escaped + ">",
		"<!--[if mso]><p title={{v}}><![endif]--><i>{{v}}":  "<!--[if mso]><p title=" + escaped + "><![endif]--><i>x onclick=",
		"<noscript><p title={{v}}>":                         "<noscript><p title=" + escaped + ">",
	} {
		template, err := mailrewrite.HTML([]byte(document), config(t))
		require.NoError(t, err)
		out, err := template.Render(mailrewrite.Recipient{Token: anna, Data: map[string]string{"v": value}})
		require.NoError(t, err)
		require.Contains(t, string(out), want)
	}
}

func TestAnAddressWithDotsOutOfPlaceIsQuoted(t *testing.T) {
	data := map[string]string{"name": "Anna", "address": "a..b@docomo.ne.jp"}
	out := render(t, "Cc: {{name}} <{{address}}>\r\n"+head+"\r\n", mailrewrite.Recipient{Token: anna, Data: data})
	require.Contains(t, out, `Cc: "Anna" <"a..b"@docomo.ne.jp>`+"\r\n")
}

func TestEncodedWordsOfAddressesAreReadAfterTheList(t *testing.T) {
	data := map[string]string{"address": "anna@example.com", "name": "Zoë, {{address}}"}
	for to, want := range map[string][]*mail.Address{
		"=?utf-8?q?M=C3=BCller=2C_Anna?= <{{address}}>":                    {{Name: "Müller, Anna", Address: "anna@example.com"}},
		"=?iso-8859-1?q?M=FCller=2C_{{name}}?= <a@b.example>, {{address}}": {{Name: "Müller, Zoë, {{address}}", Address: "a@b.example"}, {Address: "anna@example.com"}},
		"=?utf-8?b?e3tuYW1lfX0=?= =?utf-8?q?=2C_x?= <{{address}}>":         {{Name: "Zoë, {{address}}, x", Address: "anna@example.com"}},
		`"Müller, {{name}}" <{{address}}>`:                                 {{Name: "Müller, Zoë, {{address}}", Address: "anna@example.com"}},
	} {
		out := render(t, "Cc: "+to+"\r\n"+head+"\r\n", mailrewrite.Recipient{Token: anna, Data: data})
		top, _ := readLeaves(t, []byte(out))
		got, err := mail.ParseAddressList(top.Get("Cc"))
		require.NoError(t, err, out)
		require.Equal(t, want, got, out)
	}
}
