// Package hygiene masks what must not lie in a table of visits: e-mail addresses, telephone numbers, access tokens and
// card numbers that stand in URLs, titles and other texts. It recognises them by their value, whatever the parameter is called.
//
// Promise: Mask finds nothing more in what it returned, keeps valid UTF-8 valid, and costs no allocation where there is
// nothing to mask and no @. It takes time linear in the text. package params calls it for every free text before it is cut. What is
// looked for, and what is left alone, is in docs/pixel.md and docs/adr/0005-url-hygiene.md.
package hygiene

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// Kinds is a set of what was found.
type Kinds uint8

// What is looked for.
const (
	Email Kinds = 1 << iota
	Token
	Card
	Phone
)

// Masks are what stands in the text instead. Browsers leave square brackets in paths and queries as they are.
const (
	emailMask = "[email]"
	tokenMask = "[token]"
	cardMask  = "[card]"
	phoneMask = "[phone]"
)

// mask is the text that stands for one kind.
func (k Kinds) mask() string {
	switch k {
	case Email:
		return emailMask
	case Token:
		return tokenMask
	case Phone:
		return phoneMask
	default:
		return cardMask
	}
}

// span is something found: bytes [from, to) of a text.
type span struct {
	from, to int
	kind     Kinds
}

// Mask returns the text with everything found replaced, and the kinds that were. The text may be percent-encoded up to
// decodings times. It becomes at most a sixth longer, if it is full of the shortest addresses.
func Mask(text string) (string, Kinds) {
	var found Kinds
	for {
		// Once more after each change: what was held apart by one finding may be another.
		spans := find(text)
		if len(spans) == 0 {
			return text, found
		}
		var b strings.Builder
		b.Grow(len(text))
		done := 0
		for _, s := range spans {
			b.WriteString(text[done:s.from])
			b.WriteString(s.kind.mask())
			done = s.to
			found |= s.kind
		}
		b.WriteString(text[done:])
		text = b.String()
	}
}

// find returns what is in the text, in order and without overlaps.
func find(text string) []span {
	s := look(text)
	if !s.encoded {
		return ordered(findIn(text, s))
	}
	v, _ := views.Get().(*view)
	defer func() {
		if cap(v.bytes) <= maxKept {
			views.Put(v)
		}
	}()
	v.decode(text)
	plain := v.text()
	spans := findIn(plain, look(plain))
	for i := range spans {
		spans[i].from, spans[i].to = v.source(spans[i].from, spans[i].to)
	}
	return ordered(spans)
}

// ordered sorts the spans and leaves of overlapping ones the first, made as long as all of them.
func ordered(spans []span) []span {
	if len(spans) < 2 {
		return spans
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
	})
	out := spans[:1]
	for _, next := range spans[1:] {
		if last := &out[len(out)-1]; next.from < last.to {
			last.to = max(last.to, next.to)
			continue
		}
		out = append(out, next)
	}
	return out
}

// signs tell which searches a text is worth.
type signs struct {
	at, encoded bool
	digits      int
}

// look reads the signs off a text in one pass.
func look(text string) signs {
	var s signs
	for i := range len(text) {
		switch class[text[i]] {
		case digit:
			s.digits++
		case at:
			s.at = true
		case escape:
			s.encoded = true
		}
	}
	return s
}

func findIn(text string, s signs) []span {
	spans := tokens(text, nil)
	if s.at {
		spans = emails(text, spans)
	}
	if s.digits >= minCard {
		spans = cards(text, spans)
	}
	if s.digits >= minDialled {
		spans = phones(text, spans)
	}
	return spans
}

// Classes of ASCII bytes; all others are other.
const (
	other = iota
	letter
	digit
	at
	escape
)

var class = func() (table [256]uint8) {
	for c := range table {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			table[c] = letter
		case '0' <= c && c <= '9':
			table[c] = digit
		case c == '@':
			table[c] = at
		case c == '%', c == '\\':
			table[c] = escape
		}
	}
	return table
}()

func alphanumeric(c byte) bool { return class[c] == letter || class[c] == digit }

// maxKept is the size in bytes of views that are used again: longer texts than URLs are rare.
const maxKept = 64 << 10

var views = sync.Pool{New: func() any { return new(view) }}
