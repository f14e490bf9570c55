package api

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// cookieSync is GET and HEAD /sync: a partner tells its id of the visitor, or the visitor is sent to the partner for it.
// docs/sync.md has what both sides see.
var cookieSync = &endpoint{
	kind:  onepxv1.TransportKind_TRANSPORT_KIND_REDIRECT,
	parse: (*Server).parseSync, answer: (*Server).answerSync,
}

const syncPath = "/sync"

// Names of the events, and of their properties.
const (
	syncEvent   = "partner_sync"
	unsyncEvent = "partner_unsync"
	partnerProp = "partner"
	uidProp     = "partner_uid"
)

// maxHops is how often a visitor is sent to a partner who sends them back without an id.
const maxHops = 2

// exchange is what a request to /sync asks for.
type exchange struct {
	// html tells that the answer is a page for a frame, and no image.
	html    bool
	partner *siteconfig.Partner
	// told tells that the partner says which id the visitor has there: uid, or "" if none any more.
	told bool
	uid  string
	// redirect is where the visitor goes on to, or "".
	redirect string
	// hops is how often the visitor was sent to the partner already.
	hops int
}

func (s *Server) parseSync(b *batch) {
	if b.request.Method == http.MethodHead {
		b.refuse(nil, reason.HeadRequest)
		return
	}
	query, ok := parseTarget(b)
	if !ok {
		return
	}
	s.add(b, query, nil)
	h := b.hits[0]
	h.sync = &exchange{html: query.Get("f") == "b"}
	h.query = query.Signals()
	if h.reason == "" {
		h.reason = h.sync.read(&query, b.request.URL.RawQuery, h.site)
	}
}

// read reads the parameters. It returns why the request can't be taken as it is, or "".
func (x *exchange) read(query *params.Query, raw string, site *siteconfig.Site) reason.Reason {
	var known bool
	if x.partner, known = site.Partner(query.Get("partner")); !known {
		return reason.PartnerUnknown
	}
	changed := slices.Contains(query.Flags, reason.ControlCharacters) // what is left of an id or a URL is another one
	x.uid, x.redirect = query.Get("uid"), query.Get("redir")
	x.told = x.uid != "" || params.IsBlank(raw, "uid")
	switch {
	case x.redirect != "" && (changed || !x.partner.AllowsRedirect(x.redirect)):
		return reason.RedirectUnlisted
	case x.uid != "" && (changed || !params.IsPartnerUID(x.uid)), !x.told && x.partner.URL == "":
		return reason.PartnerUIDInvalid
	}
	return x.readHops(query.Get("hop"))
}

func (x *exchange) readHops(text string) reason.Reason {
	if x.told || text == "" {
		return ""
	}
	hops, err := strconv.Atoi(text)
	if err != nil || hops < 1 || hops >= maxHops {
		return reason.SyncLoop
	}
	x.hops = hops
	return ""
}

// describe makes the event one of /sync. The page that embeds it is anybody's, and no business of the site's.
func (x *exchange) describe(event *onepxv1.Event) {
	event.Kind, event.Name = onepxv1.EventKind_EVENT_KIND_SYNC, syncEvent
	event.Props = map[string]string{partnerProp: x.partner.ID, uidProp: x.uid}
	if x.told && x.uid == "" {
		event.Name = unsyncEvent
		delete(event.Props, uidProp)
	}
}

// mayExchange tells whether the visitor's id may be known to the partner.
func (h *hit) mayExchange() bool {
	partner := h.sync.partner
	return h.decision.Cookie && h.decision.Profile && h.decision.Share &&
		(partner.Vendor == 0 || h.params.Consent.AllowsVendor(partner.Vendor, h.site.TCF))
}

// end is why no event is stored of the visitor, or "".
func (x *exchange) end(visitor *onepxv1.Visitor) reason.Reason {
	switch {
	case len(visitor.GetVisitorId()) == 0:
		return reason.SyncCookieless
	case !x.told:
		return reason.SyncRedirect
	}
	return ""
}

// answerSync sends the visitor on, or answers an image or an empty page. Nothing of the request stands in it.
func (s *Server) answerSync(b *batch) {
	h, header := b.hits[0], b.writer.Header()
	uncached(header)
	setResult(header, b, h.counted())
	if h.debug {
		writeJSON(b.writer, http.StatusOK, debugOf(h))
		return
	}
	b.setCookies()
	if target := b.syncTarget(h); target != "" {
		header.Set("Location", target)
		b.writer.WriteHeader(http.StatusFound)
		return
	}
	status := Status(h.reason)
	if outcomeOf(h.reason) == suppressed {
		status = Status(reason.SharingRefused)
	}
	if h.sync != nil && h.sync.html {
		header.Set("Content-Type", "text/html; charset=utf-8")
		b.writer.WriteHeader(status)
		return
	}
	b.writeImage(status)
}

// syncTarget is where the visitor is sent, or "".
func (b *batch) syncTarget(h *hit) string {
	switch {
	case h.reason == reason.SyncRedirect:
		id, err := uuid.FromBytes(h.event.Visitor.GetVisitorId())
		if err != nil {
			return "" // not reached: all ids have 16 bytes
		}
		return h.sync.partner.SyncURL(id.String(), b.callback(h))
	case durable(h.reason), h.reason == reason.SyncCookieless:
		return h.sync.redirect
	}
	return ""
}

// callback is our own URL, to whose end the partner adds its id. What the visitor wishes goes with it: it holds there too.
func (b *batch) callback(h *hit) string {
	at, origin := b.place(h), "http://"
	if at.https {
		origin = "https://"
	}
	pairs := []string{"site", h.site.ID, "partner", h.sync.partner.ID, "hop", strconv.Itoa(h.sync.hops + 1)}
	if h.sync.html {
		pairs = append(pairs, "f", "b")
	}
	if h.sync.redirect != "" {
		pairs = append(pairs, "redir", h.sync.redirect)
	}
	for _, signal := range h.query.Pairs {
		pairs = append(pairs, signal.Name, signal.Value)
	}
	return origin + at.host + syncPath + "?" + params.Encode(pairs...) + "&uid="
}
