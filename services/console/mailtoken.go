package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

// mailTokenCmd are the settings of `console mail token`.
type mailTokenCmd struct {
	Kind       string `arg:"" enum:"open,click,unsubscribe" help:"open, click or unsubscribe."`
	mailSender `embed:""`
	Target     string `placeholder:"URL" help:"Where a click leads."`
	Link       string `placeholder:"ID" help:"Your id of the link of a click. honeypot is that of a link that nobody sees, and leads nobody anywhere."`
}

// Run is `console mail token`.
func (c *mailTokenCmd) Run(k *kong.Kong) error {
	urls, err := c.urls()
	if err != nil {
		return err
	}
	token, err := c.mailing(time.Now()).Token(c.recipient())
	if err != nil {
		return err
	}
	var u string
	switch c.Kind {
	case "open":
		u, err = urls.Open(token.Measured())
	case "click":
		u, err = urls.Click(token.Measured(), c.Link, c.Target)
	default:
		u, err = urls.Unsubscribe(token)
	}
	if err == nil {
		_, err = fmt.Fprintln(k.Stdout, u)
	}
	return err
}

// mailReadCmd are the settings of `console mail read`.
type mailReadCmd struct {
	URL      string `arg:"" help:"A URL of a mail."`
	mailKeys `embed:""`
}

// said is what a token says, for people.
type said struct {
	Kind      string    `json:"kind"`
	Mode      string    `json:"mode"`
	Test      bool      `json:"test,omitempty"`
	Site      string    `json:"site"`
	Campaign  string    `json:"campaign,omitempty"`
	Message   string    `json:"message,omitempty"`
	Recipient string    `json:"recipient,omitempty"`
	Sent      time.Time `json:"sent"`
	Link      string    `json:"link,omitempty"`
	Target    string    `json:"target,omitempty"`
}

// Run is `console mail read`.
func (c *mailReadCmd) Run(k *kong.Kong) error {
	ring, err := c.ring()
	if err != nil {
		return err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return errors.New("that is no URL")
	}
	answer := said{}
	var kind mailtoken.Kind
	text, target := "", ""
	switch {
	case strings.HasPrefix(u.Path, mailtoken.OpenPath):
		kind, answer.Kind, text = mailtoken.Open, "open", strings.TrimSuffix(u.Path[len(mailtoken.OpenPath):], mailtoken.OpenSuffix)
	case strings.HasPrefix(u.Path, mailtoken.UnsubscribePath):
		kind, answer.Kind, text = mailtoken.Unsubscribe, "unsubscribe", u.Path[len(mailtoken.UnsubscribePath):]
	case strings.HasPrefix(u.Path, mailtoken.ClickPath):
		kind, answer.Kind = mailtoken.Click, "click"
		var encoded string
		text, encoded, _ = strings.Cut(u.Path[len(mailtoken.ClickPath):], "/")
		if target, err = mailtoken.DecodeTarget(encoded); err != nil {
			return err
		}
	default:
		return errors.New("that is no URL of a mail: its path begins with /o/, /c/ or /u/")
	}
	token, err := ring.Verify(kind, text, target, time.Now())
	if err != nil {
		return err
	}
	answer.Mode = [...]string{mailtoken.Full: "full", mailtoken.Aggregate: "aggregate", mailtoken.None: "none"}[token.Mode]
	answer.Test, answer.Site, answer.Campaign, answer.Message, answer.Link, answer.Target, answer.Sent = token.Test, token.Site, token.Campaign, token.Message, token.Link, target, token.Sent
	if token.Recipient != [mailtoken.RecipientSize]byte{} {
		answer.Recipient = uuid.UUID(token.Recipient).String()
	}
	out := json.NewEncoder(k.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(answer)
}

// mailKeysCmd groups the commands on keys.
type mailKeysCmd struct {
	New    mailKeysNewCmd    `cmd:"" help:"Print ONEPX_MAIL_KEYS with one new key."`
	Rotate mailKeysRotateCmd `cmd:"" help:"Print ONEPX_MAIL_KEYS with a new key in front. Give it to all collectors first and then to whoever signs."`
}

// mailKeysNewCmd is `console mail keys new`.
type mailKeysNewCmd struct{}

// Run prints a setting.
func (*mailKeysNewCmd) Run(k *kong.Kong) error {
	_, err := fmt.Fprintln(k.Stdout, mailtoken.NewKeys())
	return err
}

// mailKeysRotateCmd are the settings of `console mail keys rotate`.
type mailKeysRotateCmd struct {
	mailKeys `embed:""`
	Months   int `default:"13" help:"How many months keys that had no last day verify for; links in older mails die then, but for those that end a subscription. 1 to 120."`
}

// Validate checks bounds.
func (c *mailKeysRotateCmd) Validate() error {
	if c.Months < 1 || c.Months > 120 {
		return fmt.Errorf("--months %d: must be 1 to 120", c.Months)
	}
	return nil
}

// Run prints a setting.
func (c *mailKeysRotateCmd) Run(k *kong.Kong) error {
	keys, err := mailtoken.Rotate(c.MailKeys.Reveal(), time.Now(), c.Months)
	if err == nil {
		_, err = fmt.Fprintln(k.Stdout, keys)
	}
	return err
}
