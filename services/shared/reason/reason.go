// Package reason is the closed list of words for everything that can happen to an event other than being counted as it
// was sent. The same word stands in the header Onepx-Event, in metric labels, in the columns events.reason and
// events.flags, in docs/reasons.md (generated from here) and in the tests. A word is never renamed: dashboards use it.
package reason

// Reason is one word of the list.
type Reason string

// Effect says what a reason does to the event.
type Effect string

// The effects, from the mildest to the hardest.
const (
	// Flagged: stored and counted; something was changed or left out.
	Flagged Effect = "flagged"
	// Spooled: durable on the collector's disk, counted once Kafka takes it.
	Spooled Effect = "spooled"
	// Ignored: answered, not stored, because it is no event (HEAD).
	Ignored Effect = "ignored"
	// Suppressed: not stored or not counted, because the visitor wishes so.
	Suppressed Effect = "suppressed"
	// Rejected: not stored; the request is at fault (status 4xx).
	Rejected Effect = "rejected"
	// Lost: not stored; we are at fault (status 503), the client may try again.
	Lost Effect = "lost"
	// Unmet: a wish on /optout or /optin was not carried out, or only in part. No event.
	Unmet Effect = "wish unmet"
	// NotCounted: a row in events that counts for nothing.
	NotCounted Effect = "not counted"
	// Stopped: the consumer stopped a partition and waits for a person.
	Stopped Effect = "stopped"
)

// Set by the collector: the event is not stored, or not yet.
const (
	MalformedRequest Reason = "malformed_request"
	WrongPath        Reason = "wrong_path"
	URLTooLong       Reason = "url_too_long"
	SiteMissing      Reason = "site_missing"
	SiteUnknown      Reason = "site_unknown"
	NameInvalid      Reason = "name_invalid"
	EventIDInvalid   Reason = "event_id_invalid"
	TooManyProps     Reason = "too_many_props"
	PropNameInvalid  Reason = "prop_name_invalid"
	TooManyItems     Reason = "too_many_items"
	EventTooLarge    Reason = "event_too_large"

	BodyTooLarge        Reason = "body_too_large"
	BodyIncomplete      Reason = "body_incomplete"
	EncodingUnsupported Reason = "encoding_unsupported"
	CompressionInvalid  Reason = "compression_invalid"
	JSONInvalid         Reason = "json_invalid"
	EventNotObject      Reason = "event_not_object"
	TooManyEvents       Reason = "too_many_events"
	WriteKeyMissing     Reason = "write_key_missing"
	WriteKeyWrong       Reason = "write_key_wrong"
	SiteMismatch        Reason = "site_mismatch"
	RateLimited         Reason = "rate_limited"

	PartnerUnknown    Reason = "partner_unknown"
	PartnerUIDInvalid Reason = "partner_uid_invalid"
	RedirectUnlisted  Reason = "redirect_unlisted"
	SyncLoop          Reason = "sync_loop"
	SharingRefused    Reason = "sharing_refused"
	SyncRedirect      Reason = "sync_redirect"
	SyncCookieless    Reason = "sync_cookieless"

	MailTokenInvalid Reason = "mail_token_invalid"
	MailTokenExpired Reason = "mail_token_expired" //nolint:gosec // a word, no token
	MailTest         Reason = "mail_test"
	NotModifiedAsked Reason = "not_modified_asked"

	DeliveryUnproven    Reason = "delivery_unproven"
	DeliveryInvalid     Reason = "delivery_invalid"
	DeliveryIgnored     Reason = "delivery_ignored"
	ProviderUnreachable Reason = "provider_unreachable"

	HeadRequest      Reason = "head_request"
	DebugRequest     Reason = "debug_request"
	OptedOut         Reason = "opted_out"
	NoConsent        Reason = "no_consent"
	OnSuppression    Reason = "suppression_list"
	InSpool          Reason = "spooled"
	SpoolFull        Reason = "spool_full"
	SpoolFailed      Reason = "spool_failed"
	KafkaUnavailable Reason = "kafka_unavailable"
	Overloaded       Reason = "overloaded"
	Stopping         Reason = "stopping"
	InternalError    Reason = "internal_error"
)

