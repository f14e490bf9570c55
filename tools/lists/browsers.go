package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
)

// browser is what is used of an entry.
type browser struct {
	UserAgent string `json:"userAgent"`
}

// pretended is a Chrome of before 2022 with its whole version. The package has hundreds of these, each once, most with builds
// that there never were (Chrome/53.0.5491 on an iPhone): machines that came by where its user agents are gathered.
var pretended = regexp.MustCompile(`Chrome/\d\d\.0\.\d{4}\.`)

// browsers writes testdata/browsers.txt, against which the rules for machines are tested.
func browsers(p pack, dir string) error {
	text, err := p.file("dist/user-agents.json")
	if err != nil {
		return err
	}
	userAgents, err := readBrowsers(text)
	if err != nil {
		return err
	}
	return p.write(filepath.Join(dir, "testdata/browsers.txt"), "user agents of browsers", userAgents)
}

func readBrowsers(text []byte) ([]string, error) {
	var all []browser
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	var userAgents []string
	for _, b := range all {
		if !pretended.MatchString(b.UserAgent) {
			userAgents = append(userAgents, b.UserAgent)
		}
	}
	return userAgents, nil
}
