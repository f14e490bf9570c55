package siteconfig

import (
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"github.com/onepx/onepx/services/shared/money"
)

// Bounds of conditions, all of them also in the schema but the first two.
const (
	// MaxLeaves is how many tests a condition may consist of: keys other than all, any and not.
	MaxLeaves = 20
	// MaxDepth is how deep conditions may stand in conditions; 1 is one without all, any and not.
	MaxDepth = 5
	// MaxProducts is how many ids a test of the product may list.
	MaxProducts = 1000

	// What is longer, no stored item has.
	maxProductID = 128 // characters
	maxCategory  = 256 // characters
)

// Condition is what an event, with one of its items, must be like; everything that is set must hold, and at least one thing is.
// As JSON it is what stands in onepx.yaml.
type Condition struct {
	// Event, URL and Props are as those of a Goal.
	Event string            `json:"event,omitempty"`
	URL   string            `json:"url,omitempty"`
	Props map[string]string `json:"props,omitempty"`
	// Products are ids of which the item has one.
	Products []string `json:"product,omitempty"`
	// Category is that of the item, exactly.
	Category string `json:"category,omitempty"`
	// Price is of one piece of the item, Value of the event, both in the site's currency: other amounts are in no band.
	Price *Band `json:"price,omitempty"`
	Value *Band `json:"value,omitempty"`
	// All must all hold, of Any at least one, and Not must not.
	All []Condition `json:"all,omitempty"`
	Any []Condition `json:"any,omitempty"`
	Not *Condition  `json:"not,omitempty"`
}

// Band is a range of amounts; both ends are in it, and a missing end is none. There is at least one.
type Band struct {
	Min *Micros `json:"min,omitempty"`
	Max *Micros `json:"max,omitempty"`
}

// Micros is an amount of money in millionths; never negative. As text it is a decimal number, such as 9.9.
type Micros int64

// MarshalText writes the amount without zeros at its end.
func (m Micros) MarshalText() ([]byte, error) { return []byte(money.Text(int64(m))), nil }

// UnmarshalText reads what onepx.yaml may hold.
func (m *Micros) UnmarshalText(text []byte) error {
	micros, ok := readableAmount(string(text))
	if !ok {
		return errNoAmount
	}
	*m = Micros(micros)
	return nil
}

// conditionFields are the keys of a condition.
func conditionFields() []field[Condition] {
	return []field[Condition]{
		{name: "event", read: func(p *problems, path string, node ast.Node, c *Condition) { c.Event = readEventName(p, path, node) }},
		{name: "url", read: func(p *problems, path string, node ast.Node, c *Condition) { c.URL = readURLPattern(p, path, node) }},
		{name: "props", read: func(p *problems, path string, node ast.Node, c *Condition) { c.Props = readProps(p, path, node) }},
		{name: "product", read: readProducts},
		{name: "category", read: readCategory},
		{name: "price", read: func(p *problems, path string, node ast.Node, c *Condition) { c.Price = readBand(p, path, node) }},
		{name: "value", read: func(p *problems, path string, node ast.Node, c *Condition) { c.Value = readBand(p, path, node) }},
		{name: "all", read: func(p *problems, path string, node ast.Node, c *Condition) { c.All = readConditions(p, path, node) }},
		{name: "any", read: func(p *problems, path string, node ast.Node, c *Condition) { c.Any = readConditions(p, path, node) }},
		{name: "not", read: func(p *problems, path string, node ast.Node, c *Condition) {
			c.Not = &Condition{}
			readPart(p, path, node, c.Not)
		}},
	}
}

// readCondition reads a whole condition: what it consists of, its size, and whether it can hold.
func readCondition(p *problems, path string, node ast.Node) Condition {
	before := len(p.found)
	var c Condition
	readPart(p, path, node, &c)
	switch leaves, depth := c.size(); {
	case leaves > MaxLeaves:
		p.add(start(node), path, "has %d tests; at most %d are allowed", leaves, MaxLeaves)
	case depth > MaxDepth:
		p.add(start(node), path, "is nested %d deep; at most %d are allowed", depth, MaxDepth)
	case len(p.found) == before:
		if why := c.impossible(); why != "" {
			p.add(start(node), path, "can never hold: %s", why)
		}
	}
	return c
}

