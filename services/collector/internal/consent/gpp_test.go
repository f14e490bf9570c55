package consent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/consent"
)

// Strings of the Global Privacy Platform, each with one section of a US law, as the IAB Tech Lab's library writes them.
const (
	usSale           = "DBABLA~CEAQAAAAAACA"
	usNoOptOut       = "DBABLA~CEAgAAAAAACA"
	usSensitive      = "DBABLA~CEAAVVVVVQCA"
	californiaShared = "DBABBg~BQEAAACA"
	texasTargeted    = "DBABEw~BEEAAAgA"
	texasGPC         = "DBABEw~BEAAAAgA.YA"
	delawareChild    = "DBABUw~BEAAAAASAA"
	delawareConsent  = "DBABUw~BEAAACqiAA"
	rhodeIslandSale  = "DBABSYA~BgRA.AAA"
	oldUSPrivacy     = "DBABTA~1YYN"
	unknownVersion   = "DBABBgA~xlgWEYCZAA"
	ofGPP            = "DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN"
)

// inGPP puts a TC string into a GPP string.
func inGPP(w written) string { return "DBABMA~" + w.String() }

func TestDecideByThePlatform(t *testing.T) {
	all := fromOneTo(11)
	granted := inGPP(written{publisher: all, features: []int{1}})
	refused := inGPP(written{publisher: []int{}})
	for _, test := range []struct {
		why     string
		signals []string
		site    string
		want    string
		by      onepxv1.ConsentSignal
	}{
		{"opted out of sale: no audiences, no sharing, measured as ever", []string{"gpp", usSale, "gpp_sid", "7", "c", "1"}, measure, "smcui", gppString},
		{"the same on a cookieless site", []string{"gpp", usSale, "gpp_sid", "7"}, cookieless, "smui", gppString},
		{"opted out of sharing in California", []string{"gpp", californiaShared, "gpp_sid", "8", "c", "1"}, measure, "smcui", gppString},
		{"opted out of targeted ads in Texas", []string{"gpp", texasTargeted, "gpp_sid", "16", "c", "1"}, measure, "smcui", gppString},
		{"the newest state", []string{"gpp", rhodeIslandSale, "gpp_sid", "27", "c", "1"}, measure, "smcui", gppString},
		{"GPC told by the banner is an opt-out of the same", []string{"gpp", texasGPC, "gpp_sid", "16", "c", "1"}, measure, "smcui", gppString},
		{"a child without consent: measured only", []string{"gpp", delawareChild, "gpp_sid", "17", "c", "1"}, measure, "sm", gppString},
		{"a child with consent is no signal", []string{"gpp", delawareConsent, "gpp_sid", "17", "c", "1"}, measure, "smphcui", parameter},
		{"refused sensitive data, which nobody asks for here, is no signal", []string{"gpp", usSensitive, "gpp_sid", "7", "c", "1"}, measure, "smphcui", parameter},
		{"not opted out is no consent: the site decides", []string{"gpp", usNoOptOut, "gpp_sid", "7"}, measure, "smcui", siteDefault},
		{"not opted out leaves consent alone", []string{"gpp", usNoOptOut, "gpp_sid", "7", "c", "1"}, measure, "smphcui", parameter},

		{"without a list all sections apply", []string{"gpp", usSale, "c", "1"}, measure, "smcui", gppString},
		{"a list that is not known yet is none", []string{"gpp", usSale, "gpp_sid", "0", "c", "1"}, measure, "smcui", gppString},
		{"a list that can't be read is none", []string{"gpp", usSale, "!gpp_sid", "usnat", "c", "1"}, measure, "smcui", gppString},
		{"the section does not apply", []string{"gpp", usSale, "gpp_sid", "8", "c", "1"}, measure, "smphcui", parameter},
		{"none applies", []string{"gpp", usSale, "gpp_sid", "-1", "c", "1"}, measure, "smphcui", parameter},
		{"two lists: what one of them names applies", []string{"gpp", usSale, "gpp_sid", "-1", "gpp_sid", "7", "c", "1"}, measure, "smcui", gppString},
		{"two strings: the stricter", []string{"gpp", usNoOptOut, "gpp", usSale, "c", "1"}, measure, "smcui", gppString},
		{"a law applies and nobody said anything: the site decides", []string{"gpp_sid", "7"}, measure, "smcui", siteDefault},

		{"a section that applies and can't be read may be an opt-out", []string{"!gpp", unknownVersion, "gpp_sid", "8", "c", "1"}, measure, "smcui", gppString},
		{"so may a string that can't be read where a US law applies", []string{"!gpp", "tea", "gpp_sid", "8", "c", "1"}, measure, "smcui", gppString},
		{"a section that can't be read and is not said to apply is no signal", []string{"!gpp", unknownVersion, "c", "1"}, measure, "smphcui", parameter},
		{"a string that can't be read, without a list, is no signal", []string{"!gpp", "tea", "c", "1"}, measure, "smphcui", parameter},

		{"the specification's own string: the GDPR applies, its TC string is of an old policy and without purposes; US Privacy does not apply", []string{"!gpp", ofGPP, "gpp_sid", "2", "c", "1"}, measure, "s", tcfString},
		{"the same where US Privacy applies: no opt-out", []string{"!gpp", ofGPP, "gpp_sid", "6", "c", "1"}, measure, "smphcui", parameter},
		{"a TC string in it that grants all", []string{"gpp", granted, "gpp_sid", "2"}, asPublisher, "smphcui", tcfString},
		{"a TC string in it that grants nothing", []string{"gpp", refused, "gpp_sid", "2"}, asPublisher, "s", tcfString},
		{"a TC string in it without a list: the GDPR applies", []string{"gpp", refused}, asPublisher, "s", tcfString},
		{"a TC string in place of a GPP string", []string{"gpp", written{publisher: []int{}}.String()}, asPublisher, "s", tcfString},
		{"the list says that the GDPR does not apply", []string{"gpp", refused, "gpp_sid", "7"}, asPublisher, "smcui", siteDefault},
		{"nor does a TC string beside it then mean that it does", []string{"gdpr_consent", written{publisher: []int{}}.String(), "gpp_sid", "7"}, asPublisher, "smcui", siteDefault},
		{"the list says that the GDPR applies, and no string came", []string{"gpp_sid", "2", "c", "1"}, asPublisher, "s", tcfString},
		{"the list says so, and the string can't be read", []string{"!gpp", "tea", "gpp_sid", "2", "gdpr_consent", written{publisher: all}.String()}, asPublisher, "s", tcfString},
		{"the TC string in it can't be read", []string{"!gpp", "DBABMA~BONciguONcjGKADACHENAOLS1rAHDAFAAEAASABQAMwAeACEAFw", "gpp_sid", "2", "gdpr_consent", written{publisher: all}.String()}, asPublisher, "s", tcfString},
		{"the flag says that the GDPR applies, the list that it does not: it applies", []string{"gdpr", "1", "gpp_sid", "7", "gpp", usNoOptOut}, asPublisher, "s", tcfString},
		{"the flag says that it does not, the list that it does: it applies", []string{"gdpr", "0", "gpp_sid", "2"}, asPublisher, "s", tcfString},
		{"a flag, and the string in the other parameter", []string{"gdpr", "1", "gpp", granted}, asPublisher, "smphcui", tcfString},
		{"one TC string grants, the other refuses: the stricter", []string{"gdpr_consent", written{publisher: all}.String(), "gpp", refused, "gpp_sid", "2"}, asPublisher, "s", tcfString},
		{"additional consent holds for the TC string in it too", []string{"gpp", granted, "gpp_sid", "2", "addtl_consent", "1~35"}, asProvider, "smcui", tcfString},

		{"US Privacy in it opts out", []string{"gpp", oldUSPrivacy, "gpp_sid", "6", "c", "1"}, measure, "smcui", usPrivacy},
		{"US Privacy in it does not apply", []string{"gpp", oldUSPrivacy, "gpp_sid", "7", "c", "1"}, measure, "smphcui", parameter},
		{"US Privacy in it has an opt-out, the parameter has none: the stricter", []string{"gpp", oldUSPrivacy, "us_privacy", "1YNN", "c", "1"}, measure, "smcui", usPrivacy},

		{"opting out goes before it", []string{"optout", "1", "gpp", usNoOptOut, "gpp_sid", "7"}, measure, "-", optOut},
		{"the header GPC is stricter", []string{"gpc", "1", "gpp", usSale, "gpp_sid", "7"}, measure, "sm", gpc},
		{"a US section opts out, and the GDPR applies too: the stricter", []string{"gpp", usSale, "gpp_sid", "2,7"}, measure, "s", tcfString},
		{"a US section opts out of what consent mode grants", []string{"gpp", usSale, "gpp_sid", "7", "gcs", "G111"}, measure, "smcui", gppString},
		{"consent mode denies what a US section leaves", []string{"gpp", usSale, "gpp_sid", "7", "gcs", "G100"}, measure, "sm", google},
		{"a refusal is stricter than a US section", []string{"gpp", usSale, "gpp_sid", "7", "c", "0"}, measure, "-", parameter},
	} {
		t.Run(test.why, func(t *testing.T) {
			got := consent.Decide(signals(t, test.signals...), site(t, test.site), "", "")
			require.Equal(t, test.want, allowed(got))
			require.Equal(t, test.by, got.By)
		})
	}
}

func TestDecidingTwiceIsTheSame(t *testing.T) {
	s := signals(t, "gdpr_consent", written{publisher: fromOneTo(11)}.String(), "gpp", inGPP(written{publisher: []int{1, 8}}))
	first := consent.Decide(s, site(t, measure), "", "")
	require.Equal(t, first, consent.Decide(s, site(t, measure), "", ""))
	require.Len(t, s.GDPR.Strings, 1)
}
