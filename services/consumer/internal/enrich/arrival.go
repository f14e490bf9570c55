package enrich

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// arrival is what brought the visitor.
type arrival struct {
	source           source
	medium, campaign string
	// paid means that a click id or the name of the source proves that somebody paid.
	paid bool
}

// arrival takes the utm parameters first, then the click id, then the referrer. A referrer of the page's own site says
// nothing: the visitor was here already.
func (e *Enricher) arrival(event *onepxv1.Event, referrerHost, pageHost string) arrival {
	marketing := event.GetMarketing()
	a := arrival{medium: fold(marketing.GetUtmMedium()), campaign: strings.TrimSpace(marketing.GetUtmCampaign())}
	if a.campaign == "" {
		a.campaign = strings.TrimSpace(marketing.GetUtmId())
	}
	clicked := e.click(marketing)
	referrer := e.referrer(referrerHost, pageHost)
	name := fold(marketing.GetUtmSource())
	switch {
	case name != "":
		a.source = e.source(name)
	case isMail(event.GetKind()):
		return mailArrival(a, event.GetMail())
	case clicked.source.name == "", clicked.medium == mediumSocial && referrer.source.category == categorySocial:
		// fbclid comes from Instagram and Threads too: the referrer knows better.
		a.source, clicked = referrer.source, referrer
	default:
		a.source = clicked.source
	}
	a.paid = a.source.paid
	if clicked.source.name == a.source.name {
		a.paid = a.paid || clicked.medium == mediumPaid
		if a.medium == "" {
			a.medium = clicked.medium
		}
	}
	return a
}

// The media that are given where no utm_medium is.
const (
	mediumPaid     = "cpc"
	mediumOrganic  = "organic"
	mediumSocial   = "social"
	mediumVideo    = "video"
	mediumEmail    = "email"
	mediumReferral = "referral"
)

// categoryMedia are the media of referrers by the category of their source.
var categoryMedia = map[string]string{
	categorySearch: mediumOrganic,
	categorySocial: mediumSocial,
	categoryVideo:  mediumVideo,
	categoryMail:   mediumEmail,
}

// source is the known source of that name, or the name itself.
func (e *Enricher) source(name string) source {
	if known, ok := e.sources.named(name); ok {
		return known
	}
	return source{name: name}
}

// click is what the click id says. Of a parameter that this list does not know, the network is left.
func (e *Enricher) click(marketing *onepxv1.Marketing) click {
	if known, ok := e.sources.byParam[fold(marketing.GetClickIdParam())]; ok {
		return known
	}
	if network := fold(marketing.GetClickNetwork()); network != "" {
		return click{source: e.source(network)}
	}
	return click{}
}

// referrer is what the referrer says, in the form of a click. It says nothing when it is of the page's own site.
func (e *Enricher) referrer(host, pageHost string) click {
	if host == "" || sameSite(host, pageHost) {
		return click{}
	}
	known, ok := e.sources.at(host)
	if !ok {
		return click{source: source{name: strings.TrimPrefix(host, "www.")}, medium: mediumReferral}
	}
	if medium, ok := categoryMedia[known.category]; ok {
		return click{source: known, medium: medium}
	}
	return click{source: known, medium: mediumReferral}
}

// sameSite reports whether two hosts belong to one registrable domain. Addresses belong only to themselves.
func sameSite(a, b string) bool {
	if a == b {
		return true
	}
	if _, err := netip.ParseAddr(a); err == nil {
		return false
	}
	siteA, errA := publicsuffix.EffectiveTLDPlusOne(a)
	siteB, errB := publicsuffix.EffectiveTLDPlusOne(b)
	return errA == nil && errB == nil && siteA == siteB
}

func isMail(kind onepxv1.EventKind) bool {
	switch kind {
	case onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN, onepxv1.EventKind_EVENT_KIND_EMAIL_CLICK, onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE,
		onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY:
		return true
	}
	return false
}

// mailArrival is that of an event in a mail without utm_source: the mail itself.
func mailArrival(a arrival, mail *onepxv1.Mail) arrival {
	a.source = source{name: mediumEmail, category: categoryMail}
	if a.medium == "" {
		a.medium = mediumEmail
	}
	if a.campaign == "" {
		a.campaign = mail.GetCampaignId()
	}
	return a
}

// fold makes the values of parameters comparable.
func fold(text string) string { return strings.ToLower(strings.TrimSpace(text)) }
