package siteconfig

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxProblems is how many problems an error lists before it only counts.
	maxProblems = 50
	// maxQuoted is how many characters of a wrong value an error shows.
	maxQuoted = 60
)

// problems collects what is wrong with one file, and what is only doubtful.
type problems struct {
	file            string
	found, doubtful []problem
}

type problem struct {
	line, column int
	text         string
}

// add notes a problem. at is its place, or nil if it is the whole file; path is the
// key it belongs to, such as sites[1].timezone, or empty.
func (p *problems) add(at *token.Position, path, format string, args ...any) {
	p.found = append(p.found, newProblem(at, path, format, args...))
}

// warn notes something that does not keep the file from being used.
func (p *problems) warn(at *token.Position, path, format string, args ...any) {
	p.doubtful = append(p.doubtful, newProblem(at, path, format, args...))
}

func newProblem(at *token.Position, path, format string, args ...any) problem {
	one := problem{line: 1, column: 1, text: fmt.Sprintf(format, args...)}
	if at != nil {
		one.line, one.column = at.Line, at.Column
	}
	if path != "" {
		one.text = path + ": " + one.text
	}
	return one
}

// warnings are the doubtful things in the order in which they were found.
func (p *problems) warnings() []string {
	var all []string
	for _, one := range p.doubtful {
		all = append(all, fmt.Sprintf("%s:%d:%d: %s", p.file, one.line, one.column, one.text))
	}
	return all
}

// err joins the problems in the order of the file; nil if there are none.
func (p *problems) err() error {
	slices.SortStableFunc(p.found, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var errs []error
	for i, one := range p.found {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("%s: and %d more problems", p.file, len(p.found)-i))
			break
		}
		errs = append(errs, fmt.Errorf("%s:%d:%d: %s", p.file, one.line, one.column, one.text))
	}
	return errors.Join(errs...)
}

// start returns where the node begins. A block mapping's own token is its first
// colon; it begins at its first key.
func start(node ast.Node) *token.Position {
	if m, ok := node.(ast.MapNode); ok {
		if entries := m.MapRange(); entries.Next() && node.GetToken().Type == token.MappingValueType {
			return entries.Key().GetToken().Position
		}
	}
	return node.GetToken().Position
}

// quoted shows a wrong value, cut if it is long.
func quoted(value string) string {
	if utf8.RuneCountInString(value) > maxQuoted {
		value = string([]rune(value)[:maxQuoted]) + "…"
	}
	return fmt.Sprintf("%q", value)
}
