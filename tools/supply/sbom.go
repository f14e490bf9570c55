package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

type sbomCmd struct {
	Dir     string `default:"bin/sbom" help:"Folder for SERVICE.cdx.json and SERVICE.licences.txt." type:"path"`
	Release string `default:"dev" help:"Version of the services, as their images have it."`
}

// Run writes the files of each service.
func (c *sbomCmd) Run(ctx context.Context) error {
	root, err := repository()
	if err != nil {
		return err
	}
	goVersion, err := builderGo(root)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return err
	}
	for _, service := range services {
		modules, err := linked(ctx, root, service)
		if err != nil {
			return err
		}
		bill, texts, err := billOf(service, c.Release, goVersion, modules)
		if err != nil {
			return err
		}
		var document bytes.Buffer
		if err := cdx.NewBOMEncoder(&document, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bill, cdx.SpecVersion1_6); err != nil {
			return err
		}
		for ending, content := range map[string][]byte{".cdx.json": document.Bytes(), ".licences.txt": texts} {
			if err := os.WriteFile(filepath.Join(c.Dir, service+ending), content, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// billOf makes the bill of materials of a service (CycloneDX 1.6), and the texts of all licences in it. It is the same for the same
// modules: it holds no time and no serial number.
func billOf(service, release, goVersion string, modules []module) (*cdx.BOM, []byte, error) {
	program := "pkg:golang/" + own + "services/" + service + "@" + release
	bill := cdx.NewBOM()
	bill.Metadata = &cdx.Metadata{Component: &cdx.Component{
		BOMRef: program, PackageURL: program, Type: cdx.ComponentTypeApplication, Name: own + "services/" + service, Version: release, Licenses: choices("Apache-2.0"),
	}}
	standard := "pkg:golang/std@" + goVersion
	components := []cdx.Component{{BOMRef: standard, PackageURL: standard, Type: cdx.ComponentTypeLibrary, Name: "std", Version: goVersion, Licenses: choices("BSD-3-Clause")}}
	var texts bytes.Buffer
	for _, m := range modules {
		if m.Path == own+"services/"+service {
			continue
		}
		component, err := componentOf(m, release, &texts)
		if err != nil {
			return nil, nil, err
		}
		components = append(components, component)
	}
	var refs []string
	for _, c := range components {
		refs = append(refs, c.BOMRef)
	}
	bill.Components = &components
	bill.Dependencies = &[]cdx.Dependency{{Ref: program, Dependencies: &refs}}
	return bill, texts.Bytes(), nil
}

// componentOf makes the entry of a module and appends the texts of its licences. Our own modules have the version of the program.
func componentOf(m module, release string, texts *bytes.Buffer) (cdx.Component, error) {
	c := cdx.Component{Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, Licenses: choices("Apache-2.0")}
	if strings.HasPrefix(m.Path, own) {
		c.Version = release
	} else {
		licences, err := licencesOf(m)
		if err != nil {
			return c, err
		}
		c.Licenses = choices(ids(licences)...)
		for _, l := range licences {
			_, _ = fmt.Fprintf(texts, "==== %s %s: %s\n\n%s\n\n", m.Path, m.Version, l.File, bytes.TrimSpace(l.Text))
		}
	}
	if sum, isSum := strings.CutPrefix(m.Sum, "h1:"); isSum { // SHA-256 of the module's files and their names
		raw, err := base64.StdEncoding.DecodeString(sum)
		if err != nil {
			return c, fmt.Errorf("%s: checksum %q: %w", m.Path, m.Sum, err)
		}
		c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
	}
	c.PackageURL = "pkg:golang/" + m.Path + "@" + c.Version
	c.BOMRef = c.PackageURL
	return c, nil
}

func choices(ids ...string) *cdx.Licenses {
	var all cdx.Licenses
	for _, id := range ids {
		all = append(all, cdx.LicenseChoice{License: &cdx.License{ID: id}})
	}
	return &all
}
