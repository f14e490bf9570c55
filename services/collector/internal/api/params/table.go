package params

import (
	"strings"
	"unicode/utf8"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/shared/reason"
)

// Param describes one parameter.
type Param struct {
	// Name is how it is spelled in the query.
	Name string
	// Field is where it goes in the event (proto/onepx/v1), or what it does.
	Field string
	// Limit is what is allowed, and what happens to the rest.
	Limit string
	// Meaning is one sentence for the person who writes the tag.
	Meaning string
	// Example is a value, not encoded.
	Example string

	read func(h *Hit, pair Pair)
}

// Table lists the parameters that have a meaning, in the order of the docs. Click ids (ClickIDs) are read besides; every
// other name becomes a property.
var Table = []Param{
	{"site", "`site_id`", "a site of the configuration, else `site_missing` or `site_unknown`", "The site the event belongs to. The only parameter that must be given.", "shop", ignore},
	{"e", "`name`, `kind`", "64 characters, else `name_invalid`", "Name of the event; without it `page_view`. `impression`, `purchase`, `refund`, `cancel`, `restate` and `identify` have a meaning of their own, any other name is the site's.", "purchase", func(h *Hit, p Pair) {
		h.Event.Name = mask(p.Value, &h.Flags)
		if utf8.RuneCountInString(h.Event.Name) > maxName {
			h.refuse(reason.NameInvalid)
		}
	}},
	{"id", "`event_id`", "200 bytes, else `event_id_invalid`", "Event id: a repeat under the same id within 7 days counts once. A UUID is kept as it is, any other text is hashed. Without it each request is an event of its own.", "order-1001", func(h *Hit, p Pair) {
		if h.placeholder(p) {
			return
		}
		if len(p.Value) > maxEventID {
			h.refuse(reason.EventIDInvalid)
			return
		}
		h.Event.EventId, h.Event.EventIdOrigin = readEventID(p.Value), onepxv1.IdOrigin_ID_ORIGIN_CLIENT
	}},
	{"u", "`page.url`, utm and click id fields", "http(s), 8192 bytes, longer is cut; else `url_invalid`", "Page URL, percent-encoded. Without it the Referer header. utm parameters and click ids in it fill their fields unless given as parameters.", "https://shop.example/thanks?utm_source=news", readPage},
	{"r", "`page.referrer`", "as `u`; else `referrer_invalid`", "Where the visitor came from (`document.referrer`).", "https://news.example/", func(h *Hit, p Pair) { h.referrer = p.Value }},
	{"t", "`page.title`", "512 characters, longer is cut", "Title of the page.", "Thank you", func(h *Hit, p Pair) {
		h.Event.Page.Title = cutRunes(mask(p.Value, &h.Flags), maxTitle, &h.Flags)
	}},
	{"ts", "`occurred_at_ms`", "Unix time in seconds or milliseconds, or RFC 3339; else `time_invalid`", "When it happened by the client's clock; without it the time of arrival. Kept within 7 days before and 5 minutes after the arrival.", "1795607998000", func(h *Hit, p Pair) { h.ts = p.Value }},
	{"sent", "`occurred_at_ms`", "as `ts`", "When the request was sent by the client's clock; with it a wrong clock is corrected.", "1795608000000", func(h *Hit, p Pair) { h.sent = p.Value }},
	{"v", "`visitor.visitor_id`", "128 bytes, else `visitor_invalid`", "The site's own id of the visitor; goes before the cookie. A UUID is kept as it is, any other text is hashed with the secret. Not used where no id is allowed.", "9f1c3b52-4a0e-4c0f-9c55-0a5d2a0b7e11", func(h *Hit, p Pair) {
		if !h.placeholder(p) {
			h.VisitorID = p.Value
		}
	}},
	{"uid", "`visitor.user_key`", "any text", "Customer id or e-mail address; only its keyed hash is stored.", "customer-77", func(h *Hit, p Pair) {
		if !h.placeholder(p) {
			h.UserID = p.Value
		}
	}},
	{"order_id", "`commerce.order_id`", "128 characters, longer is cut; spaces around it are left out", "Id of the order in the shop.", "1001", func(h *Hit, p Pair) {
		if !h.placeholder(p) {
			h.Event.Commerce.OrderId = cutRunes(strings.TrimSpace(p.Value), maxOrderID, &h.Flags)
		}
	}},
	{"value", "`commerce.value_micros`", "an [amount](#amounts), not negative in `purchase` and `restate`; else `value_invalid`", "Amount of the event.", "49.90", func(h *Hit, p Pair) { h.value = p.Value }},
	{"currency", "`commerce.currency`", "ISO 4217 code; else `currency_invalid`", "Currency of the value and of the prices of items; without it the one that they name, else the site's.", "EUR", func(h *Hit, p Pair) { h.currency = p.Value }},
	{"items", "`commerce.items`", "JSON array of at most 100 objects, else `too_many_items`; what can't be read is left out (`items_invalid`)", "What was bought or looked at: objects with `id` (needed), `qty` (1), `price` of one piece (an [amount](#amounts)) and `category`. Numbers may be texts.", `[{"id":"sku-1","qty":2,"price":"19.95","category":"tea"}]`, func(h *Hit, p Pair) {
		var ok bool
		if h.Event.Commerce.Items, h.priceCurrencies, ok = readItems(p.Value, &h.Flags); !ok {
			h.refuse(reason.TooManyItems)
		}
	}},
	utm("utm_source", "Source of the visit.", "news"),
	utm("utm_medium", "Medium of the visit.", "email"),
	utm("utm_campaign", "Campaign.", "autumn-26"),
	utm("utm_term", "Search term.", "green tea"),
	utm("utm_content", "Which of several links or ads.", "button"),
	utm("utm_id", "Id of the campaign.", "c42"),
	{"sr", "`client.screen_width`, `client.screen_height`", "two numbers up to 65535, else left out", "Screen size in CSS pixels.", "1920x1080", func(h *Hit, p Pair) {
		if width, height, ok := readScreen(p.Value); ok {
			h.Event.Client.ScreenWidth, h.Event.Client.ScreenHeight = width, height
		}
	}},
	{"c", "`consent`", "`0` or `1`, else not used", "The visitor's choice on the site: `0` refuses all measurement (nothing is stored), `1` allows measuring, audiences and sharing.", "1", func(h *Hit, p Pair) { h.Consent.AddParameter(p.Value) }},
	{"gdpr", "`consent`", "`0` or `1`, else `consent_invalid`", "Whether the GDPR applies. With `1` and no valid `gdpr_consent` the event is anonymous.", "0", readGDPR},
	{"gdpr_consent", "`consent`", "a valid TC string of version 2, 8192 characters; else `consent_invalid`", "What the visitor allowed, as a banner of IAB Europe's framework writes it. Not stored.", "CQuSqEAQuSqEAEsABBDECWFgAAAAAAAAAAYgAAAAAAAA.cCAAAAAAAAA", readGDPRConsent},
	{"addtl_consent", "`consent`", "an AC string of version 1 or 2, 8192 characters; else `consent_invalid`", "Google's additional consent: companies that are not in IAB Europe's framework and that the visitor allows. Of use to sites that set `ac_provider`. Not stored.", "2~1.35.41.101~dv.9.21.81", readAdditional},
	{"gpp", "`consent`", "a GPP string of version 1, 9216 characters; else `consent_invalid`", "What the visitor chose under several laws, as a banner of IAB Tech Lab's Global Privacy Platform writes it. Not stored.", "DBABzYA~1YNN~CEAqAAAAAACA.QA~BQoAAACA.QA", readGPP},
	{"gpp_sid", "`consent`", "ids of sections with commas between, or `-1`; in JSON also an array; else `consent_invalid`", "Which sections of `gpp` apply to the visitor; without it all that it has.", "7,8", readGPPSections},
	{"us_privacy", "`consent`", "`1` and three of `Y`, `N` and `-`; else `consent_invalid`", "The IAB's US Privacy string: `Y` in the third place, the opt-out of sale, allows neither audiences nor sharing.", "1YNN", readUSPrivacy},
	{"coppa", "`consent`", "`0` or `1`, else `consent_invalid`", "`1`: the page is for children, or the visitor is known to be one (COPPA). Measured, without an id that lasts.", "0", readCOPPA},
	{"gcs", "`consent`", "`G1` and two of `0`, `1` and `-`; else `consent_invalid`", "Google's consent mode: storage for ads, storage for analytics.", "G111", readGCS},
	{"gcd", "`consent`", "as Google's tags write it; else `consent_invalid`", "Google's consent mode, version 2: also data for ads and personal ads.", "11t1t1t1t5", readGCD},
	{"ip", "`client.ip_prefix`, `client.country`, `client.region`", "IPv4 or IPv6 address, else `ip_invalid`", "The visitor's address, cut at once. Read from `/v1/events` only; from elsewhere it is left out.", "81.2.69.160", func(h *Hit, p Pair) { h.IP = p.Value }},
	{"ua", "`client.user_agent`", "1024 bytes, longer is cut", "The visitor's User-Agent header. Read from `/v1/events` only; from elsewhere it is left out.", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", func(h *Hit, p Pair) { h.UserAgent = p.Value }},
	{"mail_campaign", "`mail.campaign_id`", mailIDLimit, "Campaign of the mail that a [server event](#mail-that-was-sent) tells of. This and the other `mail_…` are read there only; from elsewhere they are left out (`mail_misplaced`).", "autumn-26", mailID(func(m *Mail) *string { return &m.Campaign })},
	{"mail_message", "`mail.message_id`", mailIDLimit, "The message: what one recipient got, as in the tokens of its URLs.", "m-1", mailID(func(m *Mail) *string { return &m.Message })},
	{"mail_link", "`mail.link_id`", mailIDLimit, "The link by which somebody unsubscribed.", "footer", mailID(func(m *Mail) *string { return &m.Link })},
	{"mail_to", "`mail.recipient_key`", "an e-mail address of 320 bytes, else `recipient_invalid`", "Address of the recipient; only its keyed hash is stored.", "anna@example.com", func(h *Hit, p Pair) { h.Mail.Address = p.Value }},
	{"mail_recipient", "`mail.recipient_key`", "a UUID, else `recipient_invalid`", "The hash itself, as `console mail` prints it, in place of the address.", "6aafad4d-f46a-ab94-eb95-05b35448c9fb", func(h *Hit, p Pair) { h.Mail.Recipient = p.Value }},
	{"debug", "nothing", "`1`", "Answers with JSON of what would be stored, or why not; stores nothing and sets no cookie.", "1", ignore},
	{"p.NAME", "`props[NAME]`", "64 properties, else `too_many_props`; names 1 to 64 characters, else `prop_name_invalid`; values 1024 bytes, longer are cut", "A property of the site's own choice. Unknown parameters become properties too. In JSON also an object `props`.", "red", nil},
}

// Aliases are other names of parameters, by the name in Table: those of the field that can mean nothing else. `ccpa`, `usp`,
// `consent` and `consentString` may be a site's own properties, and are.
var Aliases = map[string][]string{
	"coppa":        {"tfcd"},
	"gdpr":         {"gdprapplies"},
	"gdpr_consent": {"gdprConsent", "gdprstring", "euconsent"},
	"gpp_sid":      {"gppsid"},
	"us_privacy":   {"usprivacy", "uspstring", "usp_consent", "ccpa_consent"},
}

// byName is Table without p.NAME, which is no name but a form of names.
var byName = func() map[string]*Param {
	names := map[string]*Param{}
	for i := range Table {
		if Table[i].read == nil {
			continue
		}
		names[Table[i].Name] = &Table[i]
		for _, alias := range Aliases[Table[i].Name] {
			names[alias] = &Table[i]
		}
	}
	return names
}()

// isSignal tells whether the parameter says what the visitor wishes. Where it comes more than once, all of it is read.
func isSignal(name string) bool {
	p, ok := byName[name]
	return ok && p.Field == "`consent`"
}

// ignore reads parameters that the caller asks for before the event is read.
func ignore(*Hit, Pair) {}

const mailIDLimit = "128 characters, longer is cut"

// mailID reads an id of the sender's. It stays what it is, as it must be that of the mail's tokens; the angle brackets of a
// Message-ID make no placeholder of it.
func mailID(field func(*Mail) *string) func(*Hit, Pair) {
	return func(h *Hit, p Pair) {
		if strings.Contains(p.Value, "@") || !h.placeholder(p) {
			*field(&h.Mail) = cutRunes(p.Value, maxMailID, &h.Flags)
		}
	}
}

func utm(name, meaning, example string) Param {
	return Param{name, "`marketing." + name + "`", "256 characters, longer is cut; name in any case", meaning + " Goes before the one in the page URL.", example, func(h *Hit, p Pair) {
		*utmFields(h.Event.Marketing)[name] = cutRunes(mask(p.Value, &h.Flags), maxUTM, &h.Flags)
	}}
}

// placeholder flags an id that is none: what a script or a template prints when it has no value. Taken as an id it would
// make one event, one visitor or one order of many.
func (h *Hit) placeholder(p Pair) bool {
	if text := strings.TrimSpace(p.Value); text != "" && !isPlaceholder(text) {
		return false
	}
	h.Flags.Add(reason.Placeholder)
	return true
}

// readPage takes the text as it was sent if it is plainly not encoded: a form-encoded URL has no ://, and decoding one that
// was never encoded would break the escapes of its own query.
func readPage(h *Hit, p Pair) {
	h.page = p.Value
	if _, rest, literal := strings.Cut(p.Raw, "://"); literal && strings.Contains(rest, "?") {
		h.page, h.unencoded = Clean(p.Raw, &h.Flags), true
	}
}
