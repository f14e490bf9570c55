package api

import (
	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
)

// anonymise takes out of the event what would tell its visitor from others, where not even measuring is allowed: the
// address, of which the daily hash is made too, and ids of clicks, of mails and their recipients. The decision keeps out the ids
// of identity.
func (h *hit) anonymise() {
	h.client.Prefix, h.event.Client.IpPrefix = "", ""
	if h.event.Mail != nil && h.event.Kind != onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE {
		h.event.Mail.RecipientKey, h.event.Mail.MessageId = nil, ""
	}
	h.dropClickIDs()
}

// dropClickIDs takes out the ids by which ad networks know who clicked.
func (h *hit) dropClickIDs() {
	h.event.Marketing.ClickId = ""
	for _, id := range params.ClickIDs {
		delete(h.event.Props, id.Name)
	}
}