// Set by the collector: the event is stored with the word in its flags.
const (
	BadEscape          Reason = "bad_escape"
	DuplicateParameter Reason = "duplicate_parameter"
	EscapedAmpersand   Reason = "escaped_ampersand"
	InvalidUTF8        Reason = "invalid_utf8"
	ControlCharacters  Reason = "control_characters"
	TextTruncated      Reason = "text_truncated"
	TimeClamped        Reason = "time_clamped"
	TimeInvalid        Reason = "time_invalid"
	URLInvalid         Reason = "url_invalid"
	SecretRemoved      Reason = "secret_removed"
	EmailMasked        Reason = "email_masked"
	TokenMasked        Reason = "token_masked"
	CardMasked         Reason = "card_masked"
	PhoneMasked        Reason = "phone_masked"
	URLUnencoded       Reason = "url_unencoded"
	ReferrerInvalid    Reason = "referrer_invalid"
	ValueInvalid       Reason = "value_invalid"
	CurrencyInvalid    Reason = "currency_invalid"
	ItemsInvalid       Reason = "items_invalid"
	VisitorInvalid     Reason = "visitor_invalid"
	Placeholder        Reason = "placeholder"
	ConsentInvalid     Reason = "consent_invalid"
	ForwardedInvalid   Reason = "forwarded_invalid"
	IPInvalid          Reason = "ip_invalid"
	MailMisplaced      Reason = "mail_misplaced"
	RecipientInvalid   Reason = "recipient_invalid"
)

// Set by the collector: a visitor's wish on /optout or /optin was not carried out as asked.
const (
	LinkInvalid          Reason = "link_invalid"
	LinkExpired          Reason = "link_expired"
	OptInForeign         Reason = "opt_in_foreign"
	WishesLimited        Reason = "wishes_limited"
	SuppressionUnwritten Reason = "suppression_unwritten"
)

// Set by the consumer: the row is not counted.
const (
	OffsetMissing   Reason = "offset_missing"
	Undecodable     Reason = "undecodable"
	SchemaTooNew    Reason = "schema_too_new"
	RepeatedEventID Reason = "repeated_event_id"
	PersonErased    Reason = "person_erased"
)

// Set by the consumer: a partition is stopped.
const (
	OffsetsMoved  Reason = "offsets_moved"
	TopicChanged  Reason = "topic_changed"
	RowsPartial   Reason = "rows_partial"
	InsertRefused Reason = "insert_refused"
)

// Entry describes one reason for the docs.
type Entry struct {
	Reason Reason
	// By is who sets it: collector or consumer.
	By     string
	Effect Effect
	// Meaning is one sentence for the person who meets the word in a dashboard.
	Meaning string
}

