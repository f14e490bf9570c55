package segments

import (
	"slices"

	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/urlpattern"
)

// condition is a siteconfig.Condition as it is checked fastest.
type condition struct {
	event string
	// pattern is its place among the patterns of the Matcher, -1 for none.
	pattern  int
	props    []property
	products map[string]bool
	category string
	currency string
	price    *siteconfig.Band
	value    *siteconfig.Band
	all, any []*condition
	not      *condition
	// ofItem tells that it may hold for one item of an event and not for another.
	ofItem bool
}

type property struct{ name, value string }

// compile compiles a condition whose bands are in the currency.
func (m *Matcher) compile(from *siteconfig.Condition, currency string, indexes map[string]int) (*condition, error) {
	c := &condition{event: from.Event, pattern: -1, category: from.Category, currency: currency, price: from.Price, value: from.Value}
	for name, value := range from.Props {
		c.props = append(c.props, property{name, value})
	}
	if len(from.Products) > 0 {
		c.products = make(map[string]bool, len(from.Products))
		for _, id := range from.Products {
			c.products[id] = true
		}
	}
	c.ofItem = c.products != nil || c.category != "" || c.price != nil
	if from.URL != "" {
		var err error
		if c.pattern, err = m.pattern(from.URL, indexes); err != nil {
			return nil, err
		}
	}
	part := func(from *siteconfig.Condition) (*condition, error) {
		compiled, err := m.compile(from, currency, indexes)
		if err == nil {
			c.ofItem = c.ofItem || compiled.ofItem
		}
		return compiled, err
	}
	for i := range from.All {
		compiled, err := part(&from.All[i])
		if err != nil {
			return nil, err
		}
		c.all = append(c.all, compiled)
	}
	for i := range from.Any {
		compiled, err := part(&from.Any[i])
		if err != nil {
			return nil, err
		}
		c.any = append(c.any, compiled)
	}
	if from.Not == nil {
		return c, nil
	}
	var err error
	c.not, err = part(from.Not)
	return c, err
}

// pattern returns the place of a pattern among those of the Matcher.
func (m *Matcher) pattern(text string, indexes map[string]int) (int, error) {
	if place, known := indexes[text]; known {
		return place, nil
	}
	compiled, err := urlpattern.Compile(text)
	if err != nil {
		return 0, err
	}
	indexes[text] = len(m.patterns)
	m.patterns = append(m.patterns, compiled)
	return indexes[text], nil
}

// names are the names of the events that can fulfil the condition; few is false if any name can.
func (c *condition) names() (names []string, few bool) {
	if c.event != "" {
		names, few = []string{c.event}, true
	}
	demand := func(more []string) {
		if few {
			more = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(more, name) })
		}
		names, few = more, true
	}
	for _, part := range c.all {
		if more, limited := part.names(); limited {
			demand(more)
		}
	}
	var branches []string
	for _, part := range c.any {
		more, limited := part.names()
		if !limited {
			return names, few
		}
		branches = append(branches, more...)
	}
	if len(c.any) > 0 {
		demand(branches)
	}
	return names, few
}

// holds judges an event with one of its items; the costly tests come last.
func (c *condition) holds(s *sight) bool {
	return (c.event == "" || s.event.GetName() == c.event) &&
		(c.value == nil || c.holdsValue(s)) &&
		(!c.ofItem || c.holdsItem(s)) &&
		c.holdsProps(s) &&
		(c.pattern < 0 || s.hasPattern(c.pattern)) &&
		c.holdsParts(s)
}

func (c *condition) holdsValue(s *sight) bool {
	commerce := s.event.GetCommerce()
	return commerce != nil && commerce.ValueMicros != nil && s.currency == c.currency && within(c.value, *commerce.ValueMicros)
}

// holdsItem judges the condition's own tests of the item, of which there may be none.
func (c *condition) holdsItem(s *sight) bool {
	if c.products == nil && c.category == "" && c.price == nil {
		return true
	}
	return s.item != nil &&
		(c.category == "" || s.item.GetCategory() == c.category) &&
		(c.products == nil || c.products[s.item.GetId()]) &&
		(c.price == nil || s.item.PriceMicros != nil && s.currency == c.currency && within(c.price, s.item.GetPriceMicros()))
}

func (c *condition) holdsProps(s *sight) bool {
	for _, want := range c.props {
		if value, found := s.event.GetProps()[want.name]; !found || value != want.value {
			return false
		}
	}
	return true
}

func (c *condition) holdsParts(s *sight) bool {
	for _, part := range c.all {
		if !part.holds(s) {
			return false
		}
	}
	if c.not != nil && c.not.holds(s) {
		return false
	}
	for _, part := range c.any {
		if part.holds(s) {
			return true
		}
	}
	return len(c.any) == 0
}

func within(b *siteconfig.Band, micros int64) bool {
	return (b.Min == nil || micros >= int64(*b.Min)) && (b.Max == nil || micros <= int64(*b.Max))
}
