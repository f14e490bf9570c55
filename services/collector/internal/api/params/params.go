// Package params turns the query of a hit, or the JSON of its body, into events. It is pure: the caller gives the clock and
// the Referer header.
//
// ParseQuery, ParseJSON and ParseLines read the raw bytes, Read fills an event from the pairs by Table. Table is also what docs/pixel.md is made
// from, so a parameter can't be read without being documented.
package params

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/shared/reason"
)

// Limits of events; values that may be cut are cut and flagged, the rest refuses the event.
const (
	maxName      = 64   // characters of an event name
	maxEventID   = 200  // bytes of a client's event id
	maxURL       = 8192 // bytes of a stored URL
	maxTitle     = 512  // characters
	maxUTM       = 256  // characters
	maxClickID   = 512  // characters
	maxOrderID   = 128  // characters
	maxProps     = 64
	maxPropName  = 64   // characters
	maxPropValue = 1024 // bytes
	maxMailID    = 128  // characters
)

// MaxEvents is how many events a body may have.
const MaxEvents = 500

// How far an event may lie from its arrival.
const (
	maxAge    = 7 * 24 * time.Hour
	maxFuture = 5 * time.Minute
)

// defaultName is the name of an event that gives none.
const defaultName = "page_view"

// Hit is what a query says.
type Hit struct {
	// Event has the fields that come from parameters: name, kind, times, event id if the client made it, page, marketing,
	// commerce, screen, props.
	Event *onepxv1.Event
	// VisitorID is the site's own visitor id (v), UserID the customer id or e-mail address (uid): both as sent.
	VisitorID, UserID string
	// IP and UserAgent are what a server says of its visitor (ip, ua), as sent; from anybody else they mean nothing.
	IP, UserAgent string
	// Mail is what a server says of an e-mail (mail_…); from anybody else it means nothing.
	Mail Mail
	// Consent is what the parameters say of the visitor's wish.
	Consent consent.Signals
	// Flags are the repairs so far.
	Flags Flags
	// Reject is why the event can't be stored, or "". The first reason found counts.
	Reject reason.Reason

	ts, sent        string
	value, currency string
	// priceCurrencies are the currencies that the prices of the event's items name, "" where one names none.
	priceCurrencies []string
	page, referrer  string
	// unencoded tells that the page URL came without encoding; afterPage are the unknown names after it, and oursFollow
	// tells that known ones came after it too.
	unencoded, oursFollow bool
	afterPage             []Pair
	clicks                clicks
}

// Mail is what a server says of an e-mail.
type Mail struct {
	// Campaign, Message and Link are ids of the sender's.
	Campaign, Message, Link string
	// Address is the recipient's, as sent: to be hashed, never stored. Recipient is the key in its place, as sent.
	Address, Recipient string
}

// Read fills an event from a query. at is the time of arrival; referer, the header, is the page URL unless `u` gives one.
func Read(q Query, at time.Time, referer string) *Hit {
	h := &Hit{
		Event: &onepxv1.Event{
			Name:         defaultName,
			ReceivedAtMs: at.UnixMilli(),
			Page:         &onepxv1.Page{},
			Marketing:    &onepxv1.Marketing{},
			Commerce:     &onepxv1.Commerce{},
			Client:       &onepxv1.Client{},
		},
		Flags:  q.Flags,
		Reject: q.Reject,
	}
	h.page = Clean(referer, &h.Flags)
	for _, pair := range q.Pairs {
		h.read(pair)
	}
	h.Event.Kind = kindOf(h.Event.Name)
	h.setTimes(at)
	h.setMoney()
	h.setPage()
	h.setClickID(h.clicks)
	return h
}

func (h *Hit) read(pair Pair) {
	if p, ok := byName[pair.Name]; ok {
		if h.unencoded && !strings.HasPrefix(pair.Name, "utm_") { // those are as good in a page URL
			h.oursFollow = true
		}
		p.read(h, pair)
		return
	}
	if h.clicks.add(pair.Name, pair.Value) {
		return
	}
	name, explicit := strings.CutPrefix(pair.Name, "p.")
	if !explicit && stripped[strings.ToLower(name)] {
		h.Flags.Add(reason.SecretRemoved) // as it is from URLs: part of an unencoded one, or a mistake
		return
	}
	if h.unencoded && !explicit {
		h.afterPage = append(h.afterPage, pair)
		return
	}
	h.oursFollow = h.oursFollow || h.unencoded
	h.addProp(name, pair.Value)
}

func (h *Hit) addProp(name, value string) {
	name, value = mask(name, &h.Flags), mask(value, &h.Flags)
	if _, repeated := h.Event.Props[name]; repeated {
		h.Flags.Add(reason.DuplicateParameter)
		return
	}
	if name == "" || utf8.RuneCountInString(name) > maxPropName {
		h.refuse(reason.PropNameInvalid)
		return
	}
	if len(h.Event.Props) == maxProps {
		h.refuse(reason.TooManyProps)
		return
	}
	if h.Event.Props == nil {
		h.Event.Props = map[string]string{}
	}
	h.Event.Props[name] = cut(value, maxPropValue, &h.Flags)
}

func (h *Hit) refuse(word reason.Reason) {
	if h.Reject == "" {
		h.Reject = word
	}
}

