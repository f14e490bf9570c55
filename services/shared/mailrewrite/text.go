package mailrewrite

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// urlForm is a URL in plain text, maybe with a punctuation mark at its end that belongs to the sentence.
var urlForm = regexp.MustCompile(`(?i)\bhttps?://(?:\{\{\s*[a-z_][a-z0-9_.]{0,63}\s*\}\}|[!#-;=?-~])+`)

// readText finds the URLs of a text part.
func (p *parser) readText(l *leaf, text []byte) error {
	for _, at := range urlForm.FindAllIndex(text, -1) {
		from, to := at[0], at[0]+len(withoutMarks(string(text[at[0]:at[1]])))
		left := Wrapped
		if goesOn(text[from:at[1]], l.charset.first(l.source[at[1]:])) {
			left, to = LeftUnclear, at[1]
		}
		if err := p.edit(l, from, to, string(text[from:to]), marks{left: left}); err != nil {
			return err
		}
	}
	return nil
}

// spaced are the scripts in which what follows a URL directly is part of it; other scripts are written without spaces, or end
// words with what follows them.
var spaced = []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Hebrew, unicode.Arabic, unicode.Inherited}

var withPath = regexp.MustCompile(`(?i)^https?://[^/?#]+[/?#]`)

// goesOn tells whether a URL seems to go on with a character beyond ASCII that follows it.
func goesOn(u []byte, next rune) bool {
	if next < utf8.RuneSelf {
		return false
	}
	return next == utf8.RuneError || unicode.In(next, spaced...) && (unicode.IsLetter(next) || unicode.IsMark(next)) || !withPath.Match(u)
}

// withoutMarks takes away what ends a sentence, and brackets that the URL has not opened.
func withoutMarks(u string) string {
	for u != "" {
		last := u[len(u)-1]
		open := map[byte]string{')': "(", ']': "[", '}': "{"}[last]
		switch {
		case strings.IndexByte(".,;:!?'*|", last) >= 0:
		case open != "" && strings.Count(u, open) < strings.Count(u, string(last)):
		default:
			return u
		}
		u = u[:len(u)-1]
	}
	return u
}