// All is the list, in the order of the docs. A word that is not in it must not be used.
var All = []Entry{
	{MalformedRequest, "collector", Rejected, "The HTTP request itself could not be read (raw spaces, huge headers, headers that do not arrive, broken encoding); at most answered by the connection, without the image."},
	{WrongPath, "collector", Rejected, "The collector answers nothing at this path, or not with this method: a mistyped tag, or somebody who looks around."},
	{URLTooLong, "collector", Rejected, "The request URL is longer than 16 KiB."},
	{SiteMissing, "collector", Rejected, "The parameter `site` is missing or empty."},
	{SiteUnknown, "collector", Rejected, "The parameter `site` names no site of the configuration."},
	{NameInvalid, "collector", Rejected, "The event name `e` is longer than 64 characters."},
	{EventIDInvalid, "collector", Rejected, "The event id `id` is longer than 200 bytes."},
	{TooManyProps, "collector", Rejected, "More than 64 properties."},
	{PropNameInvalid, "collector", Rejected, "A property name is empty or longer than 64 characters."},
	{TooManyItems, "collector", Rejected, "More than 100 items."},
	{EventTooLarge, "collector", Rejected, "The event is larger than `ONEPX_MAX_EVENT_BYTES`, which is what Kafka takes."},
	{BodyTooLarge, "collector", Rejected, "The body is larger than 1 MiB (1048576 bytes), as sent or decompressed."},
	{BodyIncomplete, "collector", Rejected, "The body was cut off, broken or too slow: a request may take 15 seconds to arrive."},
	{EncodingUnsupported, "collector", Rejected, "The body has another Content-Encoding than gzip or zstd."},
	{CompressionInvalid, "collector", Rejected, "The body is not what its Content-Encoding says, or it is cut off; nothing of it is stored."},
	{JSONInvalid, "collector", Rejected, "The body, or this line of it, is no JSON (or nested more than 10000 deep)."},
	{EventNotObject, "collector", Rejected, "The event is JSON but no object."},
	{TooManyEvents, "collector", Rejected, "The body has more than 500 events (5000 in the webhook of a provider of mail); nothing of it is stored."},
	{WriteKeyMissing, "collector", Rejected, "The request to `/v1/events` has no write key."},
	{WriteKeyWrong, "collector", Rejected, "The write key belongs to no site."},
	{SiteMismatch, "collector", Rejected, "The event names another site than the one the write key belongs to."},
	{RateLimited, "collector", Rejected, "The site sends more events than its `rate_limit` allows; try again after `Retry-After`."},
	{PartnerUnknown, "collector", Rejected, "The parameter `partner` of `/sync` is missing or names none of the site's `sync_partners`."},
	{PartnerUIDInvalid, "collector", Rejected, "The parameter `uid` of `/sync` is no id (512 visible ASCII characters, no e-mail address, telephone number or token, no placeholder), or it is missing and the partner has no `url`."},
	{RedirectUnlisted, "collector", Rejected, "The parameter `redir` of `/sync` is no https URL whose host is one of the partner's `redirects`."},
	{SyncLoop, "collector", Rejected, "The partner has sent the visitor back to `/sync` without `uid` for the second time."},
	{SharingRefused, "collector", Suppressed, "The visitor does not allow all of cookie, audiences and sharing, or a TC string not to the partner, so ids are not exchanged at `/sync`."},
	{SyncRedirect, "collector", Ignored, "`/sync` has sent the visitor to the partner, and stores nothing yet."},
	{SyncCookieless, "collector", Ignored, "A partner told its id at `/sync` of a browser that does not send our cookie, so nobody knows whose it is."},
	{MailTokenInvalid, "collector", Rejected, "The token in a URL of an e-mail is none of ours, was changed or cut off, is for something else or of a key that `ONEPX_MAIL_KEYS` does not have (any more); or the target of a click is not the one that was signed."},
	{MailTokenExpired, "collector", Rejected, "The token of an open or click in an e-mail is signed with a key whose last day in `ONEPX_MAIL_KEYS` has passed."},
	{MailTest, "collector", Ignored, "The token in a URL of an e-mail is of a mail that is only tried out."},
	{NotModifiedAsked, "collector", Ignored, "A conditional request for the image of an e-mail: who asks has it already, so the mail is not opened anew."},
	{DeliveryUnproven, "collector", Rejected, "A request to `/v1/mail/…` is not proven to come from the provider: the site is unknown or has no `mail_providers` for it, or signature or password are wrong, too old or used before."},
	{DeliveryInvalid, "collector", Rejected, "What a provider of mail tells is not in the form it has, or lacks id or recipient."},
	{DeliveryIgnored, "collector", Ignored, "What a provider of mail tells is an open, a click or something else that is not taken from it ([mail.md](mail.md#deliveries))."},
	{ProviderUnreachable, "collector", Lost, "The certificate of Amazon SNS, by which a webhook is proven, or its confirmation of a subscription could not be fetched; SNS sends again."},
	{HeadRequest, "collector", Ignored, "HEAD asks for the headers only and is no event; in the URLs of e-mails it is one, and marked."},
	{DebugRequest, "collector", Ignored, "`debug=1` asks what would be stored, and stores nothing."},
	{OptedOut, "collector", Suppressed, "The visitor carries the opt-out cookie, or the parameter `c` refuses measurement."},
	{NoConsent, "collector", Suppressed, "The visitor may not be measured, for want of consent, and the site wants no anonymous events (`consent.without` in onepx.yaml)."},
	{OnSuppression, "collector, consumer", Suppressed, "The visitor or user key stands on the suppression list."},
	{InSpool, "collector", Spooled, "Kafka did not acknowledge the event in time; it is durable on the collector's disk and goes to Kafka when that is back."},
	{SpoolFull, "collector", Lost, "Kafka did not acknowledge the event in time, and the spool has no room for it (`ONEPX_SPOOL_QUOTA_BYTES`)."},
	{SpoolFailed, "collector", Lost, "Kafka did not acknowledge the event in time, and the spool's disk failed or was too slow; the event may be stored all the same."},
	{KafkaUnavailable, "collector", Lost, "Kafka did not acknowledge the event in time, and there is no spool or it takes no more at once; whether it is stored is not known. A repeat under the same event id counts once."},
	{Overloaded, "collector", Lost, "More events are in flight than allowed, in all or for this site, to Kafka and to the spool; the event was not stored."},
	{Stopping, "collector", Lost, "The collector is stopping; the event was not sent to Kafka."},
	{InternalError, "collector", Lost, "A defect in the collector, whose log says where; the event was not stored."},
	{BadEscape, "collector", Flagged, "A percent sign without two hex digits was kept as text."},
	{DuplicateParameter, "collector", Flagged, "A parameter came more than once; the first one is used."},
	{EscapedAmpersand, "collector", Flagged, "The URL was HTML-escaped (`&amp;`); the parameters were read all the same."},
	{InvalidUTF8, "collector", Flagged, "Bytes that are no UTF-8 were replaced by U+FFFD."},
	{ControlCharacters, "collector", Flagged, "Control characters were removed."},
	{TextTruncated, "collector", Flagged, "A text was longer than its limit and was cut."},
	{TimeClamped, "collector", Flagged, "The client's time was more than 7 days before or 5 minutes after the arrival and was moved to that bound."},
	{TimeInvalid, "collector", Flagged, "`ts` or `sent` could not be read; the time of arrival is used."},
	{URLInvalid, "collector", Flagged, "The page URL is no http(s) URL and was left out."},
	{URLUnencoded, "collector", Flagged, "The page URL seems to have been sent without encoding: parts of its query arrived as parameters."},
	{SecretRemoved, "collector", Flagged, "A parameter whose name promises a secret (`token`, `password`, …) was left out; as `p.NAME` it is kept."},
	{EmailMasked, "collector", Flagged, "An e-mail address in a URL, a title, a name or a property was replaced by `[email]`."},
	{TokenMasked, "collector", Flagged, "A JWT or a key of a known form was replaced by `[token]`."},
	{CardMasked, "collector", Flagged, "A number with an issuer's first digits and a right check digit was replaced by `[card]`."},
	{PhoneMasked, "collector", Flagged, "A telephone number with its country code (after `+`, `00` or `tel:`) was replaced by `[phone]`."},
	{ReferrerInvalid, "collector", Flagged, "The referrer is no http(s) URL and was left out."},
	{ValueInvalid, "collector", Flagged, "The amount can't be read, or in two ways; or it is not in `currency`, or negative in a `purchase` or `restate`. The event has no value."},
	{CurrencyInvalid, "collector", Flagged, "The currency is no ISO 4217 code; the amounts were left out."},
	{ItemsInvalid, "collector", Flagged, "`items` is no JSON array of items, or a price is in another currency than the event; what could not be read was left out."},
	{VisitorInvalid, "collector", Flagged, "The cookie or the parameter `v` holds no readable visitor id and was left out."},
	{Placeholder, "collector", Flagged, "An id or a consent signal was what scripts and templates print without a value (`undefined`, `null`, `{{id}}`, `${US_PRIVACY}`, spaces …) and was left out."},
	{ConsentInvalid, "collector", Flagged, "A consent signal (`gdpr`, `gdpr_consent`, `addtl_consent`, `gpp`, `gpp_sid`, `us_privacy`, `coppa`, `gcs`, `gcd`) is not in its format or no longer valid, and allows nothing; whoever fills it in should be told."},
	{ForwardedInvalid, "collector", Flagged, "A trusted proxy sent an unreadable forwarding header; the event has no client address."},
	{IPInvalid, "collector", Flagged, "`ip` is no IP address; the event has no client address."},
	{MailMisplaced, "collector", Flagged, "Parameters of mail (`mail_…`), or the name of an event of mail, came where they mean nothing: only servers tell what became of a mail, under the names for it, and only tokens tell of opens and clicks. The parameters were left out, and the event is one of the site's own."},
	{RecipientInvalid, "collector", Flagged, "`mail_to` is no e-mail address, or `mail_recipient` no key; the event of mail has no recipient."},
	{LinkInvalid, "collector", Unmet, "The link to `/optout` is not one of ours, or it was changed or cut off; the page is for the browser alone then."},
	{LinkExpired, "collector", Unmet, "The link to `/optout` has expired; the page is for the browser alone then."},
	{OptInForeign, "collector", Unmet, "Another site's page sent `POST /optin`; nothing was changed, and the page is shown for the visitor to decide."},
	{WishesLimited, "collector", Unmet, "More wishes came than a collector writes to the suppression list (100 entries a second); the browser's cookies were changed, and the visitor is asked to try again."},
	{SuppressionUnwritten, "collector", Unmet, "Kafka did not acknowledge the change of the suppression list in time; the browser's cookies were changed, and the visitor is asked to try again."},
	{OffsetMissing, "consumer", NotCounted, "Kafka has no record at this offset (expired, or a control record)."},
	{Undecodable, "consumer", NotCounted, "The record's bytes are no event; they lie in the dead-letter topic."},
	{SchemaTooNew, "consumer", NotCounted, "The record needs a newer consumer; its bytes lie in the dead-letter topic."},
	{RepeatedEventID, "consumer", NotCounted, "An earlier record of the same site has the same event id."},
	{PersonErased, "consumer", NotCounted, "The event was of a person who has been erased; the row keeps the offset, site and time of the record ([erasure.md](erasure.md))."},
	{OffsetsMoved, "consumer", Stopped, "Somebody moved the consumer group's offsets; see `consumer topics accept-offsets`."},
	{TopicChanged, "consumer", Stopped, "The topic was made anew or cut: its records are not the ones that were stored."},
	{RowsPartial, "consumer", Stopped, "Only a part of a declared range is stored; this cannot happen unless rows were deleted by hand."},
	{InsertRefused, "consumer", Stopped, "ClickHouse refuses a block for good."},
}

// Meaning is the entry's sentence, or "" if the word is not in the list.
func (r Reason) Meaning() string {
	for _, e := range All {
		if e.Reason == r {
			return e.Meaning
		}
	}
	return ""
}

// With returns the reasons that have the effect, in the order of the list: metric labels are born from it.
func With(effect Effect) []Reason {
	var out []Reason
	for _, e := range All {
		if e.Effect == effect {
			out = append(out, e.Reason)
		}
	}
	return out
}
