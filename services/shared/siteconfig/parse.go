package siteconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxNesting is how deep a file may be nested on one line or in brackets. The
// configuration needs 6; without a bound, megabytes of "[" exhaust the memory.
const maxNesting = 16

// Load reads the file at path. See Parse.
func Load(path string) (*Config, error) {
	data, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Read returns the bytes of the file at path. Of one that is larger than
// MaxFileSize it returns enough for Parse to say so.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("site configuration: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("site configuration: %w", err)
	}
	return data, nil
}

// Parse reads a site configuration: UTF-8, one YAML document without anchors,
// aliases, merge keys, tags and directives. name stands for the file in errors. The
// error joins all problems in the order of the file, each as
//
//	onepx.yaml:7:15: sites[1].timezone: "Europe/Berln" is not a time zone; …
func Parse(name string, data []byte) (*Config, error) {
	p := &problems{file: name}
	cfg := &Config{}
	if root := parseYAML(p, data); root != nil {
		readMapping(p, "", root, rootFields, cfg)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	cfg.Warnings = p.warnings()
	cfg.byID = make(map[string]*Site, len(cfg.Sites))
	for i := range cfg.Sites {
		cfg.byID[cfg.Sites[i].ID] = &cfg.Sites[i]
	}
	return cfg, nil
}

// parseYAML returns the one document of the file, or nil after adding a problem.
func parseYAML(p *problems, data []byte) ast.Node {
	text, ok := cleanText(p, data)
	if !ok {
		return nil
	}
	tokens := lexer.Tokenize(text)
	if !checkTokens(p, tokens) {
		return nil
	}
	// Double keys are found later, with all other problems.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var at *token.Position
		var text string
		if e := yaml.Error(nil); errors.As(err, &e) {
			at, text = e.GetToken().Position, e.GetMessage()
		} else {
			text = err.Error()
		}
		p.add(at, "", "not valid YAML: %s", text)
		return nil
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch len(bodies) {
	case 0:
		p.add(nil, "", "the file is empty; it needs the key sites with at least one site")
		return nil
	case 1:
		return bodies[0]
	}
	p.add(start(bodies[1]), "", "a second document starts here; keep everything in one")
	return nil
}

// cleanText returns the data as text with Unix line ends and without a byte order
// mark, so that lines and columns are counted as editors count them.
func cleanText(p *problems, data []byte) (string, bool) {
	if len(data) > MaxFileSize {
		p.add(nil, "", "the file is larger than %d MiB", MaxFileSize>>20)
		return "", false
	}
	if !utf8.Valid(data) {
		bad := 0
		for size := 0; ; bad += size {
			var r rune
			if r, size = utf8.DecodeRune(data[bad:]); r == utf8.RuneError && size <= 1 {
				break
			}
		}
		lineStart := bytes.LastIndexByte(data[:bad], '\n') + 1
		p.add(&token.Position{
			Line:   bytes.Count(data[:bad], []byte{'\n'}) + 1,
			Column: utf8.RuneCount(data[lineStart:bad]) + 1,
		}, "", "byte 0x%02x is not UTF-8; save the file as UTF-8", data[bad])
		return "", false
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	return string(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))), true
}

// refusedTokens are the parts of YAML that make a file mean other things than it
// shows, or expand to more than it holds.
var refusedTokens = map[token.Type]string{
	token.AnchorType:     "anchors (&)",
	token.AliasType:      "aliases (*)",
	token.MergeKeyType:   "merge keys (<<)",
	token.TagType:        "tags (!)",
	token.DirectiveType:  "directives (%)",
	token.MappingKeyType: "complex keys (?)",
}

// checkTokens refuses what must not reach the parser.
func checkTokens(p *problems, tokens token.Tokens) bool {
	brackets, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if what, refused := refusedTokens[t.Type]; refused {
			p.add(t.Position, "", "%s are not allowed here; write the values out, in quotes if they are meant as text", what)
			return false
		}
		if t.Position.Line != line {
			dashes, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType:
			dashes++
		}
		if brackets > maxNesting || dashes > maxNesting {
			p.add(t.Position, "", "nested more than %d deep", maxNesting)
			return false
		}
	}
	return true
}
