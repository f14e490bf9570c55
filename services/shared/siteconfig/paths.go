package siteconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// maxPath is how long a path of a site's own may be.
const maxPath = 128

// NativePaths are served whatever the file says.
var NativePaths = Paths{Tag: "/t.js", Events: "/e", Pixel: "/p.gif"}

// Paths are names of a site's own under which the collector serves the tag, takes its events and answers the pixel,
// beside the native ones. "" where the site has none. No path means two things in one Config, and sites that share the
// tag's path share all.
type Paths struct {
	// Tag is another name of /t.js; the script it serves uses Events and Pixel.
	Tag string
	// Events is another name of /e.
	Events string
	// Pixel is another name of /p.gif.
	Pixel string
}

// pathFields are the keys of paths.
var pathFields = []field[Paths]{
	{name: "tag", read: pathReader(func(p *Paths) *string { return &p.Tag })},
	{name: "events", read: pathReader(func(p *Paths) *string { return &p.Events })},
	{name: "pixel", read: pathReader(func(p *Paths) *string { return &p.Pixel })},
}

// pathPattern keeps out what clients and proxies rewrite before it reaches us: empty segments, . and ..
var pathPattern = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$`)

// native are the first segments of the collector's own paths, those of later versions included as far as they are known.
var native = []string{"p.gif", "e", "t.js", "v1", "o", "c", "u", "optout", "optin", "sync", "robots.txt"}

func pathReader(into func(*Paths) *string) func(*problems, string, ast.Node, *Paths) {
	return func(p *problems, path string, node ast.Node, paths *Paths) {
		text, ok := readText(p, path, node)
		if !ok {
			return
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(text, "/"), "/")
		switch {
		case len(text) > maxPath || !pathPattern.MatchString(text):
			p.add(start(node), path, "%s is not a path; write at most %d of A-Z, a-z, 0-9, _, -, . and /, such as /assets/a.js, no part of it beginning with a dot", quoted(text), maxPath)
		case slices.Contains(native, first):
			p.add(start(node), path, "%s is the collector's own; choose another name", quoted(text))
		default:
			*into(paths) = text
		}
	}
}

func readPaths(p *problems, path string, node ast.Node, s *Site) {
	readMapping(p, path, node, pathFields, &s.Paths)
}

// pathUse is the first place where a path is used.
type pathUse struct {
	site, kind string
	all        Paths
}

// checkPaths notes the paths of a site, and adds a problem for each that means something else already.
func checkPaths(p *problems, path string, node ast.Node, paths Paths, used map[string]pathUse) {
	for _, one := range []struct{ kind, value string }{{"tag", paths.Tag}, {"events", paths.Events}, {"pixel", paths.Pixel}} {
		if one.value == "" {
			continue
		}
		first, taken := used[one.value]
		switch {
		case !taken:
			used[one.value] = pathUse{path, one.kind, paths}
		case first.kind != one.kind:
			p.add(start(node), fmt.Sprintf("%s.paths.%s", path, one.kind), "%s is %s.paths.%s already", quoted(one.value), first.site, first.kind)
		case one.kind == "tag" && first.all != paths:
			p.add(start(node), path+".paths", "differ from those of %s, which has the same tag; one script can't use both", first.site)
		}
	}
}
