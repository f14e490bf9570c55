// Package userkey makes the keys by which customers are known: whoever has the collectors' secret makes the same key of the
// same customer id or e-mail address, nobody else can. The collector puts them into events; whoever looks for a person makes
// them again.
package userkey

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"sync"
)

// Size is the length in bytes of a key.
const Size = 16

// Maker makes the keys of one secret. It may be used from anywhere at once.
type Maker struct{ macs sync.Pool }

// New returns the maker of a secret.
func New(secret string) *Maker {
	derived := hmac.New(sha256.New, []byte(secret))
	derived.Write([]byte("onepx user key"))
	key := derived.Sum(nil)
	return &Maker{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// Of is the key of a customer id or e-mail address on a site: Size bytes of HMAC-SHA-256 of site, a zero byte and the text in
// lower case without spaces around it. It is nil for a text of nothing but spaces.
func (m *Maker) Of(site, text string) []byte {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return nil
	}
	mac, _ := m.macs.Get().(hash.Hash)
	defer m.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte(site))
	mac.Write([]byte{0})
	mac.Write([]byte(text))
	return mac.Sum(nil)[:Size]
}
