package params

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/onepx/onepx/services/shared/reason"
)

// Flags are the repairs an event needed, each word once, in the order they happened.
type Flags []reason.Reason

// Add adds the word unless it is there already.
func (f *Flags) Add(word reason.Reason) {
	if !slices.Contains(*f, word) {
		*f = append(*f, word)
	}
}

// Pair is one parameter of a query.
type Pair struct {
	// Name and Value are decoded, valid UTF-8 and free of control characters.
	Name, Value string
	// Raw is the value as it was sent.
	Raw string
}

// Query is a parsed query string, or an event of a JSON body in the same form.
type Query struct {
	// Pairs are the parameters in the order they came: the first of each name but of signals of consent, and none with an
	// empty value, which counts as not given.
	Pairs []Pair
	// Flags tell what had to be repaired.
	Flags Flags
	// Reject is why it can't be an event, or "".
	Reject reason.Reason

	seen map[string]struct{}
}

// maxPairs is how many parameters an event can have; if there are more, there are too many properties among them. It keeps
// a body of many tiny ones from becoming much larger in memory than it is.
func maxPairs() int { return len(byName) + len(ClickIDs) + maxProps }

// add takes the parameter unless it is empty or repeated. It returns false when there are too many.
func (q *Query) add(p Pair) bool {
	if p.Value == "" {
		return true
	}
	if _, repeated := q.seen[p.Name]; repeated {
		q.Flags.Add(reason.DuplicateParameter)
		if !isSignal(p.Name) {
			return true
		}
	}
	if len(q.Pairs) == maxPairs() {
		q.Reject = reason.TooManyProps
		return false
	}
	if q.seen == nil {
		q.seen = map[string]struct{}{}
	}
	q.seen[p.Name] = struct{}{}
	q.Pairs = append(q.Pairs, p)
	return true
}

// AddDefaults adds the parameters of another query that this one does not give itself.
func (q *Query) AddDefaults(defaults Query) {
	own := q.Pairs
	for _, pair := range defaults.Pairs {
		_, given := q.seen[pair.Name]
		if given && isSignal(pair.Name) { // by the event, or by the defaults just before
			given = slices.ContainsFunc(own, func(p Pair) bool { return p.Name == pair.Name })
		}
		if !given && !q.add(pair) {
			break
		}
	}
	for _, flag := range defaults.Flags {
		q.Flags.Add(flag)
	}
	if q.Reject == "" {
		q.Reject = defaults.Reject
	}
}

// Get returns the value of the parameter, or "" if it was not given.
func (q *Query) Get(name string) string {
	for i := range q.Pairs {
		if q.Pairs[i].Name == name {
			return q.Pairs[i].Value
		}
	}
	return ""
}

// ParseQuery reads the bytes that visitors' programs really send. It never fails; net/url would drop whatever it dislikes.
// It splits on & only (a semicolon is data), reads HTML-escaped separators, keeps what is no valid escape, replaces bytes
// that are no UTF-8, removes control characters, and takes the first of several parameters of one name, but
// all signals of consent.
func ParseQuery(raw string) Query {
	q := Query{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		for strings.HasPrefix(name, "amp;") { // escaped once, or more often
			name = name[len("amp;"):]
			q.Flags.Add(reason.EscapedAmpersand)
		}
		if !q.add(Pair{Name: canonical(q.decode(name)), Value: q.decode(value), Raw: value}) {
			break
		}
	}
	return q
}

// decode undoes the form encoding of a name or a value.
func (q *Query) decode(s string) string { return Clean(q.unescape(s), &q.Flags) }

// Clean makes the text valid UTF-8 without control characters, as the event needs it.
func Clean(s string, flags *Flags) string {
	if !utf8.ValidString(s) {
		flags.Add(reason.InvalidUTF8)
		s = strings.ToValidUTF8(s, string(utf8.RuneError))
	}
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	flags.Add(reason.ControlCharacters)
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// unescape replaces + and %XX. A percent sign that begins no escape stays.
func (q *Query) unescape(s string) string {
	if !strings.ContainsAny(s, "+%") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			b.WriteByte(' ')
		case s[i] != '%':
			b.WriteByte(s[i])
		case i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		default:
			q.Flags.Add(reason.BadEscape)
			b.WriteByte('%')
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// Encode makes a query of parameters given as name, value, name, value …, in that order.
func Encode(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, url.QueryEscape(pairs[i])+"="+url.QueryEscape(pairs[i+1]))
	}
	return strings.Join(parts, "&")
}
