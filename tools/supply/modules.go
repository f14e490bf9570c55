package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// own is the beginning of the paths of onepx's modules.
const own = "github.com/onepx/onepx/"

// services are the programs that have an image, each in the folder of its name below services.
var services = []string{"collector", "console", "consumer"}

// module is one that packages of a service come from.
type module struct {
	Path, Version string
	// Sum is the checksum as go.sum has it; empty for our own.
	Sum string
	// Dir is where its files are.
	Dir string
	// folders are those of the packages that are linked, at or below Dir.
	folders []string
}

// linked lists what a service is linked from in its image (linux/amd64, without cgo): modules of others, and its own siblings.
// The standard library is not among them. They are sorted by path.
func linked(ctx context.Context, root, service string) ([]module, error) {
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Module", ".")
	list.Dir = filepath.Join(root, "services", service)
	list.Env = imageEnv()
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s: %w\n%s", service, err, stderr.Bytes())
	}
	byPath := map[string]*module{}
	for packages := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir    string
			Module *module
		}
		if err := packages.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list %s: %w", service, err)
		}
		if p.Module == nil {
			continue
		}
		if byPath[p.Module.Path] == nil {
			byPath[p.Module.Path] = p.Module
		}
		byPath[p.Module.Path].folders = append(byPath[p.Module.Path].folders, p.Dir)
	}
	var modules []module
	for _, m := range byPath {
		modules = append(modules, *m)
	}
	slices.SortFunc(modules, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	return modules, nil
}

// imageEnv is our environment, set for a build as the Dockerfiles do it.
func imageEnv() []string {
	return append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
}

var builderLine = regexp.MustCompile(`(?m)^FROM .*\bgolang:(\d+\.\d+\.\d+) AS build$`)

// builderGo is the version of Go, such as go1.26.1, that all images are built with.
func builderGo(root string) (string, error) {
	var versions []string
	for _, service := range services {
		content, err := os.ReadFile(filepath.Join(root, "services", service, "Dockerfile"))
		if err != nil {
			return "", err
		}
		found := builderLine.FindSubmatch(content)
		if found == nil {
			return "", fmt.Errorf("the Dockerfile of %s does not say which release of Go builds it: want FROM … golang:X.Y.Z AS build", service)
		}
		versions = append(versions, "go"+string(found[1]))
	}
	if versions = slices.Compact(versions); len(versions) != 1 {
		return "", fmt.Errorf("the Dockerfiles build with different releases of Go: %s", strings.Join(versions, ", "))
	}
	return versions[0], nil
}

// repository is the folder of go.work, at or above the working directory.
func repository() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New(start + " is not in a checkout: no go.work here or above")
		}
	}
}
