package enrich

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"golang.org/x/net/publicsuffix"

	"github.com/onepx/onepx/services/shared/segments"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Enrichment is the version of this package's code. It is raised with every change that can give an event other facts
// than before, unless the change is in what Rules.Lists has; testdata/facts.golden tells when that is.
const Enrichment = "4"

// Rules is everything that facts depend on besides the events.
type Rules struct {
	// Enrichment is the version of the code.
	Enrichment string `json:"enrichment"`
	// Lists are the SHA-256, in hex, of what the code looks things up in, by the name of the list.
	Lists map[string]string `json:"lists"`
	// Sites are the sites by id.
	Sites map[string]SiteRules `json:"sites"`
}

// SiteRules is what holds for one site; see siteconfig.Site.
type SiteRules struct {
	// Timezone is an IANA name.
	Timezone string `json:"timezone"`
	// Currency is an ISO 4217 code.
	Currency string `json:"currency"`
	// RetentionDays is at least 1.
	RetentionDays uint16 `json:"retention_days"`
	// Goals are in the order of the configuration.
	Goals []GoalRules `json:"goals,omitempty"`
	// Segments are in the order of the configuration; a segment may have two versions.
	Segments []segments.Definition `json:"segments,omitempty"`
}

// GoalRules is a goal of a site; see siteconfig.Goal, whose fields these are.
type GoalRules struct {
	ID              string            `json:"id"`
	Event           string            `json:"event,omitempty"`
	URL             string            `json:"url,omitempty"`
	Props           map[string]string `json:"props,omitempty"`
	OncePer         string            `json:"once_per"`
	Value           string            `json:"value"`
	ValueMicros     int64             `json:"value_micros,omitempty"`
	Currency        string            `json:"currency,omitempty"`
	ClickWindowDays uint8             `json:"click_window_days"`
	ViewWindowDays  uint8             `json:"view_window_days"`
}

// NewRules returns the rules of this binary for the configured sites.
func NewRules(config *siteconfig.Config) Rules {
	rules := Rules{Enrichment: Enrichment, Sites: make(map[string]SiteRules, len(config.Sites))}
	sites := make(map[string]site, len(config.Sites))
	for _, s := range config.Sites {
		rules.Sites[s.ID] = SiteRules{
			Timezone:      s.Timezone.String(),
			Currency:      s.Currency,
			RetentionDays: uint16(s.RetentionDays), //nolint:gosec // siteconfig bounds it
			Goals:         goalRules(s.Goals),
			Segments:      segmentRules(s),
		}
		sites[s.ID] = site{zone: s.Timezone}
	}
	rules.Lists = lists(sites)
	return rules
}

func segmentRules(s siteconfig.Site) []segments.Definition {
	var rules []segments.Definition
	for _, segment := range s.Segments {
		rules = append(rules, segments.NewDefinition(segment, s.Currency))
	}
	return rules
}

// AddSegments has events of the site judged by more definitions, after those of the configuration.
func (r *Rules) AddSegments(siteID string, more ...segments.Definition) {
	site := r.Sites[siteID]
	site.Segments = append(site.Segments, more...)
	r.Sites[siteID] = site
}

func goalRules(configured []siteconfig.Goal) []GoalRules {
	var rules []GoalRules
	for _, g := range configured {
		rules = append(rules, GoalRules{
			ID: g.ID, Event: g.Event, URL: g.URL, Props: g.Props,
			OncePer: string(g.OncePer), Value: string(g.Value), ValueMicros: g.ValueMicros, Currency: g.Currency,
			ClickWindowDays: uint8(g.ClickWindowDays), ViewWindowDays: uint8(g.ViewWindowDays), //nolint:gosec // siteconfig bounds them
		})
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
		return Rules{}, fmt.Errorf("%w: the text has other fields", ErrOtherEnrichment)
	}
	return rules, nil
}

// Text is the canonical form: JSON without spaces, fields in a fixed order, names sorted.
func (r Rules) Text() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts, numbers and maps of them always marshal
	}
	return string(text)
}

// Hash is the first 16 hex digits of the SHA-256 of Text.
func (r Rules) Hash() string { return hashOf(r.Text())[:16] }

// GoalsHash is of all that the goal hits of the sites depend on besides the events; 16 hex digits.
func (r Rules) GoalsHash(siteIDs []string) string {
	type goalsOfSite struct {
		Currency string      `json:"currency"`
		Goals    []GoalRules `json:"goals"`
	}
	all := map[string]goalsOfSite{}
	for _, id := range siteIDs {
		all[id] = goalsOfSite{r.Sites[id].Currency, r.Sites[id].Goals}
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // texts, numbers and maps of them always marshal
	}
	return hashOf(string(text))[:16]
}

// GoalEvents are the names of the events that can be hits of the site's goals, sorted; anyName tells that every name can.
func (r Rules) GoalEvents(siteID string) (names []string, anyName bool) {
	for _, goal := range r.Sites[siteID].Goals {
		if goal.Event == "" {
			return nil, true
		}
		names = append(names, goal.Event)
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// lists are the hashes for Rules.Lists. Two libraries bring lists of their own, which stand there by their versions.
func lists(sites map[string]site) map[string]string {
	hashes := map[string]string{
		"crawlers":        hashOf(crawlerList),
		"public_suffixes": hashOf(publicsuffix.List.String()),
		"time_zones":      hashZones(sites),
		"user_agents":     hashOf(agentVersion),
	}
	for _, name := range append([]string{"clicks"}, categories...) {
		hashes[name] = hashOf(readList(name))
	}
	return hashes
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
