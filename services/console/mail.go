package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/onepx/onepx/services/console/internal/mailing"
	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/mailtoken"
	secret "github.com/onepx/onepx/services/shared/settings"
	"github.com/onepx/onepx/services/shared/userkey"
)

// mailCmd groups the commands on mail.
type mailCmd struct {
	Rewrite mailRewriteCmd `cmd:"" help:"Put the open pixel, links through the collector and an unsubscribe header into a message, before it is DKIM-signed. Example: console mail rewrite --site shop --to anna@example.com < in.eml > out.eml"`
	Token   mailTokenCmd   `cmd:"" help:"Print a signed URL. Example: console mail token click --site shop --to anna@example.com --target https://shop.example/"`
	Read    mailReadCmd    `cmd:"" help:"Print what the token in a URL says. Example: console mail read https://px.shop.example/u/…"`
	Keys    mailKeysCmd    `cmd:"" help:"Make the keys that sign."`
}

// mailKeys is the setting of all who know the keys.
type mailKeys struct {
	MailKeys secret.Secret `env:"ONEPX_MAIL_KEYS" placeholder:"KEYS" help:"Keys of the tokens in e-mails, ID:SECRET[:LAST-DAY] separated by commas: the first signs, all verify. console mail keys makes them. Give them in the environment: a command line can be seen by other users."`
}

// ring are the keys.
func (s *mailKeys) ring() (*mailtoken.Ring, error) {
	if s.MailKeys == "" {
		return nil, errors.New("ONEPX_MAIL_KEYS is not set; console mail keys new makes one")
	}
	ring, err := mailtoken.ParseRing(s.MailKeys.Reveal())
	if err != nil {
		return nil, fmt.Errorf("ONEPX_MAIL_KEYS: %w", err)
	}
	return ring, nil
}

// mailSettings are those of all who sign.
type mailSettings struct {
	mailKeys `embed:""`
	MailURL  string `env:"ONEPX_MAIL_URL" placeholder:"URL" help:"Where recipients of mail reach the collector, such as https://px.shop.example."`
}

// urls makes the URLs of mails.
func (s *mailSettings) urls() (*mailtoken.URLs, error) {
	ring, err := s.ring()
	if err != nil {
		return nil, err
	}
	urls, err := mailtoken.NewURLs(s.MailURL, ring)
	if err != nil {
		return nil, fmt.Errorf("ONEPX_MAIL_URL: %w", err)
	}
	return urls, nil
}

// mailSender is who sends, and to whom.
type mailSender struct {
	mailSettings `embed:""`
	Secret       secret.Secret `env:"ONEPX_SECRET" hidden:"" help:"As of console run, for addresses."`
	Site         string        `required:"" placeholder:"ID" help:"The site that sends, as in onepx.yaml."`
	Campaign     string        `placeholder:"ID" help:"Your id of the campaign."`
	Message      string        `placeholder:"ID" help:"Your id of the message."`
	To           string        `placeholder:"ADDRESS" help:"The recipient. The address is hashed with ONEPX_SECRET, and stands in no token."`
	Recipient    string        `placeholder:"KEY" help:"The recipient's key as a UUID, in place of the address."`
	Mode         string        `enum:"full,aggregate,none" default:"full" help:"What the recipient allows: full; aggregate: the campaign is counted, no recipient; none: nothing is measured."`
	Test         bool          `help:"The mail is only tried out, and counts for nothing."`
	Sent         time.Time     `placeholder:"TIME" help:"When the mail is sent, such as 2026-11-26T12:00:00Z; now unless given."`
}

// Validate checks the settings.
func (c *mailSender) Validate() error {
	if n := len(c.Secret.Reveal()); n > 0 && n < minSecret {
		return fmt.Errorf("ONEPX_SECRET has %d bytes; at least %d are needed", n, minSecret)
	}
	_, err := c.urls()
	return err
}

// mailing is a mailing with these settings, without its message.
func (c *mailSender) mailing(now time.Time) *mailing.Mailing {
	m := &mailing.Mailing{Site: c.Site, Options: mailing.Options{Campaign: c.Campaign, Sent: c.Sent, RecipientDefaults: mailing.RecipientDefaults{Mode: c.Mode, Test: c.Test}}}
	if m.Options.Sent.IsZero() {
		m.Options.Sent = now
	}
	if c.Secret != "" {
		m.Key = userkey.New(c.Secret.Reveal()).Recipient
	}
	return m
}

