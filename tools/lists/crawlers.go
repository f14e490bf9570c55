package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// crawler is what is used of an entry.
type crawler struct {
	Pattern   string   `json:"pattern"`
	Instances []string `json:"instances"`
	Tags      []string `json:"tags"`
}

// narrowed replaces patterns that also match the browsers of people. An empty replacement leaves the pattern out.
var narrowed = map[string]string{
	"Butterfly": "Butterfly/1",            // HTC Butterfly is a phone
	"Code/1\\.": "",                       // an editor with a browser inside
	"Fetch/":    "^Fetch/",                // MozacFetch is part of Firefox for Android
	"Fluid":     "",                       // a browser
	"Notion/":   "^Notion/",               // its desktop program is a browser too
	"Sogou":     "Sogou[ \\w-]*[sS]pider", // Sogou Mobile Browser
	"Sonic":     "Sonic(/|Site)",          // Slack's desktop program says Sonic
	"Synapse":   "^Synapse ",              // SynapseWorkstation, an extension of Internet Explorer
	"Tumblr/":   "^Tumblr/",               // its program's browser
	"Viber":     "^Viber$",                // its program's browser
	"mail\\.ru": "",                       // a toolbar
}

// added are programs that the project does not list.
var added = []string{
	"nonbrowser\t^Faraday v",
	"nonbrowser\tGuzzleHttp",
	"nonbrowser\t^Java/",
	"nonbrowser\t^Ruby$",
	"nonbrowser\t^Symfony HttpClient",
	"crawler\t^Barracuda Sentinel",
}

// crawlers writes crawlers.tsv, and testdata/crawlers.txt with a user agent for each of its patterns.
func crawlers(p pack, dir string) error {
	text, err := p.file("crawler-user-agents.json")
	if err != nil {
		return err
	}
	patterns, examples, err := readCrawlers(text)
	if err != nil {
		return err
	}
	if err := p.write(filepath.Join(dir, "lists/crawlers.tsv"), "patterns", patterns); err != nil {
		return err
	}
	return p.write(filepath.Join(dir, "testdata/crawlers.txt"), "user agents of robots", examples)
}

// readCrawlers returns lines of class, tab, pattern, and an example for each pattern that has one.
func readCrawlers(text []byte) (patterns, examples []string, err error) {
	var all []crawler
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, nil, err
	}
	patterns = slices.Clone(added)
	for _, c := range all {
		pattern := strings.ReplaceAll(c.Pattern, `\/`, "/")
		if instead, ok := narrowed[pattern]; ok {
			pattern = instead
		}
		if pattern == "" {
			continue
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, nil, fmt.Errorf("%q: %w", c.Pattern, err)
		}
		class := "crawler"
		if slices.Contains(c.Tags, "http-library") {
			class = "nonbrowser"
		}
		patterns = append(patterns, class+"\t"+pattern)
		if i := slices.IndexFunc(c.Instances, re.MatchString); i >= 0 {
			examples = append(examples, c.Instances[i])
		}
	}
	return patterns, examples, nil
}
