// Package deliveries reads the webhooks of those that deliver mail: it makes sure that the provider sent them, and says in one form
// what became of each mail. It stores nothing, and addresses of recipients leave it in Report.Recipient alone.
//
// What providers tell of opens and clicks is not taken over: the tokens in the mails tell that, and can't be forged.
package deliveries

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Provider is somebody who delivers mail and tells what becomes of it.
type Provider string

// The providers, as they are spelled in paths and in events (transport.dialect).
const (
	Mailgun  Provider = "mailgun"
	Postmark Provider = "postmark"
	SES      Provider = "ses"
	SendGrid Provider = "sendgrid"
)

// Providers are all of them.
var Providers = []Provider{Mailgun, Postmark, SES, SendGrid}

// Path is what the paths of the webhooks begin with; site and provider follow.
const Path = "/v1/mail/"

// Events that are told.
const (
	sent         = "email_sent"
	delivered    = "email_delivered"
	bounced      = "email_bounced"
	complained   = "email_complained"
	unsubscribed = "email_unsubscribe"
)

// Classes of bounces: the address takes no mail, or it may another time.
const (
	hard = "hard"
	soft = "soft"
)

// Report is what a provider tells of one mail to one recipient.
type Report struct {
	// ID is made of the provider's own id of the event: the same when the event is told again.
	ID string
	// Name is that of the event: email_sent, email_delivered, email_bounced, email_complained or email_unsubscribe.
	Name string
	// At is when it happened by the provider's clock; zero if that can't be read.
	At time.Time
	// Recipient is the address, perhaps with a name.
	Recipient string
	// Campaign and Message are what the sender gave the provider along with the mail as onepx_campaign and onepx_message.
	Campaign, Message string
	// Bounce is hard or soft for email_bounced, else "".
	Bounce string
	// Reason is why nothing can be stored of it, or "". Nothing else is set then.
	Reason reason.Reason
}

// Config is what a reader needs.
type Config struct {
	// Transport fetches certificates of Amazon SNS, and confirms subscriptions.
	Transport http.RoundTripper
	// Getenv returns the secret that is in the environment variable, or "".
	Getenv func(name string) string
	// Now is the clock.
	Now func() time.Time
}

// Reader reads webhooks. It may be used from anywhere at once.
type Reader struct {
	Config
	used *usedTokens
	aws  *awsClient
}

// New returns a reader.
func New(cfg Config) *Reader {
	return &Reader{Config: cfg, used: newUsedTokens(maxUsedTokens), aws: newAWSClient(cfg)}
}

// CheckSecrets says which environment variables are not set that the sites' configuration names.
func CheckSecrets(sites *siteconfig.Config, getenv func(name string) string) error {
	var errs []error
	for i := range sites.Sites {
		for _, name := range sites.Sites[i].MailProviders.MailgunSecretEnvs {
			if getenv(name) == "" {
				errs = append(errs, fmt.Errorf("site %s: mail_providers.mailgun_secret_envs names %s, which is not set in the environment", sites.Sites[i].ID, name))
			}
		}
	}
	return errors.Join(errs...)
}

// Read returns what the provider tells. from is by what it is known; nobody is known by the zero value, with the same answers and
// as far as possible in the same time as one who is not the one that is known. If the webhook as a whole is not to be believed or can't be read,
// the reason says why.
func (r *Reader) Read(ctx context.Context, provider Provider, from *siteconfig.MailProviders, request *http.Request, body []byte) ([]Report, reason.Reason) {
	switch provider {
	case Mailgun:
		return r.readMailgun(from, body)
	case Postmark:
		return r.readPostmark(from, request, body)
	case SES:
		return r.readSES(ctx, from, body)
	case SendGrid:
		return r.readSendGrid(from, request, body)
	}
	return nil, reason.DeliveryUnproven
}

// How far the time of a signature may lie from ours: providers send again for a day at most, with the signature of the first time, as
// far as they say. It is far below the 7 days within which a repeat counts once, so that nobody can make an event count again by sending
// what they once saw.
const (
	maxSignatureAge = 25 * time.Hour
	maxClockSkew    = 5 * time.Minute
)

// fresh tells whether a signature of the time is to be believed still.
func (r *Reader) fresh(signed time.Time) bool {
	age := r.Now().Sub(signed)
	return age <= maxSignatureAge && age >= -maxClockSkew
}

// ignored is the report of an event that is not taken over, invalid that of one that is not in the provider's form.
var (
	ignored = Report{Reason: reason.DeliveryIgnored}
	invalid = Report{Reason: reason.DeliveryInvalid}
)

// one returns the only report of a webhook. One that is not in the provider's form refuses it.
func one(report Report) ([]Report, reason.Reason) {
	if report.Reason == reason.DeliveryInvalid {
		return nil, report.Reason
	}
	return []Report{report}, ""
}

// metadata is what the sender gave the provider along with the mail.
type metadata struct {
	Campaign text `json:"onepx_campaign"`
	Message  text `json:"onepx_message"`
}

// UnmarshalJSON takes what is no object, such as the [] that some programs write for an empty one, for nothing.
func (m *metadata) UnmarshalJSON(data []byte) error {
	type plain metadata
	if json.Unmarshal(data, (*plain)(m)) != nil {
		*m = metadata{}
	}
	return nil
}

// text is a JSON text or number. Anything else is "".
type text string

// UnmarshalJSON never fails: what a sender gave along must not cost the event.
func (t *text) UnmarshalJSON(data []byte) error {
	var number json.Number
	var word string
	if json.Unmarshal(data, &word) != nil && json.Unmarshal(data, &number) == nil {
		word = number.String()
	}
	*t = text(word)
	return nil
}

// instant reads a time of RFC 3339, in UTC; zero if it is none.
func instant(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// unix reads a Unix time in seconds, perhaps with decimals; zero if it is none, or not of this age.
func unix(text string) time.Time {
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0 && seconds < 1e11) {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
}

// decode reads a JSON object; the reason says why that can't be done, or is "".
func decode(body []byte, into any) reason.Reason {
	if !json.Valid(body) {
		return reason.JSONInvalid
	}
	if json.Unmarshal(body, into) != nil {
		return reason.DeliveryInvalid
	}
	return ""
}

// eventID makes the id of an event of what makes it one at the provider's. The parts may have addresses in them, so it is a hash.
func eventID(provider Provider, parts ...string) string {
	hash := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return string(provider) + ":" + hex.EncodeToString(hash[:16])
}

// first is the first text that is not empty.
func first(texts ...string) string { return cmp.Or(texts...) }
