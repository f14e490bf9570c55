package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// folder is the .dev folder of a checkout, by its absolute path:
//
//	env           addresses, as shell assignments; written last, when everything is ready
//	state.json    what runs
//	lock          held by the supervisor as long as it lives
//	command.lock  held by up and down, one at a time
//	onepx.yaml    site configuration
//	bin/ log/ clickhouse/ kafka/ spool/
type folder string

// findFolder returns the folder of the checkout around the working directory.
func findFolder() (folder, error) {
	root, err := pipeline.Root()
	return folder(filepath.Join(root, ".dev")), err
}

// root is the checkout itself.
func (f folder) root() string { return filepath.Dir(string(f)) }

func (f folder) path(names ...string) string {
	return filepath.Join(append([]string{string(f)}, names...)...)
}

// bin returns the path of a program that up builds.
func (f folder) bin(name string) string { return f.path("bin", name) }

// log returns the path of a part's log.
func (f folder) log(part string) string { return f.path("log", part+".log") }

// command makes sure that only one up or down works on the folder. It creates the folder.
func (f folder) command() (*flock.Flock, error) {
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return nil, err
	}
	lock := flock.New(f.path("command.lock"))
	if locked, err := lock.TryLock(); err != nil {
		return nil, err
	} else if !locked {
		return nil, errors.New("another up or down is at work in this checkout")
	}
	return lock, nil
}

// running tells whether a supervisor lives.
func (f folder) running() (bool, error) {
	if _, err := os.Stat(f.path("lock")); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	lock := flock.New(f.path("lock"))
	free, err := lock.TryLock()
	return !free, errors.Join(err, lock.Close())
}

// clear removes everything but the command's lock.
func (f folder) clear() error {
	entries, err := os.ReadDir(string(f))
	for _, e := range entries {
		if e.Name() != "command.lock" {
			err = errors.Join(err, os.RemoveAll(f.path(e.Name())))
		}
	}
	return err
}

// state says what runs, for down and for people who want to signal a part.
type state struct {
	// Supervisor is the process that down ends; it ends the others.
	Supervisor int    `json:"supervisor"`
	Parts      []part `json:"parts"`
}

// part is a running process.
type part struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	Log  string `json:"log"`
}

func (f folder) writeState(s state) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return f.write("state.json", string(text)+"\n")
}

func (f folder) readState() (state, error) {
	text, err := os.ReadFile(f.path("state.json"))
	if err != nil {
		return state{}, err
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return state{}, fmt.Errorf("%s: %w", f.path("state.json"), err)
	}
	return s, nil
}

// write replaces a file of the folder at once: a reader sees the old or the new text.
func (f folder) write(name, text string) error {
	if err := os.WriteFile(f.path(name+".new"), []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(f.path(name+".new"), f.path(name))
}

// variable is one NAME=value.
type variable struct{ name, value string }

// shellAssignments writes variables for `. .dev/env`, each value in single quotes.
func shellAssignments(vars []variable) string {
	var b strings.Builder
	for _, v := range vars {
		fmt.Fprintf(&b, "%s='%s'\n", v.name, strings.ReplaceAll(v.value, "'", `'\''`))
	}
	return b.String()
}
