package tcf_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent/tcf"
)

// Strings of the specification, of prebid-server and of go-gdpr.
const (
	ofTheSpecification = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA"
	notServiceSpecific = "CPuKGCPPuKGCPNEAAAENCZCAAAAAAAAAAAAAAAAAAAAA"
	ofVersionOne       = "BONciguONcjGKADACHENAOLS1rAHDAFAAEAASABQAMwAeACEAFw"
	ofGPP              = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"
)

func TestTheStringOfTheSpecification(t *testing.T) {
	s, err := tcf.Parse(ofTheSpecification)
	require.NoError(t, err)
	require.Equal(t, 880, s.CMPID)
	require.Equal(t, []string{"EN", "DE"}, []string{s.ConsentLanguage, s.PublisherCountry})
	require.Equal(t, 2, s.PolicyVersion)
	require.True(t, s.ServiceSpecific)
	require.Equal(t, s.Created, s.LastUpdated)
	require.Equal(t, s.Created.Truncate(24*time.Hour), s.Created)
	for purpose := range 25 {
		require.False(t, s.PurposeConsents.Contains(purpose) || s.PurposeInterests.Contains(purpose))
	}
	consents, disclosed := numbers(s.VendorConsents), numbers(s.Disclosed)
	require.Equal(t, []int{1, 2, 3, 4}, consents)
	require.Equal(t, []int{1, 2, 3, 4, 5, 100, 404}, disclosed)
	require.Empty(t, numbers(s.VendorInterests))
	require.True(t, s.HasDisclosed && s.HasPublisher)
}

func numbers(v tcf.Vendors) (in []int) {
	for id := range 1 << 16 {
		if v.Contains(id) {
			in = append(in, id)
		}
	}
	return in
}

func TestOtherStrings(t *testing.T) {
	for _, test := range []struct {
		why, text string
		err       error
	}{
		{"a global string is read; the decision refuses it", notServiceSpecific, nil},
		{"the string in the specification of GPP", ofGPP, nil},
		{"version 1 is invalid since 2020", ofVersionOne, tcf.ErrVersion},
		{"empty", "", tcf.ErrShort},
		{"a macro", "${GDPR_CONSENT_123}", tcf.ErrEncoding},
		{"cut off", ofTheSpecification[:40], tcf.ErrShort},
		{"cut off behind a segment", ofTheSpecification[:45], tcf.ErrShort},
		{"cut off within a segment", ofTheSpecification[:50], tcf.ErrShort},
		{"an empty segment", ofTheSpecification + ".", tcf.ErrShort},
		{"a segment twice", ofTheSpecification + ".YAAAAAAAAAAA", tcf.ErrSegment},
		{"another segment twice", ofTheSpecification + ".IDKQA4AAgAKAGQAygAAA", tcf.ErrSegment},
		{"an allowed vendors segment is passed over", ofTheSpecification + ".QAAA", nil},
		{"padding", ofGPP + "==", tcf.ErrEncoding},
		{"plain base64", strings.Replace(ofGPP, "-", "+", 1), tcf.ErrEncoding},
		{"huge", ofTheSpecification + strings.Repeat("A", tcf.MaxLength), tcf.ErrLength},
	} {
		t.Run(test.why, func(t *testing.T) {
			_, err := tcf.Parse(test.text)
			require.Equal(t, test.err, err)
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{ofTheSpecification, notServiceSpecific, ofVersionOne, ofGPP, typical, ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := tcf.Parse(text)
		require.Equal(t, err == nil, s != nil)
		if err != nil {
			return
		}
		for _, id := range []int{-1, 0, 1, 2, 755, 65535, 1 << 20} {
			_ = s.VendorConsents.Contains(id) && s.VendorInterests.Contains(id) && s.Disclosed.Contains(id)
			_ = s.PurposeConsents.Contains(id) && s.PublisherConsents.Contains(id) && s.PublisherCustomConsents.Contains(id)
			require.Contains(t, []tcf.Restriction{tcf.NotAllowed, tcf.RequireConsent, tcf.RequireLI, tcf.Unrestricted}, s.Restriction(1, id))
		}
	})
}
