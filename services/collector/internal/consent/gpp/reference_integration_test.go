//go:build integration

package gpp_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent/gpp"
)

// known is what the IAB Tech Lab's library reads in a string; see testdata/generate.mjs.
type known struct {
	Text      string
	IDs       []int
	USPrivacy *struct {
		Version                         int
		Notice, OptOutSale, LspaCovered string
	}
	Sections []struct {
		ID     int
		Fields map[string][]int
	}
	TCF *struct {
		Policy                                                       int
		Consents, Interests, Features, Publisher, Vendors, Disclosed []int
	}
	Header    string
	HeaderIDs []int
}

// fields are the names that the library gives the fields.
var fields = map[string]gpp.Field{
	"SharingNotice": gpp.SharingNotice, "ProcessingNotice": gpp.SharingNotice,
	"SaleOptOutNotice": gpp.SaleOptOutNotice, "SharingOptOutNotice": gpp.SharingOptOutNotice,
	"TargetedAdvertisingOptOutNotice":     gpp.TargetedAdvertisingOptOutNotice,
	"SensitiveDataProcessingOptOutNotice": gpp.SensitiveDataProcessingOptOutNotice, "SensitiveDataOptOutNotice": gpp.SensitiveDataProcessingOptOutNotice,
	"SensitiveDataLimitUseNotice": gpp.SensitiveDataLimitUseNotice,
	"SaleOptOut":                  gpp.SaleOptOut, "SharingOptOut": gpp.SharingOptOut, "TargetedAdvertisingOptOut": gpp.TargetedAdvertisingOptOut,
	"SensitiveDataProcessing":         gpp.SensitiveDataProcessing,
	"KnownChildSensitiveDataConsents": gpp.KnownChildSensitiveDataConsents,
	"PersonalDataConsents":            gpp.PersonalDataConsents, "AdditionalDataProcessingConsent": gpp.PersonalDataConsents,
	"MspaCoveredTransaction": gpp.MspaCoveredTransaction, "MspaOptOutOptionMode": gpp.MspaOptOutOptionMode,
	"MspaServiceProviderMode": gpp.MspaServiceProviderMode, "MspaMode": gpp.MspaMode,
}

func TestAgreesWithTheReference(t *testing.T) {
	const count, seed = 10_000, 20261126
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		return cmd
	}
	require.NoError(t, run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts").Run())
	script, err := filepath.Abs("testdata/generate.mjs")
	require.NoError(t, err)
	node := run("node", script, strconv.Itoa(count), strconv.Itoa(seed))
	out, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	read := 0
	for ; lines.Scan(); read++ {
		var want known
		require.NoError(t, json.Unmarshal(lines.Bytes(), &want))
		got, err := gpp.Parse(want.Text)
		require.NoError(t, err, want.Text)
		require.Zero(t, got.Unread, want.Text)
		require.Equal(t, want.IDs, members(got.IDs), want.Text)
		compareSections(t, want, got)
		compareOthers(t, want, got)
		// The header again, before sections of nothing.
		got, err = gpp.Parse(want.Header + strings.Repeat("~A", len(want.HeaderIDs)))
		require.NoError(t, err, want.Header)
		require.Equal(t, slices.DeleteFunc(want.HeaderIDs, func(id int) bool { return id > 63 }), members(got.IDs), want.Header)
	}
	require.NoError(t, lines.Err())
	require.NoError(t, node.Wait())
	require.Equal(t, count, read)
}

func members[S interface{ Contains(int) bool }](set S) []int {
	in := []int{}
	for id := range 300 {
		if set.Contains(id) {
			in = append(in, id)
		}
	}
	return in
}

func compareSections(t *testing.T, want known, got *gpp.String) {
	t.Helper()
	require.Len(t, got.Sections, len(want.Sections), want.Text)
	for i, section := range want.Sections {
		s := &got.Sections[i]
		require.Equal(t, section.ID, s.ID)
		for name, answers := range section.Fields {
			got := []int{}
			switch name {
			case "Version", "MspaVersion":
				got = append(got, s.Version)
			case "Gpc":
				if got = append(got, 0); s.GPC {
					got[0] = 1
				}
			case "GpcSegmentType":
				continue
			default:
				field, named := fields[name]
				require.True(t, named, name)
				if section.ID > 24 && field == gpp.SensitiveDataProcessing {
					continue // in a segment of its own, which is passed over
				}
				for answer, ok := s.Value(field, 0); ok; answer, ok = s.Value(field, len(got)) {
					got = append(got, int(answer))
				}
			}
			if !slices.Equal(answers, got) { // not require, which would take long
				t.Fatalf("%s of %d in %s: %v, not %v", name, section.ID, want.Text, got, answers)
			}
		}
	}
}

func compareOthers(t *testing.T, want known, got *gpp.String) {
	t.Helper()
	if want.USPrivacy != nil {
		u := want.USPrivacy
		require.Equal(t, strconv.Itoa(u.Version)+u.Notice+u.OptOutSale+u.LspaCovered, got.USPrivacy)
	}
	require.Equal(t, want.TCF != nil, got.TCF != nil)
	if want.TCF == nil {
		return
	}
	require.Equal(t, want.TCF.Policy, got.TCF.PolicyVersion)
	require.Equal(t, want.TCF.Consents, members(got.TCF.PurposeConsents), want.Text)
	require.Equal(t, want.TCF.Interests, members(got.TCF.PurposeInterests), want.Text)
	require.Equal(t, want.TCF.Features, members(got.TCF.SpecialFeatures), want.Text)
	require.Equal(t, want.TCF.Publisher, members(got.TCF.PublisherConsents), want.Text)
	require.Equal(t, want.TCF.Vendors, members(got.TCF.VendorConsents), want.Text)
	require.Equal(t, want.TCF.Disclosed, members(got.TCF.Disclosed), want.Text)
}