// kindOf derives the kind from the name.
func kindOf(name string) onepxv1.EventKind {
	switch name {
	case defaultName:
		return onepxv1.EventKind_EVENT_KIND_PAGE_VIEW
	case "impression":
		return onepxv1.EventKind_EVENT_KIND_IMPRESSION
	case "purchase", "refund", "cancel", "restate":
		return onepxv1.EventKind_EVENT_KIND_ORDER
	case "identify":
		return onepxv1.EventKind_EVENT_KIND_IDENTIFY
	default:
		return onepxv1.EventKind_EVENT_KIND_CUSTOM
	}
}

// setTimes corrects the client's clock by the time it says it sent the hit, and keeps the result within bounds.
func (h *Hit) setTimes(at time.Time) {
	received := at.UnixMilli()
	h.Event.OccurredAtMs = received
	sent, sentOK := readTime(h.sent)
	occurred, ok := readTime(h.ts)
	if h.ts != "" && !ok || h.sent != "" && !sentOK {
		h.Flags.Add(reason.TimeInvalid)
		return
	}
	if h.ts == "" {
		return
	}
	if h.sent != "" {
		occurred += received - sent
	}
	clamped := min(max(occurred, received-maxAge.Milliseconds()), received+maxFuture.Milliseconds())
	if clamped != occurred {
		h.Flags.Add(reason.TimeClamped)
	}
	h.Event.OccurredAtMs = clamped
}

// setMoney joins amounts and currency. An event has one currency: the one it gives, else that of its value, else the first
// that a price names. An amount in another one, or in one that can't be read, is none: it must not be taken for one in the
// site's currency. Nor can a sale be negative; a refund may.
func (h *Hit) setMoney() {
	commerce := h.Event.Commerce
	micros, named, ok := readAmount(h.value)
	if h.currency != "" {
		code, known := readCurrency(h.currency)
		if !known {
			h.Flags.Add(reason.CurrencyInvalid)
			for _, item := range commerce.Items {
				item.PriceMicros = nil
			}
			return
		}
		commerce.Currency = code
	} else {
		commerce.Currency = cmp.Or(append([]string{named}, h.priceCurrencies...)...)
	}
	for i, item := range commerce.Items {
		if code := h.priceCurrencies[i]; code != "" && code != commerce.Currency {
			item.PriceMicros = nil
			h.Flags.Add(reason.ItemsInvalid)
		}
	}
	ok = ok && (named == "" || named == commerce.Currency) && (micros >= 0 || h.Event.Name != "purchase" && h.Event.Name != "restate")
	switch {
	case h.value == "":
	case ok:
		commerce.ValueMicros = &micros
	default:
		h.Flags.Add(reason.ValueInvalid)
	}
}

// setPage stores the cleaned URLs, and moves utm parameters and click ids of the page URL into fields that no parameter
// filled.
func (h *Hit) setPage() {
	h.joinUnencoded()
	if h.page != "" {
		page, ok := readURL(h.page, &h.Flags)
		if !ok {
			h.Flags.Add(reason.URLInvalid)
		}
		h.Event.Page.Url = cut(page.url, maxURL, &h.Flags)
		for name, field := range utmFields(h.Event.Marketing) {
			if *field == "" {
				*field = cutRunes(mask(page.utm[name], &h.Flags), maxUTM, &h.Flags)
			}
		}
		if len(h.clicks) == 0 {
			h.clicks = page.clicks
		}
	}
	if h.referrer != "" {
		page, ok := readURL(h.referrer, &h.Flags)
		if !ok {
			h.Flags.Add(reason.ReferrerInvalid)
		}
		h.Event.Page.Referrer = cut(page.url, maxURL, &h.Flags)
	}
}

// joinUnencoded deals with u=https://a.b/?x=1&y=2, where y reads like a parameter of ours. If no known parameter follows,
// the rest is surely the page URL's and goes back there; else nobody can tell, and it stays what it looks like.
func (h *Hit) joinUnencoded() {
	if len(h.afterPage) == 0 {
		return
	}
	h.Flags.Add(reason.URLUnencoded)
	for _, pair := range h.afterPage {
		if h.oursFollow {
			h.addProp(pair.Name, pair.Value)
		} else {
			h.page += "&" + pair.Name + "=" + Clean(pair.Raw, &h.Flags)
		}
	}
}

// setClickID stores the preferred click id; the others become properties.
func (h *Hit) setClickID(ids clicks) {
	if len(ids) == 0 {
		return
	}
	best := ids.best()
	for i, id := range ids {
		network := ClickIDs[id.rank]
		if i != best {
			if len(h.Event.Props) < maxProps { // what stands in a visitor's URL must not refuse the site's event
				h.addProp(network.Name, id.value)
			}
			continue
		}
		h.Event.Marketing.ClickId = cutRunes(id.value, maxClickID, &h.Flags)
		h.Event.Marketing.ClickIdParam = network.Name
		h.Event.Marketing.ClickNetwork = network.Network
	}
}

// utmFields are the utm parameters that have a field; any other utm parameter of a page URL is dropped.
func utmFields(m *onepxv1.Marketing) map[string]*string {
	return map[string]*string{
		"utm_source":   &m.UtmSource,
		"utm_medium":   &m.UtmMedium,
		"utm_campaign": &m.UtmCampaign,
		"utm_term":     &m.UtmTerm,
		"utm_content":  &m.UtmContent,
		"utm_id":       &m.UtmId,
	}
}
