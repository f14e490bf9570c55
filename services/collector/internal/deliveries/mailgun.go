package deliveries

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// mailgunWebhook is the body of a webhook.
type mailgunWebhook struct {
	Signature mailgunSignature
	Event     mailgunEvent `json:"event-data"`
}

// mailgunSignature proves the webhook
// (https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks). Parent is that of the primary account
// where the event is a subaccount's.
type mailgunSignature struct {
	Timestamp text
	Token     string
	Signature string
	Parent    string `json:"parent-signature"`
}

// mailgunEvent has the fields that are of use of all events
// (https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-structure).
type mailgunEvent struct {
	Event     string
	ID        string
	Timestamp text
	Recipient string
	// Severity is permanent or temporary for mails that failed.
	Severity  string
	Variables metadata `json:"user-variables"`
}

// mailgunNames are the names of events by Mailgun's. A mail that is rejected was never sent.
var mailgunNames = map[string]string{
	"accepted": sent, "delivered": delivered, "failed": bounced, "complained": complained, "unsubscribed": unsubscribed,
}

// readMailgun knows Mailgun by its signature: HMAC-SHA-256, in hex, of timestamp and token. That does not cover the event, so a token
// proves one event only: whoever has seen a webhook can't put another event into it.
func (r *Reader) readMailgun(from *siteconfig.MailProviders, body []byte) ([]Report, reason.Reason) {
	var webhook mailgunWebhook
	if word := decode(body, &webhook); word != "" {
		return nil, word
	}
	signature := &webhook.Signature
	seconds, err := strconv.ParseInt(string(signature.Timestamp), 10, 64)
	if err != nil || !r.fresh(time.Unix(seconds, 0)) || !r.signedByMailgun(from, signature) || !r.used.claim(signature.Token, webhook.Event.ID) {
		return nil, reason.DeliveryUnproven
	}
	return one(webhook.Event.report())
}

// signedByMailgun tells whether one of the site's keys has made one of the signatures.
func (r *Reader) signedByMailgun(from *siteconfig.MailProviders, s *mailgunSignature) bool {
	signed := false
	for _, name := range from.MailgunSecretEnvs {
		secret := r.Getenv(name)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(string(s.Timestamp) + s.Token))
		want := []byte(hex.EncodeToString(mac.Sum(nil)))
		own, parents := hmac.Equal(want, []byte(s.Signature)), hmac.Equal(want, []byte(s.Parent))
		signed = signed || secret != "" && (own || parents)
	}
	return signed
}

func (e *mailgunEvent) report() Report {
	report := Report{
		Name: mailgunNames[e.Event], At: unix(string(e.Timestamp)), Recipient: e.Recipient,
		Campaign: string(e.Variables.Campaign), Message: string(e.Variables.Message),
	}
	switch {
	case e.Event == "":
		return invalid
	case report.Name == "":
		return ignored
	case e.ID == "" || e.Recipient == "":
		return invalid
	case report.Name == bounced && e.Severity == "permanent":
		report.Bounce = hard
	case report.Name == bounced:
		report.Bounce = soft
	}
	report.ID = eventID(Mailgun, e.ID)
	return report
}
