// Command lists refreshes the lists by which the consumer knows robots, from packages on npm. `make lists` runs it from the root
// of the repository. The results are kept in git, so that a change of them is read before it counts.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// folder is where the lists are, below the root of the repository.
const folder = "services/consumer/internal/enrich"

func main() {
	var c command
	ctx := kong.Parse(&c, kong.Description("Refreshes the lists of robots and browsers from npm."))
	ctx.FatalIfErrorf(ctx.Run())
}

type command struct {
	Dir      string `help:"Root of the repository." default:"."`
	Crawlers string `help:"Version of the package crawler-user-agents." default:"latest"`
	Browsers string `help:"Version of the package user-agents." default:"latest"`
}

// Run fetches the packages and writes the lists and their licences.
func (c *command) Run() error {
	dir := filepath.Join(c.Dir, folder)
	for _, list := range []struct {
		name, version, licence string
		write                  func(pack, string) error
	}{
		{"crawler-user-agents", c.Crawlers, "lists/crawlers.LICENSE", crawlers},
		{"user-agents", c.Browsers, "testdata/browsers.LICENSE", browsers},
	} {
		if err := refresh(list.name, list.version, filepath.Join(dir, list.licence), func(p pack) error { return list.write(p, dir) }); err != nil {
			return fmt.Errorf("%s: %w", list.name, err)
		}
	}
	return nil
}

// refresh fetches a package, has its list written, and copies its licence.
func refresh(name, version, licenceFile string, write func(pack) error) error {
	scratch, err := os.MkdirTemp("", "onepx-lists-")
	if err != nil {
		return err
	}
	p, err := fetch(context.Background(), name, version, scratch)
	if err == nil {
		p.LicenceFile = filepath.Base(licenceFile)
		err = write(p)
	}
	if err == nil {
		var licence []byte
		if licence, err = p.file("LICENSE"); err == nil {
			err = os.WriteFile(licenceFile, licence, 0o644)
		}
	}
	return errors.Join(err, os.RemoveAll(scratch))
}

// pack is a package, unpacked.
type pack struct {
	Name, Version, License string
	// Published is the day, YYYY-MM-DD.
	Published string
	// LicenceFile is the name of the file with the licence, for the heads of lists.
	LicenceFile string
	dir         string
}

// fetch downloads and unpacks a package; version may be a tag such as latest.
func fetch(ctx context.Context, name, version, dir string) (pack, error) {
	text, err := output(ctx, dir, "npm", "view", name+"@"+version, "name", "version", "license", "time", "--json")
	if err != nil {
		return pack{}, err
	}
	p, err := describe(text)
	if err != nil {
		return pack{}, err
	}
	archive, err := output(ctx, dir, "npm", "pack", name+"@"+p.Version, "--silent")
	if err != nil {
		return pack{}, err
	}
	p.dir = filepath.Join(dir, "package")
	_, err = output(ctx, dir, "tar", "xzf", strings.TrimSpace(string(archive)))
	return p, err
}

// describe reads what npm says of one version.
func describe(text []byte) (pack, error) {
	var p struct {
		pack
		Time map[string]string
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return pack{}, fmt.Errorf("npm view: %w", err)
	}
	published, _, found := strings.Cut(p.Time[p.Version], "T")
	if !found || p.License == "" {
		return pack{}, fmt.Errorf("npm view: no day or no licence of version %q", p.Version)
	}
	p.Published = published
	return p.pack, nil
}

func output(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return out, nil
}

func (p pack) file(name string) ([]byte, error) { return os.ReadFile(filepath.Join(p.dir, name)) }

// write sorts the lines and writes them, each once, below a head that says what they are and where they are from.
func (p pack) write(name, what string, lines []string) error {
	slices.Sort(lines)
	lines = slices.Compact(lines)
	head := fmt.Sprintf("# %d %s, from %s %s (npm) of %s, %s licence: %s. Made by `make lists`. DO NOT EDIT.",
		len(lines), what, p.Name, p.Version, p.Published, p.License, p.LicenceFile)
	fmt.Printf("%s: %d %s, %s %s of %s\n", name, len(lines), what, p.Name, p.Version, p.Published)
	return os.WriteFile(name, []byte(head+"\n"+strings.Join(lines, "\n")+"\n"), 0o644)
}
