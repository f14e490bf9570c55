// Package consent decides what may be kept of an event, before anything is stored. It is a pure function of the visitor's
// signals and the site's policy; the API step hands them in and obeys the decision. Precedence is the rule; the
// table in docs/privacy.md is made from it.
package consent

import (
	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Signals is what a request says about the visitor's wish.
type Signals struct {
	// OptOut tells that the opt-out cookie came with the request.
	OptOut bool
	// GPC is the wish of Sec-GPC (do not sell or share), DNT that of its predecessor.
	GPC, DNT bool
	// Parameter is the value of `c`: "0", "1", or "" if it says nothing.
	Parameter string
	// Child tells that the site is for children, or knows that the visitor is one (COPPA).
	Child bool
	// GPP are strings of the Global Privacy Platform.
	GPP GPP
	// GDPR is a banner of the Transparency & Consent Framework.
	GDPR GDPR
	// USPrivacy is the IAB's US Privacy string.
	USPrivacy USPrivacy
	// Google is Google's consent mode.
	Google Google
}

// AddParameter reads `c`. Of several the refusal counts.
func (s *Signals) AddParameter(text string) {
	if s.Parameter != "0" && (text == "0" || text == "1") {
		s.Parameter = text
	}
}

// AddCOPPA reads `coppa`. It returns false if the text is neither 1 nor 0.
func (s *Signals) AddCOPPA(text string) bool {
	s.Child = s.Child || text == "1"
	return text == "0" || text == "1"
}

// Decision is what is allowed.
type Decision struct {
	// Store tells whether anything of the event may be stored. If not, what is allowed is nothing. With Store alone the
	// event is anonymous.
	Store bool
	// NoConsent tells that nothing is stored because consent lacks and the site wants no anonymous events; otherwise the
	// visitor has refused.
	NoConsent bool
	// Measure, Profile, Share and Cookie are the fields of the event's consent. An id that outlives a day is allowed
	// only with Cookie.
	Measure, Profile, Share, Cookie bool
	// UserKey tells whether the customer's key may be stored.
	UserKey bool
	// PreciseIP tells that the longer of the two prefixes of the address may be kept.
	PreciseIP bool
	// By is the signal that decided.
	By onepxv1.ConsentSignal
}

// Decide begins with what the site's mode for the place allows visitors who have said nothing or, where a signal gives consent,
// with everything; each signal can only take away, so that of signals that contradict each other the stricter wins. By names
// the last one that took something away; else the strongest that is no less strict than what holds without it; else the mode has decided.
// country and region are those of siteconfig.Site.PrivacyIn.
func Decide(s Signals, site *siteconfig.Site, country, region string) Decision {
	s.GPP.handOver(&s.GDPR, &s.USPrivacy)
	mode := site.PrivacyIn(country, region)
	base := silent(mode)
	for i := range Precedence {
		if gives := Precedence[i].gives; gives != nil && gives(&s) {
			base = everything
		}
	}
	d := base
	d.By = onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT
	for i := range Precedence {
		rule := &Precedence[i]
		own, given := rule.decide(&s, site)
		if !given {
			continue
		}
		unnamed := d.By == onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT
		if both := d.and(own); both != d || unnamed && own == own.and(base) {
			d, d.By = both, rule.Signal
		}
	}
	d.Cookie = d.Cookie && mode != siteconfig.PrivacyCookieless
	if d.Store && !d.Measure && site.WithoutConsent != siteconfig.WithoutConsentAnonymous {
		d = Decision{NoConsent: true, By: d.By}
	}
	return d
}

// and is what both allow, decided by the first.
func (d Decision) and(other Decision) Decision {
	d.Store = d.Store && other.Store
	d.Measure = d.Measure && other.Measure
	d.Profile = d.Profile && other.Profile
	d.Share = d.Share && other.Share
	d.Cookie = d.Cookie && other.Cookie
	d.UserKey = d.UserKey && other.UserKey
	d.PreciseIP = d.PreciseIP && other.PreciseIP
	return d
}
