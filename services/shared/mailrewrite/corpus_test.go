package mailrewrite_test

import (
	"bytes"
	"encoding/base64"
	"flag"
	stdhtml "html"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/stretchr/testify/require"
	"github.com/tdewolff/parse/v2"
	lexer "github.com/tdewolff/parse/v2/html"
	"golang.org/x/net/idna"

	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/mailtoken"
)

var update = flag.Bool("update", false, "write the golden files")

const collector = "https://px.shop.example"

var (
	keys = "k1:" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	anna = mailtoken.Token{Site: "shop", Campaign: "autumn-26", Message: "m-1", Recipient: [16]byte{1, 2, 3}, Sent: noon}
)

var onceRing = sync.OnceValues(func() (*mailtoken.Ring, error) { return mailtoken.ParseRing(keys) })

func ring(t testing.TB) *mailtoken.Ring {
	t.Helper()
	r, err := onceRing()
	require.NoError(t, err)
	return r
}

// config leaves alone what the test messages have for it.
func config(t testing.TB) mailrewrite.Config {
	t.Helper()
	urls, err := mailtoken.NewURLs(collector, ring(t))
	require.NoError(t, err)
	return mailrewrite.Config{URLs: urls, Leave: []string{"https://shop.example/account", ".bank.example"}}
}

// leftAlone are parts of the links of the test messages that are not wrapped, though they are http or https.
var leftAlone = regexp.MustCompile(`abmelden|unsubscribe|optout|goodbye|/private|/account|bank\.example|px\.shop\.example|\*\||\$\{|%%|\{%|\{\{|user:pw|:99999`)

// leafPart is a part that has no parts, as another library reads it: without transfer encoding, text in UTF-8.
type leafPart struct {
	media, disposition, text string
	header                   map[string][]string
}

func readLeaves(t testing.TB, data []byte) (top message.Header, leaves []leafPart) {
	t.Helper()
	entity, err := message.Read(bytes.NewReader(data))
	require.NoError(t, err)
	cutOff := strings.Contains(string(data), "\n--cut") // one message is
	err = entity.Walk(func(path []int, e *message.Entity, err error) error {
		if cutOff && err != nil {
			return nil
		}
		require.NoError(t, err)
		media, _, _ := e.Header.ContentType()
		if strings.HasPrefix(media, "multipart/") {
			return nil
		}
		disposition, _, _ := e.Header.ContentDisposition()
		body, err := io.ReadAll(e.Body)
		if !cutOff {
			require.NoError(t, err)
		}
		header := e.Header.Map()
		if len(path) == 0 {
			header = nil // see below
		}
		delete(header, "Content-Transfer-Encoding")
		leaves = append(leaves, leafPart{media, strings.ToLower(disposition), string(body), header})
		return nil
	})
	if !cutOff {
		require.NoError(t, err)
	}
	return entity.Header, leaves
}

var (
	conditional = regexp.MustCompile(`(?s)^<!--\s*\[if[^\]]*\]>(.*)<!\[endif\]`)
	reference   = regexp.MustCompile(`&[#A-Za-z0-9]+;`)
	clickForm   = regexp.MustCompile(`https://px\.shop\.example/c/([A-Za-z0-9_-]{40,})/([A-Za-z0-9_-]+)`)
	beyondASCII = regexp.MustCompile(`[^ -~]`)
	httpForm    = regexp.MustCompile(`(?i)^https?://`)
	bareURL     = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"]+`)
	pixelForm   = regexp.MustCompile(`<img src="https://px\.shop\.example/o/([A-Za-z0-9_-]+)\.gif" width="1" height="1" alt="" style="[^"]*">`)
)

