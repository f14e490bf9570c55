// Package mailtoken makes and reads the signed tokens in the URLs of e-mails: of the open pixel, of wrapped links and of the
// unsubscribe link. Whoever sends mail signs with a Ring of keys (most easily through URLs); the collector reads with the
// same ring, and needs no database for it.
//
// A token is base64url without padding, at most MaxLength characters, of
//
//	version (1 byte, 1)  kind (1)  flags (1)  key id  sent (5, Unix seconds)  [recipient (16)]  site  campaign  message  [link]  MAC (16)
//
// where key id and texts have their length in one byte before them, and link stands in click tokens only. The MAC is the first
// half of HMAC-SHA-256 over a prefix of this package, the bytes before the MAC with their length, and the target of a click,
// which stands beside the token and can so not be changed either. Every token has one encoding only.
package mailtoken

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Kind is what a token is for. A token of one kind is none of another. The numbers stand in mails that have been sent.
type Kind byte

// The kinds.
const (
	// Open is of the image that tells that a mail is shown.
	Open Kind = 1
	// Click is of a link through the collector to a target.
	Click Kind = 2
	// Unsubscribe is of the link by which a recipient wants no more mail.
	Unsubscribe Kind = 3
)

// Mode is what the recipient allows to be measured.
type Mode byte

// The modes. Full is the zero value.
const (
	// Full: opens and clicks are of a recipient.
	Full Mode = 0
	// Aggregate: opens and clicks are of a campaign, and the token says nothing of a recipient.
	Aggregate Mode = 1
	// None: nothing is measured, so there are tokens of kind Unsubscribe only.
	None Mode = 2
)

// Honeypot is the link id of a link that nobody sees: what follows it is a scanner, and is led nowhere.
const Honeypot = "honeypot"

// RecipientSize is the length in bytes of a recipient's key.
const RecipientSize = 16

// Token is what a token says.
type Token struct {
	Kind Kind
	Mode Mode
	// Test marks a mail that is only tried out and counts for nothing.
	Test bool
	// Site is the id of the site that sends; needed.
	Site string
	// Campaign and Message are the sender's ids; "" if it has none. A message is sent to one recipient, so in mode Aggregate
	// only tokens of kind Unsubscribe have one.
	Campaign, Message string
	// Recipient is the key of the address (userkey.Maker.Recipient); zero for none. Tokens of kind Unsubscribe need one, those
	// of the other kinds have one in mode Full and none in mode Aggregate.
	Recipient [RecipientSize]byte
	// Link says which link of the mail a click is on; tokens of other kinds have none.
	Link string
	// Sent is when the mail was sent: UTC, to the second; in mode Aggregate to the hour, so that it tells no recipient.
	Sent time.Time
}

// Measured is the token as those of opens and clicks may have it: in mode Aggregate without recipient and message.
func (t Token) Measured() Token {
	if t.Mode == Aggregate {
		t.Recipient, t.Message = [RecipientSize]byte{}, ""
	}
	return t
}

// MaxLength is how many characters a token has at most.
const MaxLength = 200

const (
	version    = 1
	macSize    = 16
	maxBytes   = MaxLength / 4 * 3
	maxPayload = maxBytes - macSize
	sentSize   = 5
	maxSent    = 1<<(8*sentSize) - 1
	// minBytes is the length of a token with a key id and a site of one byte each, and nothing else.
	minBytes = 3 + 2 + sentSize + 2 + 1 + 1 + macSize
)

// The flags: the mode, and what else there is.
const (
	modeBits      = 3
	testBit       = 4
	recipientBit  = 8
	everyFlag     = modeBits | testBit | recipientBit
	hourInSeconds = 3600
)

// What is wrong with a token that is to be signed.
var (
	// ErrTooLong means that the texts are so long that the token would have more than MaxLength characters.
	ErrTooLong = errors.New("site, campaign, message and link are too long for a token")
	// ErrContradiction means that the token says what its kind or mode does not allow.
	ErrContradiction = errors.New("contradiction in the token")
)

// Why a token is not accepted.
var (
	ErrMalformed  = errors.New("not a token")
	ErrKeyUnknown = errors.New("token of an unknown key")
	ErrKeyExpired = errors.New("token of a key that has expired")
	ErrForged     = errors.New("forged token")
	ErrKind       = errors.New("token of another kind")
	// ErrTarget is also returned for targets that are not to be signed.
	ErrTarget = errors.New("not a target of a click")
)

