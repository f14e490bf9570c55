package siteconfig

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Bounds and defaults of segments, all of them also in the schema.
const (
	// MaxSegments is how many segments a site may have.
	MaxSegments = 100
	// MaxTimes bounds Segment.Times.
	MaxTimes = 100
	// MinSpan and MaxSpan bound the durations of a segment.
	MinSpan = Span(time.Minute)
	MaxSpan = Span(540 * 24 * time.Hour)
	// DefaultLives is Segment.Lives unless set.
	DefaultLives = Span(30 * 24 * time.Hour)
	// MaxHoldout bounds Segment.Holdout: 20 %.
	MaxHoldout Permille = 200

	maxSegmentName = 128 // characters
)

// Segment is a rule by which visitors are in an audience; docs/audiences.md says when they are. As JSON it is what stands in
// onepx.yaml, with what is not set there.
type Segment struct {
	// ID is like that of a Goal. Required.
	ID string `json:"id"`
	// Name is for people; empty unless set.
	Name string `json:"name,omitempty"`
	// Enter lets a visitor in; required. Leave and Then, the second step, are nil unless set.
	Enter Condition  `json:"enter"`
	Leave *Condition `json:"leave,omitempty"`
	Then  *Condition `json:"then,omitempty"`
	// SameProduct says that each product is counted for itself.
	SameProduct bool `json:"same_product"`
	// Times is how often Enter must have held within Within.
	Times Times `json:"times"`
	// Within is Lives unless set.
	Within Span `json:"within"`
	// Value is of the sum of values within Within; nil for any.
	Value *Band `json:"value,omitempty"`
	// ThenWithin is how long after the first step Then may hold; 0 without Then.
	ThenWithin Span `json:"then_within,omitempty"`
	// After is how long after the newest event that let the visitor in they are in it; 0 unless set, and below Lives.
	After Span `json:"after,omitempty"`
	// Lives is how long after it.
	Lives Span `json:"lives"`
	// Holdout is the part of the visitors who are left alone.
	Holdout Permille `json:"holdout,omitempty"`
	// Stream says that who enters and leaves is told on topic onepx.audiences and to webhooks.
	Stream bool `json:"stream,omitempty"`
}

// Times are bounds of a number of events, both included.
type Times struct {
	// Min is 1 unless set.
	Min int `json:"min"`
	// Max is not below Min; 0 is none.
	Max int `json:"max,omitempty"`
}

// Span is a duration in whole minutes.
type Span time.Duration

