package consent_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatRefusesTheCookie(t *testing.T) {
	granted := written{publisher: fromOneTo(11)}.String()
	noStorage := written{publisher: []int{8}}.String()
	noMeasuring := written{publisher: []int{1}}.String()
	for _, test := range []struct {
		why     string
		signals []string
		refuses bool
	}{
		{"nothing is said", nil, false},
		{"the visitor has opted out", []string{"optout", "1"}, true},
		{"the site was told no", []string{"c", "0"}, true},
		{"the site was told yes", []string{"c", "1"}, false},
		{"GPC is about selling and sharing", []string{"gpc", "1"}, false},
		{"DNT is a standing wish of the browser too", []string{"dnt", "1"}, false},
		{"so is both, with a yes", []string{"gpc", "1", "dnt", "1", "c", "1"}, false},
		{"GPC does not hide a no", []string{"gpc", "1", "gdpr_consent", noStorage}, true},
		{"a string without storage", []string{"gdpr", "1", "gdpr_consent", noStorage}, true},
		{"a string with storage but nothing to store for", []string{"gdpr", "1", "gdpr_consent", noMeasuring}, true},
		{"a string that grants all", []string{"gdpr", "1", "gdpr_consent", granted}, false},
		{"one that grants and one that does not", []string{"gdpr_consent", granted, "gdpr_consent", noStorage}, true},
		{"the law does not apply, so the string says nothing", []string{"gdpr", "0", "gdpr_consent", noStorage}, false},
		{"a banner that was not answered", []string{"gdpr", "1"}, false},
		{"a string that can't be read", []string{"gdpr", "1", "!gdpr_consent", "garbage"}, false},
		{"US law is about selling and sharing", []string{"us_privacy", "1YYN"}, false},
		{"consent mode says no until its banner is there", []string{"gcs", "G100"}, false},
	} {
		t.Run(test.why, func(t *testing.T) {
			s := signals(t, test.signals...)
			require.Equal(t, test.refuses, s.RefusesCookie(site(t, measure)))
			require.Equal(t, test.refuses, s.RefusesCookie(site(t, cookieless)), "other sites under the host may have set one")
		})
	}
}
