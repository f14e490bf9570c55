package gpp_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent/gpp"
)

// Strings of the specification and of prebid's reader.
const (
	ofTheSpecification = "DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN"
	onlyTCF            = "DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"
	canada             = "DBABjw~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN"
	ofPrebidCalifornia = "DBABBgA~xlgWEYCZAA"
	ofPrebidVirginia   = "DBABRgA~bSFgmiU"
)

// set is the ids from the first on.
func set(ids ...int) (in gpp.IDs) {
	for _, id := range ids {
		in |= 1 << id
	}
	return in
}

func TestStrings(t *testing.T) {
	for _, test := range []struct {
		why, text   string
		ids, unread gpp.IDs
		err         error
	}{
		{"TCF and US Privacy, of the specification", ofTheSpecification, set(2, 6), 0, nil},
		{"TCF alone, and a header padded with A", onlyTCF, set(2), 0, nil},
		{"the same without the padding", strings.Replace(onlyTCF, "DBABMA", "DBABM", 1), set(2), 0, nil},
		{"Canada's framework is passed over", canada, set(5, 6), 0, nil},
		{"a TC string in place of a GPP string", "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", set(2), 0, nil},
		{"no sections", "DBAA", 0, 0, nil},
		{"a section of a version that is not known costs that section only", ofPrebidCalifornia, set(8), set(8), nil},
		{"the same in Virginia", ofPrebidVirginia, set(9), set(9), nil},
		{"a section that is no base64url", "DBABLA~C*AQAAAAAACA", set(7), set(7), nil},
		{"a section cut off", "DBABLA~CEAQAAAA", set(7), set(7), nil},
		{"a choice that does not exist", "DBABLA~CEAwAAAAAACA", set(7), set(7), nil},
		{"a segment cut off", "DBABLA~CEAQAAAAAACA.", set(7), set(7), nil},
		{"a segment that is no base64url", "DBABLA~CEAQAAAAAACA.=", set(7), set(7), nil},
		{"a TC string of version 1 in the section", "DBABMA~BONciguONcjGKADACHENAOLS1rAHDAFAAEAASABQAMwAeACEAFw", set(2), set(2), nil},
		{"a section that is not given out yet", "DBABKY~AAAA", set(28), 0, nil},
		{"empty", "", 0, 0, gpp.ErrShort},
		{"a macro", "${GPP_STRING_123}", 0, 0, gpp.ErrEncoding},
		{"a header of another type", "EBABMA~CPXx", 0, 0, gpp.ErrVersion},
		{"a header of another version", "DCABMA~CPXx", 0, 0, gpp.ErrVersion},
		{"a header cut off", "DBA", 0, 0, gpp.ErrShort},
		{"a header that announces more", "DBACMA~A", 0, 0, gpp.ErrShort},
		{"a section too few", "DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", 0, 0, gpp.ErrSections},
		{"a section too many", onlyTCF + "~1YNN", 0, 0, gpp.ErrSections},
		{"an empty section", "DBABMA~", 0, 0, gpp.ErrSections},
		{"no section", "DBABMA", 0, 0, gpp.ErrSections},
		{"an id above 4095", "DBABJFIw~A", 0, 0, gpp.ErrID},
		{"an id beyond all numbers", "DBABAAAAAAAAAAAAAAAAAAAAAAD~A", 0, 0, gpp.ErrID},
		{"plain base64", "DBABM+~1YNN", 0, 0, gpp.ErrEncoding},
		{"huge", onlyTCF + strings.Repeat("A", gpp.MaxLength), 0, 0, gpp.ErrLength},
	} {
		t.Run(test.why, func(t *testing.T) {
			s, err := gpp.Parse(test.text)
			require.Equal(t, test.err, err)
			if err == nil {
				require.Equal(t, test.ids, s.IDs)
				require.Equal(t, test.unread, s.Unread)
			}
		})
	}
}

func TestATextThatIsNoTCStringInPlaceOfAGPPString(t *testing.T) {
	_, err := gpp.Parse("CPXx")
	require.Error(t, err)
}

func TestTheStringOfTheSpecificationHasNoPurposes(t *testing.T) {
	s, err := gpp.Parse(ofTheSpecification)
	require.NoError(t, err)
	require.Equal(t, "1YNN", s.USPrivacy)
	require.True(t, s.TCF.ServiceSpecific)
	for purpose := range 25 {
		require.False(t, s.TCF.PurposeConsents.Contains(purpose) || s.TCF.PurposeInterests.Contains(purpose))
	}
}

