package enrich

import (
	"cmp"
	_ "embed" // for the list
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/coregx/ahocorasick"
)

//go:embed lists/crawlers.tsv
var crawlerList string

// crawlers finds programs by their user agents. Every pattern of the list is reduced to literals of which one must occur;
// one automaton looks for all of them at once, and only where it finds one the whole pattern is tried.
type crawlers struct {
	literals *ahocorasick.Automaton
	// patterns has the patterns behind each literal of the automaton.
	patterns [][]crawlerPattern
}

type crawlerPattern struct {
	class string
	// re is nil when the literal is the whole pattern.
	re *regexp.Regexp
}

// newCrawlers reads lines of class, tab, regular expression; # starts a comment.
func newCrawlers(list string) (*crawlers, error) {
	c := &crawlers{}
	index := map[string]int{}
	builder := ahocorasick.NewBuilder()
	for line := range strings.SplitSeq(strings.TrimSuffix(list, "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		class, text, _ := strings.Cut(line, "\t")
		if !slices.Contains(TrafficClasses, class) {
			return nil, fmt.Errorf("crawler list: %q: unknown class", line)
		}
		pattern, literals, err := compileCrawler(class, text)
		if err != nil {
			return nil, fmt.Errorf("crawler list: %q: %w", line, err)
		}
		for _, literal := range literals {
			i, known := index[literal]
			if !known {
				i = len(c.patterns)
				index[literal] = i
				c.patterns = append(c.patterns, nil)
				builder.AddPattern([]byte(literal))
			}
			c.patterns[i] = append(c.patterns[i], pattern)
		}
	}
	var err error
	c.literals, err = builder.Build()
	return c, err
}

// compileCrawler returns the pattern and the literals of which one must occur.
func compileCrawler(class, text string) (crawlerPattern, []string, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return crawlerPattern{}, nil, err
	}
	literals := requiredLiterals(tree.Simplify())
	if len(literals) == 0 {
		return crawlerPattern{}, nil, errors.New("no text that must occur")
	}
	pattern := crawlerPattern{class: class}
	if tree.Op != syntax.OpLiteral {
		pattern.re, err = regexp.Compile(text)
	}
	return pattern, literals, err
}

// requiredLiterals returns texts of which at least one occurs in whatever the expression matches; none when it can't tell.
func requiredLiterals(re *syntax.Regexp) []string {
	switch {
	case re.Flags&syntax.FoldCase != 0:
		return nil
	case re.Op == syntax.OpLiteral:
		return []string{string(re.Rune)}
	case re.Op == syntax.OpCapture || re.Op == syntax.OpPlus:
		return requiredLiterals(re.Sub[0])
	case re.Op == syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if literals := requiredLiterals(sub); shortest(literals) > shortest(best) {
				best = literals
			}
		}
		return best
	case re.Op == syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			literals := requiredLiterals(sub)
			if literals == nil {
				return nil
			}
			all = append(all, literals...)
		}
		return all
	}
	return nil
}

// shortest is the length of the shortest literal, 0 when there is none.
func shortest(literals []string) int {
	if len(literals) == 0 {
		return 0
	}
	return len(slices.MinFunc(literals, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
}

// class returns ClassCrawler, ClassNonbrowser, or the empty text when the list does not know the user agent. A user agent
// that is both is a crawler: what it does says more than what it is built with.
func (c *crawlers) class(userAgent string) string {
	found := ""
	for _, match := range c.literals.FindAllOverlapping([]byte(userAgent)) {
		for _, pattern := range c.patterns[match.PatternID] {
			if pattern.re != nil && !pattern.re.MatchString(userAgent) {
				continue
			}
			if pattern.class == ClassCrawler {
				return ClassCrawler
			}
			found = pattern.class
		}
	}
	return found
}
