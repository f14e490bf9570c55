package api

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

// embedded tells that a page of another site than the event's shows the pixel, such as one with the site's ads: browsers say
// so in Sec-Fetch-Site, and of those that don't (Safari before 16.4) the origin of the page is compared. A page of the site's
// own origins is none, wherever the collector is. Over http it does not matter: the cookie is sent to its own site only.
func (b *batch) embedded(h *hit) bool {
	if !h.client.HTTPS || b.fromServer() {
		return false
	}
	page := pageOrigin(b.request)
	switch b.request.Header.Get("Sec-Fetch-Site") {
	case "cross-site":
	case "":
		if page == "" || siteOf(strings.TrimPrefix(strings.TrimPrefix(page, "https://"), "http://")) == siteOf(b.request.Host) {
			return false
		}
	default:
		return false
	}
	return !h.site.AllowsOrigin(page)
}

// cookieNames are the names under which the visitor's cookie may be read, the first that with which it would be set; none if it
// must not be. The cookie that tells of the same visitor on all pages takes consent to sharing in pages of other sites.
func (b *batch) cookieNames(h *hit) []string {
	switch {
	case b.fromServer():
		return nil
	case h.decision.Share || !b.embedded(h):
		if nameOf(b.place(h), h.site) == hostCookie {
			return hostFirst
		}
		return domainFirst
	case h.site.PartitionedCookie:
		return partitionedOnly
	}
	return nil
}

var (
	hostFirst       = []string{hostCookie, visitorCookie} // it had no prefix once
	domainFirst     = []string{visitorCookie, hostCookie} // another site of the host may have set that
	partitionedOnly = []string{embeddedCookie}
)

func (b *batch) place(h *hit) place { return place{b.request.Host, h.client.HTTPS} }

// newCookie returns the visitor's cookie under one of cookieNames.
func newCookie(name, value string, at place, site *siteconfig.Site) *http.Cookie {
	if name == embeddedCookie {
		return newEmbeddedCookie(value, at)
	}
	return newVisitorCookie(value, at, site)
}

// pageOrigin is the origin of the page that sends the request, "" if it does not say.
func pageOrigin(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" {
		return origin
	}
	page, err := url.Parse(r.Referer())
	if err != nil || page.Host == "" {
		return ""
	}
	return page.Scheme + "://" + page.Host
}

// siteOf is the registrable domain of a host, with or without port, or the host where it has none.
func siteOf(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(host)
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return host
}
