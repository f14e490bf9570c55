package api

import (
	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/suppression"
)

// suppressed tells whether the suppression list holds the visitor or the customer, also by ids that must not be kept: who has
// opted out must not be stored because a second signal hides who it is.
func (s *Server) suppressed(maker *identity.Maker, r identity.Request, visitor *onepxv1.Visitor) bool {
	if !(r.CookieAllowed && r.UserKeyAllowed) && (r.UserID != "" || r.VisitorID != "" || len(r.Cookies) > 0) {
		r.CookieAllowed, r.UserKeyAllowed, r.NoCookie = true, true, true
		visitor = maker.Identify(r).Visitor
	}
	return s.deps.Suppressions.Contains(suppression.Visitor, visitor.GetVisitorId(), r.At) ||
		s.deps.Suppressions.Contains(suppression.User, visitor.GetUserKey(), r.At)
}
