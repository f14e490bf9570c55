// Package mailing is what command line and API have in common when they rewrite mail: a mailing with its recipients, as JSON says
// it, becomes messages.
package mailing

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/mailtoken"
)

// Options are what holds for all recipients of a mailing.
type Options struct {
	Campaign        string            `json:"campaign,omitempty" doc:"The sender's id of the campaign." example:"autumn-26"`
	Sent            time.Time         `json:"sent,omitzero" doc:"When the mail is sent; now unless given."`
	UTM             map[string]string `json:"utm,omitempty" doc:"Added to the targets of links that have no parameter of the name, with utm_ before it." example:"{\"source\":\"newsletter\"}"`
	Leave           []string          `json:"leave,omitempty" maxItems:"1000" doc:"Links to leave alone: hosts, hosts with a dot before them for all below too, or beginnings of URLs." example:"[\".bank.example\"]"`
	ResignAfter     bool              `json:"resign_after,omitempty" doc:"The message is DKIM-signed anew afterwards: signatures that it has are removed. Without it, a signed message is refused."`
	Honeypot        bool              `json:"honeypot,omitempty" doc:"Put in a link that nobody sees, in mode full: scanners that follow it are known as such. Filters may take hidden links for a sign of spam."`
	KeepUnsubscribe bool              `json:"keep_list_unsubscribe,omitempty" doc:"Leave List-Unsubscribe and List-Unsubscribe-Post as they are."`
	RecipientDefaults
}

// RecipientDefaults are what holds for recipients who don't say otherwise.
type RecipientDefaults struct {
	Mode string `json:"mode,omitempty" enum:"full,aggregate,none" doc:"What the recipient allows: full, the default; aggregate: the campaign is counted, no recipient; none: nothing is measured."`
	Test bool   `json:"test,omitempty" doc:"The mail is only tried out, and counts for nothing."`
}

// Recipient is one who gets the mail.
type Recipient struct {
	To        string            `json:"to,omitempty" doc:"E-mail address. It is hashed in memory, and neither stored nor logged." example:"anna@example.com"`
	Recipient string            `json:"recipient,omitempty" doc:"Key of the recipient, as in column recipient_key, in place of the address." example:"6aafad4d-f46a-ab94-eb95-05b35448c9fb"`
	Message   string            `json:"message,omitempty" doc:"The sender's id of the message." example:"m-1"`
	Data      map[string]string `json:"data,omitempty" doc:"Values of the fields {{name}}. Without it, fields stay as they are."`
	RecipientDefaults
}

// Result is a message, written for a recipient.
type Result struct {
	Text   string `json:"text,omitempty" doc:"The message, if it is UTF-8."`
	Base64 string `json:"base64,omitempty" doc:"The message in base64, if it is not."`
}

// ResultOf is the result that has this message.
func ResultOf(message []byte) Result {
	if utf8.Valid(message) {
		return Result{Text: string(message)}
	}
	return Result{Base64: base64.StdEncoding.EncodeToString(message)}
}

// ErrRecipient is what is wrong with a recipient.
var ErrRecipient = errors.New("recipient")

// Mailing is a mailing of a site.
type Mailing struct {
	Site     string
	Options  Options
	Template *mailrewrite.Template
	// Key makes the key of an address, none of what is no address; nil where only keys are known.
	Key func(site, address string) []byte
}

// Config is how the mailing's message is rewritten.
func (o *Options) Config(urls *mailtoken.URLs) mailrewrite.Config {
	config := mailrewrite.Config{URLs: urls, Leave: o.Leave, SignedLater: o.ResignAfter, Honeypot: o.Honeypot, KeepListUnsubscribe: o.KeepUnsubscribe}
	for _, name := range slices.Sorted(maps.Keys(o.UTM)) {
		config.UTM = append(config.UTM, mailrewrite.Param{Name: "utm_" + strings.TrimPrefix(name, "utm_"), Value: o.UTM[name]})
	}
	return config
}

// Write writes the message for a recipient. Errors are ErrRecipient or those of mailrewrite.Template.Render.
func (m *Mailing) Write(r Recipient) ([]byte, error) {
	token, err := m.Token(r)
	if err != nil {
		return nil, err
	}
	return m.Template.Render(mailrewrite.Recipient{Token: token, Data: r.Data})
}

// modes are those of recipients.
var modes = map[string]mailtoken.Mode{"": mailtoken.Full, "full": mailtoken.Full, "aggregate": mailtoken.Aggregate, "none": mailtoken.None}

// Mode is that of recipients who don't say otherwise.
func (m *Mailing) Mode() mailtoken.Mode { return modes[m.Options.Mode] }

// Token is what the recipient's tokens say. The error is ErrRecipient.
func (m *Mailing) Token(r Recipient) (mailtoken.Token, error) {
	name := r.Mode
	if name == "" {
		name = m.Options.Mode
	}
	mode, known := modes[name]
	if !known {
		return mailtoken.Token{}, fmt.Errorf("%w: the mode must be full, aggregate or none", ErrRecipient)
	}
	token := mailtoken.Token{
		Site: m.Site, Campaign: m.Options.Campaign, Message: r.Message, Mode: mode, Test: r.Test || m.Options.Test, Sent: m.Options.Sent.UTC().Truncate(time.Second),
	}
	switch {
	case r.To != "" && r.Recipient != "":
		return token, fmt.Errorf("%w: give an address or a key, not both", ErrRecipient)
	case r.Recipient != "":
		id, err := uuid.Parse(r.Recipient)
		if err != nil || len(r.Recipient) != len(id.String()) || id == uuid.Nil {
			return token, fmt.Errorf("%w: the key is no UUID", ErrRecipient)
		}
		token.Recipient = id
	case r.To != "":
		if m.Key == nil {
			return token, fmt.Errorf("%w: addresses need ONEPX_SECRET", ErrRecipient)
		}
		key := m.Key(m.Site, r.To)
		if key == nil {
			return token, fmt.Errorf("%w: the address is none", ErrRecipient)
		}
		token.Recipient = [mailtoken.RecipientSize]byte(key)
	case mode == mailtoken.Full:
		return token, fmt.Errorf("%w: mode full needs an address or a key", ErrRecipient)
	}
	return token, nil
}
