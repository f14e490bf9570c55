// Command gen writes crawlers.tsv, and testdata/crawlers.txt with a user agent for each of its patterns, from the file
// crawler-user-agents.json of the project of the same name (MIT licence, see crawlers.LICENSE). Run it in the folder lists
// after fetching the package:
//
//	npm pack crawler-user-agents@1.60.0 && tar xzf crawler-user-agents-1.60.0.tgz package/crawler-user-agents.json
//	go run ./gen -version 1.60.0 package/crawler-user-agents.json
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
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

const head = "# Made by gen from crawler-user-agents %s, (c) 2017 Martin Monperrus, MIT licence: crawlers.LICENSE. Do not edit.\n"

func main() {
	version := flag.String("version", "", "version of the package, for the heads of the files")
	flag.Parse()
	if err := generate(*version, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate(version, source string) error {
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	patterns, examples, err := read(text)
	if err != nil {
		return err
	}
	if err := write("crawlers.tsv", version, patterns); err != nil {
		return err
	}
	return write("../testdata/crawlers.txt", version, examples)
}

func write(name, version string, lines []string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	slices.Sort(lines)
	_, err = fmt.Fprintf(file, head+"%s\n", version, strings.Join(slices.Compact(lines), "\n"))
	return errors.Join(err, file.Close())
}

// read returns lines of class, tab, pattern, and an example for each pattern that has one.
func read(text []byte) (patterns, examples []string, err error) {
	var crawlers []crawler
	if err := json.Unmarshal(text, &crawlers); err != nil {
		return nil, nil, err
	}
	patterns = slices.Clone(added)
	for _, c := range crawlers {
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
