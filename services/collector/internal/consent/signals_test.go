package consent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/consent"
)

func TestUSPrivacyStrings(t *testing.T) {
	for _, test := range []struct {
		text         string
		valid, opted bool
		why          string
	}{
		{"1-Y-", true, true, "opt-out, the rest not applicable"},
		{"1---", true, false, "the law does not apply"},
		{"1YNN", true, false, "notice given, no opt-out"},
		{"1NYN", true, true, "opt-out without notice is one all the same"},
		{"1yyn", true, true, "some senders write lower case"},
		{"1YY", false, false, "too short"},
		{"1YYNN", false, false, "too long"},
		{"2YYN", false, false, "no such version"},
		{"1Y-N", false, false, "the wish alone is left open, which is no valid string"},
		{"1YXN", false, false, "no such letter"},
		{"yes", false, false, "something else"},
		{"\n1YYN", false, false, "nothing may be around it"},
	} {
		t.Run(test.text+": "+test.why, func(t *testing.T) {
			var got consent.USPrivacy
			require.Equal(t, test.valid, got.Add(test.text))
			require.Equal(t, test.opted, got.OptOut)
		})
	}
}

func TestTheStricterOfTwoUSPrivacyStringsCounts(t *testing.T) {
	var got consent.USPrivacy
	require.True(t, got.Add("1YYN"))
	require.True(t, got.Add("1YNN"))
	require.True(t, got.OptOut)
}

func TestGoogleConsentMode(t *testing.T) {
	all := consent.Google{Given: true, NoAdStorage: true, NoAnalyticsStorage: true, NoAdUserData: true, NoAdPersonalization: true}
	for _, test := range []struct {
		gcs, gcd string
		valid    bool
		want     consent.Google
		why      string
	}{
		{"G111", "", true, consent.Google{Given: true}, "both granted"},
		{"G100", "", true, consent.Google{Given: true, NoAdStorage: true, NoAnalyticsStorage: true}, "none granted"},
		{"G101", "", true, consent.Google{Given: true, NoAdStorage: true}, "analytics only"},
		{"G110", "", true, consent.Google{Given: true, NoAnalyticsStorage: true}, "ads only"},
		{"G1-1", "", true, consent.Google{Given: true, NoAdStorage: true}, "one not set is not granted"},
		{"G1--", "", true, consent.Google{}, "consent mode is not in use"},
		{"G1", "", false, consent.Google{}, "too short"},
		{"G112", "", false, consent.Google{}, "no such digit"},
		{"g111", "", false, consent.Google{}, "the letter is large"},
		{"", "11t1t1t1t5", true, consent.Google{Given: true}, "granted by default"},
		{"", "13r3n3v3t5", true, consent.Google{Given: true}, "granted in all ways there are"},
		{"", "11p1q1m1u5", true, all, "denied in all ways there are"},
		{"", "11l1l1l1l5", true, consent.Google{}, "nothing set: consent mode is not in use"},
		{"", "11l1t1l1l5", true, consent.Google{Given: true, NoAdStorage: true, NoAdUserData: true, NoAdPersonalization: true}, "not set counts as denied once another kind is set"},
		{"", "13t3t3p3t5l1", true, consent.Google{Given: true, NoAdUserData: true}, "newer tags append more"},
		{"", "11x1t1t1t5", true, consent.Google{Given: true, NoAdStorage: true}, "an unknown letter is no grant"},
		{"", "11t1t1t", false, consent.Google{}, "a kind is missing"},
		{"", "G111", false, consent.Google{}, "the other parameter's form"},
		{"G111", "11t1p1t1t5", true, consent.Google{Given: true, NoAnalyticsStorage: true}, "what one of two denies is denied"},
		{"G101", "11t1t1t1t5", true, consent.Google{Given: true, NoAdStorage: true}, "in either order"},
	} {
		t.Run(test.gcs+" "+test.gcd+": "+test.why, func(t *testing.T) {
			var got consent.Google
			if test.gcs != "" {
				require.Equal(t, test.valid, got.AddGCS(test.gcs))
			}
			if test.gcd != "" {
				require.Equal(t, test.valid, got.AddGCD(test.gcd))
			}
			require.Equal(t, test.want, got)
		})
	}
}

// FuzzSignals: no text takes a denial back, and what is refused says nothing.
func FuzzSignals(f *testing.F) {
	for _, text := range []string{"1YYN", "1---", "G101", "G1--", "11t1p1t1t5", "${US_PRIVACY}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, before := range []consent.Signals{
			{},
			{USPrivacy: consent.USPrivacy{OptOut: true}, Google: consent.Google{Given: true, NoAdStorage: true, NoAnalyticsStorage: true, NoAdUserData: true, NoAdPersonalization: true}},
		} {
			after := before
			usPrivacy, gcs, gcd := after.USPrivacy.Add(text), after.Google.AddGCS(text), after.Google.AddGCD(text)
			if before.Google.Given || !usPrivacy && !gcs && !gcd {
				require.Equal(t, before, after)
			}
		}
	})
}
