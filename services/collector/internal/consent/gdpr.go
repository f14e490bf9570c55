package consent

import (
	"slices"

	"github.com/onepx/onepx/services/collector/internal/consent/ac"
	"github.com/onepx/onepx/services/collector/internal/consent/tcf"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// GDPR is what a banner of the Transparency & Consent Framework says.
type GDPR struct {
	// Applies and DoesNotApply are what `gdpr` says; where both come, it applies.
	Applies, DoesNotApply bool
	// Strings are the TC strings that may be used. Broken tells that one came that may not: then there is no consent. Said
	// tells that one came at all that could be read, which without `gdpr` means that it applies: nobody asks for nothing.
	Strings      []*tcf.String
	Broken, Said bool
	// Providers are the AC strings. ProvidersBroken tells that one came that can't be read.
	Providers       []ac.String
	ProvidersBroken bool
}

// AddFlag reads `gdpr`. It returns false if the text is neither 1 nor 0.
func (g *GDPR) AddFlag(text string) bool {
	g.Applies = g.Applies || text == "1"
	g.DoesNotApply = g.DoesNotApply || text == "0"
	return text == "0" || text == "1"
}

// AddString reads a TC string. It returns false if it can't be read or is no longer valid.
func (g *GDPR) AddString(text string) bool {
	s, err := tcf.Parse(text)
	if err != nil {
		g.Broken = true
		return false
	}
	return g.add(s)
}

func (g *GDPR) add(s *tcf.String) bool {
	g.Said = true
	if !usable(s) {
		g.Broken = true
		return false
	}
	g.Strings = append(slices.Clip(g.Strings), s)
	return true
}

// firstPolicy is the first version of the framework's policies that is still valid, since 30 September 2023.
const firstPolicy = 4

// usable tells whether the string is still valid; those for all sites at once (until 2021) and under old policies are not.
func usable(s *tcf.String) bool { return s.ServiceSpecific && s.PolicyVersion >= firstPolicy }

// AddProviders reads an AC string. It returns false if it can't be read.
func (g *GDPR) AddProviders(text string) bool {
	s, err := ac.Parse(text)
	if err != nil {
		g.ProvidersBroken = true
		return false
	}
	g.Providers = append(g.Providers, s)
	return true
}

// allowsProvider tells whether all AC strings allow the provider, and there is one.
func (g *GDPR) allowsProvider(id int) bool {
	for _, s := range g.Providers {
		if !s.Consented.Contains(id) {
			return false
		}
	}
	return len(g.Providers) > 0 && !g.ProvidersBroken
}

func (g *GDPR) given() bool { return g.Applies || g.Said && !g.DoesNotApply }

// anonymous is what is left without consent: a hit of nobody.
var anonymous = Decision{Store: true}

func ofGDPR(g *GDPR, site siteconfig.TCF) Decision {
	if g.Broken || len(g.Strings) == 0 {
		return anonymous
	}
	d := everything
	for _, s := range g.Strings {
		d = d.and(ofString(s, site))
	}
	if site.ACProvider != 0 && !g.allowsProvider(site.ACProvider) {
		d.Profile, d.Share = false, false
	}
	return d
}

// AllowsVendor tells whether TC strings, if the visitor has any to be asked for, allow another vendor what they must allow the
// site for audiences and sharing.
func (s Signals) AllowsVendor(vendor int, site siteconfig.TCF) bool {
	s.GPP.handOver(&s.GDPR, &s.USPrivacy)
	if !s.GDPR.given() {
		return true
	}
	d := ofGDPR(&s.GDPR, siteconfig.TCF{Vendor: vendor, Profile: site.Profile, Share: site.Share})
	return d.Profile && d.Share
}

// Purposes of the framework that the law makes differ from the others.
const (
	storage = 1 // to keep anything on the device: always by consent
	// To make a profile and to use it, 3 to 6, consent alone will do.
	firstProfiling, lastProfiling = 3, 6
)

// preciseGeolocation is the special feature that an address known to the last places would be.
const preciseGeolocation = 1

// ofString asks for all purposes of an effect. An id is kept on the device, so what needs one needs that purpose too.
// PurposeOneTreatment (the banner did not ask for storage) changes nothing: no country of the framework does without.
func ofString(s *tcf.String, site siteconfig.TCF) Decision {
	all := func(purposes ...int) bool {
		for _, purpose := range purposes {
			if !allows(s, site.Vendor, purpose) {
				return false
			}
		}
		return true
	}
	d := anonymous
	d.Measure = all(site.Measure...)
	d.PreciseIP = d.Measure && s.SpecialFeatures.Contains(preciseGeolocation)
	d.Cookie = d.Measure && all(storage)
	d.UserKey = d.Cookie
	d.Profile = d.Cookie && all(site.Profile...)
	d.Share = d.Cookie && all(site.Share...)
	return d
}

// allows tells whether the vendor, or the publisher where that is 0, may process data for the purpose: by consent or, where
// the framework knows it, by a legitimate interest that the visitor was told of and did not object to.
func allows(s *tcf.String, vendor, purpose int) bool {
	byInterest := purpose != storage && (purpose < firstProfiling || purpose > lastProfiling)
	if vendor == 0 {
		return s.HasPublisher && (s.PublisherConsents.Contains(purpose) || byInterest && s.PublisherInterests.Contains(purpose))
	}
	if s.HasDisclosed && !s.Disclosed.Contains(vendor) {
		return false
	}
	consent := s.PurposeConsents.Contains(purpose) && s.VendorConsents.Contains(vendor)
	// Without the segment nobody knows whether the visitor was told of the vendor; that is why TCF 2.3 demands it.
	interest := byInterest && s.HasDisclosed && s.PurposeInterests.Contains(purpose) && s.VendorInterests.Contains(vendor)
	switch s.Restriction(purpose, vendor) {
	case tcf.NotAllowed:
		return false
	case tcf.RequireConsent:
		return consent
	case tcf.RequireLI:
		return interest
	}
	return consent || interest
}
