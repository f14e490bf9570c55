// Package userkey makes the keys by which customers and recipients of e-mail are known: whoever has the collectors' secret makes
// the same key of the same customer id or e-mail address, nobody else can. The collector puts them into events; whoever looks for a person makes
// them again.
package userkey

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"net/mail"
	"regexp"
	"strings"
	"sync"
)

// Size is the length in bytes of a key.
const Size = 16

// Maker makes the keys of one secret. It may be used from anywhere at once.
type Maker struct{ users, recipients sync.Pool }

// New returns the maker of a secret.
func New(secret string) *Maker {
	m := &Maker{}
	m.users.New, m.recipients.New = macs(secret, "onepx user key"), macs(secret, "onepx recipient key")
	return m
}

// macs makes the MACs of one purpose.
func macs(secret, purpose string) func() any {
	derived := hmac.New(sha256.New, []byte(secret))
	derived.Write([]byte(purpose))
	key := derived.Sum(nil)
	return func() any { return hmac.New(sha256.New, key) }
}

// Of is the key of a customer id or e-mail address on a site: Size bytes of HMAC-SHA-256 of site, a zero byte and the text in
// lower case without spaces around it. It is nil for a text of nothing but spaces.
func (m *Maker) Of(site, text string) []byte { return of(&m.users, site, text) }

// Recipient is the key of an e-mail address to which a site sends mail, on the terms of Of; nil if the text is no address. A name
// beside the address (RFC 5322, 3.4) makes no other key. It is another than that of the same address as a customer's, so that what
// a recipient does can't be joined with what a customer does.
func (m *Maker) Recipient(site, text string) []byte { return of(&m.recipients, site, Address(text)) }

// maxAddress is how long an e-mail address may be, in bytes: 64, @ and 255 (RFC 5321, 4.5.3.1).
const maxAddress = 320

// unquoted is what stands before the @ of an address, if it is not in quotes.
var unquoted = regexp.MustCompile("([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+)@")

// needless are quotes around what needs none, or for its dots alone; they make no other mailbox (RFC 5321, 4.1.2).
var needless = regexp.MustCompile("^\"([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+)\"@")

// Address is the address without the name that programs put beside it, or "" if the text is none. Dots may stand anywhere before
// the @, as in addresses that Japanese mobile networks gave out: a..b@docomo.ne.jp, ab.@docomo.ne.jp.
func Address(text string) string {
	text = strings.TrimSpace(text)
	parsed, err := mail.ParseAddress(text)
	if err != nil { // in quotes dots are allowed everywhere (RFC 5321, 4.1.2)
		parsed, err = mail.ParseAddress(unquoted.ReplaceAllString(text, `"$1"@`))
	}
	switch {
	case err != nil || len(text) > maxAddress:
		return ""
	case strings.ContainsAny(text, "<("):
		return parsed.Address
	}
	return needless.ReplaceAllString(text, "$1@")
}

func of(pool *sync.Pool, site, text string) []byte {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return nil
	}
	mac, _ := pool.Get().(hash.Hash)
	defer pool.Put(mac)
	mac.Reset()
	mac.Write([]byte(site))
	mac.Write([]byte{0})
	mac.Write([]byte(text))
	return mac.Sum(nil)[:Size]
}
