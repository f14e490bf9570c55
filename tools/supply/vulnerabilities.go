package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/vuln/scan"
)

// accepted are vulnerabilities that are found, have no fix, and do not touch onepx; each with why. One that is no longer found must go.
var accepted = map[known]string{
	{"GO-2026-6872", "github.com/labstack/echo/v4"}: "Context.RealIP of Echo believes any X-Forwarded-For. The linter forbids RealIP; addresses come from ONEPX_TRUSTED_PROXIES alone",
	{"GO-2026-6875", "github.com/labstack/echo/v4"}: "proxy middleware of Echo forwards a client's X-Real-IP. The linter forbids Echo's middleware; no service is a proxy",
}

// known is a vulnerability of a module; several modules may have the same one.
type known struct{ ID, Module string }

// finding is a vulnerability whose code is linked into a service.
type finding struct {
	ID, Module, Version string
	// Fixed is the first version without it; empty where there is none.
	Fixed string
	// Symbol is one of the functions it is in, Service one of those that have it.
	Symbol, Service string
}

func (f finding) String() string {
	fixed := "no version fixes it"
	if f.Fixed != "" {
		fixed = "fixed in " + f.Fixed
	}
	return fmt.Sprintf("%s in %s %s (%s), linked into %s; %s: https://pkg.go.dev/vuln/%s", f.ID, f.Module, f.Version, f.Symbol, f.Service, fixed, f.ID)
}

type vulnerabilitiesCmd struct {
	DB string `required:"" name:"db" help:"URL of the vulnerability database: https://vuln.go.dev, or file:// and a folder in its format."`
}

// Run builds the services and fails on what is not fixed and not accepted.
func (c *vulnerabilitiesCmd) Run(ctx context.Context) (err error) {
	root, err := repository()
	if err != nil {
		return err
	}
	builder, err := builderGo(root)
	if err != nil {
		return err
	}
	if version.Compare(runtime.Version(), builder) > 0 {
		return fmt.Errorf("%s is newer than %s, which builds the images: what it has fixed would not be found; let the Dockerfiles build with it", runtime.Version(), builder)
	}
	dir, err := os.MkdirTemp("", "onepx-supply-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var all []finding
	for _, service := range services {
		// With its symbols, unlike in the image: they tell which functions are linked.
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, service), ".")
		build.Dir, build.Env = filepath.Join(root, "services", service), imageEnv()
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", service, err, out)
		}
		found, err := scanned(ctx, c.DB, filepath.Join(dir, service))
		if err != nil {
			return fmt.Errorf("scan %s: %w", service, err)
		}
		all = append(all, found...)
	}
	notes, err := judge(all, builder, accepted)
	for _, note := range notes {
		_, _ = fmt.Fprintln(os.Stdout, note)
	}
	return err
}

// scanned asks govulncheck about a program.
func scanned(ctx context.Context, db, program string) ([]finding, error) {
	var out, stderr bytes.Buffer
	command := scan.Command(ctx, "-mode", "binary", "-format", "json", "-db", db, program)
	command.Stdout, command.Stderr = &out, &stderr
	if err := errors.Join(command.Start(), command.Wait()); err != nil {
		return nil, fmt.Errorf("govulncheck: %w: %s", err, stderr.String())
	}
	return readFindings(&out, filepath.Base(program))
}

// readFindings reads govulncheck's JSON (https://pkg.go.dev/golang.org/x/vuln/internal/govulncheck): a finding names a function when
// the code of the vulnerability is linked.
func readFindings(messages io.Reader, service string) ([]finding, error) {
	var found []finding
	for decoder := json.NewDecoder(messages); ; {
		var message struct {
			Finding *struct {
				OSV          string
				FixedVersion string `json:"fixed_version"`
				Trace        []struct{ Module, Version, Package, Receiver, Function string }
			}
		}
		if err := decoder.Decode(&message); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("govulncheck's answer: %w", err)
		}
		f := message.Finding
		if f == nil || len(f.Trace) == 0 || f.Trace[0].Function == "" {
			continue
		}
		at := f.Trace[0]
		symbol := at.Package + "." + strings.TrimPrefix(at.Receiver+"."+at.Function, ".")
		found = append(found, finding{ID: f.OSV, Module: at.Module, Version: at.Version, Fixed: f.FixedVersion, Symbol: symbol, Service: service})
	}
}

// judge fails on every vulnerability but those accepted and those of the standard library that the builder's Go has fixed, and on
// acceptances of what is not found. Notes say what did not fail.
func judge(findings []finding, builder string, accepted map[known]string) (notes []string, err error) {
	byModule := map[known]finding{}
	for _, f := range findings {
		byModule[known{f.ID, f.Module}] = f
	}
	var wrong []error
	var old []string
	for key, f := range byModule {
		fixed := "go" + strings.TrimPrefix(f.Fixed, "v")
		switch {
		case accepted[key] != "":
			notes = append(notes, fmt.Sprintf("accepted: %s in %s: %s", key.ID, key.Module, accepted[key]))
		case f.Module == "stdlib" && version.Lang(fixed) == version.Lang(builder) && version.Compare(fixed, builder) <= 0:
			old = append(old, key.ID)
		default:
			wrong = append(wrong, errors.New(f.String()))
		}
	}
	for key := range accepted {
		if _, found := byModule[key]; !found {
			wrong = append(wrong, fmt.Errorf("%s in %s is accepted and not found: remove it from the list", key.ID, key.Module))
		}
	}
	if len(old) > 0 {
		slices.Sort(old)
		notes = append(notes, fmt.Sprintf("the Go on this machine has %d vulnerabilities that %s, which builds the images, has not: %s", len(old), builder, strings.Join(old, " ")))
	}
	slices.Sort(notes)
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return notes, errors.Join(wrong...)
}
