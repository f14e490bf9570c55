package answers

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// fact is an event with what the terms say about it.
type fact struct {
	*Event
	occurred time.Time
	day      Day
	// kind is page_view, impression, identify, order or custom.
	kind string
	// repeat tells that the same event came before, within 7 days; counted that it is none and that a person did it.
	repeat, counted bool

	// identity is cookie, provided, minted, hash or none; id and hash are labels of the visitor id and the daily hash.
	identity, id, hash string
	// visitor and person are labels, empty for nobody.
	visitor, person, userKey string

	// value is nil without a readable one; unreadable tells that value or currency was sent and could not be read.
	value      Amount
	unreadable bool
	currency   string
	// path is that of the page.
	path string
	// touch is click, view or direct, or empty.
	touch string
}

// Limits of what a sender may say about the time.
const (
	maxAge      = 7 * 24 * time.Hour
	maxFuture   = 5 * time.Minute
	repeatsFor  = 7 * 24 * time.Hour
	day         = 24 * time.Hour
	identityFor = 30 * day
)

// Answers holds the events and what is known of each.
type Answers struct {
	site Site
	// facts are in the order of arrival, counted those that count, in the order of events.
	facts, counted []*fact
	orders         []*order
	orderOf        map[*fact]*order
}

// New takes the events in the order of their arrival.
func New(site Site, events []Event) *Answers {
	a := &Answers{site: site}
	jars := map[string]string{} // devices that have a cookie, and the id in it
	arrived := map[string]time.Time{}
	for i := range events {
		f := &fact{Event: &events[i]}
		a.setTime(f)
		if last, known := arrived[f.ID]; f.ID != "" && known {
			f.repeat = f.Arrived.Sub(last) <= repeatsFor
		}
		arrived[f.ID] = f.Arrived
		f.counted = !f.repeat && !f.Bot
		f.kind = f.Kind()
		f.identify(i, jars)
		a.setMoney(f)
		if u, err := url.Parse(f.URL); err == nil && f.URL != "" {
			f.path = u.EscapedPath()
		}
		a.facts = append(a.facts, f)
		if f.counted {
			a.counted = append(a.counted, f)
		}
	}
	slices.SortStableFunc(a.counted, inOrder)
	a.setVisitors()
	a.setPersons()
	a.setTouches()
	a.setOrders()
	return a
}

func (a *Answers) setTime(f *fact) {
	f.occurred = f.Arrived
	if !f.At.IsZero() {
		f.occurred = f.At
	}
	if first := f.Arrived.Add(-maxAge); f.occurred.Before(first) {
		f.occurred = first
	}
	if last := f.Arrived.Add(maxFuture); f.occurred.After(last) {
		f.occurred = last
	}
	f.occurred = f.occurred.UTC().Truncate(time.Millisecond)
	f.day = Day(f.occurred.In(a.site.Zone).Format(time.DateOnly))
}

// identify labels the ids of the i-th event.
func (f *fact) identify(i int, jars map[string]string) {
	f.identity = "none"
	if f.Device != "" {
		f.identity, f.hash = "hash", "hash of "+f.Device+" on "+f.Arrived.UTC().Format(time.DateOnly)
	}
	if f.User != "" {
		f.userKey = "user " + strings.ToLower(strings.TrimSpace(f.User))
	}
	switch {
	case f.Visitor != "":
		f.identity, f.id = "provided", "provided "+f.Visitor
	case f.Transport == Server:
	case f.KeepsCookies && jars[f.Device] != "":
		f.identity, f.id = "cookie", jars[f.Device]
	default:
		// A new id is made from the event's, so that who sends an event again gets the same one.
		f.identity, f.id = "minted", "cookie of "+f.Device+" made for "+f.ID
		if f.ID == "" {
			f.id += fmt.Sprint("number ", i)
		}
		if f.KeepsCookies && !f.AnswerLost {
			jars[f.Device] = f.id
		}
	}
}

func (a *Answers) setMoney(f *fact) {
	f.currency = a.site.Currency
	if f.Currency != "" {
		f.currency = strings.ToUpper(f.Currency)
		if !currencyCode.MatchString(f.Currency) {
			f.currency, f.unreadable = a.site.Currency, true
			return
		}
	}
	switch {
	case f.Meant != "":
		f.value = ParseAmount(f.Meant)
	case f.Value != "":
		f.value = ParseAmount(f.Value)
		f.unreadable = f.value == nil
	}
}

// inOrder is the order of events.
func inOrder(x, y *fact) int {
	if c := x.occurred.Compare(y.occurred); c != 0 {
		return c
	}
	return compareIDs(x.ID, y.ID)
}

// compareIDs compares UUIDs by their second half, then by their first.
func compareIDs(x, y string) int {
	swap := func(id string) string {
		text := strings.ReplaceAll(id, "-", "")
		if len(text) != 32 {
			return ""
		}
		return text[16:] + text[:16]
	}
	return strings.Compare(swap(x), swap(y))
}

// tagged tells that utm parameters or a click id say where the visitor came from.
func (f *fact) tagged() bool {
	for _, name := range []string{"source", "medium", "campaign", "id"} {
		if f.UTM[name] != "" {
			return true
		}
	}
	return f.ClickID != ""
}

// inSessions tells that events like this one make sessions, whoever does them.
func (f *fact) inSessions() bool {
	if f.Transport != Pixel && f.Transport != Beacon {
		return false
	}
	switch f.kind {
	case "page_view", "custom", "identify":
		return true
	}
	return f.Name == "purchase"
}
