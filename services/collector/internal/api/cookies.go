package api

import (
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

const (
	// visitorCookie holds the visitor's id where it reaches all hosts below a site's cookie domain, and over http.
	visitorCookie = "onepx_v"
	// hostCookie holds it where it belongs to the collector's host alone: browsers see to that for the prefix, so that no
	// other host below the same domain can plant one.
	hostCookie = "__Host-onepx_v"
	// embeddedCookie holds it in pages of other sites, another one for each of them.
	embeddedCookie = "__Host-onepx_p"
	// optOutCookie with the value 1 says that the visitor wants nothing stored.
	optOutCookie = "onepx_optout"

	// visitorAge is 13 months from the first visit; it is not extended by later ones. Longer is not worth having:
	// browsers cap at 400 days, and measuring without consent (as France allows it) at 13 months.
	visitorAge = 395 * 24 * time.Hour
	// optOutAge is as long as browsers allow; each hit renews it.
	optOutAge = 400 * 24 * time.Hour
)

// place is where a request comes from, as far as cookies are concerned.
type place struct {
	host  string
	https bool
}

// newVisitorCookie returns the cookie from which the visitor's ids are made, another one for each site. Over https it is
// sent from pages of any site that embeds the pixel (SameSite=None); browsers don't accept that over http.
func newVisitorCookie(value string, at place, site *siteconfig.Site) *http.Cookie {
	c := &http.Cookie{
		Name: nameOf(at, site), Value: value, Path: "/", HttpOnly: true, MaxAge: int(visitorAge.Seconds()),
		Domain: cookieDomain(at.host, site.CookieDomain), SameSite: http.SameSiteLaxMode,
	}
	if at.https {
		c.Secure, c.SameSite = true, http.SameSiteNoneMode
	}
	return c
}

// nameOf is the name of the visitor's cookie in the site's own pages: browsers take the prefix over https and without a
// domain only.
func nameOf(at place, site *siteconfig.Site) string {
	if at.https && cookieDomain(at.host, site.CookieDomain) == "" {
		return hostCookie
	}
	return visitorCookie
}

// newEmbeddedCookie returns the cookie of pages of other sites (CHIPS): the browser keeps one for each such site, so that
// what is seen on one can't be joined with anything else.
func newEmbeddedCookie(value string, at place) *http.Cookie {
	c := newVisitorCookie(value, at, &siteconfig.Site{}) //nolint:gosec // its attributes are those of the cookie made
	c.Name, c.Partitioned = embeddedCookie, true
	return c
}

// partitioned returns a copy of the cookie for the page that embeds us alone.
func partitioned(c *http.Cookie) *http.Cookie {
	one := *c //nolint:gosec // its attributes are those of the cookie given
	one.Partitioned = true
	return &one
}

// expired returns the cookie that makes the browser forget c; it finds it by name, domain and path.
func expired(c *http.Cookie) *http.Cookie { //nolint:gosec // its attributes are those of the cookie given
	c.Value, c.MaxAge = "", -1
	return c
}

// optOutCookies returns the cookie of /optout. It reaches as far as any visitor cookie set under the host: to all hosts below
// the widest cookie domain the host lies in. It is not partitioned: the wish holds on all sites. Where sites have partitioned
// cookies there is a partitioned one too, as browsers may send no other from the page that embeds us.
func (now *snapshot) optOutCookies(at place) []*http.Cookie {
	c := &http.Cookie{
		Name: optOutCookie, Value: "1", Path: "/", HttpOnly: true, MaxAge: int(optOutAge.Seconds()), SameSite: http.SameSiteLaxMode,
	}
	for _, domain := range now.cookieDomains(at.host) {
		if c.Domain == "" || domain != "" && len(domain) < len(c.Domain) {
			c.Domain = domain
		}
	}
	if !at.https {
		return []*http.Cookie{c}
	}
	c.Secure, c.SameSite = true, http.SameSiteNoneMode
	if now.partitioned {
		return []*http.Cookie{c, partitioned(c)}
	}
	return []*http.Cookie{c}
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

// withoutVisitor removes the visitor's cookies, under whichever name and domain they were set; withoutOptOut removes those
// of /optout.
func (now *snapshot) withoutVisitor(at place) []*http.Cookie {
	c := newVisitorCookie("", at, &siteconfig.Site{}) //nolint:gosec // its attributes are those of the cookie made
	c.Name = visitorCookie
	gone := now.without(c, at)
	if at.https {
		gone = append(gone, expired(newVisitorCookie("", at, &siteconfig.Site{})))
	}
	if at.https && now.partitioned {
		gone = append(gone, expired(newEmbeddedCookie("", at)))
	}
	return gone
}

func (now *snapshot) withoutOptOut(at place) []*http.Cookie {
	var gone []*http.Cookie
	for _, c := range now.optOutCookies(at) {
		gone = append(gone, now.without(c, at)...)
	}
	return gone
}

func (now *snapshot) without(c *http.Cookie, at place) []*http.Cookie {
	var gone []*http.Cookie
	for _, domain := range now.cookieDomains(at.host) {
		one := *c //nolint:gosec // its attributes are those of the cookie given
		one.Domain = domain
		gone = append(gone, expired(&one))
	}
	return gone
}

// withoutSite removes the visitor's cookies of one site: that of its kind, what it was before it had the prefix, and that of
// the page that embeds us.
func (b *batch) withoutSite(at place, site *siteconfig.Site) []*http.Cookie {
	own := newVisitorCookie("", at, site)
	all := []*http.Cookie{own}
	if own.Name == hostCookie {
		before := *own //nolint:gosec // its attributes are those of the cookie made
		before.Name = visitorCookie
		all = append(all, &before)
	}
	if at.https && site.PartitionedCookie {
		all = append(all, newEmbeddedCookie("", at))
	}
	var gone []*http.Cookie
	for _, c := range all {
		if len(b.request.CookiesNamed(c.Name)) > 0 {
			gone = append(gone, expired(c))
		}
	}
	return gone
}

// dropCookie removes the visitor's cookie: everywhere if the visitor has opted out, else the one of the event's site, since
// the banner of one site does not speak for the others. The opt-out is renewed, so that it does not lapse as long as the
// visitor comes: Safari keeps cookies of some hosts for 7 days.
func (b *batch) dropCookie(h *hit, optedOut bool) {
	b.noCookie = true
	at := b.place(h)
	if !optedOut {
		b.cookies = b.withoutSite(at, h.site)
		return
	}
	if len(visitorCookieValues(b.request, visitorCookie, hostCookie, embeddedCookie)) > 0 {
		b.cookies = b.config.withoutVisitor(at)
	}
	b.cookies = append(b.cookies, b.config.optOutCookies(at)...)
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

// visitorCookieValues returns what the browser has sent under the names: several values when it knows one from several
// domains or paths.
func visitorCookieValues(r *http.Request, names ...string) []string {
	var values []string
	for _, name := range names {
		for _, c := range r.CookiesNamed(name) {
			values = append(values, c.Value)
		}
	}
	return values
}
