package api

import (
	"slices"
	"time"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/suppression"
)

// profilingTimeout is how long a hit waits for Kafka to take a refusal or its end. A visitor does that once.
const profilingTimeout = 2 * time.Second

// refuseProfiling puts a visitor who has said no to audiences on the suppression list where no event of theirs can say so,
// since their id must not stand in it: audiences made of former events would keep them. Where the id may be kept, events do.
func (s *Server) refuseProfiling(b *batch, h *hit) {
	by := h.decision.By
	silent := by == onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT || by == onepxv1.ConsentSignal_CONSENT_SIGNAL_MAIL
	said := h.decision.Cookie && h.sync == nil // by the event itself, of which /sync stores none then
	if h.debug || silent || h.decision.Profile || said {
		return
	}
	for _, id := range s.knownIDs(b, h) {
		if !s.deps.Suppressions.Wished(suppression.Visitor, id) {
			s.recordProfiling(b, id, "refuse_profiling", true)
		}
	}
}

// knownIDs are the ids by which the visitor of the request may be known to the event's site.
func (s *Server) knownIDs(b *batch, h *hit) [][]byte {
	given := identity.Request{At: b.at, Site: h.site.ID, CookieAllowed: true, NoCookie: true, VisitorID: h.params.VisitorID}
	ids := [][]byte{s.deps.Identities.Identify(given).Visitor.GetVisitorId()}
	if !b.fromServer() {
		for _, value := range visitorCookieValues(b.request, visitorCookie, hostCookie, embeddedCookie) {
			if id, readable := s.deps.Identities.CookieVisitor(h.site.ID, value); readable && len(ids) <= maxWishCookies {
				ids = append(ids, id)
			}
		}
	}
	return slices.DeleteFunc(ids, func(id []byte) bool { return len(id) == 0 })
}

// allowProfiling takes a visitor off the list who allows it now.
func (s *Server) allowProfiling(b *batch, h *hit) {
	if id := h.event.Visitor.GetVisitorId(); h.decision.Profile && len(id) > 0 {
		s.recordProfiling(b, id, "allow_profiling", false)
	}
}

func (s *Server) recordProfiling(b *batch, id []byte, request string, suppress bool) {
	if s.deps.Suppressions.Wished(suppression.Profiling, id) == suppress {
		return
	}
	ctx := b.request.Context()
	word := s.record(ctx, []suppression.Entry{{Kind: suppression.Profiling, ID: id}}, suppress, profilingTimeout)
	s.metrics.wish(ctx, request, word)
}
