package deliveries

import (
	"net/http"
	"strconv"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// postmarkEvent has the fields of all of Postmark's webhooks that are of use here
// (https://postmarkapp.com/developer/webhooks/webhooks-overview). Recipient and Email are the same in different ones.
type postmarkEvent struct {
	RecordType  string
	ID          int64
	MessageID   string
	Recipient   string
	Email       string
	DeliveredAt string
	BouncedAt   string
	ChangedAt   string
	// Type is that of a bounce.
	Type string
	// SuppressSending, SuppressionReason and Origin say why an address gets no mail (any more), and who wants it so.
	SuppressSending   bool
	SuppressionReason string
	Origin            string
	Metadata          metadata
}

// postmarkBounces are the types of bounces (https://postmarkapp.com/developer/api/bounce-api#bounce-types) by their class. The
// others are no bounces: answers of absent people, questions whether the sender is a person, and what other webhooks tell.
var postmarkBounces = map[string]string{
	"HardBounce": hard, "BadEmailAddress": hard, "ManuallyDeactivated": hard,
	"Transient": soft, "SoftBounce": soft, "DnsError": soft, "SpamNotification": soft, "VirusNotification": soft, "Blocked": soft,
	"DMARCPolicy": soft, "Undeliverable": soft, "Unknown": soft,
}

// readPostmark knows Postmark by basic authentication: it signs nothing
// (https://postmarkapp.com/developer/webhooks/webhooks-overview#protecting-your-webhook).
func (*Reader) readPostmark(from *siteconfig.MailProviders, request *http.Request, body []byte) ([]Report, reason.Reason) {
	user, password, _ := request.BasicAuth()
	if !from.AcceptsPostmark(user, password) {
		return nil, reason.DeliveryUnproven
	}
	var event postmarkEvent
	if word := decode(body, &event); word != "" {
		return nil, word
	}
	return one(event.report())
}

func (e *postmarkEvent) report() Report {
	report := Report{Recipient: first(e.Recipient, e.Email), Campaign: string(e.Metadata.Campaign), Message: string(e.Metadata.Message)}
	id := strconv.FormatInt(e.ID, 10)
	switch e.RecordType {
	case "Delivery": // one for each recipient of a message
		report.Name, report.At, id = delivered, instant(e.DeliveredAt), report.Recipient
	case "Bounce":
		report.Name, report.At, report.Bounce = bounced, instant(e.BouncedAt), postmarkBounces[e.Type]
		if report.Bounce == "" {
			return ignored
		}
	case "SpamComplaint":
		report.Name, report.At = complained, instant(e.BouncedAt)
	case "SubscriptionChange":
		if !e.SuppressSending || e.SuppressionReason != "ManualSuppression" || e.Origin != "Recipient" {
			return ignored // bounces and complaints have webhooks of their own; the sender's own doing is no wish of the recipient
		}
		report.Name, report.At, id = unsubscribed, instant(e.ChangedAt), e.ChangedAt+" "+report.Recipient
	case "":
		return invalid
	default:
		return ignored
	}
	if report.Recipient == "" || e.MessageID == "" && e.ID == 0 && e.RecordType != "SubscriptionChange" {
		return invalid
	}
	report.ID = eventID(Postmark, e.RecordType, e.MessageID, id)
	return report
}