// String is the span as onepx.yaml has it, in the largest unit that leaves nothing over.
func (s Span) String() string {
	switch d := time.Duration(s); {
	case d%(24*time.Hour) == 0:
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	default:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
}

// MarshalText is String.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Permille is a part in thousandths. As JSON it is a number of percent.
type Permille uint16

// MarshalJSON writes the percent, with one digit after the point where it is needed.
func (p Permille) MarshalJSON() ([]byte, error) { return json.Marshal(float64(p) / 10) }

// segmentFields are the keys of a segment.
var segmentFields = []field[Segment]{
	{name: "id", required: true, read: func(p *problems, path string, node ast.Node, s *Segment) { s.ID = readIDText(p, path, node) }},
	{name: "name", read: func(p *problems, path string, node ast.Node, s *Segment) {
		s.Name = readShortText(p, path, node, "the name of a segment", maxSegmentName)
	}},
	{name: "enter", required: true, read: func(p *problems, path string, node ast.Node, s *Segment) { s.Enter = readCondition(p, path, node) }},
	{name: "leave", read: func(p *problems, path string, node ast.Node, s *Segment) { s.Leave = optionalCondition(p, path, node) }},
	{name: "then", read: func(p *problems, path string, node ast.Node, s *Segment) { s.Then = optionalCondition(p, path, node) }},
	{name: "same_product", read: boolReader(func(s *Segment) *bool { return &s.SameProduct })},
	{name: "times", read: readTimes},
	{name: "within", read: spanReader(func(s *Segment) *Span { return &s.Within })},
	{name: "value", read: func(p *problems, path string, node ast.Node, s *Segment) { s.Value = readBand(p, path, node) }},
	{name: "then_within", read: spanReader(func(s *Segment) *Span { return &s.ThenWithin })},
	{name: "after", read: spanReader(func(s *Segment) *Span { return &s.After })},
	{name: "lives", read: spanReader(func(s *Segment) *Span { return &s.Lives })},
	{name: "holdout", read: readHoldout},
	{name: "stream", read: boolReader(func(s *Segment) *bool { return &s.Stream })},
}

// ParseSegment reads one segment by itself, as Parse reads those of a site.
func ParseSegment(name string, data []byte) (Segment, error) {
	p := &problems{file: name}
	var segment Segment
	if root := parseYAML(p, data); root != nil {
		segment = readSegment(p, "", root)
	}
	if err := p.err(); err != nil {
		return Segment{}, err
	}
	return segment, nil
}

func readSegments(p *problems, path string, node ast.Node, s *Site) {
	firstWith := map[string]string{} // id to the path of its segment
	readList(p, path, node, func(path string, element ast.Node) {
		segment := readSegment(p, path, element)
		s.Segments = append(s.Segments, segment)
		if segment.ID == "" {
			return
		}
		if first, taken := firstWith[segment.ID]; taken {
			p.add(placeOf(element, "id"), path+".id", "%s is the id of %s already", quoted(segment.ID), first)
			return
		}
		firstWith[segment.ID] = path
	})
	if len(s.Segments) > MaxSegments {
		p.add(start(node), path, "has %d segments; at most %d are allowed", len(s.Segments), MaxSegments)
	}
}

// readSegment reads one segment; path is empty for one by itself.
func readSegment(p *problems, path string, node ast.Node) Segment {
	segment := Segment{Times: Times{Min: 1}, Lives: DefaultLives}
	readMapping(p, path, node, segmentFields, &segment)
	if segment.Within == 0 {
		segment.Within = segment.Lives
	}
	if path != "" {
		path += "."
	}
	checkSegment(p, path, node, &segment)
	return segment
}

// checkSegment adds the problems that lie in what the keys of a segment mean together. path ends with a point, or is empty.
func checkSegment(p *problems, path string, node ast.Node, s *Segment) {
	if s.Then != nil && s.ThenWithin == 0 && valueOf(node, "then_within") == nil {
		p.add(placeOf(node, "then"), path+"then", "needs then_within: how long after enter it may be, such as 3d")
	}
	if s.Then == nil && s.ThenWithin != 0 && valueOf(node, "then") == nil {
		p.add(placeOf(node, "then_within"), path+"then_within", "belongs to then; write the condition of the second step, or remove it")
	}
	if s.After >= s.Lives {
		p.add(placeOf(node, "after"), path+"after", "%s is not below lives, which is %s: nobody would ever be in it", s.After, s.Lives)
	}
	if s.Leave == nil {
		return
	}
	leave := textOfCondition(s.Leave)
	if n, _ := s.Leave.size(); n == 0 {
		return // said already
	}
	if leave == textOfCondition(&s.Enter) {
		p.add(placeOf(node, "leave"), path+"leave", "is the same as enter: nobody would ever be in it")
	}
	if s.Then != nil && leave == textOfCondition(s.Then) {
		p.add(placeOf(node, "leave"), path+"leave", "is the same as then: nobody would ever be in it")
	}
}

func optionalCondition(p *problems, path string, node ast.Node) *Condition {
	c := readCondition(p, path, node)
	return &c
}

func boolReader(into func(*Segment) *bool) func(*problems, string, ast.Node, *Segment) {
	return func(p *problems, path string, node ast.Node, s *Segment) {
		value, ok := node.(*ast.BoolNode)
		if !ok {
			p.add(start(node), path, "%s is neither true nor false", shown(node))
			return
		}
		*into(s) = value.Value
	}
}

// timesFields are the keys of times.
var timesFields = []field[Times]{
	{name: "min", read: func(p *problems, path string, node ast.Node, t *Times) {
		if n, ok := readWholeNumber(p, path, node, 1, MaxTimes); ok {
			t.Min = n
		}
	}},
	{name: "max", read: func(p *problems, path string, node ast.Node, t *Times) {
		if n, ok := readWholeNumber(p, path, node, 1, MaxTimes); ok {
			t.Max = n
		}
	}},
}

func readTimes(p *problems, path string, node ast.Node, s *Segment) {
	readMapping(p, path, node, timesFields, &s.Times)
	if s.Times.Max != 0 && s.Times.Min > s.Times.Max {
		p.add(placeOf(node, "min"), path+".min", "%d is above max, which is %d", s.Times.Min, s.Times.Max)
	}
}

var (
	spanForm = regexp.MustCompile(`^([1-9][0-9]{0,5})([mhd])$`)
	spanUnit = map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	// holdoutForm is a number of percent with at most one digit after the point.
	holdoutForm = regexp.MustCompile(`^([0-9]{1,2})(?:\.([0-9]))?$`)
)

func spanReader(into func(*Segment) *Span) func(*problems, string, ast.Node, *Segment) {
	return func(p *problems, path string, node ast.Node, s *Segment) {
		text, ok := readText(p, path, node)
		if !ok {
			return
		}
		if form := spanForm.FindStringSubmatch(text); form != nil {
			n, _ := strconv.Atoi(form[1])
			if span := Span(time.Duration(n) * spanUnit[form[2]]); MinSpan <= span && span <= MaxSpan {
				*into(s) = span
				return
			}
		}
		p.add(start(node), path, "%s is not a duration; write a whole number and m, h or d, such as 36h: %s to %s", quoted(text), MinSpan, MaxSpan)
	}
}

func readHoldout(p *problems, path string, node ast.Node, s *Segment) {
	form := holdoutForm.FindStringSubmatch(node.GetToken().Value)
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
	default:
		form = nil
	}
	if form != nil {
		n, _ := strconv.Atoi(form[1] + form[2] + "0"[len(form[2]):])
		if Permille(n) <= MaxHoldout { //nolint:gosec // three digits at most
			s.Holdout = Permille(n) //nolint:gosec // likewise
			return
		}
	}
	p.add(start(node), path, "%s is not a share of visitors; write percent from 0 to %d, with at most one digit after the point", shown(node), MaxHoldout/10)
}

