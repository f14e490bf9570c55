package api

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

const (
	// visitorCookie holds the visitor's id.
	visitorCookie = "onepx_v"
	// optOutCookie with the value 1 says that the visitor wants nothing stored.
	optOutCookie = "onepx_optout"

	// visitorAge is 13 months from the first visit; it is not extended by later ones. Longer is not worth having:
	// browsers cap at 400 days, and measuring without consent (as France allows it) at 13 months.
	visitorAge = 395 * 24 * time.Hour
	// optOutAge is as long as browsers allow; each hit renews it.
	optOutAge = 400 * 24 * time.Hour
)

// newVisitorCookie returns the cookie from which the visitor's ids are made, another one for each site. Over https it is
// sent from pages of any site that embeds the pixel (SameSite=None); browsers don't accept that over http. It is not
// Partitioned: an id must not reach farther than the wish of the opt-out cookie, which cannot be partitioned.
func newVisitorCookie(value, host string, https bool, site *siteconfig.Site) *http.Cookie {
	c := &http.Cookie{
		Name: visitorCookie, Value: value, Path: "/", HttpOnly: true, MaxAge: int(visitorAge.Seconds()),
		Domain: cookieDomain(host, site.CookieDomain), SameSite: http.SameSiteLaxMode,
	}
	if https {
		c.Secure, c.SameSite = true, http.SameSiteNoneMode
	}
	return c
}

// expired returns the cookie that makes the browser forget c; it finds it by name, domain and path.
func expired(c *http.Cookie) *http.Cookie { //nolint:gosec // its attributes are those of the cookie given
	c.Value, c.MaxAge = "", -1
	return c
}

// optOutCookie returns the cookie of /optout. It reaches as far as any visitor cookie set under the host: to all hosts below
// the widest cookie domain the host lies in. It is never partitioned: the wish holds on all sites.
func (now *snapshot) optOutCookie(host string, https bool) *http.Cookie {
	c := &http.Cookie{
		Name: optOutCookie, Value: "1", Path: "/", HttpOnly: true, MaxAge: int(optOutAge.Seconds()), SameSite: http.SameSiteLaxMode,
	}
	for _, domain := range now.cookieDomains(host) {
		if c.Domain == "" || domain != "" && len(domain) < len(c.Domain) {
			c.Domain = domain
		}
	}
	if https {
		c.Secure, c.SameSite = true, http.SameSiteNoneMode
	}
	return c
}

// cookieDomains are the domains of all cookies that may have been set under the host, "" for the host alone among them.
func (now *snapshot) cookieDomains(host string) []string {
	domains := []string{""}
	for _, domain := range now.domains {
		if cookieDomain(host, domain) != "" {
			domains = append(domains, domain)
		}
	}
	return domains
}

// withoutVisitor removes the visitor's cookie, under whichever domain it was set; withoutOptOut removes that of /optout.
func (now *snapshot) withoutVisitor(host string, https bool) []*http.Cookie {
	return now.without(newVisitorCookie("", host, https, &siteconfig.Site{}), host)
}

func (now *snapshot) withoutOptOut(host string, https bool) []*http.Cookie {
	return now.without(now.optOutCookie(host, https), host)
}

func (now *snapshot) without(c *http.Cookie, host string) []*http.Cookie {
	var gone []*http.Cookie
	for _, domain := range now.cookieDomains(host) {
		one := *c //nolint:gosec // its attributes are those of the cookie given
		one.Domain = domain
		gone = append(gone, expired(&one))
	}
	return gone
}

// cookieDomain is the domain, a site's cookie domain or "", if the host asked lies in it; browsers refuse any other.
func cookieDomain(host, domain string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host = strings.ToLower(host); domain == "" || host != domain && !strings.HasSuffix(host, "."+domain) {
		return ""
	}
	return domain
}

// optedOut tells whether the request carries the opt-out cookie.
func optedOut(r *http.Request) bool {
	for _, c := range r.CookiesNamed(optOutCookie) {
		if c.Value == "1" {
			return true
		}
	}
	return false
}

// visitorCookieValues returns what the browser has sent under the name of the visitor cookie: several values when it knows
// it from several domains or paths.
func visitorCookieValues(r *http.Request) []string {
	var values []string
	for _, c := range r.CookiesNamed(visitorCookie) {
		values = append(values, c.Value)
	}
	return values
}
