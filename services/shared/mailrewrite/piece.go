package mailrewrite

import (
	"bytes"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

// chunk is a part of a message that is written at once.
type chunk interface {
	render(r *rendering, out []byte) ([]byte, error)
}

// verbatim is written as it is.
type verbatim []byte

func (v verbatim) render(_ *rendering, out []byte) ([]byte, error) { return append(out, v...), nil }

// leaf is the body of a text part, with its header if it is part of a message.
type leaf struct {
	header *header
	// raw is the body as it stands in the message, source the same without transfer encoding.
	raw, source []byte
	// text is the source with characters beyond ASCII masked, where they may look like ASCII.
	text []byte
	// boundaries must not begin a line.
	boundaries []string
	encoding   transferEncoding
	charset    charset
	html       bool
	edits      []edit
	// tags are where tags stand in source, as far as they have fields.
	tags []span
	// pixelAt is where in source the open pixel may stand.
	pixelAt int
	pieces  []piece
}

// edit is a piece that replaces bytes of the source.
type edit struct {
	from, to int
	piece    piece
}

// piece is a part of a body.
type piece interface {
	// write appends the piece, which stands in the leaf.
	write(r *rendering, l *leaf, out []byte) ([]byte, error)
}

// compile makes the pieces of the edits and of what is between them.
func (l *leaf) compile(pixel, honeypot bool) error {
	if pixel {
		if honeypot {
			l.edits = append(l.edits, edit{l.pixelAt, l.pixelAt, honeypotPiece{}})
		}
		l.edits = append(l.edits, edit{l.pixelAt, l.pixelAt, pixelPiece{}})
	}
	slices.SortStableFunc(l.edits, func(a, b edit) int { return a.from - b.from })
	at := 0
	for _, e := range l.edits {
		l.still(at, e.from)
		l.pieces = append(l.pieces, e.piece)
		at = e.to
		if len(l.pieces) > maxPieces {
			break
		}
	}
	l.still(at, len(l.source))
	l.edits = nil
	if len(l.pieces) > maxPieces {
		return fmt.Errorf("%w: too many links and fields", ErrMalformed)
	}
	return nil
}

// still adds the pieces of a part of the source in which nothing but fields changes.
func (l *leaf) still(from, to int) {
	source, at := l.source[from:to], 0
	for _, m := range fieldForm.FindAllSubmatchIndex(l.text[from:to], maxPieces) {
		l.pieces = append(l.pieces, stillPiece(source[at:m[0]]), fieldPiece{source[m[0]:m[1]], string(source[m[2]:m[3]]), l.inTag(from + m[0])})
		at = m[1]
	}
	l.pieces = append(l.pieces, stillPiece(source[at:]))
}

// inTag tells whether an offset in source is one in a tag.
func (l *leaf) inTag(at int) bool {
	i, _ := slices.BinarySearchFunc(l.tags, at, func(tag span, at int) int { return tag.to - at - 1 })
	return i < len(l.tags) && l.tags[i].from <= at
}

// body writes the part's body without transfer encoding.
func (l *leaf) body(r *rendering) ([]byte, error) {
	out := make([]byte, 0, len(l.source)+len(l.pieces)*maxGrowth/2)
	var err error
	for _, p := range l.pieces {
		if out, err = p.write(r, l, out); err != nil {
			return nil, err
		}
		if err = bounded(len(out)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *leaf) render(r *rendering, out []byte) ([]byte, error) {
	body, err := l.body(r)
	if err != nil {
		return nil, err
	}
	if l.header == nil {
		return append(out, body...), nil
	}
	encoding, encoded := l.encoding, l.raw
	if !bytes.Equal(body, l.source) {
		encoding, encoded = encode(l.encoding, body, r.template.newline, isASCII(l.source))
		if l.breaks(encoded) {
			return nil, fmt.Errorf("%w: a value makes a line that ends the part", ErrField)
		}
	}
	if out, err = l.header.write(r, out, encoding != l.encoding); err != nil {
		return nil, err
	}
	if len(encoded) > 0 && len(l.raw) == 0 && l.header.emptyLine() == len(l.header.raw) { // an empty part may end with its header
		out = append(out, r.template.newline...)
	}
	return append(out, encoded...), nil
}

// breaks tells whether a line of the encoded body would end the part.
func (l *leaf) breaks(encoded []byte) bool {
	return slices.ContainsFunc(l.boundaries, func(boundary string) bool {
		return bytes.HasPrefix(encoded, []byte(boundary[1:])) || bytes.Contains(encoded, []byte(boundary))
	})
}

type stillPiece []byte

func (s stillPiece) write(_ *rendering, _ *leaf, out []byte) ([]byte, error) {
	return append(out, s...), nil
}

// pixelPiece is the open pixel: an image of one pixel, and not hidden, as hidden ones are not loaded everywhere.
type pixelPiece struct{}

func (pixelPiece) write(r *rendering, _ *leaf, out []byte) ([]byte, error) {
	if r.measured.Mode == mailtoken.None {
		return out, nil
	}
	src, err := r.template.config.URLs.Open(r.measured)
	if err != nil {
		return nil, err
	}
	return append(append(append(out, `<img src="`...), src...), `" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`...), nil
}

// honeypotPiece is a link that nobody sees: neither people nor screen readers nor the tab key come to it. It has no text, so that
// there is nothing to see where styles are ignored either.
type honeypotPiece struct{}

func (honeypotPiece) write(r *rendering, _ *leaf, out []byte) ([]byte, error) {
	if r.measured.Mode != mailtoken.Full { // without a recipient it would tell nothing of other hits
		return out, nil
	}
	urls := r.template.config.URLs
	href, err := urls.Click(r.measured, mailtoken.Honeypot, urls.Base()+"/")
	if err != nil {
		return nil, err
	}
	return append(append(append(out, `<a href="`...), href...), `" aria-hidden="true" tabindex="-1" style="display:none"></a>`...), nil
}

// fieldForm is a merge field.
var fieldForm = regexp.MustCompile(`\{\{\s*([A-Za-z_][A-Za-z0-9_.]{0,63})\s*\}\}`)

// unsubscribeField is the field that is known without merge data.
const unsubscribeField = "onepx.unsubscribe"

// field is the value of a merge field; false if fields are to be left as they are.
func (r *rendering) field(name string) (string, bool, error) {
	value, known := r.data[name]
	if name == unsubscribeField && (r.named() || !known) {
		u, err := r.unsubscribeURL()
		return u, true, err
	}
	switch {
	case known && strings.ContainsRune(value, 0):
		return "", false, fmt.Errorf("%w %s: has a zero byte", ErrField, name)
	case !known && r.data != nil:
		return "", false, fmt.Errorf("%w %s: the recipient has no value for it", ErrField, name)
	}
	return value, known, nil
}

// fieldPiece is a merge field that is not in a link.
type fieldPiece struct {
	raw  []byte
	name string
	// inTag tells that it stands in a tag of HTML, maybe in an attribute without quotes.
	inTag bool
}

// attributeEscapes are those of what ends the value of an attribute without quotes, or may not stand in one.
var attributeEscapes = strings.NewReplacer(" ", "&#32;", "\t", "&#9;", "\n", "&#10;", "\f", "&#12;", "\r", "&#13;", "=", "&#61;", "`", "&#96;")

func (f fieldPiece) write(r *rendering, l *leaf, out []byte) ([]byte, error) {
	value, known, err := r.field(f.name)
	if err != nil {
		return nil, err
	}
	if !known {
		return append(out, f.raw...), nil
	}
	if value = r.lines(value); l.html {
		value = html.EscapeString(value)
	}
	if f.inTag {
		value = attributeEscapes.Replace(value)
	}
	return l.write(out, f.name, value)
}

// lines is a value with line breaks as the message has them.
func (r *rendering) lines(value string) string {
	if !strings.ContainsAny(value, "\r\n") {
		return value
	}
	value = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(value)
	return strings.ReplaceAll(value, "\n", r.template.newline)
}

// write appends a value in the part's charset.
func (l *leaf) write(out []byte, name, value string) ([]byte, error) {
	encoded, err := l.charset.encode(value, l.html)
	if err != nil {
		return nil, fmt.Errorf("%w %s: has characters that the part's charset has not", ErrField, name)
	}
	return append(out, encoded...), nil
}

// linkPiece is the value of an attribute, or a URL in plain text.
type linkPiece struct {
	raw []byte
	id  string
	// target is where the link leads, with the parameters that are added; or with fields, and without parameters.
	target string
	fields bool
	// judge decides of a target with its fields filled in.
	judge func(target string) (string, Left)
}

func (p *linkPiece) write(r *rendering, l *leaf, out []byte) ([]byte, error) {
	target := p.target
	if p.fields {
		merged, known, err := r.merge(p.target)
		if err != nil {
			return nil, err
		}
		if !known {
			return append(out, p.raw...), nil
		}
		var left Left
		if target, left = p.judge(merged); left != Wrapped || r.measured.Mode != mailtoken.Full || r.endsSubscription(merged) {
			if l.html {
				merged = html.EscapeString(merged)
			}
			return l.write(out, "in a link", merged)
		}
	}
	if r.measured.Mode == mailtoken.None {
		return append(out, p.raw...), nil
	}
	through, err := r.template.config.URLs.Click(r.measured, p.id, target)
	if err != nil {
		return nil, err
	}
	return append(out, through...), nil // of letters, digits and :/.-_ only, so it needs no escaping anywhere
}

// withoutSpaces encodes what may end an attribute, in a URL.
var withoutSpaces = strings.NewReplacer(" ", "%20", "\f", "%0C")

// merge fills in the fields of a URL. A value at its beginning is a URL or the beginning of one; others are percent-encoded.
func (r *rendering) merge(target string) (string, bool, error) {
	var merged strings.Builder
	at := 0
	for _, m := range fieldForm.FindAllStringSubmatchIndex(target, -1) {
		value, known, err := r.field(target[m[2]:m[3]])
		if err != nil || !known {
			return "", false, err
		}
		if m[0] > 0 {
			value = strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
		}
		merged.WriteString(target[at:m[0]])
		merged.WriteString(withoutSpaces.Replace(trim(value)))
		at = m[1]
		if err = bounded(merged.Len()); err != nil {
			return "", false, err
		}
	}
	merged.WriteString(target[at:])
	return merged.String(), true, nil
}
