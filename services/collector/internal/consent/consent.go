// Package consent decides what may be kept of an event, before anything is stored. It is a pure function of the visitor's
// signals and the site's privacy mode; the API step hands them in and obeys the decision.
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
	// Parameter is the value of `c`: "0", "1" or anything else, which says nothing.
	Parameter string
}

// Decision is what is allowed.
type Decision struct {
	// Store tells whether anything of the event may be stored. If not, the other fields are false.
	Store bool
	// Measure, Profile, Share and Cookie are the fields of the event's consent. An id that outlives a day is allowed
	// only with Cookie.
	Measure, Profile, Share, Cookie bool
	// UserKey tells whether the customer's key may be stored.
	UserKey bool
	// By is the signal that decided.
	By onepxv1.ConsentSignal
}

// Decide goes through the signals from the strongest to the weakest; the first one given decides.
func Decide(s Signals, site siteconfig.Privacy) Decision {
	cookies := site != siteconfig.PrivacyCookieless
	switch {
	case s.OptOut:
		return Decision{By: onepxv1.ConsentSignal_CONSENT_SIGNAL_OPT_OUT_COOKIE}
	case s.Parameter == "0":
		return Decision{By: onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER}
	case s.GPC:
		return Decision{Store: true, Measure: true, By: onepxv1.ConsentSignal_CONSENT_SIGNAL_GPC}
	case s.DNT:
		return Decision{Store: true, Measure: true, By: onepxv1.ConsentSignal_CONSENT_SIGNAL_DNT}
	case s.Parameter == "1":
		return Decision{
			Store: true, Measure: true, Profile: true, Share: true, Cookie: cookies, UserKey: true,
			By: onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER,
		}
	default:
		return Decision{
			Store: true, Measure: true, Cookie: cookies, UserKey: true,
			By: onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT,
		}
	}
}
