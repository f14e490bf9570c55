package consent

import (
	"slices"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Rule says what one signal allows.
type Rule struct {
	// Signal is the word in the event.
	Signal onepxv1.ConsentSignal
	// Given is when the signal counts as given, Allows what it then allows: for docs/privacy.md.
	Given, Allows string

	decide func(*Signals, *siteconfig.Site) (allowed Decision, given bool)
	// gives tells that the visitor has been asked and has consented to something, so that the mode has no say; nil for
	// signals that can only object.
	gives func(*Signals) bool
}

// What several signals allow.
var (
	nothing     = Decision{}
	measureOnly = Decision{Store: true, Measure: true}
	unasked     = Decision{Store: true, Measure: true, Cookie: true, UserKey: true, PreciseIP: true}
	everything  = Decision{Store: true, Measure: true, Profile: true, Share: true, Cookie: true, UserKey: true, PreciseIP: true}
)

// Mode says what one mode of a site allows visitors who have said nothing.
type Mode struct {
	Word siteconfig.Privacy
	// Allows and For are for docs/privacy.md.
	Allows, For string

	silent Decision
}

// Modes are all modes of siteconfig.Modes.
var Modes = []Mode{
	{siteconfig.PrivacyMeasure, "measuring, cookie, user key and the longer prefix of the address", "sites that measure, and ask before they advertise", unasked},
	{siteconfig.PrivacyOptIn, "nothing: see `consent.without` below", "where the law wants consent first", anonymous},
	{siteconfig.PrivacyAudience, "measuring with a cookie that ends 13 months after the first visit", "audience measurement that France's CNIL exempts from consent: for one site, shared with nobody; inform visitors, and let them opt out",
		Decision{Store: true, Measure: true, Cookie: true}},
	{siteconfig.PrivacyOptOut, "everything", "where the law lets visitors object", everything},
	{siteconfig.PrivacyCookieless, "measuring, user key and the longer prefix of the address; no signal allows a cookie", "sites that want none", unasked},
}

// silent is what a mode allows visitors who have said nothing.
func silent(word siteconfig.Privacy) Decision {
	return Modes[slices.IndexFunc(Modes, func(m Mode) bool { return m.Word == word })].silent
}

// Precedence lists the signals from the strongest to the weakest. What says that the visitor did not object (`1YNN`) is no
// signal: it allows no more than silence does.
var Precedence = []Rule{
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_OPT_OUT_COOKIE, "cookie `onepx_optout=1`", "nothing is stored",
		func(s *Signals, _ *siteconfig.Site) (Decision, bool) { return nothing, s.OptOut }, nil},
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_GPC, "a header `Sec-GPC: 1`", "measuring, with no cookie, no user key and the short prefix of the address",
		func(s *Signals, _ *siteconfig.Site) (Decision, bool) { return measureOnly, s.GPC }, nil},
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_DNT, "a header `DNT` that begins with `1`", "measuring, with no cookie, no user key and the short prefix of the address",
		func(s *Signals, _ *siteconfig.Site) (Decision, bool) { return measureOnly, s.DNT }, nil},
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_COPPA, "`coppa=1`", "measuring, with no cookie, no user key and the short prefix of the address",
		func(s *Signals, _ *siteconfig.Site) (Decision, bool) { return measureOnly, s.Child }, nil},
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_GPP, "a section of a US law in `gpp` opts out of sale, sharing or targeted ads, tells of GPC, or refuses what is about a child (see [below](#gpp-strings))",
		"all but audiences and sharing; about a child as `coppa=1`",
		func(s *Signals, _ *siteconfig.Site) (Decision, bool) { return s.GPP.us() }, nil},
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_TCF, "`gdpr=1`, 2 in `gpp_sid`, or a TC string without `gdpr=0`", "what the string allows (see [below](#tc-strings)); without one that is valid, an anonymous event",
		func(s *Signals, site *siteconfig.Site) (Decision, bool) {
			return ofGDPR(&s.GDPR, site.TCF), s.GDPR.given()
		},
		func(s *Signals) bool { return s.GDPR.given() }},
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_US_PRIVACY, "`us_privacy` with `Y` or `y` in the third place, such as `1NYN`", "all but audiences and sharing",
		func(s *Signals, _ *siteconfig.Site) (Decision, bool) { return unasked, s.USPrivacy.OptOut }, nil},
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_GOOGLE_CONSENT_MODE, "`gcs` or `gcd` in which a kind is set",
		"measuring; cookie, user key and the longer prefix of the address with analytics storage; audiences with ad storage and ad personalization, sharing with ad storage and ad user data (`gcs` alone knows ad storage only)",
		func(s *Signals, _ *siteconfig.Site) (Decision, bool) { return ofGoogle(s.Google), s.Google.Given },
		func(s *Signals) bool { return s.Google.Given && !s.Google.NoAnalyticsStorage }},
	{onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER, "`c=0` or `c=1`", "with `0` nothing is stored; with `1` everything",
		func(s *Signals, _ *siteconfig.Site) (Decision, bool) {
			if s.Parameter == "0" {
				return nothing, true
			}
			return everything, s.Parameter == "1"
		},
		func(s *Signals) bool { return s.Parameter == "1" }},
}

func ofGoogle(g Google) Decision {
	return Decision{
		Store: true, Measure: true,
		Cookie: !g.NoAnalyticsStorage, UserKey: !g.NoAnalyticsStorage, PreciseIP: !g.NoAnalyticsStorage,
		Profile: !g.NoAdStorage && !g.NoAdPersonalization,
		Share:   !g.NoAdStorage && !g.NoAdUserData,
	}
}
