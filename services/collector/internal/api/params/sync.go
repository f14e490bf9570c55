package params

import (
	"slices"
	"strings"

	"github.com/onepx/onepx/services/collector/internal/hygiene"
)

// maxPartnerUID is how long a partner's id of a visitor may be, in bytes.
const maxPartnerUID = 512

// IsPartnerUID tells whether the text can be a partner's id of a visitor: visible ASCII that is no macro, and says nothing about
// the person. An id of many digits may look like a card's number.
func IsPartnerUID(text string) bool {
	_, found := hygiene.Mask(text)
	visible := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
	return text != "" && len(text) <= maxPartnerUID && visible && found&^hygiene.Card == 0 && !isPlaceholder(text) && !strings.ContainsAny(text[:1], "$#{")
}

// IsBlank tells whether the raw query gives the parameter without a value, which ParseQuery takes for not given.
func IsBlank(raw, name string) bool {
	var q Query
	for pair := range strings.SplitSeq(raw, "&") {
		own, value, _ := strings.Cut(pair, "=")
		if value == "" && q.decode(strings.TrimPrefix(own, "amp;")) == name {
			return true
		}
	}
	return false
}

// Signals is the query without the parameters that say nothing of what the visitor wishes.
func (q *Query) Signals() Query {
	signals := *q
	signals.Pairs = slices.DeleteFunc(slices.Clone(q.Pairs), func(p Pair) bool { return !isSignal(p.Name) })
	return signals
}