// view is what another library finds in HTML: the values of href, and the text that is seen.
func view(document string) (links []string, text string) {
	l := lexer.NewLexer(parse.NewInputString(document))
	tag, seen := "", false
	for {
		kind, raw := l.Next()
		switch kind {
		case lexer.ErrorToken:
			return links, text
		case lexer.StartTagToken:
			tag, seen = strings.ToLower(string(l.Text())), false
		case lexer.AttributeToken:
			if strings.EqualFold(string(l.AttrKey()), "href") && !seen && (tag == "a" || tag == "area" || strings.HasPrefix(tag, "v:") && tag != "v:imagedata") {
				seen = true
				value := strings.Trim(string(l.AttrVal()), `"'`)
				if raw := string(l.AttrVal()); raw != "" && (raw[0] == '"' || raw[0] == '\'') {
					value = raw[1 : len(raw)-1]
				}
				links = append(links, reference.ReplaceAllStringFunc(value, stdhtml.UnescapeString))
			}
		case lexer.CommentToken:
			if inner := conditional.FindSubmatch(raw); inner != nil {
				more, hidden := view(string(inner[1]))
				links, text = append(links, more...), text+hidden
			}
		case lexer.EndTagToken:
			tag = ""
		case lexer.TextToken:
			if tag != "script" && tag != "style" {
				text += string(raw)
			}
		}
	}
}