// warnSegments notes which segments look further back than rows are kept.
func warnSegments(p *problems, path string, node ast.Node, s *Site) {
	list, ok := valueOf(node, "segments").(*ast.SequenceNode)
	if !ok {
		return
	}
	for i := range s.Segments {
		reach, parts := s.Segments[i].reach()
		if kept := Span(time.Duration(s.RetentionDays) * 24 * time.Hour); reach > kept {
			p.warn(start(list.Values[i]), fmt.Sprintf("%s.segments[%d]", path, i),
				"needs events of %s (%s), and retention_days keeps them for %s: members will be missing", reach, parts, kept)
		}
	}
}

// reach is how far back events can make a visitor a member, and what it is the sum of. Without a need to count or add up, one
// event is enough, and within does not matter.
func (s *Segment) reach() (reach Span, parts string) {
	reach, parts = s.Lives, "lives "+s.Lives.String()
	if s.Times.Min > 1 || s.Times.Max != 0 || s.Value != nil {
		reach, parts = reach+s.Within, fmt.Sprintf("within %s + %s", s.Within, parts)
	}
	if s.Then != nil {
		reach, parts = reach+s.ThenWithin, fmt.Sprintf("%s + then_within %s", parts, s.ThenWithin)
	}
	return reach, parts
}
