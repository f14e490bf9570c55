package siteconfig

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// demands are what must hold together for a condition to hold.
type demands struct {
	events, categories []string
	products           [][]string
	prices, values     []*Band
	props              map[string]string
	conflict           string // that two demands on a property contradict each other
	// all are the conditions that are demanded, by their JSON; a test of one key is one.
	all  map[string]bool
	nots []*Condition
	anys [][]Condition
}

// impossible says why no event can fulfil the condition; empty if one may. It finds contradictions between tests that must hold
// at once, not those in patterns.
func (c *Condition) impossible() string {
	var d demands
	d.add(c)
	return d.contradiction()
}

// add takes in all that the condition demands.
func (d *demands) add(c *Condition) {
	if d.all == nil {
		d.all, d.props = map[string]bool{}, map[string]string{}
	}
	d.all[textOfCondition(c)] = true
	for _, leaf := range c.leaves() {
		d.all[textOfCondition(&leaf)] = true
	}
	if c.Event != "" {
		d.events = append(d.events, c.Event)
	}
	if c.Category != "" {
		d.categories = append(d.categories, c.Category)
	}
	if c.Products != nil {
		d.products = append(d.products, c.Products)
	}
	if c.Price != nil {
		d.prices = append(d.prices, c.Price)
	}
	if c.Value != nil {
		d.values = append(d.values, c.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Props)) {
		if other, taken := d.props[name]; taken && other != c.Props[name] {
			d.conflict = fmt.Sprintf("the property %s would have to be %s and %s", quoted(name), quoted(other), quoted(c.Props[name]))
		}
		d.props[name] = c.Props[name]
	}
	for i := range c.All {
		d.add(&c.All[i])
	}
	if c.Any != nil {
		d.anys = append(d.anys, c.Any)
	}
	if c.Not != nil {
		d.nots = append(d.nots, c.Not)
	}
}

// contradiction names the first one among the demands.
func (d *demands) contradiction() string {
	if why := cmp.Or(differing("event", d.events), differing("category", d.categories), d.conflict, disjoint("price", d.prices), disjoint("value", d.values)); why != "" {
		return why
	}
	if len(d.products) > 0 && !slices.ContainsFunc(d.products[0], func(id string) bool {
		return !slices.ContainsFunc(d.products, func(list []string) bool { return !slices.Contains(list, id) })
	}) {
		return "product would have to be of lists that have nothing in common"
	}
	for _, not := range d.nots {
		if d.implies(not) {
			return "it demands what it excludes by not"
		}
	}
	return d.noBranch()
}

// noBranch looks for an `any` of which no branch can hold together with the other demands.
func (d *demands) noBranch() string {
	for i, branches := range d.anys {
		why := ""
		for k := range branches {
			with := d.clone(i)
			with.add(&branches[k])
			if why = with.contradiction(); why == "" {
				break
			}
		}
		if why != "" {
			return "no branch of any can hold; of the last one, " + why
		}
	}
	return ""
}

// clone is a copy without the `any` of that number and those before it, which have been looked at.
func (d *demands) clone(number int) *demands {
	c := *d
	c.events, c.categories, c.products = slices.Clone(d.events), slices.Clone(d.categories), slices.Clone(d.products)
	c.prices, c.values, c.nots = slices.Clone(d.prices), slices.Clone(d.values), slices.Clone(d.nots)
	c.props, c.all = maps.Clone(d.props), maps.Clone(d.all)
	c.anys = slices.Clone(d.anys[number+1:])
	return &c
}

// implies tells whether the demands contain all of the condition.
func (d *demands) implies(c *Condition) bool {
	if d.all[textOfCondition(c)] {
		return true
	}
	for _, leaf := range c.leaves() {
		if !d.all[textOfCondition(&leaf)] {
			return false
		}
	}
	for i := range c.All {
		if !d.implies(&c.All[i]) {
			return false
		}
	}
	return c.Any == nil || slices.ContainsFunc(c.Any, func(branch Condition) bool { return d.implies(&branch) })
}

// leaves are the condition's own tests and its not, each as a condition.
func (c *Condition) leaves() []Condition {
	var leaves []Condition
	for _, leaf := range []Condition{
		{Event: c.Event}, {URL: c.URL}, {Products: c.Products}, {Category: c.Category}, {Price: c.Price}, {Value: c.Value},
	} {
		if n, _ := leaf.size(); n > 0 {
			leaves = append(leaves, leaf)
		}
	}
	for name, value := range c.Props {
		leaves = append(leaves, Condition{Props: map[string]string{name: value}})
	}
	if c.Not != nil {
		leaves = append(leaves, Condition{Not: c.Not})
	}
	return leaves
}

// differing says that the words, which must all be the same, are not.
func differing(what string, words []string) string {
	for _, word := range words {
		if word != words[0] {
			return fmt.Sprintf("%s would have to be %s and %s", what, quoted(words[0]), quoted(word))
		}
	}
	return ""
}

// disjoint says that no amount is in all of the bands.
func disjoint(what string, bands []*Band) string {
	var low, high *Micros
	for _, b := range bands {
		if b.Min != nil && (low == nil || *b.Min > *low) {
			low = b.Min
		}
		if b.Max != nil && (high == nil || *b.Max < *high) {
			high = b.Max
		}
	}
	if low == nil || high == nil || *low <= *high {
		return ""
	}
	return what + " would have to be in bands that have nothing in common"
}

func textOfCondition(c *Condition) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // texts, numbers, lists and maps of them always marshal
	}
	return string(text)
}
