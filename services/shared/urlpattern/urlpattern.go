// Package urlpattern finds patterns in the URLs of pages, fast where most URLs have none.
package urlpattern

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Pattern is an RE2 pattern that is found somewhere in a URL.
type Pattern struct {
	compiled *regexp.Regexp
	// certain are texts that tell what can't match; looking for them is much faster. Every URL that matches has one text of each
	// list. The lists stand as they are found best: paths begin alike.
	certain [][]string
}

// Compile returns the pattern of the text, or why it is none.
func Compile(text string) (*Pattern, error) {
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	certain, err := certainParts(text)
	slices.Reverse(certain)
	return &Pattern{compiled, certain}, err
}

// Match tells whether the URL has the pattern; an empty URL is no page, and has none.
func (p *Pattern) Match(url string) bool {
	if url == "" {
		return false
	}
	for _, texts := range p.certain {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(url, text) }) {
			return false
		}
	}
	return p.compiled.MatchString(url)
}

// certainParts returns lists of texts, none of which is empty, in the order of the pattern. Everything that it matches has at
// least one text of each list.
func certainParts(pattern string) ([][]string, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	return partsOf(parsed), nil
}

// maxTexts bounds a list: looking for more takes longer than matching.
const maxTexts = 8

func partsOf(re *syntax.Regexp) [][]string {
	switch re.Op {
	case syntax.OpLiteral:
		// U+FFFD matches also a byte that is no UTF-8.
		if re.Flags&syntax.FoldCase == 0 && !slices.Contains(re.Rune, utf8.RuneError) {
			return [][]string{{string(re.Rune)}}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return partsOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return partsOf(re.Sub[0])
		}
	case syntax.OpConcat:
		var all [][]string
		for _, sub := range re.Sub {
			all = append(all, partsOf(sub)...)
		}
		return all
	case syntax.OpAlternate:
		return oneOf(re.Sub)
	default:
	}
	return nil
}

// oneOf is a list of texts of which every match of one of the branches has one: of each branch, those of its list whose shortest
// text is longest.
func oneOf(branches []*syntax.Regexp) [][]string {
	var texts []string
	for _, branch := range branches {
		parts := partsOf(branch)
		if len(parts) == 0 {
			return nil
		}
		texts = append(texts, slices.MaxFunc(parts, func(a, b []string) int { return shortest(a) - shortest(b) })...)
	}
	if len(texts) > maxTexts {
		return nil
	}
	return [][]string{texts}
}

func shortest(texts []string) int {
	return len(slices.MinFunc(texts, func(a, b string) int { return len(a) - len(b) }))
}
