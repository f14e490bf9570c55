package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are the licences, by SPDX id, under which a module may be linked into a service: those that ask for no more than
// to be named and passed on with the program, and MPL-2.0, which also asks where the source is: unchanged, at the version that the page
// names. Which others would be fine is for a lawyer to say.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "Unlicense", "Zlib"}

// covered is how much of a file, in percent of its words, must be the text of licences for it to be known; that of pkg.go.dev.
const covered = 75

var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|unlicense)([-._].*)?$`)

// licence is a file with what it says.
type licence struct {
	// File is its path below the module's folder.
	File string
	Text []byte
	// IDs are the SPDX ids in it, sorted.
	IDs []string
}

// licencesOf reads the licences that hold for what is linked of a module: those in the folders of its packages and above.
func licencesOf(m module) ([]licence, error) {
	folders := map[string]bool{}
	for _, folder := range m.folders {
		for ; len(folder) >= len(m.Dir) && !folders[folder]; folder = filepath.Dir(folder) {
			folders[folder] = true
		}
	}
	var found []licence
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		files, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if !file.Type().IsRegular() || !licenceFile.MatchString(file.Name()) || strings.HasSuffix(file.Name(), ".go") {
				continue
			}
			l, err := readLicence(m, filepath.Join(folder, file.Name()))
			if err != nil {
				return nil, err
			}
			found = append(found, l)
		}
	}
	if len(found) == 0 {
		return nil, errors.New(m.Path + ": no licence")
	}
	return found, nil
}

func readLicence(m module, path string) (licence, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return licence{}, err
	}
	name, err := filepath.Rel(m.Dir, path)
	if err != nil {
		return licence{}, err
	}
	ids, err := identify(text)
	if err != nil {
		return licence{}, fmt.Errorf("%s: %s: %w", m.Path, name, err)
	}
	return licence{File: filepath.ToSlash(name), Text: text, IDs: ids}, nil
}

// identify tells the licences of a text. It fails on one that is not known or not allowed.
func identify(text []byte) ([]string, error) {
	result := licensecheck.Scan(text)
	ids := map[string]bool{}
	for _, match := range result.Match {
		if !match.IsURL { // a link to a licence grants nothing
			ids[match.ID] = true
		}
	}
	if len(ids) == 0 || result.Percent < covered {
		return nil, fmt.Errorf("not the text of a known licence (%.0f %% of its words are)", result.Percent)
	}
	sorted := slices.Sorted(maps.Keys(ids))
	for _, id := range sorted {
		if !slices.Contains(allowed, id) {
			return nil, fmt.Errorf("%s is not among the licences allowed: %s", id, strings.Join(allowed, ", "))
		}
	}
	return sorted, nil
}

// ids are all SPDX ids of the licences, sorted.
func ids(licences []licence) []string {
	var all []string
	for _, l := range licences {
		all = append(all, l.IDs...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

type licencesCmd struct {
	Dir string `default:"docs" help:"Folder of licences.md." type:"path"`
}

// Run writes the page.
func (c *licencesCmd) Run(ctx context.Context) error {
	root, err := repository()
	if err != nil {
		return err
	}
	page, err := licencesPage(ctx, root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.Dir, "licences.md"), page, 0o644)
}
