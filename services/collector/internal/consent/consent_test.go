package consent_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

const (
	siteDefault = onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT
	optOut      = onepxv1.ConsentSignal_CONSENT_SIGNAL_OPT_OUT_COOKIE
	gpc         = onepxv1.ConsentSignal_CONSENT_SIGNAL_GPC
	dnt         = onepxv1.ConsentSignal_CONSENT_SIGNAL_DNT
	parameter   = onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER
	coppa       = onepxv1.ConsentSignal_CONSENT_SIGNAL_COPPA
	gppString   = onepxv1.ConsentSignal_CONSENT_SIGNAL_GPP
	tcfString   = onepxv1.ConsentSignal_CONSENT_SIGNAL_TCF
	usPrivacy   = onepxv1.ConsentSignal_CONSENT_SIGNAL_US_PRIVACY
	google      = onepxv1.ConsentSignal_CONSENT_SIGNAL_GOOGLE_CONSENT_MODE
)

// The modes of a site.
const (
	measure    = "privacy: measure"
	cookieless = "privacy: cookieless"
)

// site is one with these keys in onepx.yaml.
func site(t *testing.T, keys string) *siteconfig.Site {
	t.Helper()
	config, err := siteconfig.Parse("onepx.yaml", []byte("sites:\n  - id: shop\n    timezone: UTC\n    currency: EUR\n    "+keys+"\n"))
	require.NoError(t, err)
	return &config.Sites[0]
}

// signals makes signals of parameters, given as name, value, name, value …; header and cookie have the
// names gpc, dnt, optout. A name with ! says that the value can't be used.
func signals(t *testing.T, pairs ...string) consent.Signals {
	t.Helper()
	var s consent.Signals
	for i := 0; i+1 < len(pairs); i += 2 {
		name, unusable := strings.CutPrefix(pairs[i], "!")
		readable, value := true, pairs[i+1]
		switch name {
		case "optout":
			s.OptOut = value == "1"
		case "gpc":
			s.GPC = value == "1"
		case "dnt":
			s.DNT = value == "1"
		case "c":
			s.Parameter = value
		case "gdpr":
			readable = s.GDPR.AddFlag(value)
		case "gdpr_consent":
			readable = s.GDPR.AddString(value)
		case "coppa":
			readable = s.AddCOPPA(value)
		case "addtl_consent":
			readable = s.GDPR.AddProviders(value)
		case "gpp":
			readable = s.GPP.AddString(value)
		case "gpp_sid":
			readable = s.GPP.AddSections(value)
		case "us_privacy":
			readable = s.USPrivacy.Add(value)
		case "gcs":
			readable = s.Google.AddGCS(value)
		case "gcd":
			readable = s.Google.AddGCD(value)
		default:
			t.Fatalf("no signal %s", pairs[i])
		}
		require.Equal(t, !unusable, readable, value)
	}
	return s
}

// allowed writes a decision in short: s(tore), m(easure), p(rofile), (s)h(are), c(ookie), u(ser key), (precise) i(p); - is
// nothing.
func allowed(d consent.Decision) string {
	text := ""
	for _, one := range []struct {
		letter string
		on     bool
	}{{"s", d.Store}, {"m", d.Measure}, {"p", d.Profile}, {"h", d.Share}, {"c", d.Cookie}, {"u", d.UserKey}, {"i", d.PreciseIP}} {
		if one.on {
			text += one.letter
		}
	}
	if text == "" {
		return "-"
	}
	return text
}