// readPart reads a condition that may stand in another one.
func readPart(p *problems, path string, node ast.Node, c *Condition) {
	fields := conditionFields()
	readMapping(p, path, node, fields, c)
	if mapping, ok := node.(ast.MapNode); ok && !mapping.MapRange().Next() {
		p.add(start(node), path, "has no condition, so that every event would do; the keys are %s", names(fields))
	}
}

func readConditions(p *problems, path string, node ast.Node) []Condition {
	var list []Condition
	readList(p, path, node, func(path string, element ast.Node) {
		list = append(list, Condition{})
		readPart(p, path, element, &list[len(list)-1])
	})
	if sequence, ok := node.(*ast.SequenceNode); ok && len(sequence.Values) == 0 {
		p.add(start(node), path, "is empty; write at least one condition")
	}
	return list
}

// size counts the tests of a condition and how deep it is nested.
func (c *Condition) size() (leaves, depth int) {
	for _, set := range []bool{c.Event != "", c.URL != "", c.Props != nil, c.Products != nil, c.Category != "", c.Price != nil, c.Value != nil} {
		if set {
			leaves++
		}
	}
	for _, part := range c.parts() {
		more, deep := part.size()
		leaves, depth = leaves+more, max(depth, deep)
	}
	return leaves, depth + 1
}

// parts are the conditions within this one.
func (c *Condition) parts() []*Condition {
	var parts []*Condition
	for i := range c.All {
		parts = append(parts, &c.All[i])
	}
	for i := range c.Any {
		parts = append(parts, &c.Any[i])
	}
	if c.Not != nil {
		parts = append(parts, c.Not)
	}
	return parts
}

func readProducts(p *problems, path string, node ast.Node, c *Condition) {
	firstWith := map[string]string{} // id to its path
	readList(p, path, node, func(path string, element ast.Node) {
		id := readShortText(p, path, element, "the id of a product", maxProductID)
		if first, taken := firstWith[id]; taken && id != "" {
			p.add(start(element), path, "%s stands in %s already", quoted(id), first)
		}
		firstWith[id] = path
		c.Products = append(c.Products, id)
	})
	if list, ok := node.(*ast.SequenceNode); ok && (len(list.Values) == 0 || len(list.Values) > MaxProducts) {
		p.add(start(node), path, "has %d ids; write 1 to %d", len(list.Values), MaxProducts)
	}
}

func readCategory(p *problems, path string, node ast.Node, c *Condition) {
	c.Category = readShortText(p, path, node, "a category", maxCategory)
}

// readShortText returns a text of 1 to so many characters, or "" after adding a problem: that it is not `what`.
func readShortText(p *problems, path string, node ast.Node, what string, most int) string {
	text, ok := readText(p, path, node)
	if !ok {
		return ""
	}
	if text == "" || utf8.RuneCountInString(text) > most {
		p.add(start(node), path, "%s is not %s; write 1 to %d characters", quoted(text), what, most)
		return ""
	}
	return text
}

// bandFields are the keys of a band.
var bandFields = []field[Band]{
	{name: "min", read: func(p *problems, path string, node ast.Node, b *Band) { b.Min = readMicros(p, path, node) }},
	{name: "max", read: func(p *problems, path string, node ast.Node, b *Band) { b.Max = readMicros(p, path, node) }},
}

// readBand never returns nil: what is wrong has been added.
func readBand(p *problems, path string, node ast.Node) *Band {
	band := &Band{}
	readMapping(p, path, node, bandFields, band)
	if mapping, ok := node.(ast.MapNode); ok && !mapping.MapRange().Next() {
		p.add(start(node), path, "has no bound; write min, max or both")
	}
	if band.Min != nil && band.Max != nil && *band.Min > *band.Max {
		p.add(placeOf(node, "min"), path+".min", "%s is above max, which is %s", money.Text(int64(*band.Min)), money.Text(int64(*band.Max)))
	}
	return band
}

func readMicros(p *problems, path string, node ast.Node) *Micros {
	text, ok := readText(p, path, node)
	if !ok {
		return nil
	}
	micros, ok := readableAmount(text)
	if !ok {
		p.add(start(node), path, "%s is not an amount; write one such as \"9.90\": %s", quoted(text), amountForm)
		return nil
	}
	amount := Micros(micros)
	return &amount
}
