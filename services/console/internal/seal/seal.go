// Package seal makes what callers carry but must neither read nor change: cursors of pages, and ids of requests that tell
// whose they are. All consoles with the same secret read what any of them has made; nothing is stored.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// Sealer seals. It may be used from anywhere at once.
type Sealer struct {
	aead cipher.AEAD
	ids  []byte
}

// New returns the sealer of a secret.
func New(secret string) (*Sealer, error) {
	derive := func(purpose string) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("onepx console " + purpose))
		return mac.Sum(nil)
	}
	block, err := aes.NewCipher(derive("cursor"))
	if err != nil {
		return nil, fmt.Errorf("make cursor key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cursor key: %w", err)
	}
	return &Sealer{aead: aead, ids: derive("request id")}, nil
}

// ErrForged says that something was not sealed here, or not for this use.
var ErrForged = errors.New("not made here")

// Seal returns content as text for URLs: AES-256-GCM, so that it can't be read, changed, or used for anything but use.
func (s *Sealer) Seal(content []byte, use string) string {
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, content, []byte(use)))
}

// Open returns what was sealed for the use, or ErrForged.
func (s *Sealer) Open(text, use string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, ErrForged
	}
	content, err := s.aead.Open(nil, nil, sealed, []byte(use))
	if err != nil {
		return nil, ErrForged
	}
	return content, nil
}

// NewID returns an id that is known to be of its owner: a UUID of version 8 (RFC 9562), whose first half is random and whose
// second half is a hash of that, keyed.
func (s *Sealer) NewID(owner string) uuid.UUID {
	var id uuid.UUID
	_, _ = rand.Read(id[:8]) // never fails
	return s.signed(id, owner)
}

// Owns tells whether NewID has made the id for the owner.
func (s *Sealer) Owns(id uuid.UUID, owner string) bool {
	signed := s.signed(id, owner)
	return hmac.Equal(id[:], signed[:])
}

// signed has the second half that belongs to the first.
func (s *Sealer) signed(id uuid.UUID, owner string) uuid.UUID {
	id[6] = id[6]&0x0f | 0x80
	mac := hmac.New(sha256.New, s.ids)
	mac.Write(id[:8])
	mac.Write([]byte(owner))
	copy(id[8:], mac.Sum(nil))
	id[8] = id[8]&0x3f | 0x80
	return id
}
