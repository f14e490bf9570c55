package siteconfig

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// field is one key of a mapping that is read into a T.
type field[T any] struct {
	name     string
	required bool
	// read checks the value at path and puts it into the T, or adds a problem.
	read func(p *problems, path string, value ast.Node, into *T)
}

// readMapping reads a mapping whose keys are the fields: each at most once, the
// required ones at least once, no others. path is empty for the whole file.
func readMapping[T any](p *problems, path string, node ast.Node, fields []field[T], into *T) {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		p.add(start(node), path, "is not a mapping; the keys are %s", names(fields))
		return
	}
	if path != "" {
		path += "."
	}
	seen := make(map[string]bool, len(fields))
	for entries := mapping.MapRange(); entries.Next(); {
		at := entries.Key().GetToken()
		keyPath := path + at.Value
		i := slices.IndexFunc(fields, func(f field[T]) bool { return f.name == at.Value })
		switch {
		case i < 0:
			p.add(at.Position, path+strings.Trim(quoted(at.Value), `"`), "is not a known key%s; the keys are %s",
				suggestion(at.Value, fields), names(fields))
		case seen[at.Value]:
			p.add(at.Position, keyPath, "is here for the second time")
		case isNull(entries.Value()):
			p.add(at.Position, keyPath, "has no value; give one or remove it")
		default:
			fields[i].read(p, keyPath, entries.Value(), into)
		}
		seen[at.Value] = true
	}
	for _, f := range fields {
		if f.required && !seen[f.name] {
			p.add(start(node), path+f.name, "is missing")
		}
	}
}

// readList reads a list, each element by read with its own path.
func readList(p *problems, path string, node ast.Node, read func(path string, element ast.Node)) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		p.add(start(node), path, "is not a list; begin each element with a dash")
		return
	}
	for i, element := range list.Values {
		read(fmt.Sprintf("%s[%d]", path, i), element)
	}
}

// readText returns a text. Numbers and booleans are none: YAML may read them
// otherwise than they look.
func readText(p *problems, path string, node ast.Node) (string, bool) {
	text, ok := textOf(node)
	switch {
	case ok:
	case isNull(node):
		p.add(start(node), path, "has no value; give one or remove it")
	default:
		p.add(start(node), path, "%s is not text; put it in quotes", shown(node))
	}
	return text, ok
}

func textOf(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

// readWord returns one of the words, or "" after adding a problem: that the text is not `what`.
func readWord[W ~string](p *problems, path string, node ast.Node, what string, words []W) W {
	text, ok := readText(p, path, node)
	if !ok {
		return ""
	}
	if word := W(text); slices.Contains(words, word) {
		return word
	}
	known := make([]string, len(words))
	for i, word := range words {
		known[i] = string(word)
	}
	last := len(known) - 1
	choice := known[last]
	if last > 0 {
		choice = strings.Join(known[:last], ", ") + " or " + choice
	}
	p.add(start(node), path, "%s is not %s; write %s", quoted(text), what, choice)
	return ""
}

// readWholeNumber returns a whole number within the bounds.
func readWholeNumber(p *problems, path string, node ast.Node, least, most int) (int, bool) {
	if n, ok := node.(*ast.IntegerNode); ok {
		var value int
		if err := yaml.NodeToValue(n, &value); err == nil && value >= least && value <= most {
			return value, true
		}
	}
	p.add(start(node), path, "%s is not a whole number from %d to %d", shown(node), least, most)
	return 0, false
}

// shown is the value as an error shows it.
func shown(node ast.Node) string {
	switch n := node.(type) {
	case *ast.SequenceNode:
		return "a list"
	case ast.MapNode:
		return "a mapping"
	case *ast.StringNode:
		return quoted(n.Value)
	}
	return strings.Trim(quoted(node.GetToken().Value), `"`)
}

func isNull(node ast.Node) bool {
	_, ok := node.(*ast.NullNode)
	return ok
}

func names[T any](fields []field[T]) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return strings.Join(all, ", ")
}

// separators are what suggestion takes out of keys.
var separators = strings.NewReplacer("_", "", "-", "")

// suggestion returns a question that names the field that looks most like key, or
// nothing if none does. Case and underscores do not count: allowedOrigins is near.
func suggestion[T any](key string, fields []field[T]) string {
	plain := func(s string) string { return strings.ToLower(separators.Replace(s)) }
	best, least := "", 3 // up to two typing mistakes
	written := plain(key[:min(len(key), maxQuoted)])
	for _, f := range fields {
		distance := levenshtein.ComputeDistance(written, plain(f.name))
		if len(key) > 2 && strings.HasPrefix(f.name, key) {
			distance = 1 // retention for retention_days
		}
		if distance < least && distance < len(f.name)-1 {
			best, least = f.name, distance
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}
