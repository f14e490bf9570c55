package api

import (
	"strings"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/useragent"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// minimise leaves out of the event what its site does not want stored. It comes after identity: the daily hash and the
// visitor's cookie are made of the longer prefix and the whole user agent, as long as the request lasts.
func (*Server) minimise(_ *batch, h *hit) {
	c := h.event.Client
	switch h.site.Minimise.IP {
	case siteconfig.IPLong:
	case siteconfig.IPShort:
		c.IpPrefix = h.client.ShortPrefix()
	case siteconfig.IPNone:
		c.IpPrefix = ""
	}
	if h.site.Minimise.OriginOnly {
		h.event.Page.Referrer = foreignOrigin(h.event.Page.Referrer, h.event.Page.Url)
	}
	if h.site.Minimise.ReducedAgent {
		c.UserAgent = params.Text(useragent.Reduce(c.UserAgent), maxUserAgent, &h.flags)
		c.HintBrands, c.HintMobile, c.HintPlatform, c.Language = "", "", "", ""
	}
}

// foreignOrigin is a referrer as browsers send it across sites, unless it is on the page's host: those pages are the site's,
// which has an event of each. Both URLs are in the form in which they are stored.
func foreignOrigin(referrer, page string) string {
	scheme, rest, found := strings.Cut(referrer, "://")
	if !found || hostOf(rest) == "" {
		return ""
	}
	if _, of, _ := strings.Cut(page, "://"); hostOf(of) == hostOf(rest) {
		return referrer
	}
	return scheme + "://" + hostOf(rest) + "/"
}

// hostOf is the host, with port, that a URL without its scheme begins with.
func hostOf(rest string) string {
	if end := strings.IndexAny(rest, `/?\`); end >= 0 {
		return rest[:end]
	}
	return rest
}
