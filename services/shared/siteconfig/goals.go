package siteconfig

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/onepx/onepx/services/shared/money"
)

// Bounds and defaults of goals, all of them also in the schema.
const (
	// MaxGoals is how many goals a site may have.
	MaxGoals = 100
	// MaxGoalProps is how many properties a goal may ask for.
	MaxGoalProps = 10
	// MinWindowDays and MaxWindowDays bound Goal.ClickWindowDays and Goal.ViewWindowDays.
	MinWindowDays = 1
	MaxWindowDays = 90
	// DefaultClickWindowDays and DefaultViewWindowDays are the windows unless set.
	DefaultClickWindowDays = 30
	DefaultViewWindowDays  = 1

	maxGoalURL = 1024 // bytes of a pattern
	// What is longer, no stored event has.
	maxGoalEvent     = 64   // characters
	maxGoalPropName  = 64   // characters
	maxGoalPropValue = 1024 // bytes
)

// OncePer says of which hits of a goal the first counts; docs/questions.md has the rules.
type OncePer string

const (
	// OncePerOrder counts an order once, for ever. It is the default.
	OncePerOrder OncePer = "order"
	// OncePerEvent counts an event id once in 48 hours.
	OncePerEvent OncePer = "event"
	// OncePerSession counts once in a session.
	OncePerSession OncePer = "session"
	// OncePerHit counts every hit.
	OncePerHit OncePer = "hit"
)

// ValueSource says where the value of a conversion comes from.
type ValueSource string

const (
	// ValueEvent is the value of the event. It is the default.
	ValueEvent ValueSource = "event"
	// ValueFixed is Goal.ValueMicros.
	ValueFixed ValueSource = "fixed"
	// ValueNone is no value.
	ValueNone ValueSource = "none"
)

// Goal is something that a site wants its visitors to do. An event that fulfils all of its conditions is a hit of it; it
// has at least one.
type Goal struct {
	// ID is the goal's name in reports: like Site.ID, unique in the site. Required.
	ID string
	// Event is the exact name of the event; empty for any.
	Event string
	// URL is an RE2 pattern that is found somewhere in the stored URL of the page; empty for any, or none.
	URL string
	// Props are properties by name, with their exact values; each must be there.
	Props map[string]string
	// OncePer is OncePerOrder unless set.
	OncePer OncePer
	// Value is ValueEvent unless set.
	Value ValueSource
	// ValueMicros is the value in millionths if Value is ValueFixed, else 0; never negative.
	ValueMicros int64
	// Currency is the ISO 4217 code of ValueMicros, the site's unless set; empty if Value is not ValueFixed.
	Currency string
	// ClickWindowDays and ViewWindowDays are for how many days a click and a view may be credited with the conversion:
	// MinWindowDays to MaxWindowDays, the second not above the first.
	ClickWindowDays, ViewWindowDays int
}

// newGoal has everything that is not required.
func newGoal() Goal {
	return Goal{OncePer: OncePerOrder, Value: ValueEvent, ClickWindowDays: DefaultClickWindowDays, ViewWindowDays: DefaultViewWindowDays}
}

// defaultGoals are the goals of a site that says nothing about them.
func defaultGoals() []Goal {
	purchase := newGoal()
	purchase.ID, purchase.Event = "purchase", "purchase"
	return []Goal{purchase}
}

// goalFields are the keys of a goal.
var goalFields = []field[Goal]{
	{name: "id", required: true, read: func(p *problems, path string, node ast.Node, g *Goal) { g.ID = readIDText(p, path, node) }},
	{name: "event", read: func(p *problems, path string, node ast.Node, g *Goal) { g.Event = readEventName(p, path, node) }},
	{name: "url", read: func(p *problems, path string, node ast.Node, g *Goal) { g.URL = readURLPattern(p, path, node) }},
	{name: "props", read: func(p *problems, path string, node ast.Node, g *Goal) { g.Props = readProps(p, path, node) }},
	{name: "once_per", read: readOncePer},
	{name: "value", read: readGoalValue},
	{name: "currency", read: func(p *problems, path string, node ast.Node, g *Goal) {
		g.Currency = readCurrencyText(p, path, node)
	}},
	{name: "click_window_days", read: windowReader(func(g *Goal) *int { return &g.ClickWindowDays })},
	{name: "view_window_days", read: windowReader(func(g *Goal) *int { return &g.ViewWindowDays })},
}

func readGoals(p *problems, path string, node ast.Node, s *Site) {
	s.Goals = nil
	firstWith := map[string]string{} // id to the path of its goal
	readList(p, path, node, func(path string, element ast.Node) {
		goal := newGoal()
		readMapping(p, path, element, goalFields, &goal)
		checkGoal(p, path, element, goal)
		s.Goals = append(s.Goals, goal)
		if goal.ID == "" {
			return
		}
		if first, taken := firstWith[goal.ID]; taken {
			p.add(placeOf(element, "id"), path+".id", "%s is the id of %s already", quoted(goal.ID), first)
			return
		}
		firstWith[goal.ID] = path
	})
	if len(s.Goals) > MaxGoals {
		p.add(start(node), path, "has %d goals; at most %d are allowed", len(s.Goals), MaxGoals)
	}
}