func TestWhatAVisitorChose(t *testing.T) {
	for _, test := range []struct {
		why, text string
		field     gpp.Field
		answer    gpp.Value
		gpc       bool
	}{
		{"the nation: sale", "DBABLA~CEAQAAAAAACA", gpp.SaleOptOut, gpp.OptedOut, false},
		{"the nation: no opt-out", "DBABLA~CEAgAAAAAACA", gpp.SaleOptOut, gpp.NotOptedOut, false},
		{"California: sharing", "DBABBg~BQEAAACA", gpp.SharingOptOut, gpp.OptedOut, false},
		{"Virginia: sale", "DBABRg~BEQAACA", gpp.SaleOptOut, gpp.OptedOut, false},
		{"Texas: targeted ads", "DBABEw~BEEAAAgA", gpp.TargetedAdvertisingOptOut, gpp.OptedOut, false},
		{"Texas: GPC", "DBABEw~BEAAAAgA.YA", gpp.SaleOptOut, gpp.NotApplicable, true},
		{"Texas: a segment of a type that is not known says nothing", "DBABEw~BEAAAAgA.4A", gpp.SaleOptOut, gpp.NotApplicable, false},
		{"Delaware: the last kind of child", "DBABUw~BEAAAAASAA", gpp.KnownChildSensitiveDataConsents, gpp.OptedOut, false},
		{"Maryland: sale", "DBABEYA~BgRA", gpp.SaleOptOut, gpp.OptedOut, false},
		{"Maryland with the header of its specification", "DBABEYA~YBABY.BgRA.YA", gpp.SaleOptOut, gpp.OptedOut, true},
		{"Rhode Island: a segment without a type is passed over", "DBABSYA~BgRA.VVV", gpp.SaleOptOut, gpp.OptedOut, false},
	} {
		t.Run(test.why, func(t *testing.T) {
			s, err := gpp.Parse(test.text)
			require.NoError(t, err)
			require.Len(t, s.Sections, 1)
			section := &s.Sections[0]
			require.True(t, section.Has(test.field, test.answer))
			require.Equal(t, test.gpc, section.GPC)
			_, has := section.Value(gpp.MspaMode, 0)
			require.Equal(t, section.ID >= 24, has)
		})
	}
}

func TestAHeaderOfASectionNeedsACoreBehindIt(t *testing.T) {
	for _, text := range []string{"DBABEYA~YBABY", "DBABEYA~YBABY.YBABY", "DBABEYA~YBABY.YBABY.BgRA"} {
		s, err := gpp.Parse(text)
		require.NoError(t, err)
		require.Equal(t, set(24), s.Unread, text)
	}
}

func TestListsOfSections(t *testing.T) {
	for _, test := range []struct {
		why, text string
		ids       gpp.IDs
		known     bool
		err       error
	}{
		{"one", "7", set(7), true, nil},
		{"two", "2,6", set(2, 6), true, nil},
		{"with spaces", " 7, 8 ", set(7, 8), true, nil},
		{"none applies", "-1", 0, true, nil},
		{"not known yet", "0", 0, false, nil},
		{"a law to come", "99", 0, true, nil},
		{"one to come and one that is known", "99,7", set(7), true, nil},
		{"empty", "", 0, false, gpp.ErrList},
		{"an empty element", "7,", 0, false, gpp.ErrList},
		{"words", "usnat", 0, false, gpp.ErrList},
		{"below", "-2", 0, false, gpp.ErrList},
		{"above", "4096", 0, false, gpp.ErrList},
		{"another separator", "2_6", 0, false, gpp.ErrList},
		{"huge", strings.Repeat("7,", 200) + "7", 0, false, gpp.ErrList},
	} {
		t.Run(test.why, func(t *testing.T) {
			ids, known, err := gpp.ParseIDs(test.text)
			require.Equal(t, test.err, err)
			require.Equal(t, test.ids, ids)
			require.Equal(t, test.known, known)
		})
	}
}

func TestTheSectionsOfUSLaws(t *testing.T) {
	for id := range 70 {
		require.Equal(t, id >= 7 && id <= 27, gpp.US.Contains(id), id)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{ofTheSpecification, canada, ofPrebidCalifornia, typical, typicalEU, "", "DBAA", "DBABEYA~YBABY.BgRA.YA", "DBABSYA~BgRA.VVV", "DBABUw~BEAAAAASAA", "7,8", "-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := gpp.Parse(text)
		require.Equal(t, err == nil, s != nil)
		if err == nil {
			require.Zero(t, s.Unread&^s.IDs)
			require.LessOrEqual(t, len(s.Sections), 21)
			for i := range s.Sections {
				require.False(t, s.Unread.Contains(s.Sections[i].ID))
				_ = s.Sections[i].Has(gpp.KnownChildSensitiveDataConsents, gpp.OptedOut)
				require.False(t, s.Sections[i].Has(gpp.SaleOptOut, 3))
			}
		}
		if ids, known, err := gpp.ParseIDs(text); err != nil || !known {
			require.Zero(t, ids)
		}
	})
}
