//go:build integration

package tcf_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent/reference"
	"github.com/onepx/onepx/services/collector/internal/consent/tcf"
)

// known is what IAB Europe's library reads in a string; see testdata/generate.mjs.
type known struct {
	Text                                                                           string
	Created, Updated                                                               int64
	CMP, CMPVersion, Screen, List, Policy, Customs                                 int
	Language, Country                                                              string
	ServiceSpecific, NonStandard, OneTreatment, DisclosedSegment, PublisherSegment bool
	Restrictions                                                                   []struct {
		Purpose, Type int
		Vendors       []int
	}
	Sets map[string][]int
}

func TestAgreesWithTheReference(t *testing.T) {
	reference.Each(t, 10_000, 20261126, func(line []byte) {
		var want known
		require.NoError(t, json.Unmarshal(line, &want))
		got, err := tcf.Parse(want.Text)
		require.NoError(t, err, want.Text)
		compare(t, want, got)
	})
}

func compare(t *testing.T, want known, got *tcf.String) {
	t.Helper()
	require.Equal(t, []int64{want.Created, want.Updated}, []int64{got.Created.UnixMilli(), got.LastUpdated.UnixMilli()}, want.Text)
	require.Equal(t, []int{want.CMP, want.CMPVersion, want.Screen, want.List, want.Policy}, []int{got.CMPID, got.CMPVersion, got.ConsentScreen, got.VendorListVersion, got.PolicyVersion}, want.Text)
	require.Equal(t, []string{want.Language, want.Country}, []string{got.ConsentLanguage, got.PublisherCountry}, want.Text)
	require.Equal(t, []bool{want.ServiceSpecific, want.NonStandard, want.OneTreatment, want.DisclosedSegment, want.PublisherSegment},
		[]bool{got.ServiceSpecific, got.NonStandardTexts, got.PurposeOneTreatment, got.HasDisclosed, got.HasPublisher}, want.Text)
	if want.PublisherSegment {
		require.Equal(t, want.Customs, got.CustomPurposes, want.Text)
	}
	type set interface{ Contains(int) bool }
	sets := map[string]set{
		"features": got.SpecialFeatures, "consents": got.PurposeConsents, "interests": got.PurposeInterests,
		"publisherConsents": got.PublisherConsents, "publisherInterests": got.PublisherInterests,
		"customConsents": got.PublisherCustomConsents, "customInterests": got.PublisherCustomInterests,
		"vendorConsents": got.VendorConsents, "vendorInterests": got.VendorInterests, "disclosed": got.Disclosed,
	}
	require.Len(t, want.Sets, len(sets))
	for name, members := range want.Sets {
		last := 64
		if len(members) > 0 {
			last += slices.Max(members)
		}
		var in []int
		for n := range last {
			if sets[name].Contains(n) {
				in = append(in, n)
			}
		}
		if !slices.Equal(members, in) { // not require, which would take a minute
			t.Fatalf("%s of %s: %v, not %v", name, want.Text, in, members)
		}
	}
	strictest, purposes := map[[2]int]int{}, map[int]bool{12: true}
	for _, r := range want.Restrictions {
		purposes[r.Purpose] = true
		for _, id := range r.Vendors {
			key := [2]int{r.Purpose, id}
			if kind, ok := strictest[key]; !ok || r.Type < kind {
				strictest[key] = r.Type
			}
		}
	}
	for purpose := range purposes {
		for id := range 62 {
			kind, restricted := strictest[[2]int{purpose, id}]
			if !restricted {
				kind = int(tcf.Unrestricted)
			}
			if int(got.Restriction(purpose, id)) != kind { // not require: this is asked a million times
				t.Fatalf("purpose %d, vendor %d of %s: not %d", purpose, id, want.Text, kind)
			}
		}
	}
}
