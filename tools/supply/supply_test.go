package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const isc = `ISC License

Copyright (c) 2026 Somebody

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided
that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT,
NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
`

const sleepycat = `Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met:

Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.

Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer in the documentation and/or other materials provided with the distribution.

Redistributions in any form must be accompanied by information on how to obtain complete source code for the DB software and any accompanying software that uses the DB software.
`

func TestALicenceIsToldFromItsText(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		want       []string
		err        string
	}{
		{"a known text", isc, []string{"ISC"}, ""},
		{"the texts of two", isc + "\n" + apache(t), []string{"Apache-2.0", "ISC"}, ""},
		{"our own words", "Do with it what you want.", nil, "not the text of a known licence"},
		{"a link alone", "See https://opensource.org/licenses/MIT", nil, "not the text of a known licence"},
		{"a known one among much else", isc + strings.Repeat("Furthermore, you shall ask first, each time. ", 60), nil, "not the text of a known licence"},
		{"one that asks for the source of the program", sleepycat, nil, "licence"},
		{"nothing", "", nil, "not the text of a known licence"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := identify([]byte(tc.text))
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func apache(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../LICENSE")
	require.NoError(t, err)
	return string(text)
}

func TestEveryPartOfAModuleMayHaveALicenceOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "LICENSE"), isc)
	put(t, filepath.Join(dir, "linked", "COPYING.txt"), apache(t))
	put(t, filepath.Join(dir, "linked", "license.go"), "package linked")
	put(t, filepath.Join(dir, "linked", "deeper", "x.go"), "package deeper")
	put(t, filepath.Join(dir, "left", "LICENSE"), "not linked, so it does not matter")
	m := module{Path: "example.com/m", Version: "v1.0.0", Dir: dir, folders: []string{filepath.Join(dir, "linked", "deeper")}}

	licences, err := licencesOf(m)
	require.NoError(t, err)
	require.Equal(t, []string{"Apache-2.0", "ISC"}, ids(licences))

	_, err = licencesOf(module{Path: "example.com/bare", Dir: t.TempDir(), folders: []string{t.TempDir()}})
	require.ErrorContains(t, err, "example.com/bare: no licence")
}

func put(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

func TestABillOfMaterialsNamesEachModule(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "LICENSE"), isc)
	bill, texts, err := billOf("collector", "1.2.3", "go1.26.10", []module{
		{Path: "example.com/m", Version: "v1.0.0", Sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", Dir: dir, folders: []string{dir}},
		{Path: own + "proto", Version: "v0.0.0"},
		{Path: own + "services/collector"},
	})
	require.NoError(t, err)
	text, err := json.Marshal(bill)
	require.NoError(t, err)
	for _, want := range []string{
		`"bom-ref":"pkg:golang/github.com/onepx/onepx/services/collector@1.2.3"`,
		`"purl":"pkg:golang/std@go1.26.10"`,
		`"purl":"pkg:golang/example.com/m@v1.0.0"`,
		`"content":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"`,
		`"license":{"id":"ISC"}`,
		`"purl":"pkg:golang/github.com/onepx/onepx/proto@1.2.3"`,
		`"dependsOn":["pkg:golang/std@go1.26.10","pkg:golang/example.com/m@v1.0.0","pkg:golang/github.com/onepx/onepx/proto@1.2.3"]`,
	} {
		require.Contains(t, string(text), want)
	}
	require.Equal(t, "==== example.com/m v1.0.0: LICENSE\n\n"+strings.TrimSpace(isc)+"\n\n", string(texts))
}

func TestTheGoOfTheImagesIsOneRelease(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines map[string]string
		err   string
	}{
		{"the same for all", nil, ""},
		{"one that differs", map[string]string{"console": "golang:1.26.9"}, "different releases of Go: go1.26.10, go1.26.9, go1.26.10"},
		{"one without its patch", map[string]string{"consumer": "golang:1.26"}, "Dockerfile of consumer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := t.TempDir()
			for _, service := range services {
				from := "golang:1.26.10"
				if tc.lines[service] != "" {
					from = tc.lines[service]
				}
				put(t, filepath.Join(root, "services", service, "Dockerfile"), "# x\nFROM --platform=$BUILDPLATFORM "+from+" AS build\nFROM scratch\n")
			}
			got, err := builderGo(root)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "go1.26.10", got)
		})
	}
}

func TestFindingsAreThoseWhoseCodeIsLinked(t *testing.T) {
	found, err := readFindings(strings.NewReader(`{"config": {"scanner_name": "govulncheck"}}
		{"finding": {"osv": "GO-1", "fixed_version": "v1.2.0", "trace": [{"module": "example.com/m", "version": "v1.1.0"}]}}
		{"finding": {"osv": "GO-1", "fixed_version": "v1.2.0", "trace": [{"module": "example.com/m", "version": "v1.1.0", "package": "example.com/m/p", "receiver": "T", "function": "Do"}]}}
		{"finding": {"osv": "GO-2", "trace": []}}`), "console")
	require.NoError(t, err)
	require.Equal(t, []finding{{ID: "GO-1", Module: "example.com/m", Version: "v1.1.0", Fixed: "v1.2.0", Symbol: "example.com/m/p.T.Do", Service: "console"}}, found)

	_, err = readFindings(bytes.NewBufferString("{"), "console")
	require.ErrorContains(t, err, "govulncheck's answer")
}

func TestWhatFailsACheck(t *testing.T) {
	inModule := finding{ID: "GO-1", Module: "example.com/m", Version: "v1.1.0", Fixed: "v1.2.0", Symbol: "m.Do", Service: "console"}
	alsoInGo := inModule
	alsoInGo.Module, alsoInGo.Fixed = "stdlib", "v1.26.2"
	inGo := func(fixed string) finding {
		return finding{ID: "GO-2", Module: "stdlib", Version: "v1.26.8", Fixed: fixed, Symbol: "http.Get", Service: "console"}
	}
	for _, tc := range []struct {
		name     string
		findings []finding
		accepted map[known]string
		note     string
		err      string
	}{
		{name: "nothing is found"},
		{name: "a module has a fix", findings: []finding{inModule}, err: "GO-1 in example.com/m v1.1.0 (m.Do), linked into console; fixed in v1.2.0"},
		{name: "a module's is accepted", findings: []finding{inModule}, accepted: map[known]string{{"GO-1", "example.com/m"}: "it is not called"}, note: "accepted: GO-1 in example.com/m: it is not called"},
		{name: "what is accepted is gone", accepted: map[known]string{{"GO-1", "example.com/m"}: "it is not called"}, err: "GO-1 in example.com/m is accepted and not found"},
		{name: "the images' Go has the fix", findings: []finding{inGo("v1.26.10")}, note: "1 vulnerabilities that go1.26.10, which builds the images, has not: GO-2"},
		{name: "the images' Go has not", findings: []finding{inGo("v1.26.11")}, err: "GO-2 in stdlib v1.26.8"},
		{name: "an older Go has a fix of its own", findings: []finding{inGo("v1.25.14")}, err: "GO-2 in stdlib v1.26.8"},
		{name: "the same is in a module and in Go", findings: []finding{inModule, alsoInGo}, err: "GO-1 in example.com/m v1.1.0", note: "has not: GO-1"},
		{name: "no Go has a fix", findings: []finding{inGo("")}, err: "no version fixes it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			notes, err := judge(tc.findings, "go1.26.10", tc.accepted)
			if tc.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.err)
			}
			if tc.note == "" {
				require.Empty(t, notes)
			} else {
				require.Len(t, notes, 1)
				require.Contains(t, notes[0], tc.note)
			}
		})
	}
}
