// Package siteconfig is the site configuration, onepx.yaml: which sites there are
// and what holds for each.
//
// The operator writes the file; the consumer reads it once at start with Load, the
// collector again whenever it changes. A file is taken as a whole or not at all:
// whatever is unknown, missing or out of bounds is an error with file, line, column
// and what is allowed, and all errors are reported together. onepx.schema.json says
// the same to editors.
package siteconfig

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"time"

	_ "embed"
	_ "time/tzdata" // time zones must not depend on the machine
)

// Schema is the JSON Schema (draft 2020-12) of onepx.yaml.
//
//go:embed onepx.schema.json
var Schema []byte

// Bounds and defaults, all of them also in the schema.
const (
	// MaxFileSize is how many bytes a file may have.
	MaxFileSize = 8 << 20
	// MinRetentionDays and MaxRetentionDays bound Site.RetentionDays.
	MinRetentionDays = 1
	MaxRetentionDays = 3660
	// DefaultRetentionDays is 13 months: a year can be compared with the one before.
	DefaultRetentionDays = 395
	// MinRateLimit and MaxRateLimit bound Site.RateLimit.
	MinRateLimit = 1
	MaxRateLimit = 1_000_000
)

// Privacy is a mode: what a site may do with visitors who have said nothing. What they say is obeyed in every mode.
type Privacy string

// The modes, the default first.
const (
	// PrivacyMeasure allows the visitor cookie, the user key and measurement; audiences and sharing take consent.
	PrivacyMeasure Privacy = "measure"
	// PrivacyOptIn allows nothing without consent; see WithoutConsent.
	PrivacyOptIn Privacy = "opt_in"
	// PrivacyAudience allows what the French CNIL exempts from consent: measuring for this site alone, with a cookie of
	// 13 months that visits do not extend and the short prefix of the address. No user key, no audiences, no sharing.
	PrivacyAudience Privacy = "audience_exemption"
	// PrivacyOptOut allows everything until the visitor objects.
	PrivacyOptOut Privacy = "opt_out"
	// PrivacyCookieless never sets or reads the visitor cookie, whatever the visitor allows; visitors are told
	// apart within one day by the daily hash only.
	PrivacyCookieless Privacy = "cookieless"
)

// Modes are all modes of Privacy.
var Modes = []Privacy{PrivacyMeasure, PrivacyOptIn, PrivacyAudience, PrivacyOptOut, PrivacyCookieless}

// WithoutConsent is what becomes of an event whose visitor may not even be measured.
type WithoutConsent string

// What may become of it, the default first.
const (
	// WithoutConsentAnonymous stores it as a hit of nobody.
	WithoutConsentAnonymous WithoutConsent = "anonymous"
	// WithoutConsentCount stores nothing of it; it is one in the counts of the site's day.
	WithoutConsentCount WithoutConsent = "count"
	// WithoutConsentNothing stores nothing and counts it in the collector's metrics only.
	WithoutConsentNothing WithoutConsent = "nothing"
)

// Config is one site configuration. It is not changed once loaded, so it may be
// read from anywhere at once.
type Config struct {
	// Sites are the sites in the order of the file; at least one.
	Sites []Site
	// Warnings are things that are allowed and probably not meant, each with its place, as errors have it.
	Warnings []string

	byID map[string]*Site
}

// Site returns the site with this id.
func (c *Config) Site(id string) (*Site, bool) {
	s, ok := c.byID[id]
	return s, ok
}

// Site is one site.
type Site struct {
	// ID is the site's name in hits and rows: ^[a-z0-9][a-z0-9_-]{0,63}$, unique.
	ID string
	// Timezone decides where the site's days begin. From an IANA name; required.
	Timezone *time.Location
	// Currency is the ISO 4217 code reports are in. Required.
	Currency string
	// AllowedOrigins are the web origins whose scripts may read answers (CORS), in
	// the form browsers send them; "https://*.example.com" stands for every host
	// below example.com but not for example.com. Ask AllowsOrigin.
	AllowedOrigins []string
	// CookieDomain is the Domain of the visitor cookie; empty means the host that
	// was asked. Never a public suffix such as co.uk.
	CookieDomain string
	// Privacy is the mode; PrivacyMeasure unless set. Ask PrivacyIn.
	Privacy Privacy
	// Regions are the modes of places that differ: an ISO 3166-1 country (DE) or an ISO 3166-2 subdivision (US-CA).
	Regions map[string]Privacy
	// WithoutConsent is WithoutConsentAnonymous unless set.
	WithoutConsent WithoutConsent
	// TCF says how consent strings are read.
	TCF TCF
	// Minimise is what is stored less.
	Minimise Minimise
	// PartitionedCookie says that visitors of other sites' pages that embed the pixel, who have not consented to sharing, get
	// a cookie that is another one for each such site (CHIPS); else they get none.
	PartitionedCookie bool
	// RetentionDays is how many days rows are kept: MinRetentionDays to
	// MaxRetentionDays, DefaultRetentionDays unless set.
	RetentionDays int
	// WriteKeys are the hashes of the keys servers may send events with; no two
	// sites have one in common. Ask AcceptsKey.
	WriteKeys []KeyHash
	// APIKeys are the keys with which the console is asked for the site's data. Ask Config.APIKey.
	APIKeys []APIKey
	// RateLimit is how many events a second each collector takes of the site from
	// POST /e and POST /v1/events: MinRateLimit to MaxRateLimit, or 0 for no limit.
	RateLimit int
	// Paths are names of the site's own for what the collector serves.
	Paths Paths
	// Goals are the site's goals in the order of the file: at most MaxGoals, one
	// named purchase for events of that name unless set.
	Goals []Goal
	// Segments are the site's segments in the order of the file: at most MaxSegments, none unless set.
	Segments []Segment
	// Partners are those with whom the site exchanges ids of visitors: at most MaxPartners. Ask Partner.
	Partners []Partner
	// Webhooks are the addresses that are sent what happens: at most MaxWebhooks, none unless set.
	Webhooks []Webhook
	// MailProviders are those that deliver the site's mail and tell what becomes of it; none unless set.
	MailProviders MailProviders
}

// AcceptsKey reports whether key is one of the site's write keys. The time it
// takes says nothing about how near the key came.
func (s *Site) AcceptsKey(key string) bool { return acceptsKey(s.WriteKeys, key) }

func acceptsKey(hashes []KeyHash, key string) bool {
	hash, found := HashKey(key), 0
	for i := range hashes {
		found |= subtle.ConstantTimeCompare(hash[:], hashes[i][:])
	}
	return found == 1
}

// KeyHash is the SHA-256 of a write key or an API key. Keys are long and random, so a plain hash
// is enough to keep a leaked file from being of use.
type KeyHash [sha256.Size]byte

// keyHashPrefix names the algorithm, so that another can follow.
const keyHashPrefix = "sha256:"

// HashKey returns the hash of a key.
func HashKey(key string) KeyHash { return sha256.Sum256([]byte(key)) }

// String returns the hash as onepx.yaml has it: "sha256:" and 64 lower-case hex
// digits.
func (h KeyHash) String() string { return keyHashPrefix + hex.EncodeToString(h[:]) }
