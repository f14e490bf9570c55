package deliveries

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// sesEvent has the fields that are of use of all events that Amazon SES publishes
// (https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html), and of its feedback notifications, which
// have notificationType in place of eventType, and no tags.
type sesEvent struct {
	EventType        string
	NotificationType string
	Mail             struct {
		MessageID   string `json:"messageId"`
		Timestamp   string
		Destination []string
		Tags        struct {
			Campaign []text `json:"onepx_campaign"`
			Message  []text `json:"onepx_message"`
		}
	}
	Bounce struct {
		Type       string         `json:"bounceType"`
		Recipients []sesRecipient `json:"bouncedRecipients"`
		FeedbackID string         `json:"feedbackId"`
		Timestamp  string
	}
	Complaint struct {
		Kind       string         `json:"complaintFeedbackType"`
		Recipients []sesRecipient `json:"complainedRecipients"`
		FeedbackID string         `json:"feedbackId"`
		Timestamp  string
	}
	Delivery struct {
		Recipients []string
		Timestamp  string
	}
	Subscription struct {
		Preferences struct{ UnsubscribeAll bool } `json:"newTopicPreferences"`
		Timestamp   string
	}
}

type sesRecipient struct{ EmailAddress string }

// readSES knows Amazon SES by the topics of Amazon SNS that the site has, and by the signature of SNS.
func (r *Reader) readSES(ctx context.Context, from *siteconfig.MailProviders, body []byte) ([]Report, reason.Reason) {
	message, word := r.open(ctx, from, body)
	if word != "" {
		return nil, word
	}
	var event sesEvent
	if err := json.Unmarshal([]byte(message), &event); err != nil {
		// SES tries a topic out with a sentence; whatever else was published there is none of ours either.
		return []Report{ignored}, ""
	}
	reports := event.reports()
	if reports == nil {
		return nil, reason.DeliveryInvalid
	}
	return reports, ""
}

// reports are one for each recipient of the event; nil if it is not in the form of SES.
func (e *sesEvent) reports() []Report {
	kind := first(e.EventType, e.NotificationType)
	var report Report
	var at, feedback string
	var recipients []string
	switch kind {
	case "Send":
		report.Name, at, recipients = sent, e.Mail.Timestamp, e.Mail.Destination
	case "Delivery":
		report.Name, at, recipients = delivered, e.Delivery.Timestamp, e.Delivery.Recipients
	case "Bounce":
		report.Name, at, recipients, feedback = bounced, e.Bounce.Timestamp, addresses(e.Bounce.Recipients), e.Bounce.FeedbackID
		if report.Bounce = soft; e.Bounce.Type == "Permanent" {
			report.Bounce = hard
		}
	case "Complaint":
		if e.Complaint.Kind == "not-spam" { // the contrary
			return []Report{ignored}
		}
		report.Name, at, recipients, feedback = complained, e.Complaint.Timestamp, addresses(e.Complaint.Recipients), e.Complaint.FeedbackID
	case "Subscription":
		if !e.Subscription.Preferences.UnsubscribeAll {
			return []Report{ignored}
		}
		report.Name, at, recipients = unsubscribed, e.Subscription.Timestamp, e.Mail.Destination
		feedback = at
	default: // opens, clicks, delays, mails that were never sent, and what is no event of a mail
		return []Report{ignored}
	}
	report.At = instant(at)
	report.Campaign, report.Message = firstOf(e.Mail.Tags.Campaign), firstOf(e.Mail.Tags.Message)
	return e.each(report, kind, feedback, recipients)
}

// each makes a report for each recipient. SES has no id of the event; message, kind, feedback id and the place of the recipient are one.
func (e *sesEvent) each(report Report, kind, feedback string, recipients []string) []Report {
	if e.Mail.MessageID == "" {
		return nil
	}
	var all []Report
	for i, recipient := range recipients {
		one := report
		one.Recipient, one.ID = recipient, eventID(SES, kind, e.Mail.MessageID, feedback, strconv.Itoa(i))
		if recipient == "" {
			one = invalid
		}
		all = append(all, one)
	}
	return all
}

func addresses(recipients []sesRecipient) []string {
	var all []string
	for _, one := range recipients {
		all = append(all, one.EmailAddress)
	}
	return all
}

func firstOf(texts []text) string {
	if len(texts) == 0 {
		return ""
	}
	return string(texts[0])
}
