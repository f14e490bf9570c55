package consent

import "github.com/onepx/onepx/services/shared/siteconfig"

// RefusesCookie tells whether the visitor has said no to being recognized: by opting out, by `c=0`, or by a TC string that
// can be read and does not allow the cookie. Then one that is there is removed. It is only not used where nobody has
// been asked: a browser's standing wish (GPC, DNT) is about selling and sharing, Google's consent mode says "denied" on
// each page until its banner has loaded, and a TC string that is missing or broken is no answer.
func (s Signals) RefusesCookie(site *siteconfig.Site) bool {
	s.GPP.handOver(&s.GDPR, &s.USPrivacy)
	answered := s.GDPR.given() && !s.GDPR.Broken && len(s.GDPR.Strings) > 0
	return s.OptOut || s.Parameter == "0" || answered && !ofGDPR(&s.GDPR, site.TCF).Cookie
}
