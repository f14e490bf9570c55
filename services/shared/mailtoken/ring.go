package mailtoken

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MinSecret is the shortest secret of a key in bytes: as much as a SHA-256 key can use.
const MinSecret = 32

// domain keeps these MACs apart from all others that somebody makes with the same secret.
const domain = "onepx mail token\x00"

// key is a key of a ring.
type key struct {
	id     string
	secret string // as in the setting
	// until is the first instant at which the key verifies tokens of kind Unsubscribe only; zero for never.
	until time.Time
	macs  sync.Pool // of *macState
}

// macState is what is needed to make a MAC, used again and again: setting up a key costs more than a MAC.
type macState struct {
	mac hash.Hash
	// input holds what is hashed: a string would be copied to memory of its own each time.
	input []byte
	sum   [sha256.Size]byte
}

// of is the MAC of payload and target. It is valid until the state is used again.
func (s *macState) of(payload []byte, target string) []byte {
	s.mac.Reset()
	s.input = append(s.input[:0], domain...)
	s.input = append(s.input, byte(len(payload))) //nolint:gosec // at most maxPayload
	s.input = append(append(s.input, payload...), target...)
	s.mac.Write(s.input)
	return s.mac.Sum(s.sum[:0])[:macSize]
}

// Ring holds the keys: the first signs, all verify. It may be used from anywhere at once.
type Ring struct {
	keys []*key
	byID map[string]*key
}

var idForm = regexp.MustCompile(`^[a-z0-9]{1,8}$`)

// ParseRing reads the setting ONEPX_MAIL_KEYS: keys ID:SECRET or ID:SECRET:UNTIL, separated by commas. ID is 1 to 8 of a-z and
// 0-9; SECRET at least MinSecret bytes in base64, of either alphabet, with or without padding; UNTIL the last day, in UTC, on
// which the key verifies (2027-12-26); tokens of kind Unsubscribe it verifies for ever. The first key has no UNTIL, since it signs. Errors repeat no secret.
func ParseRing(setting string) (*Ring, error) {
	ring := &Ring{byID: map[string]*key{}}
	for i, text := range strings.Split(setting, ",") {
		k, err := parseKey(strings.TrimSpace(text))
		switch {
		case err != nil:
			return nil, fmt.Errorf("mail key %d: %w", i+1, err)
		case ring.byID[k.id] != nil:
			return nil, fmt.Errorf("mail key %d: there is a key %s already", i+1, k.id)
		case i == 0 && !k.until.IsZero():
			return nil, errors.New("mail key 1: the first key signs, and can't have a date; rotate the keys to put another in front")
		}
		ring.keys = append(ring.keys, k)
		ring.byID[k.id] = k
	}
	return ring, nil
}

func parseKey(text string) (*key, error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) < 2 {
		return nil, errors.New("write ID:SECRET or ID:SECRET:UNTIL")
	}
	k := &key{id: parts[0], secret: parts[1]}
	if !idForm.MatchString(k.id) {
		return nil, errors.New("the id must be 1 to 8 of a-z and 0-9")
	}
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(k.secret, "="))
	secret, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil || len(secret) < MinSecret {
		return nil, fmt.Errorf("the secret of %s must be base64 of at least %d bytes", k.id, MinSecret)
	}
	if len(parts) == 3 {
		day, err := time.Parse(time.DateOnly, parts[2])
		if err != nil {
			return nil, fmt.Errorf("the last day of %s must be a date such as 2027-12-26", k.id)
		}
		k.until = day.AddDate(0, 0, 1)
	}
	k.macs.New = func() any { return &macState{mac: hmac.New(sha256.New, secret)} }
	return k, nil
}

// Sign returns the token, signed with the first key. target is where a click leads, and "" for tokens of other kinds. Errors
// are ErrTooLong, ErrContradiction or ErrTarget, with what is wrong.
func (r *Ring) Sign(t Token, target string) (string, error) {
	k := r.keys[0]
	var buffer [maxBytes]byte
	payload, err := t.payload(buffer[:0], k.id)
	if err != nil {
		return "", err
	}
	if err := checkTarget(t.Kind, target); err != nil {
		return "", err
	}
	state, _ := k.macs.Get().(*macState)
	defer k.macs.Put(state)
	return base64.RawURLEncoding.EncodeToString(append(payload, state.of(payload, target)...)), nil
}

func checkTarget(kind Kind, target string) error {
	switch {
	case kind == Click:
		return CheckTarget(target)
	case target != "":
		return fmt.Errorf("%w: only clicks have one", ErrTarget)
	}
	return nil
}

// Verify reads a token that must be of this kind and, if it is of a click, for this target. Errors are ErrMalformed,
// ErrKeyUnknown, ErrForged, ErrKeyExpired, ErrKind and ErrTarget; who can't sign never sees the last three but for targets
// that nobody could sign.
func (r *Ring) Verify(kind Kind, token, target string, now time.Time) (Token, error) {
	if len(target) > MaxTarget {
		return Token{}, ErrTarget
	}
	if len(token) > MaxLength {
		return Token{}, ErrMalformed
	}
	var buffer [maxBytes]byte
	data, ok := decode(buffer[:], token)
	if !ok || len(data) < minBytes {
		return Token{}, ErrMalformed
	}
	payload, mac := data[:len(data)-macSize], data[len(data)-macSize:]
	t, keyID, ok := parse(payload)
	if !ok {
		return Token{}, ErrMalformed
	}
	k := r.byID[keyID]
	if k == nil {
		return Token{}, ErrKeyUnknown
	}
	if !k.signed(payload, target, mac) {
		return Token{}, ErrForged
	}
	switch {
	case kind != Unsubscribe && !k.until.IsZero() && !now.Before(k.until):
		return Token{}, ErrKeyExpired
	case t.Kind != kind:
		return Token{}, ErrKind
	}
	if err := checkTarget(kind, target); err != nil {
		return Token{}, err
	}
	return t, nil
}

func (k *key) signed(payload []byte, target string, mac []byte) bool {
	state, _ := k.macs.Get().(*macState)
	defer k.macs.Put(state)
	return hmac.Equal(mac, state.of(payload, target))
}

// NewKeys returns a setting with one new key.
func NewKeys() string { return newKey("k1") }

func newKey(id string) string {
	var secret [MinSecret]byte
	_, _ = rand.Read(secret[:]) // never returns an error
	return id + ":" + base64.RawURLEncoding.EncodeToString(secret[:])
}

// Rotate returns a setting with a new key in front, which signs from then on. Keys of the old setting verify for months more,
// or until the date that they have. They stay in the setting after it, so that recipients can end their subscription by any mail.
func Rotate(setting string, now time.Time, months int) (string, error) {
	ring, err := ParseRing(setting)
	if err != nil {
		return "", err
	}
	highest := 0
	for _, k := range ring.keys {
		if n, err := strconv.Atoi(strings.TrimPrefix(k.id, "k")); err == nil {
			highest = max(highest, n)
		}
	}
	next := "k" + strconv.Itoa(highest+1)
	if !idForm.MatchString(next) || ring.byID[next] != nil {
		return "", fmt.Errorf("there is no id left after %d; name the keys anew", highest)
	}
	keys := []string{newKey(next)}
	for _, k := range ring.keys {
		last := k.until.AddDate(0, 0, -1)
		if k.until.IsZero() {
			last = now.UTC().AddDate(0, months, 0)
		}
		keys = append(keys, k.id+":"+k.secret+":"+last.Format(time.DateOnly))
	}
	return strings.Join(keys, ","), nil
}
