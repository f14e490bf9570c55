package segments

import (
	"fmt"
	"slices"
	"sync"

	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/urlpattern"
)

// Hit is a condition of a segment that an event fulfils, with one of its products.
type Hit struct {
	// Segment and Version are those of the Definition.
	Segment, Version string
	Step             Step
	// Product is the id of the item; empty for an event without items.
	Product string
	// Nth numbers the event's hits of the step from 0, one for each product, in the order of the items.
	Nth uint16
	// ItemMicros is price times quantity of the item, in millionths of the site's currency; nil if it is not known in that.
	ItemMicros *int64
}

// TakesPart tells whether an event can be a hit at all: a person's, with an id, who allows profiling.
func TakesPart(event *onepxv1.Event, isBot bool) bool {
	visitor := event.GetVisitor()
	switch visitor.GetKind() {
	case onepxv1.VisitorKind_VISITOR_KIND_COOKIE, onepxv1.VisitorKind_VISITOR_KIND_MINTED, onepxv1.VisitorKind_VISITOR_KIND_PROVIDED:
		id, err := uuid.FromBytes(visitor.GetVisitorId())
		return !isBot && event.GetConsent().GetProfile() && err == nil && id != uuid.Nil
	default:
		return false
	}
}

// Matcher holds the segments of a site, compiled. It may be used from many goroutines at once.
type Matcher struct {
	// ofEvent are, by the name of an event, the rules that this name can fulfil. A name that no rule asks for has no entry.
	ofEvent map[string][]*rule
	// ofAny are the rules that other names can fulfil.
	ofAny []*rule
	// patterns are those of all rules, each once.
	patterns []*urlpattern.Pattern
	// verdicts keeps what the patterns say of one URL, for reuse.
	verdicts sync.Pool
}

// rule is one step of one segment.
type rule struct {
	segment, version string
	step             Step
	when             *condition
}

// Compile returns the matcher of definitions; its hits are in their order. The error names the one whose pattern is none.
func Compile(definitions []Definition) (*Matcher, error) {
	m := &Matcher{ofEvent: map[string][]*rule{}}
	indexes := map[string]int{} // pattern to its place in m.patterns
	var rules []*rule
	for _, d := range definitions {
		for _, s := range d.steps() {
			when, err := m.compile(s.condition, d.Currency, indexes)
			if err != nil {
				return nil, fmt.Errorf("segment %q: %s: %w", d.ID, s.step, err)
			}
			rules = append(rules, &rule{segment: d.ID, version: d.Version, step: s.step, when: when})
			names, _ := when.names()
			for _, name := range names {
				m.ofEvent[name] = nil
			}
		}
	}
	for _, r := range rules {
		names, few := r.when.names()
		if !few {
			m.ofAny = append(m.ofAny, r)
		}
		for name := range m.ofEvent {
			if !few || slices.Contains(names, name) {
				m.ofEvent[name] = append(m.ofEvent[name], r)
			}
		}
	}
	m.verdicts.New = func() any { return new(make([]verdict, len(m.patterns))) }
	return m, nil
}

// verdict is whether a URL has a pattern, once that is known.
type verdict uint8

const (
	unknown verdict = iota
	found
	missing
)

// sight is what is judged: an event with one of its items.
type sight struct {
	event *onepxv1.Event
	// item is nil for an event without items.
	item *onepxv1.Item
	// currency is that of the event's amounts.
	currency string
	patterns []*urlpattern.Pattern
	verdicts []verdict
}

// hasPattern tells whether the page's URL has the pattern of that number.
func (s *sight) hasPattern(number int) bool {
	if s.verdicts[number] == unknown {
		s.verdicts[number] = missing
		if s.patterns[number].Match(s.event.GetPage().GetUrl()) {
			s.verdicts[number] = found
		}
	}
	return s.verdicts[number] == found
}

// Hits returns what the event fulfils; nil if that is nothing. currency is that of the event's amounts, siteCurrency the site's.
func (m *Matcher) Hits(event *onepxv1.Event, currency, siteCurrency string) []Hit {
	candidates, named := m.ofEvent[event.GetName()]
	if !named {
		candidates = m.ofAny
	}
	if len(candidates) == 0 {
		return nil
	}
	verdicts := m.verdicts.Get().(*[]verdict) //nolint:errcheck // New makes nothing else
	defer m.verdicts.Put(verdicts)
	clear(*verdicts)
	s := sight{event: event, currency: currency, patterns: m.patterns, verdicts: *verdicts}
	var hits []Hit
	for _, r := range candidates {
		hits = r.appendHits(hits, &s, currency == siteCurrency)
	}
	return hits
}

// appendHits adds a hit for each product for which the rule's condition holds.
func (r *rule) appendHits(hits []Hit, s *sight, known bool) []Hit {
	items := s.event.GetCommerce().GetItems()
	s.item = nil
	if len(items) == 0 || !r.when.ofItem {
		if !r.when.holds(s) {
			return hits
		}
		if len(items) == 0 {
			return append(hits, Hit{Segment: r.segment, Version: r.version, Step: r.step})
		}
	}
	first := len(hits)
	for _, item := range items {
		if s.item = item; r.when.ofItem && !r.when.holds(s) {
			continue
		}
		if slices.ContainsFunc(hits[first:], func(h Hit) bool { return h.Product == item.GetId() }) {
			continue
		}
		hit := Hit{Segment: r.segment, Version: r.version, Step: r.step, Product: item.GetId(), Nth: uint16(len(hits) - first)} //nolint:gosec // an event has at most 100 items
		if known {
			hit.ItemMicros = itemMicros(item)
		}
		hits = append(hits, hit)
	}
	return hits
}