func TestDecide(t *testing.T) {
	for _, test := range []struct {
		why     string
		signals []string
		site    string
		want    string
		by      onepxv1.ConsentSignal
	}{
		{"nothing said: measure with a cookie, no audiences", nil, measure, "smcui", siteDefault},
		{"nothing said on a cookieless site: no cookie", nil, cookieless, "smui", siteDefault},
		{"an unknown parameter says nothing", []string{"c", "yes"}, measure, "smcui", siteDefault},
		{"consent given: everything", []string{"c", "1"}, measure, "smphcui", parameter},
		{"consent given on a cookieless site: still no cookie", []string{"c", "1"}, cookieless, "smphui", parameter},
		{"refused: nothing", []string{"c", "0"}, measure, "-", parameter},
		{"refused on a cookieless site: nothing either", []string{"c", "0"}, cookieless, "-", parameter},
		{"opted out: nothing", []string{"optout", "1"}, measure, "-", optOut},
		{"GPC: measure only", []string{"gpc", "1"}, measure, "sm", gpc},
		{"DNT: measure only", []string{"dnt", "1"}, measure, "sm", dnt},
		{"GPC goes before DNT", []string{"gpc", "1", "dnt", "1"}, measure, "sm", gpc},
		{"GPC goes before consent given to the site", []string{"gpc", "1", "c", "1"}, measure, "sm", gpc},
		{"DNT goes before consent given to the site", []string{"dnt", "1", "c", "1"}, measure, "sm", dnt},
		{"a refusal is stricter than GPC", []string{"gpc", "1", "c", "0"}, measure, "-", parameter},
		{"opting out goes before everything", []string{"optout", "1", "gpc", "1", "dnt", "1", "c", "1"}, measure, "-", optOut},
		{"opting out and refusing: the stronger of the two is named", []string{"optout", "1", "c", "0"}, measure, "-", optOut},

		{"a child: measured only", []string{"coppa", "1"}, measure, "sm", coppa},
		{"a child on a cookieless site", []string{"coppa", "1"}, cookieless, "sm", coppa},
		{"a child goes before consent given to the site", []string{"coppa", "1", "c", "1"}, measure, "sm", coppa},
		{"no child is no signal", []string{"coppa", "0", "c", "1"}, measure, "smphcui", parameter},
		{"said to be one and not to be one: a child", []string{"coppa", "0", "coppa", "1"}, measure, "sm", coppa},
		{"another string in its place, which some tags send, is no signal", []string{"!coppa", "1YNN", "c", "1"}, measure, "smphcui", parameter},
		{"a refusal is stricter than being a child", []string{"coppa", "1", "c", "0"}, measure, "-", parameter},

		{"US Privacy, opted out of sale: no audiences, no sharing, measured as ever", []string{"us_privacy", "1YYN"}, measure, "smcui", usPrivacy},
		{"the same on a cookieless site", []string{"us_privacy", "1YYN"}, cookieless, "smui", usPrivacy},
		{"opted out of sale goes before consent given to the site", []string{"us_privacy", "1YYN", "c", "1"}, measure, "smcui", usPrivacy},
		{"a refusal is stricter than opting out of sale", []string{"us_privacy", "1YYN", "c", "0"}, measure, "-", parameter},
		{"not opted out of sale is no consent: the site decides", []string{"us_privacy", "1YNN"}, measure, "smcui", siteDefault},
		{"not opted out of sale leaves consent alone", []string{"us_privacy", "1YNN", "c", "1"}, measure, "smphcui", parameter},
		{"a law that does not apply leaves consent alone", []string{"us_privacy", "1---", "c", "1"}, measure, "smphcui", parameter},
		{"GPC is stricter than opting out of sale", []string{"gpc", "1", "us_privacy", "1YYN"}, measure, "sm", gpc},

		{"consent mode, all granted: everything", []string{"gcs", "G111"}, measure, "smphcui", google},
		{"consent mode on a cookieless site: still no cookie", []string{"gcs", "G111"}, cookieless, "smphui", google},
		{"consent mode, none granted: counted without an id", []string{"gcs", "G100"}, measure, "sm", google},
		{"analytics only: cookie, no audiences", []string{"gcs", "G101"}, measure, "smcui", google},
		{"ads only: counted without an id, and so no audiences", []string{"gcs", "G110"}, measure, "sm", google},
		{"version 2, all granted: everything", []string{"gcd", "11t1t1t1t5"}, measure, "smphcui", google},
		{"no data for ads: no sharing", []string{"gcd", "11r1r1p1r5"}, measure, "smpcui", google},
		{"no personal ads: no audiences", []string{"gcd", "11r1r1r1p5"}, measure, "smhcui", google},
		{"no storage for ads: neither, whatever else is granted", []string{"gcd", "11p1r1r1r5"}, measure, "smcui", google},
		{"both parameters: what one denies is denied", []string{"gcs", "G111", "gcd", "11t1t1p1p5"}, measure, "smcui", google},
		{"consent mode not in use is no signal", []string{"gcs", "G1--", "gcd", "11l1l1l1l5"}, measure, "smcui", siteDefault},
		{"consent mode denies what the site's parameter allows", []string{"gcs", "G101", "c", "1"}, measure, "smcui", google},
		{"the site's parameter refuses what consent mode allows", []string{"gcs", "G111", "c", "0"}, measure, "-", parameter},
		{"opted out of sale although consent mode allows ads", []string{"us_privacy", "1YYN", "gcs", "G111"}, measure, "smcui", usPrivacy},
		{"opted out of sale, and consent mode takes the cookie too", []string{"us_privacy", "1YYN", "gcs", "G110"}, measure, "sm", google},
		{"GPC although consent mode allows all", []string{"gpc", "1", "gcs", "G111"}, measure, "sm", gpc},
		{"opting out goes before consent mode", []string{"optout", "1", "gcs", "G111"}, measure, "-", optOut},
	} {
		t.Run(test.why, func(t *testing.T) {
			got := consent.Decide(signals(t, test.signals...), site(t, test.site), "", "")
			require.Equal(t, test.want, allowed(got))
			require.Equal(t, test.by, got.By)
		})
	}
}

func TestNoSignalAddsToWhatAStrongerOneAllows(t *testing.T) {
	pairs := [][]string{nil, {"optout", "1"}, {"gpc", "1"}, {"dnt", "1"}, {"coppa", "1"}, {"gpp", usSale}, {"gpp", texasGPC}, {"gpp", delawareChild}, {"gdpr", "1"}, {"gdpr", "1", "gdpr_consent", written{publisher: []int{1, 8}}.String()}, {"us_privacy", "1YYN"}, {"gcs", "G101"}, {"gcd", "11p1t1t1t5"}, {"gcs", "G111"}, {"c", "0"}, {"c", "1"}}
	for _, a := range pairs[1:] {
		for _, b := range pairs[1:] {
			if a[0] == b[0] {
				continue
			}
			one, both := consent.Decide(signals(t, a...), site(t, measure), "", ""), consent.Decide(signals(t, append(append([]string{}, a...), b...)...), site(t, measure), "", "")
			for _, letter := range allowed(both) {
				if letter != '-' {
					require.Contains(t, allowed(one), string(letter), "%v with %v", a, b)
				}
			}
		}
	}
}
