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
	// optOutAge is as long as browsers allow.
	optOutAge = 400 * 24 * time.Hour
)

// newVisitorCookie returns the cookie from which the visitor's ids are made, another one for each site. Over https it is
// sent from pages of any site that embeds the pixel (SameSite=None); browsers don't accept that over http. It is not
// Partitioned: an id must not reach farther than the wish of the opt-out cookie, which cannot be partitioned.
func newVisitorCookie(value, host string, https bool, site *siteconfig.Site) *http.Cookie {
	c := &http.Cookie{
		Name: visitorCookie, Value: value, Path: "/", HttpOnly: true, MaxAge: int(visitorAge.Seconds()),
		Domain: cookieDomain(host, site), SameSite: http.SameSiteLaxMode,
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

// newOptOutCookie returns the cookie of /optout. It is never partitioned: the wish holds on all sites.
func newOptOutCookie(https bool) *http.Cookie {
	c := &http.Cookie{
		Name: optOutCookie, Value: "1", Path: "/", HttpOnly: true, MaxAge: int(optOutAge.Seconds()), SameSite: http.SameSiteLaxMode,
	}
	if https {
		c.Secure, c.SameSite = true, http.SameSiteNoneMode
	}
	return c
}

// cookieDomain is the site's cookie domain if the host asked lies in it; browsers refuse any other.
func cookieDomain(host string, site *siteconfig.Site) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host, domain := strings.ToLower(host), site.CookieDomain
	if domain == "" || host != domain && !strings.HasSuffix(host, "."+domain) {
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
