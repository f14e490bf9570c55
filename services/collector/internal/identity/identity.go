// Package identity says whose event it is: it reads or makes the visitor's id as far as consent allows, the hash that tells
// visitors apart within a day, and the customer's key. All of it is keyed with the collector's secret, so nobody without it
// can go from a customer id or an address to what is stored.
//
// It is pure; the API step reads and sets the cookie.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/userkey"
)

const (
	// IDSize is the length in bytes of every id and key made here.
	IDSize = 16
	// maxProvided is the length in bytes of an id that the site gives.
	maxProvided = 128
)

// Request is what is known when the identity is decided.
type Request struct {
	At      time.Time
	Site    string
	EventID []byte
	// CookieAllowed tells whether an id that outlives a day may be used; UserKeyAllowed the same of the customer's key.
	CookieAllowed, UserKeyAllowed bool
	// NoCookie tells that no cookie can be set, because it is not the visitor who asks: so no id is made.
	NoCookie bool
	// Minted is the SetCookie that an event of the same visitor got a moment ago, before the cookie could come back; "" if
	// none.
	Minted string
	// Cookies are the values of the visitor cookie; the first readable one counts.
	Cookies []string
	// VisitorID is the site's own id, UserID the customer id or e-mail address; "" if not given.
	VisitorID, UserID string
	// Prefix is the truncated address, "" if there is none.
	Prefix    string
	UserAgent string
}

// Result is the decision.
type Result struct {
	Visitor *onepxv1.Visitor
	// SetCookie is the value the visitor cookie must get, or "".
	SetCookie string
	// Invalid tells that a cookie or an id given could not be read.
	Invalid bool
}

// Maker makes identities. It may be used from anywhere at once.
type Maker struct {
	visitor, cookie, provided, link *key

	people *userkey.Maker
	secret []byte
	day    atomic.Pointer[dayKey]
}

type dayKey struct {
	day string
	key *key
}

// key is a key of HMAC-SHA-256. Setting one up costs more than hashing with it, so that is done once and kept.
type key struct{ macs sync.Pool }

func newKey(secret []byte) *key {
	return &key{sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

// New returns a maker. Collectors with the same secret make the same ids.
func New(secret string) *Maker {
	m := &Maker{secret: []byte(secret), people: userkey.New(secret)}
	m.visitor, m.cookie = m.derive("visitor id"), m.derive("visitor cookie")
	m.provided, m.link = m.derive("provided id"), m.derive("opt-out link")
	return m
}

// derive makes the key of one purpose, so that a hash made for one never equals a hash made for another.
func (m *Maker) derive(purpose string) *key {
	mac := hmac.New(sha256.New, m.secret)
	mac.Write([]byte("onepx " + purpose))
	return newKey(mac.Sum(nil))
}

// Identify decides. Of several ids the first of these counts: the site's own, the cookie, a new one.
func (m *Maker) Identify(r Request) Result {
	res := Result{Visitor: &onepxv1.Visitor{Kind: onepxv1.VisitorKind_VISITOR_KIND_NONE}}
	if hash := m.dailyHash(r); hash != nil {
		res.Visitor.DailyHash, res.Visitor.Kind = hash, onepxv1.VisitorKind_VISITOR_KIND_DAILY_HASH
	}
	if r.UserKeyAllowed {
		res.Visitor.UserKey = m.UserKey(r.Site, r.UserID)
	}
	if r.CookieAllowed {
		m.giveID(r, &res)
	}
	return res
}

// UserKey is the key of a customer id or e-mail address on one site; nil if the text is blank. Case and spaces around it
// don't matter.
func (m *Maker) UserKey(site, userID string) []byte { return m.people.Of(site, userID) }

// RecipientKey is the key of an e-mail address to which a site sends mail, on the terms of UserKey.
func (m *Maker) RecipientKey(site, address string) []byte { return m.people.Recipient(site, address) }

// CookieVisitor is the visitor's id on one site by the value of the cookie, or false if that is none.
func (m *Maker) CookieVisitor(site, value string) ([]byte, bool) {
	cookie, ok := readCookie(value)
	if !ok {
		return nil, false
	}
	return m.ofCookie(site, cookie), true
}

func (m *Maker) giveID(r Request, res *Result) {
	if r.VisitorID != "" {
		if id, ok := m.readProvided(r.Site, r.VisitorID); ok {
			res.Visitor.VisitorId, res.Visitor.Kind = id, onepxv1.VisitorKind_VISITOR_KIND_PROVIDED
			return
		}
		res.Invalid = true
	}
	for _, value := range r.Cookies {
		if cookie, ok := readCookie(value); ok {
			res.Visitor.VisitorId, res.Visitor.Kind = m.ofCookie(r.Site, cookie), onepxv1.VisitorKind_VISITOR_KIND_COOKIE
			return
		}
		res.Invalid = true
	}
	if r.NoCookie {
		return
	}
	res.Visitor.Kind = onepxv1.VisitorKind_VISITOR_KIND_MINTED
	if cookie, ok := readCookie(r.Minted); ok {
		res.Visitor.VisitorId = m.ofCookie(r.Site, cookie)
		return
	}
	// From the event id, so that a repeat of the same event mints the same visitor; and from where it comes, so that
	// nobody else gets the cookie by sending the same event id.
	cookie := keyed(m.cookie, r.Site, string(r.EventID), r.Prefix, r.UserAgent)
	res.Visitor.VisitorId = m.ofCookie(r.Site, cookie)
	res.SetCookie = base64.RawURLEncoding.EncodeToString(cookie)
}

// ofCookie is the visitor's id on one site: where sites share a host, and so the cookie, their visits can't be joined.
func (m *Maker) ofCookie(site string, cookie []byte) []byte {
	return keyed(m.visitor, site, string(cookie))
}

func (m *Maker) readProvided(site, text string) ([]byte, bool) {
	if id, ok := readUUID(text); ok {
		return id, true
	}
	if len(text) > maxProvided {
		return nil, false
	}
	return keyed(m.provided, site, text), true
}

// readCookie reads what SetCookie wrote, or the text form of a UUID that the site wrote there itself.
func readCookie(text string) ([]byte, bool) {
	if id, ok := readUUID(text); ok {
		return id, true
	}
	id, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return id, err == nil && len(id) == IDSize
}

func readUUID(text string) ([]byte, bool) {
	if len(text) != 36 {
		return nil, false
	}
	id, err := uuid.Parse(text)
	return id[:], err == nil
}

// dailyHash tells visitors without an id apart, within one UTC day and one site; the day's key can't be had from any hash.
// It is nil without an address: the user agent alone would make one visitor of many.
func (m *Maker) dailyHash(r Request) []byte {
	if r.Prefix == "" {
		return nil
	}
	day := r.At.UTC().Format(time.DateOnly)
	known := m.day.Load()
	if known == nil || known.day != day {
		known = &dayKey{day, m.derive("daily hash " + day)}
		m.day.Store(known)
	}
	return keyed(known.key, r.Site, r.Prefix, r.UserAgent)
}

// keyed is the keyed hash of the parts, which can't run into each other: no part but the last holds a zero byte, as sites,
// addresses and cleaned texts have none.
func keyed(by *key, parts ...string) []byte {
	mac, _ := by.macs.Get().(hash.Hash)
	defer by.macs.Put(mac)
	mac.Reset()
	for i, part := range parts {
		if i > 0 {
			mac.Write([]byte{0})
		}
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)[:IDSize]
}