// opened is the URL that a browser opens for a link.
func opened(t testing.TB, link string) string {
	t.Helper()
	link = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(strings.TrimSpace(link))
	before, query, hasQuery := strings.Cut(link, "?")
	if link = strings.ReplaceAll(before, `\`, "/"); hasQuery {
		link += "?" + strings.ReplaceAll(query, `\`, "%5C")
	}
	scheme, rest, _ := strings.Cut(link, "://")
	end := strings.IndexAny(rest+"/", "/?#")
	name, port, hasPort := strings.Cut(rest[:end], ":")
	ascii := name
	if beyondASCII.MatchString(name) {
		var err error
		ascii, err = idna.Lookup.ToASCII(name)
		require.NoError(t, err)
	}
	if hasPort {
		ascii += ":" + port
	}
	var tail strings.Builder
	for _, r := range rest[end:] {
		if r <= ' ' || r > '~' {
			tail.WriteString(strings.ReplaceAll(url.QueryEscape(string(r)), "+", "%20"))
		} else {
			tail.WriteRune(r)
		}
	}
	return scheme + "://" + ascii + tail.String()
}

// target is where the collector sends whoever clicks.
func target(t testing.TB, through string) (string, mailtoken.Token) {
	t.Helper()
	m := clickForm.FindStringSubmatch(through)
	require.NotNil(t, m, "%q does not lead through the collector", through)
	require.Equal(t, through, m[0])
	to, err := mailtoken.DecodeTarget(m[2])
	require.NoError(t, err)
	token, err := ring(t).Verify(mailtoken.Click, m[1], to, noon)
	require.NoError(t, err)
	return to, token
}

func isHTTP(link string) bool {
	return httpForm.MatchString(strings.TrimSpace(link))
}

// sameBut checks that after is before with other links alone: what is between them is the same byte for byte.
func sameBut(t testing.TB, before, after string, isHTML bool) {
	t.Helper()
	rest, through := before, clickForm.FindAllString(after, -1)
	for i, between := range clickForm.Split(after, -1) {
		if i == 0 {
			require.True(t, strings.HasPrefix(rest, between), "the beginning has changed")
			rest = rest[len(between):]
			continue
		}
		from := strings.Index(rest, between)
		if i == len(through) {
			from = len(rest) - len(between)
		}
		require.GreaterOrEqual(t, from, 0, "%q has changed", between)
		require.Equal(t, rest[from:from+len(between)], between)
		link := rest[:from]
		if isHTML {
			link = reference.ReplaceAllStringFunc(link, stdhtml.UnescapeString)
		}
		to, _ := target(t, through[i-1])
		require.Equal(t, opened(t, link), to)
		rest = rest[from+len(between):]
	}
	require.Empty(t, rest)
}

func checkHTML(t testing.TB, before, after string) {
	t.Helper()
	links, text := view(before)
	through, textAfter := view(after)
	require.Equal(t, text, textAfter, "what is seen has changed")
	require.Len(t, through, len(links))
	for i, link := range links {
		if !isHTTP(link) || leftAlone.MatchString(link) {
			require.Equal(t, link, through[i])
			continue
		}
		to, token := target(t, through[i])
		require.Equal(t, opened(t, link), to)
		token.Kind, token.Link = 0, ""
		require.Equal(t, anna, token)
	}
	sameBut(t, before, pixelForm.ReplaceAllString(after, ""), true)
}

func checkText(t testing.TB, before, after string) {
	t.Helper()
	sameBut(t, before, after, false)
	for _, left := range bareURL.FindAllString(clickForm.ReplaceAllString(after, ""), -1) {
		if !beyondASCII.MatchString(left) { // its end is not certain
			require.Regexp(t, leftAlone, left, "not wrapped")
		}
	}
}

// checkMessage compares a message with itself rewritten, through another library.
func checkMessage(t testing.TB, before, after []byte) {
	t.Helper()
	topBefore, leavesBefore := readLeaves(t, before)
	topAfter, leavesAfter := readLeaves(t, after)
	require.Len(t, leavesAfter, len(leavesBefore))
	ours := []string{"List-Unsubscribe", "List-Unsubscribe-Post"}
	for _, name := range ours {
		require.Len(t, topAfter.Map()[name], 1)
		topBefore.Del(name)
		topAfter.Del(name)
	}
	topBefore.Del("Content-Transfer-Encoding")
	topAfter.Del("Content-Transfer-Encoding")
	require.Equal(t, topBefore.Map(), topAfter.Map())
	pixels, inHTML := 0, false
	for i, was := range leavesBefore {
		is := leavesAfter[i]
		require.Equal(t, was.header, is.header)
		switch {
		case was.media == "text/html" && was.disposition != "attachment":
			inHTML = true
			checkHTML(t, was.text, is.text)
			pixels += len(pixelForm.FindAllString(is.text, -1))
		case was.media == "text/plain" && was.disposition != "attachment" && !strings.HasPrefix(was.text, "From:"): // of a digest
			checkText(t, was.text, is.text)
		default:
			require.Equal(t, was.text, is.text)
		}
	}
	require.Equal(t, inHTML, pixels == 1, "%d pixels", pixels)
}

// keepUnsubscribe leaves a message's header as it is.
func keepUnsubscribe(c *mailrewrite.Config) { c.KeepListUnsubscribe = true }

func read(t testing.TB, name string, changes ...func(*mailrewrite.Config)) (*mailrewrite.Template, []byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	by := mailrewrite.Message
	if filepath.Ext(name) == ".html" {
		by = mailrewrite.HTML
	}
	c := config(t)
	for _, change := range changes {
		change(&c)
	}
	template, err := by(data, c)
	require.NoError(t, err)
	return template, data
}

func corpus(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/*-*.*")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(names), 30)
	return names
}

func TestMessagesOfAllShapesStayAsTheyWereButForTheirLinks(t *testing.T) {
	for _, name := range corpus(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			template, before := read(t, name)
			after, err := template.Render(mailrewrite.Recipient{Token: anna})
			require.NoError(t, err)
			if filepath.Ext(name) == ".html" {
				checkHTML(t, string(before), string(after))
				require.Len(t, pixelForm.FindAll(after, -1), 1)
				return
			}
			checkMessage(t, before, after)
			again, err := template.Render(mailrewrite.Recipient{Token: anna})
			require.NoError(t, err)
			require.Equal(t, after, again, "a template is not used up")
		})
	}
}

func TestInModeNoneAMessageStaysAsItWas(t *testing.T) {
	nobody := mailtoken.Token{Mode: mailtoken.None, Site: "shop", Sent: noon}
	for _, name := range corpus(t) {
		template, before := read(t, name, keepUnsubscribe)
		after, err := template.Render(mailrewrite.Recipient{Token: nobody})
		require.NoError(t, err)
		require.Equal(t, string(before), string(after), name)
	}
}

// TestLinksOfTheMessages keeps what is found in them for review.
func TestLinksOfTheMessages(t *testing.T) {
	var out strings.Builder
	for _, name := range corpus(t) {
		template, _ := read(t, name)
		out.WriteString(filepath.Base(name) + "\n")
		for _, link := range template.Links() {
			to := link.Target
			if len(to) > 100 {
				to = to[:100] + "…"
			}
			out.WriteString("  " + strings.TrimSpace(link.ID+" "+to+" "+string(link.Left)) + "\n")
		}
	}
	const golden = "testdata/links.golden"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(out.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}
