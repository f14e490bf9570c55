package deliveries

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the signature of version 1, which is the default of topics
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Types of messages.
const (
	snsNotification = "Notification"
	snsConfirmation = "SubscriptionConfirmation"
	snsFarewell     = "UnsubscribeConfirmation"
)

// snsMessage is what Amazon SNS sends to a subscription by http(s)
// (https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html).
type snsMessage struct {
	Type             string
	MessageID        string `json:"MessageId"`
	TopicArn         string
	Subject          *string
	Message          string
	Timestamp        string
	Token            string
	SubscribeURL     string
	SignatureVersion text
	Signature        string
	SigningCertURL   string
}

// open returns the message of a notification, or "" for what has none. Confirmations of subscriptions are answered.
func (r *Reader) open(ctx context.Context, from *siteconfig.MailProviders, body []byte) (string, reason.Reason) {
	var envelope snsMessage
	if word := decode(body, &envelope); word != "" {
		return "", word
	}
	// Of foreign topics nothing is fetched.
	if !slices.Contains(from.SESTopics, envelope.TopicArn) || !r.fresh(instant(envelope.Timestamp)) {
		return "", reason.DeliveryUnproven
	}
	if err := r.verify(ctx, &envelope); err != nil {
		return "", wordOf(err)
	}
	if envelope.Type == snsConfirmation {
		return "", wordOf(r.aws.confirm(ctx, envelope.TopicArn, envelope.SubscribeURL))
	}
	if envelope.Type == snsNotification {
		return envelope.Message, ""
	}
	return "", ""
}

// wordOf is the reason of an error of AWS, or "".
func wordOf(err error) reason.Reason {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errUnreachable):
		return reason.ProviderUnreachable
	}
	return reason.DeliveryUnproven
}

var errSignature = errors.New("the signature is not one of the message")

// verify proves that Amazon SNS has signed the message: RSA PKCS #1 v1.5 of the SHA-1 (version 1) or SHA-256 (version 2) of names and
// values of the signed fields in their order, each with a line feed
// (https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html). Values may have line feeds in them; but topic and
// type come last, and are known words, so that no message can be read as another topic's.
func (r *Reader) verify(ctx context.Context, m *snsMessage) error {
	text, ok := m.signed()
	signature, err := base64.StdEncoding.DecodeString(m.Signature)
	if !ok || err != nil || m.SignatureVersion != "1" && m.SignatureVersion != "2" {
		return errSignature
	}
	key, err := r.aws.signer(ctx, m.TopicArn, m.SigningCertURL)
	if err != nil {
		return err
	}
	hash, digest := crypto.SHA256, sha256.Sum256([]byte(text))
	sum := digest[:]
	if m.SignatureVersion == "1" {
		old := sha1.Sum([]byte(text)) //nolint:gosec // as above
		hash, sum = crypto.SHA1, old[:]
	}
	if rsa.VerifyPKCS1v15(key, hash, sum, signature) != nil {
		return errSignature
	}
	return nil
}

// signed is the text that the signature is of; ok is false for types that there are not.
func (m *snsMessage) signed() (text string, ok bool) {
	fields := []string{"Message", m.Message, "MessageId", m.MessageID}
	switch m.Type {
	case snsNotification:
		if m.Subject != nil {
			fields = append(fields, "Subject", *m.Subject)
		}
		fields = append(fields, "Timestamp", m.Timestamp)
	case snsConfirmation, snsFarewell:
		fields = append(fields, "SubscribeURL", m.SubscribeURL, "Timestamp", m.Timestamp, "Token", m.Token)
	default:
		return "", false
	}
	fields = append(fields, "TopicArn", m.TopicArn, "Type", m.Type)
	return strings.Join(fields, "\n") + "\n", true
}
