package enrich

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Enrichment is the version of this package's code. It is raised with every change that can give an event other facts
// than before; testdata/facts.golden tells when that is.
const Enrichment = "1"

// ErrOtherEnrichment means that this binary can't make the declared rules: another version of the code or of a list made
// them.
var ErrOtherEnrichment = errors.New("this binary can't make the declared rules")

// Rules is everything that rows depend on besides the records.
type Rules struct {
	// Enrichment is the version of the code.
	Enrichment string `json:"enrichment"`
	// Lists are the SHA-256 of what the code looks things up in, in hex, by name.
	Lists map[string]string `json:"lists"`
	// Sites are the sites by id.
	Sites map[string]SiteRules `json:"sites"`
}

// SiteRules is what holds for one site.
type SiteRules struct {
	// Timezone is an IANA name.
	Timezone string `json:"timezone"`
	// Currency is an ISO 4217 code.
	Currency string `json:"currency"`
	// RetentionDays is at least 1.
	RetentionDays uint16 `json:"retention_days"`
}

// NewRules returns the rules of this binary for the configured sites.
func NewRules(sites *siteconfig.Config) Rules {
	rules := Rules{Enrichment: Enrichment, Sites: make(map[string]SiteRules, len(sites.Sites))}
	for _, site := range sites.Sites {
		rules.Sites[site.ID] = SiteRules{
			Timezone:      site.Timezone.String(),
			Currency:      site.Currency,
			RetentionDays: uint16(site.RetentionDays),
		}
	}
	return rules
}

// ParseRules reads what Text wrote. The error is ErrOtherEnrichment when the text is not exactly what this binary would
// write for the rules it reads from it, as when another version has put more into it.
func ParseRules(text string) (Rules, error) {
	var rules Rules
	if err := json.Unmarshal([]byte(text), &rules); err != nil {
		return Rules{}, fmt.Errorf("%w: %w", ErrOtherEnrichment, err)
	}
	if rules.Text() != text {
		return Rules{}, fmt.Errorf("%w: the text holds other fields", ErrOtherEnrichment)
	}
	return rules, nil
}

// Text is the canonical form: JSON without spaces, fields in a fixed order, names sorted.
func (r Rules) Text() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings, numbers and maps of them always marshal
	}
	return string(text)
}

// Hash is the first 16 hex digits of the SHA-256 of Text.
func (r Rules) Hash() string {
	sum := sha256.Sum256([]byte(r.Text()))
	return hex.EncodeToString(sum[:8])
}
