package params

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/onepx/onepx/services/shared/reason"
)

// ParseJSON reads a body that is one event (a JSON object) or an array of events, each in the form of a query. If the body
// as a whole can't be read, the reason says why.
func ParseJSON(body []byte) ([]Query, reason.Reason) {
	body = trim(body)
	if !json.Valid(body) {
		return nil, reason.JSONInvalid
	}
	events, isArray, ok := elements(body, MaxEvents)
	if !ok {
		return nil, reason.TooManyEvents
	}
	if !isArray {
		events = []json.RawMessage{body}
	}
	queries := make([]Query, len(events))
	for i, event := range events {
		queries[i] = parseObject(event)
	}
	return queries, ""
}

// ParseLines reads a body that has an event on each line (NDJSON). A line that can't be read costs only its own event.
func ParseLines(body []byte) ([]Query, reason.Reason) {
	var queries []Query
	for line := range bytes.Lines(trim(body)) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
			continue
		case len(queries) == MaxEvents:
			return nil, reason.TooManyEvents
		case !json.Valid(line):
			queries = append(queries, Query{Reject: reason.JSONInvalid})
		default:
			queries = append(queries, parseObject(line))
		}
	}
	return queries, ""
}

// AreLines tells whether a body can only be meant as lines: its first line is a whole object, and more follows.
func AreLines(body []byte) bool {
	first, rest, _ := bytes.Cut(trim(body), []byte("\n"))
	return len(rest) > 0 && first[0] == '{' && json.Valid(first)
}

// trim removes what some programs put around JSON: space, and the byte order mark of UTF-8.
func trim(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\uFEFF")))
}

// elements returns the elements of a JSON array of at most limit ones; data must be valid JSON. ok is false if there are
// more. It is not json.Unmarshal because a body of half a million noughts must not become as many elements first.
func elements(data []byte, limit int) (list []json.RawMessage, isArray, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('[') {
		return nil, false, true
	}
	for decoder.More() {
		if len(list) == limit {
			return nil, true, false
		}
		var element json.RawMessage
		if err := decoder.Decode(&element); err != nil {
			break // not reached: data is valid
		}
		list = append(list, element)
	}
	return list, true, true
}

// parseObject reads an event; data must be valid JSON.
func parseObject(data []byte) Query {
	var q Query
	if !utf8.Valid(data) {
		q.Flags.Add(reason.InvalidUTF8) // encoding/json replaces such bytes without a word
	}
	if !q.addObject(data, "") {
		q.Reject = reason.EventNotObject
	}
	return q
}

// addObject adds the members of an object in the order they came, or returns false if it is none.
func (q *Query) addObject(data []byte, prefix string) bool {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	for decoder.More() && q.Reject == "" {
		token, err := decoder.Token()
		name, isName := token.(string)
		var value json.RawMessage
		if err != nil || !isName || decoder.Decode(&value) != nil {
			break // not reached: data is valid
		}
		if prefix == "" && name == "props" && q.addObject(value, "p.") {
			continue
		}
		name = prefix + Clean(name, &q.Flags)
		if prefix == "" {
			name = canonical(name)
		}
		q.add(Pair{Name: name, Value: Clean(text(name, value), &q.Flags)})
	}
	return true
}

// text is a value as a query would have it. A number is taken as it was written, so that no amount is rounded. A boolean
// is 1 or 0 where the parameter has a meaning (c must not be misunderstood), else true or false. Null is none. An array or
// an object is its own text: items are read from it, and a property keeps it.
func text(name string, value json.RawMessage) string {
	var text string
	switch value[0] {
	case '"':
		_ = json.Unmarshal(value, &text) // it is valid
	case 'n':
	case 't', 'f':
		text = string(value)
		if _, ours := byName[name]; ours {
			text = map[string]string{"true": "1", "false": "0"}[text]
		}
	case '[', '{':
		var compact bytes.Buffer
		_ = json.Compact(&compact, value) // it is valid
		text = compact.String()
	default:
		text = string(value)
	}
	return text
}
