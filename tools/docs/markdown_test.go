package docs_test

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// page is one parsed Markdown file.
type page struct {
	source []byte
	root   ast.Node
}

func parse(source []byte) page {
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM))
	return page{source, markdown.Parser().Parse(text.NewReader(source))}
}

// each calls visit for every node, parents first.
func (p page) each(visit func(ast.Node)) {
	// The walker only returns what its callback returns, which is nil.
	_ = ast.Walk(p.root, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			visit(node)
		}
		return ast.WalkContinue, nil
	})
}

// links returns the destinations of links and images below node, in order.
func (p page) links(node ast.Node) []string {
	var found []string
	page{p.source, node}.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Link:
			found = append(found, string(n.Destination))
		case *ast.Image:
			found = append(found, string(n.Destination))
		}
	})
	return found
}

// plain is the text below node without markup.
func (p page) plain(node ast.Node) string {
	var b strings.Builder
	page{p.source, node}.each(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Segment.Value(p.source))
		case *ast.String:
			b.Write(n.Value)
		}
	})
	return b.String()
}

// anchors returns the fragment of every heading as GitHub makes it: lower case, spaces to hyphens, other punctuation
// dropped, and -1, -2… after the second and later headings of one text.
func (p page) anchors() map[string]bool {
	anchors := make(map[string]bool)
	seen := make(map[string]int)
	p.each(func(n ast.Node) {
		heading, ok := n.(*ast.Heading)
		if !ok {
			return
		}
		slug := slugOf(p.plain(heading))
		if n := seen[slug]; n > 0 {
			anchors[fmt.Sprintf("%s-%d", slug, n)] = true
		} else {
			anchors[slug] = true
		}
		seen[slug]++
	})
	return anchors
}

func slugOf(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// section returns the nodes between the heading with this text and the next heading of its level or above.
func (p page) section(title string) []ast.Node {
	var nodes []ast.Node
	level := 0
	for n := p.root.FirstChild(); n != nil; n = n.NextSibling() {
		heading, ok := n.(*ast.Heading)
		switch {
		case ok && level > 0 && heading.Level <= level:
			return nodes
		case ok && level == 0 && p.plain(heading) == title:
			level = heading.Level
		case level > 0:
			nodes = append(nodes, n)
		}
	}
	return nodes
}