func (c *mailSender) recipient() mailing.Recipient {
	return mailing.Recipient{To: c.To, Recipient: c.Recipient, Message: c.Message}
}

// mailRewriteCmd are the settings of `console mail rewrite`.
type mailRewriteCmd struct {
	mailSender          `embed:""`
	HTML                bool              `name:"html" help:"The message is an HTML document; else it is a whole message with its header."`
	UTM                 map[string]string `name:"utm" placeholder:"NAME=VALUE" help:"Added to the targets of links that have no parameter of the name, such as source=newsletter for utm_source; several are separated by semicolons."`
	Leave               []string          `placeholder:"HOST" help:"Links to leave alone: hosts, hosts with a dot before them for all below too, or beginnings of URLs."`
	ResignAfter         bool              `help:"The message is DKIM-signed anew afterwards: signatures that it has are removed. Without it, a signed message is refused."`
	Honeypot            bool              `help:"Put in a link that nobody sees, in mode full: scanners that follow it are known as such. Filters may take hidden links for a sign of spam."`
	KeepListUnsubscribe bool              `help:"Leave List-Unsubscribe and List-Unsubscribe-Post as they are."`
	Template            string            `type:"existingfile" placeholder:"FILE" help:"The message of a batch, with fields {{name}}. Standard input has a recipient a line then, as JSON with to or recipient, message, mode, test and data; standard output a message or an error for each, as JSON too."`
}

// Run is `console mail rewrite`.
func (c *mailRewriteCmd) Run(k *kong.Kong) error { return c.rewrite(os.Stdin, k.Stdout, time.Now()) }

func (c *mailRewriteCmd) rewrite(in io.Reader, out io.Writer, now time.Time) error {
	source := in
	if c.Template != "" {
		file, err := os.Open(c.Template)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		source = file
	}
	message, err := io.ReadAll(io.LimitReader(source, mailrewrite.MaxSize+1))
	if err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	urls, err := c.urls()
	if err != nil {
		return err
	}
	m := c.mailing(now)
	m.Options.UTM, m.Options.Leave, m.Options.ResignAfter, m.Options.KeepUnsubscribe = c.UTM, c.Leave, c.ResignAfter, c.KeepListUnsubscribe
	m.Options.Honeypot = c.Honeypot
	read := mailrewrite.Message
	if c.HTML {
		read = mailrewrite.HTML
	}
	if m.Template, err = read(message, m.Options.Config(urls)); err != nil {
		return err
	}
	if c.Template != "" {
		return writeBatch(m, in, out)
	}
	written, err := m.Write(c.recipient())
	if err != nil {
		return err
	}
	_, err = out.Write(written)
	return err
}

// batchLine is what a batch writes for a recipient.
type batchLine struct {
	Line    int    `json:"line"`
	Message string `json:"message,omitempty"`
	mailing.Result
	Error string `json:"error,omitempty"`
}

// maxBatchLine is how long a line of a batch may be, in bytes.
const maxBatchLine = 1 << 20

// recipientOf reads a line of a batch. A member that is not known may be one misspelt that forbids to measure.
func recipientOf(line []byte) (mailing.Recipient, error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	var r *mailing.Recipient
	if decoder.Decode(&r) != nil || r == nil || decoder.Decode(&struct{}{}) != io.EOF {
		return mailing.Recipient{}, errors.New("not a JSON object of a recipient, with to or recipient, message, mode, test and data")
	}
	return *r, nil
}

// writeBatch writes a line for each line of in. What is wrong with a recipient stands in the line, and in how many in the error.
func writeBatch(m *mailing.Mailing, in io.Reader, to io.Writer) error {
	out := bufio.NewWriter(to)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxBatchLine)
	number, wrong := 0, 0
	for lines.Scan() {
		number++
		line := batchLine{Line: number}
		r, err := recipientOf(lines.Bytes())
		if err == nil {
			line.Message = r.Message
			var message []byte
			if message, err = m.Write(r); err == nil {
				line.Result = mailing.ResultOf(message)
			}
		}
		if err != nil {
			wrong++
			line.Error = err.Error()
		}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	if err := errors.Join(lines.Err(), out.Flush()); err != nil {
		return fmt.Errorf("after line %d: %w", number, err)
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d recipients got no message; their lines say why", wrong, number)
	}
	return nil
}
