// Package mailrewrite makes e-mails measurable: it puts the open pixel into a message, leads its links through the collector and
// gives it a one-click unsubscribe header (RFC 8058). Everything else stays byte for byte as it was.
//
// A message is read once (HTML, Message) and written for each recipient (Template.Render), with the recipient's tokens and merge
// data. It must be written before it is signed: a DKIM signature made earlier would be broken.
//
// HTML is not parsed and rendered, as that would change it: a tokenizer finds the values of attributes, and only those are
// replaced. In the same way only the bodies of text parts are replaced in a message, in their own charset and transfer encoding.
package mailrewrite

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

// Limits of messages.
const (
	// MaxSize is how many bytes a message may have.
	MaxSize  = 25 << 20
	maxDepth = 20
	maxParts = 1000
	maxLinks = 10_000
	// maxPieces bounds links, fields, and what is between them.
	maxPieces = 100_000
	// maxMerged is how many bytes a message may have with merge data, and maxField a field of its header.
	maxMerged = 2 * MaxSize
	maxField  = 64 << 10
)

// Why a message can't be rewritten. Errors say more, and repeat nothing of the message.
var (
	ErrTooLarge = fmt.Errorf("the message has more than %d bytes", MaxSize)
	// ErrMalformed is also returned for more parts, links or attributes, or deeper parts, than any real message has.
	ErrMalformed = errors.New("malformed message")
	// ErrSigned means that the message is signed or encrypted, which rewriting would break.
	ErrSigned   = errors.New("signed or encrypted message")
	ErrCharset  = errors.New("charset that can't be rewritten")
	ErrEncoding = errors.New("broken or unknown transfer encoding")
	// ErrField means that merge data is missing, or can't stand where it is wanted.
	ErrField = errors.New("merge field")
	// ErrNobody means that the message asks for the link that ends a subscription, and nobody says whose.
	ErrNobody = errors.New("the unsubscribe link needs a recipient, in every mode")
)

// Param is a parameter that is added to the targets of links.
type Param struct{ Name, Value string }

// Config says how messages are rewritten.
type Config struct {
	// URLs makes the URLs of the collector.
	URLs *mailtoken.URLs
	// UTM are added to the query of each target that has not a parameter of that name.
	UTM []Param
	// Leave are links to leave alone: hosts (shop.example), hosts with all below them (.shop.example) or beginnings of URLs
	// (https://shop.example/account).
	Leave []string
	// SignedLater tells that the message is DKIM-signed anew afterwards: signatures that it has are removed. Without it, such a
	// message is refused.
	SignedLater bool
	// Honeypot puts a link before the open pixel that nobody sees, in mode Full: scanners follow it.
	Honeypot bool
	// KeepListUnsubscribe leaves the headers of RFC 2369 and RFC 8058 as they are.
	KeepListUnsubscribe bool
}

// Recipient is for whom a message is written.
type Recipient struct {
	// Token says what all tokens of the message say; kind and link are set here. In mode Aggregate those of opens and clicks
	// get neither recipient nor message; the one of the unsubscribe link has the recipient in every mode.
	Token mailtoken.Token
	// Data has the values of fields {{name}}. When it is nil, fields are left as they are.
	Data map[string]string
}

// Link is a link of a message, or one of its URLs in plain text.
type Link struct {
	// ID stands in tokens: what data-onepx-link says, or the position in the message and a hash of the target.
	ID string
	// Target is where the link leads, as far as that is known without merge data.
	Target string
	// Left says why the link is left alone; Wrapped if it is not.
	Left Left
	// Merged tells that the link has merge fields.
	Merged bool
}

// LeftIn is why the link is left alone in messages of this mode, if links are wrapped in it.
func (l Link) LeftIn(mode mailtoken.Mode) Left {
	if l.Left == Wrapped && l.Merged && mode == mailtoken.Aggregate {
		return LeftPersonal
	}
	return l.Left
}

// Left is why a link is left alone.
type Left string

// The reasons.
const (
	Wrapped         Left = ""
	LeftOff         Left = "off"         // data-onepx="off"
	LeftUnsubscribe Left = "unsubscribe" // it ends a subscription
	LeftOurs        Left = "ours"        // it leads to the collector already
	LeftListed      Left = "listed"      // Config.Leave
	LeftPlaceholder Left = "placeholder" // it has a placeholder of another program
	LeftTarget      Left = "target"      // mailtoken refuses it
	// LeftUnclear is said of URLs in plain text that seem to go on beyond ASCII.
	LeftUnclear Left = "unclear"
	// LeftPersonal is said of links with merge fields in mode Aggregate: their targets, which are stored, may tell who clicks.
	LeftPersonal Left = "personal"
)

