package consent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Sites that have one mode for all visitors.
const (
	optIn    = "privacy: opt_in"
	audience = "privacy: audience_exemption"
	objects  = "privacy: opt_out"
	// world asks Europe, lets the US object, measures elsewhere; California is treated as Europe.
	world = "consent: {regions: {opt_in: [EEA, US-CA], opt_out: [US], cookieless: [CH]}}"
	// counts and drops do without anonymous events.
	counts = "privacy: opt_in\n    consent: {without: count}"
	drops  = "privacy: opt_in\n    consent: {without: nothing}"
)

func TestEveryModeOfASiteHasAMeaning(t *testing.T) {
	var words []siteconfig.Privacy
	for _, mode := range consent.Modes {
		words = append(words, mode.Word)
	}
	require.Equal(t, siteconfig.Modes, words)
}

func TestTheModeOfThePlaceDecidesWhatSilenceMeans(t *testing.T) {
	granted, measured := written{publisher: []int{1, 2, 3, 4, 8}}.String(), written{publisher: []int{1, 8}}.String()
	for _, test := range []struct {
		why             string
		signals         []string
		site            string
		country, region string
		want            string
		by              onepxv1.ConsentSignal
	}{
		{"opt-in, nothing said: anonymous", nil, optIn, "", "", "s", siteDefault},
		{"opt-in, consent given to the site: everything", []string{"c", "1"}, optIn, "", "", "smphcui", parameter},
		{"opt-in, refused: nothing", []string{"c", "0"}, optIn, "", "", "-", parameter},
		{"opt-in, a string that allows measuring", []string{"gdpr", "1", "gdpr_consent", measured}, optIn, "", "", "smcu", tcfString},
		{"opt-in, consent mode with analytics: cookie, no audiences", []string{"gcs", "G101"}, optIn, "", "", "smcui", google},
		{"opt-in, consent mode without analytics is no consent", []string{"gcs", "G100"}, optIn, "", "", "s", siteDefault},
		{"opt-in, consent to ads alone is no consent to measuring", []string{"gcs", "G110"}, optIn, "", "", "s", siteDefault},
		{"opt-in, GPC says no more than silence", []string{"gpc", "1"}, optIn, "", "", "s", siteDefault},
		{"opt-in, GPC goes before consent", []string{"gpc", "1", "c", "1"}, optIn, "", "", "sm", gpc},
		{"opt-in, not opted out of sale is no consent", []string{"us_privacy", "1YNN"}, optIn, "", "", "s", siteDefault},
		{"opt-in, opted out of sale is no consent either", []string{"us_privacy", "1YYN"}, optIn, "", "", "s", siteDefault},
		{"opt-in, opted out by cookie: nothing", []string{"optout", "1"}, optIn, "", "", "-", optOut},
		{"opt-in, said not to be a child is no consent", []string{"coppa", "0"}, optIn, "", "", "s", siteDefault},

		{"audience exemption, nothing said: measured by cookie, no user key, short prefix", nil, audience, "", "", "smc", siteDefault},
		{"audience exemption, consent lifts it", []string{"c", "1"}, audience, "", "", "smphcui", parameter},
		{"audience exemption, GPC takes the cookie", []string{"gpc", "1"}, audience, "", "", "sm", gpc},
		{"audience exemption, DNT too", []string{"dnt", "1"}, audience, "", "", "sm", dnt},
		{"audience exemption, a string decides where there is one", []string{"gdpr", "1", "gdpr_consent", granted}, audience, "", "", "smphcu", tcfString},
		{"audience exemption, a string that was due and did not come", []string{"gdpr", "1"}, audience, "", "", "s", tcfString},
		{"audience exemption, opting out of sale says no more", []string{"us_privacy", "1YYN"}, audience, "", "", "smc", siteDefault},
		{"audience exemption, refused: nothing", []string{"c", "0"}, audience, "", "", "-", parameter},

		{"opt-out, nothing said: everything", nil, objects, "", "", "smphcui", siteDefault},
		{"opt-out, opted out of sale: no audiences, no sharing", []string{"us_privacy", "1YYN"}, objects, "", "", "smcui", usPrivacy},
		{"opt-out, not opted out of sale", []string{"us_privacy", "1YNN"}, objects, "", "", "smphcui", siteDefault},
		{"opt-out, GPC: measured only", []string{"gpc", "1"}, objects, "", "", "sm", gpc},
		{"opt-out, opted out in a section of GPP", []string{"gpp", usSale}, objects, "", "", "smcui", gppString},
		{"opt-out, the GDPR applies all the same", []string{"gdpr", "1"}, objects, "", "", "s", tcfString},
		{"opt-out, consent mode denies ads", []string{"gcs", "G101"}, objects, "", "", "smcui", google},
		{"opt-out, refused: nothing", []string{"c", "0"}, objects, "", "", "-", parameter},

		{"cookieless, opting in brings no cookie", []string{"c", "1"}, cookieless, "", "", "smphui", parameter},

		{"Germany is asked", nil, world, "DE", "BE", "s", siteDefault},
		{"Norway is in the EEA", nil, world, "NO", "", "s", siteDefault},
		{"Réunion, a part of France with a code of its own, is in the EEA", nil, world, "RE", "", "s", siteDefault},
		{"the United Kingdom is not", nil, world, "GB", "", "smcui", siteDefault},
		{"Texas may object", nil, world, "US", "TX", "smphcui", siteDefault},
		{"California differs from the US", nil, world, "US", "CA", "s", siteDefault},
		{"the US, nobody knows where", nil, world, "US", "", "smphcui", siteDefault},
		{"a region's name alone is none", nil, world, "CA", "US", "smcui", siteDefault},
		{"Switzerland without cookies", nil, world, "CH", "ZH", "smui", siteDefault},
		{"Switzerland without cookies, also with consent", []string{"c", "1"}, world, "CH", "", "smphui", parameter},
		{"nobody knows where: the site's mode", nil, world, "", "", "smcui", siteDefault},
		{"Germany, with consent", []string{"c", "1"}, world, "DE", "", "smphcui", parameter},
		{"Germany, GPC", []string{"gpc", "1"}, world, "DE", "", "s", siteDefault},
		{"Texas, GPC", []string{"gpc", "1"}, world, "US", "TX", "sm", gpc},
		{"Texas, where the banner says that the GDPR applies", []string{"gdpr", "1"}, world, "US", "TX", "s", tcfString},
		{"Germany, where the banner says that it does not", []string{"gdpr", "0"}, world, "DE", "", "s", siteDefault},

		{"no anonymous events: nothing for want of consent", nil, counts, "", "", "-no consent", siteDefault},
		{"no anonymous events, a string that was due and did not come", []string{"gdpr", "1"}, counts, "", "", "-no consent", tcfString},
		{"no anonymous events, refused: that is no want of consent", []string{"c", "0"}, counts, "", "", "-", parameter},
		{"no anonymous events, consent given", []string{"c", "1"}, counts, "", "", "smphcui", parameter},
		{"nor counts", nil, drops, "", "", "-no consent", siteDefault},
		{"nor counts, GPC with consent is measured", []string{"gpc", "1", "c", "1"}, drops, "", "", "sm", gpc},
	} {
		t.Run(test.why, func(t *testing.T) {
			got := consent.Decide(signals(t, test.signals...), site(t, test.site), test.country, test.region)
			text := allowed(got)
			if got.NoConsent {
				text += "no consent"
			}
			require.Equal(t, test.want, text)
			require.Equal(t, test.by, got.By)
		})
	}
}
