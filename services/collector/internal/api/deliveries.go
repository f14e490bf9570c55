package api

import (
	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// deliveryKinds are the names under which servers tell what became of an e-mail.
var deliveryKinds = map[string]onepxv1.EventKind{
	"email_sent":        onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY,
	"email_delivered":   onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY,
	"email_bounced":     onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY,
	"email_complained":  onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY,
	"email_unsubscribe": onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE,
}

// ofTokens are the names of events that signed tokens alone tell of.
var ofTokens = map[string]bool{"email_open": true, "email_click": true}

// describeDelivery makes the event one of a mail if it is a server that tells it. Address, user agent and ids of a visitor that it
// gives besides mean nothing: no visitor has done anything.
func (s *Server) describeDelivery(b *batch, h *hit) {
	kind, told := deliveryKinds[h.event.Name]
	if h.sync != nil || !told || !b.fromServer() {
		if h.sync == nil && (told || ofTokens[h.event.Name]) || h.params.Mail != (params.Mail{}) {
			h.flags.Add(reason.MailMisplaced)
		}
		return
	}
	said := h.params.Mail
	h.delivery, h.event.Kind = true, kind
	h.event.Mail = &onepxv1.Mail{CampaignId: said.Campaign, MessageId: said.Message, LinkId: said.Link, RecipientKey: s.recipientKey(h)}
	h.params.IP, h.params.UserAgent, h.params.VisitorID, h.params.UserID = "", "", "", ""
}

// recipientKey is the key of the recipient by what the server says, or nil. The key itself goes before the address.
func (s *Server) recipientKey(h *hit) []byte {
	said := h.params.Mail
	if said.Recipient == "" && said.Address == "" {
		return nil
	}
	key := params.RecipientKey(said.Recipient)
	if said.Recipient == "" {
		maker := s.deps.Identities
		if h.debug {
			maker = s.debugIdentities
		}
		key = maker.RecipientKey(h.site.ID, said.Address)
	}
	if key == nil {
		h.flags.Add(reason.RecipientInvalid)
	}
	return key
}

// identifyDelivery leaves out recipients who do not want to be measured, or were erased since. Who wants no more mail is heard.
func (s *Server) identifyDelivery(b *batch, h *hit) {
	h.event.Visitor = &onepxv1.Visitor{Kind: onepxv1.VisitorKind_VISITOR_KIND_NONE}
	key := h.event.Mail.RecipientKey
	if h.event.Kind != onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE && len(key) > 0 && s.deps.Suppressions.Contains(suppression.Recipient, key, b.at) {
		h.reason = reason.OnSuppression
	}
}
