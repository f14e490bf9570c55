package enrich

import (
	"embed"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"golang.org/x/net/publicsuffix"
)

//go:embed lists/*.yaml
var sourceLists embed.FS

// The categories of sources; each has a list of its name.
const (
	categorySearch   = "search"
	categorySocial   = "social"
	categoryVideo    = "video"
	categoryShopping = "shopping"
	categoryAI       = "ai"
	categoryMail     = "mail"
)

var categories = []string{categorySearch, categorySocial, categoryVideo, categoryShopping, categoryAI, categoryMail}

// source is one that the lists know.
type source struct {
	name     string
	category string
	// paid means that the name itself says that somebody paid, such as utm_source=adwords.
	paid bool
}

// click is what the parameter of a click id says.
type click struct {
	source source
	medium string
}

// sources looks up where visitors come from.
type sources struct {
	// byName has values of utm_source.
	byName map[string]source
	// below has hosts that stand for themselves and all below them; exact has hosts that stand for themselves. Keys that
	// end with a dot stand for every public suffix after it.
	below, exact map[string]source
	// byParam has click ids by their parameter, lower case.
	byParam map[string]click
}

// sourceEntry is a line of a list; search.yaml describes the fields.
type sourceEntry struct {
	Source string
	Hosts  []string
	Only   []string
	Names  []string
	Paid   []string
}

// clickEntry is a line of clicks.yaml.
type clickEntry struct {
	Param  string
	Source string
	Medium string
}

func newSources() (*sources, error) {
	s := &sources{byName: map[string]source{}, below: map[string]source{}, exact: map[string]source{}, byParam: map[string]click{}}
	for _, category := range categories {
		var entries []sourceEntry
		if err := parseList(category, &entries); err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if err := s.add(category, entry); err != nil {
				return nil, fmt.Errorf("list %s: %w", category, err)
			}
		}
	}
	var clicks []clickEntry
	if err := parseList("clicks", &clicks); err != nil {
		return nil, err
	}
	for _, entry := range clicks {
		from, known := s.byName[entry.Source]
		if !known {
			from = source{name: entry.Source}
		}
		s.byParam[entry.Param] = click{source: from, medium: entry.Medium}
	}
	return s, nil
}

// readList returns the text of an embedded list.
func readList(name string) string {
	text, err := sourceLists.ReadFile("lists/" + name + ".yaml")
	if err != nil {
		panic(err) // the names are those of embedded files; every test would see it
	}
	return string(text)
}

func parseList(name string, entries any) error {
	if err := yaml.UnmarshalWithOptions([]byte(readList(name)), entries, yaml.Strict()); err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	return nil
}

func (s *sources) add(category string, entry sourceEntry) error {
	known := source{name: entry.Source, category: category}
	paid := known
	paid.paid = true
	for _, part := range []struct {
		keys []string
		into map[string]source
		as   source
	}{
		{[]string{entry.Source}, s.byName, known},
		{entry.Names, s.byName, known},
		{entry.Paid, s.byName, paid},
		{entry.Hosts, s.below, known},
		{entry.Only, s.exact, known},
	} {
		for _, key := range part.keys {
			key = strings.TrimSuffix(key, "*")
			if other, taken := part.into[key]; taken {
				return fmt.Errorf("%q belongs to %s and to %s", key, other.name, entry.Source)
			}
			part.into[key] = part.as
		}
	}
	return nil
}

// named finds the source that a utm_source names, lower case: by its name or as a host.
func (s *sources) named(name string) (source, bool) {
	if known, ok := s.byName[name]; ok {
		return known, true
	}
	if !strings.Contains(name, ".") {
		return source{}, false
	}
	return s.at(name)
}

// at finds the source at a host, lower case. Of several the longest key wins: mail.yahoo.com before yahoo.*. A star stands
// for no suffix of a private owner: google.github.io is not Google.
func (s *sources) at(host string) (source, bool) {
	suffix, public := publicsuffix.PublicSuffix(host)
	if !public {
		suffix = ""
	}
	if known, ok := lookUp(s.exact, host, suffix); ok {
		return known, true
	}
	for rest, more := host, true; more; _, rest, more = strings.Cut(rest, ".") {
		if known, ok := lookUp(s.below, rest, suffix); ok {
			return known, true
		}
	}
	return source{}, false
}

// lookUp finds a host as it is, or with a star for its public suffix.
func lookUp(list map[string]source, host, suffix string) (source, bool) {
	if known, ok := list[host]; ok {
		return known, true
	}
	known, ok := list[strings.TrimSuffix(host, suffix)]
	return known, ok
}
