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
	found, doubtful []Problem
}

// Problem is one thing that is wrong with a file. The error of Parse and ParseSegment joins them; see ProblemsOf.
type Problem struct {
	File string
	// Line and Column count from 1.
	Line, Column int
	// Path is the key that it belongs to, such as sites[1].timezone; empty for the whole file.
	Path string
	// Text says what is wrong. It may show the wrong value, cut to some characters.
	Text string
}

// Error is the problem as one line: file, place, key and text.
func (p Problem) Error() string {
	text := p.Text
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, text)
}

// ProblemsOf are the problems that an error of Parse or ParseSegment joins, in the order of the file; at most 50.
func ProblemsOf(err error) []Problem {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var all []Problem
	for _, one := range joined.Unwrap() {
		var problem Problem
		if errors.As(one, &problem) {
			all = append(all, problem)
		}
	}
	return all
}

// add notes a problem. at is its place, or nil if it is the whole file; path is the
// key it belongs to, such as sites[1].timezone, or empty.
func (p *problems) add(at *token.Position, path, format string, args ...any) {
	p.found = append(p.found, p.problem(at, path, format, args...))
}

// warn notes something that does not keep the file from being used.
func (p *problems) warn(at *token.Position, path, format string, args ...any) {
	p.doubtful = append(p.doubtful, p.problem(at, path, format, args...))
}

func (p *problems) problem(at *token.Position, path, format string, args ...any) Problem {
	one := Problem{File: p.file, Line: 1, Column: 1, Path: path, Text: fmt.Sprintf(format, args...)}
	if at != nil {
		one.Line, one.Column = at.Line, at.Column
	}
	return one
}

// warnings are the doubtful things in the order in which they were found.
func (p *problems) warnings() []string {
	var all []string
	for _, one := range p.doubtful {
		all = append(all, one.Error())
	}
	return all
}

// err joins the problems in the order of the file; nil if there are none.
func (p *problems) err() error {
	slices.SortStableFunc(p.found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	var errs []error
	for i, one := range p.found {
		if i == maxProblems {
			errs = append(errs, fmt.Errorf("%s: and %d more problems", p.file, len(p.found)-i))
			break
		}
		errs = append(errs, one)
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
