// Package kept says what is kept of each field of an event in each state of consent: the table of docs/privacy.md. Tests hold
// it to what event.proto says of the fields, and to what the collector does.
package kept

// Whether a field is personal data, in the words of event.proto.
const (
	Personal    = "yes"
	MayBe       = "may be"
	NotPersonal = "no"
)

// No says that nothing is kept.
const No = "no"

const yes = "yes"

// Row is what holds for some fields.
type Row struct {
	// Fields are their names in event.proto, with those of the messages that they are in: visitor.visitor_id.
	Fields []string
	// Personal is one of the words above.
	Personal string
	// Known is what is kept of a visitor with a cookie, Measured of one who may be measured without (GPC, DNT, a cookieless
	// site), Anonymous of one who may not. It is No where nothing is.
	Known, Measured, Anonymous string
}

const (
	inPage  = "yes, [masked](pixel.md#what-is-masked)"
	inURL   = "yes, [cleaned](pixel.md#what-is-stored-of-urls) and masked"
	short   = "the short prefix (/16, /32)"
	choice  = "yes: the site's choice"
	machine = "yes"
)

// Table has every field once.
var Table = []Row{
	same(NotPersonal, machine, "schema", "event_id", "event_id_origin", "site_id", "kind", "received_at_ms", "occurred_at_ms", "flags"),
	same(NotPersonal, inPage, "name"),
	{[]string{"visitor.visitor_id"}, Personal, "keyed hash of the cookie or of `v`; a UUID in `v` as it is", No, No},
	{[]string{"visitor.kind"}, Personal, yes, yes, "`none`"},
	{[]string{"visitor.daily_hash"}, Personal, "keyed hash of day, site, longer prefix and user agent", "the same", No},
	{[]string{"visitor.user_key"}, Personal, "keyed hash of `uid`; in mode `audience_exemption` nothing", No + " under a signal; in a cookieless site without one as on the left", No},
	{[]string{"visitor.foreign_session_id"}, Personal, No + ": nothing sets it yet", No, No},
	same(MayBe, inURL, "page.url", "page.referrer"),
	same(MayBe, inPage, "page.title"),
	same(NotPersonal, inPage, "marketing.utm_source", "marketing.utm_medium", "marketing.utm_campaign", "marketing.utm_term", "marketing.utm_content", "marketing.utm_id"),
	{[]string{"marketing.click_id"}, Personal, yes, yes, No},
	same(NotPersonal, yes, "marketing.click_id_param", "marketing.click_network"),
	same(MayBe, choice, "commerce.order_id"),
	same(NotPersonal, choice, "commerce.value_micros", "commerce.currency", "commerce.items.id", "commerce.items.quantity_micros", "commerce.items.price_micros"),
	same(NotPersonal, inPage, "commerce.items.category"),
	same(NotPersonal, "of [e-mails](mail.md): what the sender put into the token, or told", "mail.campaign_id", "mail.link_id", "mail.sent_at_ms"),
	{[]string{"mail.message_id", "mail.recipient_key"}, Personal, "of [e-mails](mail.md) whose recipient allows it: what the sender put into the token, or told", "the same", No + ", but of an unsubscription as on the left"},
	{[]string{"client.ip_prefix"}, Personal, "the longer prefix (/24, /48); in mode `audience_exemption` the short one (/16, /32)", short + " under a signal; in a cookieless site without one the longer", No},
	same(NotPersonal, yes, "client.country", "client.region", "client.network_class"),
	same(Personal, inPage, "client.user_agent", "client.hint_brands", "client.hint_mobile", "client.hint_platform"),
	same(Personal, "the first tag", "client.language"),
	same(Personal, yes, "client.screen_width", "client.screen_height"),
	same(NotPersonal, yes, "consent.measure", "consent.profile", "consent.share", "consent.cookie", "consent.decided_by"),
	same(NotPersonal, machine, "transport.kind", "transport.dialect", "transport.prefetch", "transport.head"),
	{[]string{"props"}, MayBe, "names and values, masked: the site's choice; ids that [partners](sync.md) tell, where sharing is allowed, as they are", "names and values, masked", "the same, without click ids"},
	{[]string{"tally.reason", "tally.hits"}, NotPersonal, No + ": only in counts", No, No},
	{[]string{
		"account.collector", "account.sequence", "account.acknowledged", "account.last", "account.ended.outcome", "account.ended.reason", "account.ended.events",
		"account.published.minute_ms", "account.published.partition", "account.published.records", "account.published.first_offset", "account.published.last_offset", "account.unacknowledged",
	}, NotPersonal, No + ": only in counts", No, No},
}

// same is a row of fields that depend on no consent.
func same(personal, what string, fields ...string) Row {
	return Row{fields, personal, what, what, what}
}
