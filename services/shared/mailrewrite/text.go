package mailrewrite

import (
	"regexp"
	"strings"
)

// urlForm is a URL in plain text, maybe with a punctuation mark at its end that belongs to the sentence.
var urlForm = regexp.MustCompile(`(?i)\bhttps?://(?:\{\{\s*[a-z_][a-z0-9_.]{0,63}\s*\}\}|[!#-;=?-~])+`)

// readText finds the URLs of a text part.
func (p *parser) readText(l *leaf, text []byte) error {
	for _, at := range urlForm.FindAllIndex(text, -1) {
		from, to := at[0], at[0]+len(withoutMarks(string(text[at[0]:at[1]])))
		if err := p.edit(l, from, to, string(text[from:to]), "", ""); err != nil {
			return err
		}
	}
	return nil
}

// withoutMarks takes away what ends a sentence, and brackets that the URL has not opened.
func withoutMarks(u string) string {
	for u != "" {
		last := u[len(u)-1]
		open := map[byte]string{')': "(", ']': "[", '}': "{"}[last]
		switch {
		case strings.IndexByte(".,;:!?'*_~|", last) >= 0:
		case open != "" && strings.Count(u, open) < strings.Count(u, string(last)):
		default:
			return u
		}
		u = u[:len(u)-1]
	}
	return u
}