// checkGoal adds the problems that lie in what the keys of a goal mean together.
func checkGoal(p *problems, path string, node ast.Node, goal Goal) {
	if _, ok := node.(ast.MapNode); !ok {
		return // said already
	}
	if valueOf(node, "event") == nil && valueOf(node, "url") == nil && valueOf(node, "props") == nil {
		p.add(start(node), path, "has no condition, so that every event would be a hit; write event, url or props")
	}
	if valueOf(node, "currency") != nil && goal.Value != ValueFixed {
		p.add(placeOf(node, "currency"), path+".currency", "belongs to a fixed value; write one such as value: \"9.90\", or remove it")
	}
	if goal.ViewWindowDays > goal.ClickWindowDays {
		p.add(placeOf(node, "view_window_days"), path+".view_window_days", "%d is above click_window_days, which is %d", goal.ViewWindowDays, goal.ClickWindowDays)
	}
}

// setGoalCurrencies gives fixed values without a currency that of the site.
func setGoalCurrencies(s *Site) {
	for i := range s.Goals {
		if goal := &s.Goals[i]; goal.Value == ValueFixed && goal.Currency == "" {
			goal.Currency = s.Currency
		}
	}
}

// readEventName returns the name of an event, or "" after adding a problem.
func readEventName(p *problems, path string, node ast.Node) string {
	name, ok := readText(p, path, node)
	if !ok {
		return ""
	}
	if name == "" || utf8.RuneCountInString(name) > maxGoalEvent {
		p.add(start(node), path, "%s is not the name of an event; write 1 to %d characters, such as purchase", quoted(name), maxGoalEvent)
		return ""
	}
	return name
}

// readURLPattern returns a pattern that compiles, or "" after adding a problem.
func readURLPattern(p *problems, path string, node ast.Node) string {
	pattern, ok := readText(p, path, node)
	if !ok {
		return ""
	}
	if pattern == "" || len(pattern) > maxGoalURL {
		p.add(start(node), path, "%s is not a pattern; write a regular expression (RE2) of 1 to %d bytes, such as '^https://shop\\.example/thanks'", quoted(pattern), maxGoalURL)
		return ""
	}
	_, err := regexp.Compile(pattern)
	if e := (*syntax.Error)(nil); errors.As(err, &e) {
		p.add(start(node), path, "%s is not a regular expression (RE2): %s in %s", quoted(pattern), e.Code, quoted(e.Expr))
		return ""
	}
	return pattern
}

// readProps returns properties by name; what is wrong with them has been added.
func readProps(p *problems, path string, node ast.Node) map[string]string {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		p.add(start(node), path, "is not a mapping; write names of properties and their values, such as {plan: pro}")
		return nil
	}
	props := map[string]string{}
	for entries := mapping.MapRange(); entries.Next(); {
		at := entries.Key().GetToken()
		name, keyPath := at.Value, path+"."+at.Value
		if name == "" || utf8.RuneCountInString(name) > maxGoalPropName {
			p.add(at.Position, path, "%s is not the name of a property; write 1 to %d characters", quoted(name), maxGoalPropName)
			continue
		}
		if _, repeated := props[name]; repeated {
			p.add(at.Position, keyPath, "is here for the second time")
			continue
		}
		value, ok := readText(p, keyPath, entries.Value())
		if ok && (value == "" || len(value) > maxGoalPropValue) {
			p.add(start(entries.Value()), keyPath, "%s is not a value; write 1 to %d bytes", quoted(value), maxGoalPropValue)
		}
		props[name] = value
	}
	if len(props) == 0 || len(props) > MaxGoalProps {
		p.add(start(node), path, "has %d properties; write 1 to %d", len(props), MaxGoalProps)
	}
	return props
}

func readOncePer(p *problems, path string, node ast.Node, g *Goal) {
	g.OncePer = readWord(p, path, node, "what a goal can count once per", []OncePer{OncePerOrder, OncePerEvent, OncePerSession, OncePerHit})
}

func readGoalValue(p *problems, path string, node ast.Node, g *Goal) {
	g.Value = ValueFixed // unless it is one of two words
	text, ok := readText(p, path, node)
	if !ok {
		return
	}
	switch source := ValueSource(text); source {
	case ValueEvent, ValueNone:
		g.Value = source
	default:
		if g.ValueMicros, ok = readableAmount(text); !ok {
			p.add(start(node), path, "%s is not a value; write %s, %s or an amount such as \"9.90\": %s",
				quoted(text), ValueEvent, ValueNone, amountForm)
		}
	}
}

// amountForm is how an amount is written.
const amountForm = "at most 12 digits, a point and 6 digits, no sign"

var errNoAmount = errors.New("not an amount: " + amountForm)

// readableAmount returns the millionths of an amount as onepx.yaml has it.
func readableAmount(text string) (micros int64, ok bool) {
	micros, ok = money.Micros(text)
	return micros, ok && !strings.ContainsAny(text, "+-")
}

func windowReader(into func(*Goal) *int) func(*problems, string, ast.Node, *Goal) {
	return func(p *problems, path string, node ast.Node, g *Goal) {
		if days, ok := readWholeNumber(p, path, node, MinWindowDays, MaxWindowDays); ok {
			*into(g) = days
		}
	}
}

// placeOf returns where the value of a key begins; if there is none, where the node does.
func placeOf(node ast.Node, key string) *token.Position {
	if value := valueOf(node, key); value != nil {
		return start(value)
	}
	return start(node)
}

// valueOf returns the value of a key, or nil if the node is no mapping that has it.
func valueOf(node ast.Node, key string) ast.Node {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		return nil
	}
	for entries := mapping.MapRange(); entries.Next(); {
		if entries.Key().GetToken().Value == key {
			return entries.Value()
		}
	}
	return nil
}
