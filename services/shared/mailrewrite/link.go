package mailrewrite

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

// placeholders are how those of other programs begin: what stands there is put in after us, which a signed target does not
// survive. One more is %%NAME%%.
var placeholders = []string{"{{", "{%", "*|", "${", "<%", "[["}

var percentForm = regexp.MustCompile(`%%[A-Za-z_]+%%`)

func hasPlaceholder(value string) bool {
	return containsAny(value, placeholders) || strings.Contains(value, "%%") && percentForm.MatchString(value)
}

// unsubscribeWords stand in URLs that end a subscription, in the languages in which most of our mail is written.
var unsubscribeWords = []string{
	"unsub", "optout", "opt-out", "opt_out", "abmeld", "abbestell", "desabonn", "d%c3%a9sabonn", "desinscri", "d%c3%a9sinscri", "desuscri",
	"disiscri", "cancelar-suscripci", "uitschrij", "afmeld", "avregistr", "frameld", "wypisz", "odhlas",
}

func containsAny(text string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
}

// edit adds what becomes of a link between two offsets in the leaf's source; see link.
func (p *parser) edit(l *leaf, from, to int, value string, m marks) error {
	if len(p.template.links) >= maxLinks {
		return fmt.Errorf("%w: more than %d links", ErrMalformed, maxLinks)
	}
	if piece := p.link(l.source[from:to], value, m); piece != nil {
		l.edits = append(l.edits, edit{from, to, piece})
	}
	return nil
}

// marks are what a document says of a link.
type marks struct {
	// name is that of data-onepx-link.
	name string
	// left is why it is left alone whatever its target.
	left Left
	// unsubscribe tells that it becomes the link that ends the subscription.
	unsubscribe bool
}

// link decides what becomes of a link whose value, resolved, is given. It returns nil where nothing is to be changed.
func (p *parser) link(raw []byte, value string, m marks) piece {
	value = trim(value)
	if m.unsubscribe {
		value = "{{" + unsubscribeField + "}}"
	}
	place := fieldForm.FindStringIndex(value)
	field := place != nil
	switch {
	case isAbsolute(value), field && place[0] == 0:
	case field: // mailto:, tel:, a path, with a field
		return &linkPiece{raw: raw, target: value, fields: true, judge: func(to string) (string, Left) { return to, LeftTarget }}
	default: // the same, #anchor, cid:, a placeholder
		return nil
	}
	t := p.template
	link := Link{ID: p.linkID(value, m.name), Target: value, Merged: field}
	target, left := p.judge(fieldForm.ReplaceAllString(value, "x"))
	switch {
	case m.left != Wrapped:
		left = m.left
	case oneForm(value) == "{{"+unsubscribeField+"}}":
		left = LeftOurs
	case p.template.unsubscribes[oneForm(value)]:
		left = LeftUnsubscribe
	case !isAbsolute(value): // it begins with a field: only its value tells
		left = Wrapped
	case left == Wrapped && !field:
		link.Target = target
	}
	link.Left = left
	t.links = append(t.links, link)
	switch {
	case left == Wrapped && !field:
		return &linkPiece{raw: raw, id: link.ID, target: target}
	case left == Wrapped:
		return &linkPiece{raw: raw, id: link.ID, target: value, fields: true, judge: p.judge}
	case field:
		return &linkPiece{raw: raw, id: link.ID, target: value, fields: true, judge: func(to string) (string, Left) { return to, left }}
	}
	return nil
}

// linkID is stable from one run to the next, and the same for all recipients.
func (p *parser) linkID(value, name string) string {
	if name != "" {
		return name
	}
	hash := sha256.Sum256([]byte(value))
	return strconv.Itoa(len(p.template.links)+1) + "-" + hex.EncodeToString(hash[:3])
}

// judge returns the target that a link to the URL gets, or why the link is left alone.
func (p *parser) judge(to string) (string, Left) {
	config := &p.template.config
	base := config.URLs.Base()
	switch {
	case strings.HasPrefix(to, base+mailtoken.OpenPath), strings.HasPrefix(to, base+mailtoken.ClickPath), strings.HasPrefix(to, base+mailtoken.UnsubscribePath):
		return "", LeftOurs
	case p.template.unsubscribes[to], containsAny(strings.ToLower(to), unsubscribeWords):
		return "", LeftUnsubscribe
	case hasPlaceholder(to):
		return "", LeftPlaceholder
	}
	target, ok := normal(trim(to))
	if !ok {
		return "", LeftTarget
	}
	if listed(target, config.Leave) {
		return "", LeftListed
	}
	target = withParams(target, config.UTM)
	if mailtoken.CheckTarget(target) != nil {
		return "", LeftTarget
	}
	return target, Wrapped
}

var withoutBreaks = strings.NewReplacer("\t", "", "\n", "", "\r", "")

// trim does what browsers do first with a URL.
func trim(value string) string {
	value = strings.TrimFunc(value, func(r rune) bool { return r <= ' ' })
	return withoutBreaks.Replace(value)
}

func isAbsolute(value string) bool {
	scheme, _, found := strings.Cut(value, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

// normal writes an absolute URL in ASCII, as browsers send it: host names in Punycode, other characters percent-encoded,
// backslashes as slashes. What is ASCII already stays as it is.
func normal(value string) (string, bool) {
	scheme, rest, found := strings.Cut(value, "://")
	if !found {
		return "", false
	}
	host, path := rest, ""
	if i := strings.IndexAny(rest, `/\?#`); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if !isASCII(host) {
		name, port, hasPort := strings.Cut(host, ":")
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return "", false
		}
		if host = ascii; hasPort {
			host += ":" + port
		}
	}
	var b strings.Builder
	b.WriteString(scheme + "://" + host)
	inQuery := false
	for i := range len(path) {
		switch c := path[i]; {
		case c == '\\' && !inQuery:
			b.WriteByte('/')
		case c <= ' ' || c >= 0x7f || c == '\\':
			const digits = "0123456789ABCDEF"
			b.WriteString("%" + string(digits[c>>4]) + string(digits[c&15]))
		default:
			inQuery = inQuery || c == '?' || c == '#'
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func isASCII[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// listed tells whether a target is one of those to leave alone.
func listed(target string, leave []string) bool {
	_, host, _ := strings.Cut(target, "://")
	if i := strings.IndexAny(host, "/?#"); i >= 0 {
		host = host[:i]
	}
	host, _, _ = strings.Cut(strings.ToLower(host), ":")
	for _, one := range leave {
		one = strings.ToLower(one)
		switch {
		case strings.Contains(one, "://"):
			if strings.HasPrefix(strings.ToLower(target), one) {
				return true
			}
		case host == strings.TrimPrefix(one, "."), strings.HasPrefix(one, ".") && strings.HasSuffix(host, one):
			return true
		}
	}
	return false
}

// withParams adds parameters to the query where there are none of their names; the rest stays as it is.
func withParams(target string, params []Param) string {
	if len(params) == 0 {
		return target
	}
	before, fragment, hasFragment := strings.Cut(target, "#")
	_, query, hasQuery := strings.Cut(before, "?")
	has := map[string]bool{}
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		has[strings.ToLower(name)] = true
	}
	separator := "?"
	if hasQuery {
		separator = "&"
		if query == "" || strings.HasSuffix(query, "&") {
			separator = ""
		}
	}
	for _, param := range params {
		if has[strings.ToLower(param.Name)] {
			continue
		}
		before += separator + url.QueryEscape(param.Name) + "=" + url.QueryEscape(param.Value)
		separator = "&"
	}
	if hasFragment {
		before += "#" + fragment
	}
	return before
}
