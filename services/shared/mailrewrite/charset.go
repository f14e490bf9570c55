package mailrewrite

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

// charset is that of a part. The zero value is UTF-8.
type charset struct {
	encoding encoding.Encoding
	// ascii tells that there are no other characters, or that nobody says which.
	ascii bool
	// shifts tells that bytes of ASCII mean other characters between escape sequences.
	shifts bool
}

// charsetOf is the charset of this name; ErrCharset if ASCII is not ASCII there, or nobody knows it.
func charsetOf(name string) (charset, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	switch name {
	case "", "us-ascii", "ascii":
		return charset{ascii: true}, nil
	}
	found, err := htmlindex.Get(name)
	if err != nil {
		return charset{}, fmt.Errorf("%w: unknown", ErrCharset)
	}
	canonical, err := htmlindex.Name(found)
	if err != nil {
		return charset{}, fmt.Errorf("%w: unknown", ErrCharset)
	}
	switch canonical {
	case "utf-8":
		return charset{}, nil
	case "utf-16le", "utf-16be", "replacement":
		return charset{}, fmt.Errorf("%w: %s; send UTF-8", ErrCharset, canonical)
	}
	return charset{encoding: found, shifts: canonical == "iso-2022-jp"}, nil
}

// charsetOfDocument is that of HTML of which nobody says it: UTF-8 if it has characters beyond ASCII and all are.
func charsetOfDocument(document []byte) charset {
	return charset{ascii: isASCII(document) || !utf8.Valid(document)}
}

// refuseUTF16 looks at the first bytes of a text.
func refuseUTF16(text []byte) error {
	first := text[:min(len(text), 2)]
	if bytes.HasPrefix(first, []byte{0xff, 0xfe}) || bytes.HasPrefix(first, []byte{0xfe, 0xff}) || bytes.IndexByte(first, 0) >= 0 {
		return fmt.Errorf("%w: UTF-16; send UTF-8", ErrCharset)
	}
	return nil
}

// masked is the text with the bytes between escape sequences changed into ones that mean nothing in HTML. It is as long.
func (c charset) masked(text []byte) []byte {
	if !c.shifts {
		return text
	}
	out := bytes.Clone(text)
	ascii := true
	for i := 0; i < len(out); i++ {
		if out[i] == 0x1b && i+2 < len(out) {
			ascii = out[i+1] == '(' && (out[i+2] == 'B' || out[i+2] == 'J')
			out[i], out[i+1], out[i+2] = 0x80, 0x80, 0x80
			i += 2
			continue
		}
		if out[i] == '\n' { // lines begin in ASCII, says RFC 1468
			ascii = true
		}
		if !ascii {
			out[i] |= 0x80
		}
	}
	return out
}

// decode reads text; what can't be read becomes U+FFFD.
func (c charset) decode(text []byte) string {
	if c.encoding == nil {
		return string(text)
	}
	out, err := c.encoding.NewDecoder().Bytes(text)
	if err != nil {
		return string(text)
	}
	return string(out)
}

// maxCharacter is how many bytes a character may have, with the escape sequence before it.
const maxCharacter = 8

// first is the character with which text begins, where no escape sequence was before; U+FFFD if it can't be read, 0 if there is
// none.
func (c charset) first(text []byte) rune {
	if len(text) == 0 {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(c.decode(text[:min(len(text), maxCharacter)]))
	return r
}

// encode writes text; in HTML, characters that the charset has not become references.
func (c charset) encode(text string, isHTML bool) ([]byte, error) {
	switch {
	case c.ascii && isHTML:
		return []byte(references(text)), nil
	case c.ascii && !isASCII(text):
		return nil, ErrCharset
	case c.encoding == nil:
		return []byte(text), nil
	}
	encoder := c.encoding.NewEncoder()
	if isHTML {
		encoder = encoding.HTMLEscapeUnsupported(encoder)
	}
	return encoder.Bytes([]byte(text))
}

// references is HTML with references in place of what is not ASCII; bytes that are not UTF-8 stay, as those of the document do.
func references(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if r < utf8.RuneSelf || r == utf8.RuneError && size == 1 {
			b.WriteString(text[:size])
		} else {
			fmt.Fprintf(&b, "&#%d;", r)
		}
		text = text[size:]
	}
	return b.String()
}
