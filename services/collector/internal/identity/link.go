package identity

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// LinkKind says whom a link to the opt-out page names.
type LinkKind byte

// The kinds. Their numbers stand in links that have been sent.
const (
	// LinkUser is a customer, by Maker.UserKey.
	LinkUser LinkKind = 1
	// LinkRecipient is a recipient of e-mail, by Maker.RecipientKey.
	LinkRecipient LinkKind = 2
)

// Link is what a token says that stands in links to the opt-out page.
type Link struct {
	Kind LinkKind
	// Key has IDSize bytes.
	Key []byte
	// Expires is when the token becomes void, to the second.
	Expires time.Time
}

// Why a token can't be used.
var (
	ErrLinkInvalid = errors.New("not one of our links")
	ErrLinkExpired = errors.New("the link has expired")
)

// A token is version, kind, expiry in Unix seconds, key and MAC, in base64 without padding.
const (
	linkVersion = 1
	linkSaid    = 1 + 1 + 8 + IDSize
	linkSize    = linkSaid + IDSize
)

// SignLink returns the token of a link for one site. Who has it can opt the one it names out and in again, and learns
// nothing of them.
func (m *Maker) SignLink(site string, link Link) string {
	token := append(make([]byte, 0, linkSize), linkVersion, byte(link.Kind))
	token = binary.BigEndian.AppendUint64(token, uint64(link.Expires.Unix())) //nolint:gosec // read back the same way
	token = append(token, link.Key...)
	return base64.RawURLEncoding.EncodeToString(append(token, m.macOfLink(site, token)...))
}

// ReadLink reads a token. The error is ErrLinkInvalid or ErrLinkExpired; only who made the token learns the second.
func (m *Maker) ReadLink(site, token string, now time.Time) (Link, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(linkSize) {
		return Link{}, ErrLinkInvalid
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(data) != linkSize || !hmac.Equal(data[linkSaid:], m.macOfLink(site, data[:linkSaid])) {
		return Link{}, ErrLinkInvalid
	}
	link := Link{
		Kind: LinkKind(data[1]), Key: data[2+8 : linkSaid],
		Expires: time.Unix(int64(binary.BigEndian.Uint64(data[2:])), 0), //nolint:gosec // written the same way
	}
	switch {
	case data[0] != linkVersion || link.Kind != LinkUser && link.Kind != LinkRecipient:
		return Link{}, ErrLinkInvalid // of a later release
	case !now.Before(link.Expires):
		return Link{}, ErrLinkExpired
	}
	return link, nil
}

func (m *Maker) macOfLink(site string, said []byte) []byte { return keyed(m.link, site, string(said)) }
