//go:build integration

package gpp_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent/gpp"
	"github.com/onepx/onepx/services/collector/internal/consent/reference"
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
	reference.Each(t, 10_000, 20261126, func(line []byte) {
		var want known
		require.NoError(t, json.Unmarshal(line, &want))
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
	})
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
