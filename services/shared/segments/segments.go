// Package segments judges which conditions of a site's segments an event fulfils: in Go as events arrive, and as SQL over rows of
// the table events that are there. Both say the same of every event; docs/audiences.md has the rules.
//
// It knows nothing of visitors and keeps no state: who is in a segment is decided by the hits together, when somebody asks.
package segments

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Step says which condition of a segment a hit fulfils.
type Step string

// The steps, in the order in which the hits of a segment stand.
const (
	StepLeave Step = "leave"
	StepEnter Step = "enter"
	StepThen  Step = "then"
)

// Definition is everything that the hits of a segment depend on besides the events.
type Definition struct {
	// ID is the segment's.
	ID string `json:"id"`
	// Version is that of NewDefinition; the hits of two versions are told apart by it.
	Version string `json:"version"`
	// Currency is the ISO 4217 code of the site: that of all bands.
	Currency string `json:"currency"`
	// Enter, Leave and Then are those of siteconfig.Segment.
	Enter siteconfig.Condition  `json:"enter"`
	Leave *siteconfig.Condition `json:"leave,omitempty"`
	Then  *siteconfig.Condition `json:"then,omitempty"`
}

// NewDefinition returns the definition of a segment of a site with this currency. Its version is the first 12 hex digits of the
// SHA-256 of all the rest but the id.
func NewDefinition(s siteconfig.Segment, currency string) Definition {
	d := Definition{Currency: currency, Enter: s.Enter, Leave: s.Leave, Then: s.Then}
	text, err := json.Marshal(d)
	if err != nil {
		panic(err) // texts, numbers, lists and maps of them always marshal
	}
	sum := sha256.Sum256(text)
	d.ID, d.Version = s.ID, hex.EncodeToString(sum[:])[:12]
	return d
}

// stepCondition is a condition with the step it is for.
type stepCondition struct {
	step      Step
	condition *siteconfig.Condition
}

// steps are the conditions that the segment has, in the order of the steps.
func (d *Definition) steps() []stepCondition {
	var steps []stepCondition
	for _, s := range []stepCondition{{StepLeave, d.Leave}, {StepEnter, &d.Enter}, {StepThen, d.Then}} {
		if s.condition != nil {
			steps = append(steps, s)
		}
	}
	return steps
}

// RuleText is the whole rule of a segment of a site with this currency, as JSON: what stands in onepx.yaml, and the currency.
func RuleText(s siteconfig.Segment, currency string) string {
	text, err := json.Marshal(struct {
		siteconfig.Segment
		Currency string `json:"currency"`
	}{s, currency})
	if err != nil {
		panic(err) // texts, numbers, lists and maps of them always marshal
	}
	return string(text)
}

// ParseRule returns the definition in a text of RuleText that was stored under the version.
func ParseRule(text, version string) (Definition, error) {
	var d Definition
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return Definition{}, fmt.Errorf("stored rule: %w", err)
	}
	d.Version = version
	return d, nil
}