// check says what in the token contradicts its kind and mode. What it lets through is what Verify returns.
func (t *Token) check() error {
	refuse := func(problem string) error { return fmt.Errorf("%w: %s", ErrContradiction, problem) }
	named := t.Recipient != [RecipientSize]byte{}
	switch {
	case t.Kind < Open || t.Kind > Unsubscribe:
		return refuse("no such kind")
	case t.Mode > None:
		return refuse("no such mode")
	case t.Site == "":
		return refuse("no site")
	case t.Kind != Click && t.Link != "":
		return refuse("a link, and no click")
	case t.Kind == Unsubscribe && !named:
		return refuse("nobody to unsubscribe")
	case t.Kind != Unsubscribe && t.Mode == None:
		return refuse("mode none, and something to measure")
	case t.Kind != Unsubscribe && t.Mode == Full && !named:
		return refuse("mode full, and no recipient")
	case t.Kind != Unsubscribe && t.Mode == Aggregate && (named || t.Message != ""):
		return refuse("mode aggregate, and a recipient or message")
	}
	for _, text := range []string{t.Site, t.Campaign, t.Message, t.Link} {
		if !printable(text) {
			return refuse("a text is no UTF-8, or has control characters")
		}
	}
	return nil
}

func printable(text string) bool {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// sent returns the seconds that stand in the token.
func (t *Token) sent() int64 {
	sent := t.Sent.Unix()
	if t.Mode == Aggregate && t.Kind != Unsubscribe {
		sent -= sent % hourInSeconds
	}
	return sent
}

// payload appends all but the MAC.
func (t *Token) payload(to []byte, keyID string) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	sent := t.sent()
	if sent < 0 || sent > maxSent {
		return nil, fmt.Errorf("%w: sent before 1970, or too late", ErrContradiction)
	}
	flags := byte(t.Mode)
	if t.Test {
		flags |= testBit
	}
	named := t.Recipient != [RecipientSize]byte{}
	if named {
		flags |= recipientBit
	}
	texts := []string{t.Site, t.Campaign, t.Message}
	if t.Kind == Click {
		texts = append(texts, t.Link)
	}
	length := 3 + 1 + len(keyID) + sentSize
	if named {
		length += RecipientSize
	}
	for _, text := range texts {
		length += 1 + len(text)
	}
	if length > maxPayload {
		return nil, fmt.Errorf("%w: they have %d bytes more than fit", ErrTooLong, length-maxPayload)
	}
	to = append(to, version, byte(t.Kind), flags, byte(len(keyID))) //nolint:gosec // at most 8
	to = append(to, keyID...)
	var seconds [8]byte
	binary.BigEndian.PutUint64(seconds[:], uint64(sent))
	to = append(to, seconds[8-sentSize:]...)
	if named {
		to = append(to, t.Recipient[:]...)
	}
	for _, text := range texts {
		to = append(append(to, byte(len(text))), text...) //nolint:gosec // less than maxPayload
	}
	return to, nil
}

// parse reads a payload, all of it; false if no token has it. The texts share memory that nobody else has.
func parse(payload []byte) (t Token, keyID string, ok bool) {
	if len(payload) < minBytes-macSize || payload[0] != version {
		return Token{}, "", false
	}
	flags := payload[2]
	t = Token{Kind: Kind(payload[1]), Mode: Mode(flags & modeBits), Test: flags&testBit != 0}
	rest := fields{text: string(payload[3:])}
	keyID = rest.sized()
	var seconds [8]byte
	copy(seconds[8-sentSize:], rest.next(sentSize))
	t.Sent = time.Unix(int64(binary.BigEndian.Uint64(seconds[:])), 0).UTC() //nolint:gosec // 40 bits
	if flags&recipientBit != 0 {
		copy(t.Recipient[:], rest.next(RecipientSize))
	}
	t.Site, t.Campaign, t.Message = rest.sized(), rest.sized(), rest.sized()
	if t.Kind == Click {
		t.Link = rest.sized()
	}
	named := t.Recipient != [RecipientSize]byte{}
	switch {
	case rest.short, rest.text != "", flags&^everyFlag != 0, named != (flags&recipientBit != 0), t.sent() != t.Sent.Unix():
		return Token{}, "", false
	}
	return t, keyID, t.check() == nil
}

// fields are what is left to read; short once something was missing.
type fields struct {
	text  string
	short bool
}

func (f *fields) next(n int) string {
	if len(f.text) < n {
		f.short, f.text = true, ""
		return ""
	}
	field := f.text[:n]
	f.text = f.text[n:]
	return field
}

func (f *fields) sized() string {
	size := f.next(1)
	if size == "" {
		return ""
	}
	return f.next(int(size[0]))
}

// decode reads base64url without padding, as strictly as can be, into to; false if text is something else.
func decode(to []byte, text string) ([]byte, bool) {
	if base64.RawURLEncoding.DecodedLen(len(text)) > len(to) {
		return nil, false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(to, []byte(text))
	// The decoder skips line breaks.
	return to[:n], err == nil && base64.RawURLEncoding.EncodedLen(n) == len(text)
}
