// Command gen writes crawlers.tsv from the file crawler-user-agents.json of the project of the same name (MIT licence,
// see crawlers.LICENSE). Run it in the folder lists after fetching the package:
//
//	npm pack crawler-user-agents@1.60.0 && tar xzf crawler-user-agents-1.60.0.tgz package/crawler-user-agents.json
//	go run ./gen -version 1.60.0 package/crawler-user-agents.json > crawlers.tsv
//
// Then raise enrich.Enrichment if the tests say so.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
)

type crawler struct {
	Pattern string   `json:"pattern"`
	Tags    []string `json:"tags"`
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

func main() {
	log.SetFlags(0)
	version := flag.String("version", "", "version of the package, for the head of the file")
	flag.Parse()
	if flag.NArg() != 1 || *version == "" {
		log.Fatal("usage: gen -version VERSION crawler-user-agents.json > crawlers.tsv")
	}
	file, err := os.Open(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	if err := generate(os.Stdout, file, *version); err != nil {
		log.Fatal(err)
	}
}

func generate(out io.Writer, in io.Reader, version string) error {
	var crawlers []crawler
	if err := json.NewDecoder(in).Decode(&crawlers); err != nil {
		return err
	}
	lines := slices.Clone(added)
	for _, c := range crawlers {
		pattern := strings.ReplaceAll(c.Pattern, `\/`, "/")
		if instead, ok := narrowed[pattern]; ok {
			pattern = instead
		}
		if pattern == "" {
			continue
		}
		if _, err := regexp.Compile(pattern); err != nil {
			return fmt.Errorf("%q: %w", c.Pattern, err)
		}
		class := "crawler"
		if slices.Contains(c.Tags, "http-library") {
			class = "nonbrowser"
		}
		lines = append(lines, class+"\t"+pattern)
	}
	slices.Sort(lines)
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "# Made by gen from crawler-user-agents %s, (c) 2017 Martin Monperrus, MIT licence: crawlers.LICENSE. Do not edit.\n", version)
	for _, line := range slices.Compact(lines) {
		fmt.Fprintln(w, line)
	}
	return w.Flush()
}
