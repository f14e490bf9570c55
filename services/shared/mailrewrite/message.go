package mailrewrite

import (
	"bytes"
	"fmt"
	"mime"
	"regexp"
	"slices"
	"strings"
)

// message reads a whole message.
func (p *parser) message(data []byte) error {
	head, _ := splitHeader(data)
	fields := fieldsOf(head)
	if len(fields) == 0 || fields[0].from > 0 {
		return fmt.Errorf("%w: it does not begin with a header", ErrMalformed)
	}
	at := 0
	for _, f := range fields {
		if f.from > at {
			return fmt.Errorf("%w: before %s, a line of its header is no field", ErrMalformed, f.name)
		}
		at = f.to
		switch strings.ToLower(f.name) {
		case "dkim-signature", "domainkey-signature", "arc-seal", "arc-message-signature":
			if !p.template.config.SignedLater {
				return fmt.Errorf("%w: it has a %s, which rewriting breaks; rewrite first and sign then", ErrSigned, f.name)
			}
		case "list-unsubscribe":
			for _, u := range urisOf(f.value) {
				p.template.unsubscribes[oneForm(u)] = true
			}
		}
	}
	if at < (&header{raw: head}).emptyLine() {
		return fmt.Errorf("%w: the last line of its header is no field", ErrMalformed)
	}
	return p.entity(data, place{top: true, standard: "text/plain"})
}

// contentType is what a part says that it is.
type contentType struct {
	media, boundary, charset string
	// attached tells that the part is an attachment; named, that it has a file's name, and may be one.
	attached, named bool
	encoding        string
}

var parameterForm = regexp.MustCompile(`(?i)\b(boundary|charset)\s*=\s*(?:"([^"]*)"|([^\s";]+))`)

// fileForm is the parameter that names a file, also in the forms of RFC 2231.
var fileForm = regexp.MustCompile(`(?i);\s*(?:file)?name(?:\*[0-9]*\*?)?\s*=`)

func contentTypeOf(fields []headerField, standard string) contentType {
	c := contentType{media: standard}
	for _, f := range fields {
		switch strings.ToLower(f.name) {
		case "content-type":
			media, params, err := mime.ParseMediaType(f.value)
			if err != nil { // as mail programs do: what can be read counts
				media, params = mediaOf(f.value), map[string]string{}
				for _, m := range parameterForm.FindAllStringSubmatch(f.value, -1) {
					params[strings.ToLower(m[1])] = m[2] + m[3]
				}
			}
			c.media, c.boundary, c.charset = media, params["boundary"], params["charset"]
			c.named = c.named || fileForm.MatchString(f.value)
		case "content-disposition":
			c.attached = mediaOf(f.value) == "attachment"
			c.named = c.named || fileForm.MatchString(f.value)
		case "content-transfer-encoding":
			c.encoding = f.value
		}
	}
	return c
}

// mediaOf is the word before the parameters.
func mediaOf(value string) string {
	word, _, _ := strings.Cut(value, ";")
	return strings.ToLower(strings.TrimSpace(word))
}

// place is where a part stands.
type place struct {
	// top tells that it is the message.
	top bool
	// standard is what it is if it does not say.
	standard string
	// shown tells that it is one of several forms of what the message shows, and so no file.
	shown bool
	depth int
}

// entity reads a message or a part of one.
func (p *parser) entity(data []byte, at place) error {
	if p.parts++; p.parts > maxParts || at.depth > maxDepth {
		return fmt.Errorf("%w: more than %d parts, or %d deep", ErrMalformed, maxParts, maxDepth)
	}
	head, body := splitHeader(data)
	c := contentTypeOf(fieldsOf(head), at.standard)
	h := &header{raw: head, top: at.top}
	switch {
	case c.media == "multipart/signed", c.media == "multipart/encrypted", strings.HasSuffix(c.media, "pkcs7-mime"):
		return fmt.Errorf("%w: a part is %s", ErrSigned, c.media)
	case strings.HasPrefix(c.media, "multipart/"):
		return p.multipart(h, body, c, at)
	case (c.media == "text/html" || c.media == "text/plain") && !c.attached && (!c.named || at.shown || !p.hasText):
		p.hasText = true
		return p.text(h, body, c)
	}
	// Attachments and other files, images, calendars, messages; and AMP, which allows no images but its own.
	p.add(h, verbatim(body))
	return nil
}

