package deliveries

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Headers of signed event webhooks
// (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features).
const (
	sendGridSignature = "X-Twilio-Email-Event-Webhook-Signature"
	sendGridTimestamp = "X-Twilio-Email-Event-Webhook-Timestamp"
)

// MaxReports is how many events one webhook may tell. SendGrid's have up to 768 KiB, which is some 1,500.
const MaxReports = 5000

// sendGridEvent has the fields that are of use of all events
// (https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event); unique arguments stand among them, and may have the
// names of others.
type sendGridEvent struct {
	Event     text
	ID        text `json:"sg_event_id"`
	Email     text
	Timestamp text
	// Type is bounce or blocked for bounces.
	Type     text
	Campaign text `json:"onepx_campaign"`
	Message  text `json:"onepx_message"`
}

// sendGridNames are the names of events by SendGrid's. Dropped mails were never sent, and deferred ones will be.
var sendGridNames = map[text]string{
	"processed": sent, "delivered": delivered, "bounce": bounced, "spamreport": complained, "unsubscribe": unsubscribed, "group_unsubscribe": unsubscribed,
}

// readSendGrid knows SendGrid by its signature: ECDSA, in ASN.1 and base64, of the SHA-256 of timestamp and body.
func (r *Reader) readSendGrid(from *siteconfig.MailProviders, request *http.Request, body []byte) ([]Report, reason.Reason) {
	timestamp := request.Header.Get(sendGridTimestamp)
	signature, err := base64.StdEncoding.DecodeString(request.Header.Get(sendGridSignature))
	seconds, errTime := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || errTime != nil || !r.fresh(time.Unix(seconds, 0)) || !signedBy(from.SendGridKeys, timestamp, body, signature) {
		return nil, reason.DeliveryUnproven
	}
	if !json.Valid(body) {
		return nil, reason.JSONInvalid
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		return nil, reason.DeliveryInvalid
	}
	var reports []Report
	for decoder.More() {
		if len(reports) == MaxReports {
			return nil, reason.TooManyEvents
		}
		var raw json.RawMessage
		var event sendGridEvent
		if decoder.Decode(&raw) != nil || json.Unmarshal(raw, &event) != nil {
			reports = append(reports, invalid)
			continue
		}
		reports = append(reports, event.report())
	}
	return reports, ""
}

// signedBy tells whether one of the keys has made the signature.
func signedBy(keys []*ecdsa.PublicKey, timestamp string, body, signature []byte) bool {
	hash := sha256.New()
	hash.Write([]byte(timestamp))
	hash.Write(body)
	digest, signed := hash.Sum(nil), false
	for _, key := range keys {
		signed = ecdsa.VerifyASN1(key, digest, signature) || signed
	}
	return signed
}

func (e *sendGridEvent) report() Report {
	report := Report{
		Name: sendGridNames[e.Event], At: unix(string(e.Timestamp)), Recipient: string(e.Email),
		Campaign: string(e.Campaign), Message: string(e.Message),
	}
	switch {
	case e.Event == "":
		return invalid
	case report.Name == "":
		return ignored
	case e.ID == "" || e.Email == "":
		return invalid
	case report.Name == bounced && e.Type == "blocked": // for now, by a filter or a full queue
		report.Bounce = soft
	case report.Name == bounced:
		report.Bounce = hard
	}
	report.ID = eventID(SendGrid, string(e.ID))
	return report
}
