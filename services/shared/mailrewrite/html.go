package mailrewrite

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/net/html"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

// linked are the elements whose href is a link: those of HTML, and the shapes of VML by which Outlook shows buttons.
var linked = map[string]bool{
	"a": true, "area": true, "v:roundrect": true, "v:rect": true, "v:oval": true, "v:shape": true, "v:group": true,
	"v:line": true, "v:polyline": true, "v:arc": true, "v:curve": true, "v:image": true,
}

// maxAttributes is how many attributes a tag may have.
const maxAttributes = 256

// maxNesting is how deep conditional comments and noscript are read into each other.
const maxNesting = 4

// readHTML finds what is to be edited in a piece of HTML, which begins at the offset at in the leaf's source. Tags are found in
// the text, where characters beyond ASCII may be masked; values are read from the source.
func (p *parser) readHTML(l *leaf, text []byte, at, nesting int) error {
	z := html.NewTokenizer(bytes.NewReader(text))
	bodyEnd, documentEnd, inNoscript := -1, -1, false
	for from := 0; ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		raw := text[from : from+len(z.Raw())]
		if (kind == html.StartTagToken || kind == html.SelfClosingTagToken || kind == html.EndTagToken) && bytes.Contains(raw, []byte("{{")) {
			l.tags = append(l.tags, span{from: at + from, to: at + from + len(raw)})
		}
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			inNoscript = string(name) == "noscript"
			if more && (linked[string(name)] || len(raw) > 2*maxAttributes) {
				if err := p.readTag(l, string(name), raw, at+from); err != nil {
					return err
				}
			}
		case html.EndTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "body":
				bodyEnd = from
			case "html":
				documentEnd = from
			}
			inNoscript = false
		case html.TextToken:
			if inNoscript && nesting < maxNesting { // raw text to the tokenizer, but mail programs run no scripts
				if err := p.readHTML(l, raw, at+from, nesting+1); err != nil {
					return err
				}
			}
		case html.CommentToken:
			if start, end := conditional(raw); start < end && nesting < maxNesting {
				if err := p.readHTML(l, raw[start:end], at+from+start, nesting+1); err != nil {
					return err
				}
			}
		}
		from += len(raw)
	}
	switch {
	case nesting > 0:
	case bodyEnd >= 0:
		l.pixelAt = bodyEnd
	case documentEnd >= 0:
		l.pixelAt = documentEnd
	default:
		l.pixelAt = len(text)
	}
	return nil
}

var conditionForm = regexp.MustCompile(`^<!--\s*\[if[^\]]*\]>`)

// conditional is where what Outlook reads of a conditional comment begins and ends; nothing if the comment is none.
func conditional(comment []byte) (start, end int) {
	start = len(conditionForm.Find(comment))
	end = bytes.LastIndex(comment, []byte("<![endif]"))
	if start == 0 || end < start {
		return 0, 0
	}
	return start, end
}

// readTag reads a tag that may have a link, at an offset in the source.
func (p *parser) readTag(l *leaf, element string, tag []byte, at int) error {
	var href, mark, name span
	all := attributes(tag)
	if len(all) > maxAttributes { // the tokenizer needs time for them in each tag that follows
		return fmt.Errorf("%w: a tag with more than %d attributes", ErrMalformed, maxAttributes)
	}
	if !linked[element] {
		return nil
	}
	for _, a := range all {
		var of *span
		switch written := tag[a.name.from:a.name.to]; {
		case bytes.EqualFold(written, []byte("href")):
			of = &href
		case bytes.EqualFold(written, []byte("data-onepx")):
			of = &mark
		case bytes.EqualFold(written, []byte("data-onepx-link")):
			of = &name
		}
		if of != nil && !of.found { // of several the first counts
			*of = a.value
			of.found = true
		}
	}
	if !href.found || href.from == href.to {
		return nil
	}
	value := func(s span) string { return unescape(l.charset.decode(l.source[at+s.from : at+s.to])) }
	from, to := at+href.from, at+href.to
	m := marks{name: value(name)}
	if m.name == mailtoken.Honeypot {
		return fmt.Errorf("%w: a link with the name %s, which is that of the hidden link and leads people nowhere", ErrMalformed, m.name)
	}
	switch strings.ToLower(value(mark)) {
	case "off":
		m.left = LeftOff
	case "unsubscribe":
		m.unsubscribe = true
	}
	return p.edit(l, from, to, value(href), m)
}

// span is a part of a tag.
type span struct {
	from, to int
	found    bool
}

// attribute is where name and value of an attribute stand in its tag; the value without quotes.
type attribute struct{ name, value span }

// attributes finds those of a tag, as section 13.2.5 of the HTML standard and the tokenizer do.
func attributes(tag []byte) []attribute {
	s := scanner{tag: tag, at: 1}
	s.skip(func(c byte) bool { return !isSpace(c) && c != '/' && c != '>' }) // the element's name
	var all []attribute
	for {
		s.skip(isSpace)
		if !s.more() || tag[s.at] == '>' {
			return all
		}
		a := attribute{name: s.name()}
		a.value = s.value()
		if a.name.from < a.name.to {
			all = append(all, a)
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' }

// scanner goes through a tag.
type scanner struct {
	tag []byte
	at  int
}

func (s *scanner) more() bool { return s.at < len(s.tag) }

func (s *scanner) skip(these func(byte) bool) {
	for s.more() && these(s.tag[s.at]) {
		s.at++
	}
}

func (s *scanner) name() span {
	from := s.at
	if s.tag[s.at] == '=' { // before a name it is part of the name
		s.at++
	}
	s.skip(func(c byte) bool { return !isSpace(c) && c != '=' && c != '/' && c != '>' })
	return span{from: from, to: s.at}
}

func (s *scanner) value() span {
	s.skip(isSpace)
	switch {
	case !s.more():
		return span{from: s.at, to: s.at}
	case s.tag[s.at] == '/':
		s.at++
		return span{from: s.at, to: s.at}
	case s.tag[s.at] != '=':
		return span{from: s.at, to: s.at}
	}
	s.at++
	s.skip(isSpace)
	if !s.more() || s.tag[s.at] == '>' {
		return span{from: s.at, to: s.at}
	}
	quote := s.tag[s.at]
	if quote != '"' && quote != '\'' {
		from := s.at
		s.skip(func(c byte) bool { return !isSpace(c) && c != '>' })
		return span{from: from, to: s.at}
	}
	s.at++
	from := s.at
	s.skip(func(c byte) bool { return c != quote })
	value := span{from: from, to: s.at}
	s.at++
	return value
}

// unescape resolves the character references of an attribute's value, in which &copy= is none.
func unescape(value string) string {
	if n := strings.Count(value, "&"); n == strings.Count(value, "&amp;") { // nearly always
		return strings.ReplaceAll(value, "&amp;", "&")
	}
	z := html.NewTokenizer(strings.NewReader(`<a b="` + strings.ReplaceAll(value, `"`, "&quot;") + `">`))
	z.Next()
	z.TagName()
	_, plain, _ := z.TagAttr()
	return string(plain)
}