func (p *parser) add(chunks ...chunk) { p.template.chunks = append(p.template.chunks, chunks...) }

// text reads a text part.
func (p *parser) text(h *header, raw []byte, c contentType) error {
	encoding, err := transferEncodingOf(c.encoding)
	if err != nil {
		return err
	}
	source, err := decode(encoding, raw)
	if err != nil {
		return err
	}
	l := &leaf{header: h, boundaries: p.boundaries, raw: raw, source: source, encoding: encoding, html: c.media == "text/html"}
	if l.charset, err = charsetOf(c.charset); err != nil {
		return err
	}
	if err = refuseUTF16(source); err != nil {
		return err
	}
	if bytes.Contains(source, []byte("-----BEGIN PGP ")) {
		return fmt.Errorf("%w: a part is PGP text", ErrSigned)
	}
	l.text = l.charset.masked(source)
	p.add(l)
	if l.html {
		return p.readHTML(l, l.text, 0, 0)
	}
	return p.readText(l, l.text)
}

// multipart reads the parts of one, and keeps what is around them. A transfer encoding of the whole is not allowed, and means
// nothing.
func (p *parser) multipart(h *header, body []byte, c contentType, at place) error {
	standard := "text/plain"
	if c.media == "multipart/digest" {
		standard = "message/rfc822"
	}
	lines := boundaryLines(body, c.boundary)
	if c.boundary == "" || len(lines) == 0 {
		return fmt.Errorf("%w: a multipart without its boundary", ErrMalformed)
	}
	p.boundaries = append(slices.Clone(p.boundaries), "\n--"+c.boundary)
	defer func() { p.boundaries = p.boundaries[:len(p.boundaries)-1] }()
	p.add(h, verbatim(body[:lines[0].from]))
	for i, line := range lines {
		inner := place{standard: standard, depth: at.depth + 1}
		inner.shown = c.media == "multipart/alternative" || c.media == "multipart/related" && at.shown && i == 0
		p.add(verbatim(body[line.from:line.to]))
		if line.last {
			p.add(verbatim(body[line.to:]))
			return nil
		}
		end := len(body)
		if i+1 < len(lines) {
			end = lines[i+1].from
		}
		if err := p.entity(body[line.to:end], inner); err != nil {
			return err
		}
	}
	return nil // cut off: the last part goes to the end
}

// boundaryLine is one between parts, with the line break before it.
type boundaryLine struct {
	from, to int
	last     bool
}

// boundaryLines finds those of a multipart, to the last.
func boundaryLines(body []byte, boundary string) []boundaryLine {
	var found []boundaryLine
	at := 0
	for line := range bytes.Lines(body) {
		from := at
		at += len(line)
		rest, ours := bytes.CutPrefix(line, []byte("--"+boundary))
		if !ours {
			continue
		}
		rest, last := bytes.CutPrefix(rest, []byte("--"))
		if len(bytes.TrimRight(rest, " \t\r\n")) > 0 {
			continue
		}
		begin := from
		if from > 0 {
			begin--
			if begin > 0 && body[begin-1] == '\r' {
				begin--
			}
		}
		if len(found) > 0 {
			begin = max(begin, found[len(found)-1].to)
		}
		to := at
		if last { // the line break after it is of what follows
			to = from + len(line) - len(rest)
		}
		if found = append(found, boundaryLine{begin, to, last}); last {
			break
		}
	}
	return found
}
