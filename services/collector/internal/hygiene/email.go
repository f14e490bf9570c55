package hygiene

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// maxDomain is the longest domain name in bytes (RFC 1035); it bounds the work for one address.
const maxDomain = 253

// special are top-level names that no registry has but that mail uses within companies and in examples (RFC 2606, RFC 6762).
var special = []string{"corp", "example", "home", "internal", "invalid", "lan", "local", "localhost", "test"}

// emails adds the e-mail addresses of the text: what stands before an @, and after it a domain with a top-level domain that
// exists. No name or domain has an @, so that all walks together see the text a few times at most.
func emails(text string, spans []span) []span {
	for at := strings.IndexByte(text, '@'); at >= 0; {
		if name := localPart(text[:at]); name > 0 {
			if size := domain(text[at+1:]); size > 0 {
				spans = append(spans, span{at - name, at + 1 + size, Email})
			}
		}
		next := strings.IndexByte(text[at+1:], '@')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return spans
}

// localPart returns how many bytes at the end of the text are the name of an address. It has letters, digits and . _ - +,
// and an apostrophe between letters; the other characters that RFC 5322 allows separate parameters in URLs.
func localPart(text string) int {
	from := len(text)
	for from > 0 {
		r, size := utf8.DecodeLastRuneInString(text[:from])
		before, _ := utf8.DecodeLastRuneInString(text[:from-size])
		if !inName(r) && !strings.ContainsRune("._+", r) && (r != '\'' || from == len(text) || !unicode.IsLetter(before)) {
			break
		}
		from -= size
	}
	for from < len(text) && strings.IndexByte(".+'", text[from]) >= 0 { // the dot before it, or a space as forms encode it
		from++
	}
	return len(text) - from
}

// inName tells whether a label of a domain may have the character.
func inName(r rune) bool {
	return r == '-' || r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
}

// domain returns how many bytes at the start of the text are a domain: the most that end in a known top-level domain.
func domain(text string) int {
	end := 0
	for end < len(text) && end < maxDomain {
		r, size := utf8.DecodeRuneInString(text[end:])
		if !inName(r) && r != '.' {
			break
		}
		end += size
	}
	for end > 0 {
		if isDomain(text[:end]) {
			return end
		}
		end = strings.LastIndexAny(text[:end], ".-")
	}
	return 0
}

// isDomain tells whether the text is a name of at least two labels under a top-level domain that exists, by the Public
// Suffix List: so icon@2x.png, react@18.2.0 and vue@3.min.js are none.
func isDomain(text string) bool {
	dot := strings.LastIndexByte(text, '.')
	if dot <= 0 || dot == len(text)-1 || text[0] == '.' || strings.Contains(text, "..") {
		return false
	}
	tld := strings.ToLower(text[dot+1:])
	if len(tld) < 2 {
		return false
	}
	tld, err := idna.Lookup.ToASCII(tld)
	if err != nil {
		return false
	}
	_, listed := publicsuffix.PublicSuffix("any." + tld) // some registries give out third-level names only
	return listed || slices.Contains(special, tld)
}