// Template is a message that was read. It may be used from anywhere at once.
type Template struct {
	config Config
	chunks []chunk
	links  []Link
	// unsubscribes are the URLs of the message's own List-Unsubscribe, in the form of oneForm.
	unsubscribes map[string]bool
	// newline is how lines end in the message.
	newline string
	size    int
}

// HTML reads a document that is no message: UTF-8, or another charset in which ASCII is ASCII. Merge data beyond ASCII become
// character references where the document is not seen to be UTF-8.
func HTML(document []byte, config Config) (*Template, error) {
	p := newParser(document, config)
	if len(document) > MaxSize {
		return nil, ErrTooLarge
	}
	if err := refuseUTF16(document); err != nil {
		return nil, err
	}
	leaf := &leaf{raw: document, source: document, text: document, html: true, charset: charsetOfDocument(document)}
	if err := p.readHTML(leaf, document, 0, 0); err != nil {
		return nil, err
	}
	return p.finish(append(p.template.chunks, leaf))
}

// Message reads a message of RFC 5322 with all its parts. Line breaks may be CRLF or LF.
func Message(message []byte, config Config) (*Template, error) {
	p := newParser(message, config)
	if len(message) > MaxSize {
		return nil, ErrTooLarge
	}
	if err := p.message(message); err != nil {
		return nil, err
	}
	return p.finish(p.template.chunks)
}

// parser reads one message.
type parser struct {
	template *Template
	leaves   []*leaf
	parts    int
	// hasText tells that a text part was read.
	hasText bool
	// boundaries are those of the multiparts that are being read, after a line break.
	boundaries []string
}

func newParser(message []byte, config Config) *parser {
	newline := "\n"
	if i := bytes.IndexByte(message, '\n'); i > 0 && message[i-1] == '\r' {
		newline = "\r\n"
	}
	return &parser{template: &Template{config: config, newline: newline, size: len(message), unsubscribes: map[string]bool{}}}
}

// finish puts the pixel into the last HTML part: of alternatives it is the one that is shown, of parts in a row all are.
func (p *parser) finish(chunks []chunk) (*Template, error) {
	var last *leaf
	for _, c := range chunks {
		if l, ok := c.(*leaf); ok {
			p.leaves = append(p.leaves, l)
			if l.html {
				last = l
			}
		}
	}
	for _, l := range p.leaves {
		if err := l.compile(l == last, p.template.config.Honeypot); err != nil {
			return nil, err
		}
	}
	p.template.chunks = chunks
	return p.template, nil
}

// Links are the links of the message in their order.
func (t *Template) Links() []Link { return t.links }

// Render writes the message for a recipient. Errors are those of mailtoken.Ring.Sign, ErrField or ErrNobody.
func (t *Template) Render(recipient Recipient) ([]byte, error) {
	r := &rendering{template: t, data: recipient.Data, measured: recipient.Token.Measured(), whole: recipient.Token}
	out := make([]byte, 0, t.size+t.size/4+len(t.links)*maxGrowth+maxGrowth)
	for _, c := range t.chunks {
		var err error
		if out, err = c.render(r, out); err != nil {
			return nil, err
		}
		if err = bounded(len(out)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// bounded is the error of a message, or what is written of it, that merge data have made too long.
func bounded(size int) error {
	if size > maxMerged {
		return fmt.Errorf("%w: the message has more than %d bytes with merge data", ErrField, maxMerged)
	}
	return nil
}

// maxGrowth is about what a link adds.
const maxGrowth = 400

// rendering is one message being written.
type rendering struct {
	template *Template
	data     map[string]string
	// measured is what the tokens of opens and clicks say, whole what that of the unsubscribe link says.
	measured, whole mailtoken.Token
	unsubscribe     string
	// unsubscribes are those of the template with merge data, once they are needed.
	unsubscribes map[string]bool
}

// named tells whether it is known who the recipient is.
func (r *rendering) named() bool { return r.whole.Recipient != [mailtoken.RecipientSize]byte{} }

// unsubscribeURL is the recipient's; ErrNobody if there is none.
func (r *rendering) unsubscribeURL() (string, error) {
	if !r.named() {
		return "", ErrNobody
	}
	if r.unsubscribe == "" {
		var err error
		if r.unsubscribe, err = r.template.config.URLs.Unsubscribe(r.whole); err != nil {
			return "", err
		}
	}
	return r.unsubscribe, nil
}
