package store

import (
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/shared/segments"
)

// ID reads 16 bytes as the UUID column shows them; anything else is the zero UUID, which means none.
func ID(b []byte) uuid.UUID {
	id, err := uuid.FromBytes(b)
	if err != nil {
		return uuid.UUID{}
	}
	return id
}

// Fill writes the event and what was derived from it into the row. Every value fits its column, whatever the event holds:
// numbers and times out of range are brought to the bound, words that this consumer does not know become `unknown`.
func (r *Row) Fill(ev *onepxv1.Event, facts enrich.Facts) {
	r.SiteID, r.EventID, r.Name = ev.GetSiteId(), ID(ev.GetEventId()), ev.GetName()
	r.EventIDOrigin = word(ev.GetEventIdOrigin().String(), "ID_ORIGIN_")
	r.Kind = word(ev.GetKind().String(), "EVENT_KIND_")
	r.ReceivedAt, r.OccurredAt = instant(ev.GetReceivedAtMs()), instant(ev.GetOccurredAtMs())
	r.SiteDay, r.RetentionDays, r.Flags = facts.SiteDay, facts.RetentionDays, ev.GetFlags()
	r.fillVisitor(ev.GetVisitor(), ev.GetConsent())
	r.fillPage(ev.GetPage(), ev.GetMarketing(), facts)
	r.fillCommerce(ev.GetCommerce(), ev.GetMail(), facts)
	r.fillGoals(facts.Goals)
	r.fillSegments(facts.Segments)
	r.fillClient(ev.GetClient(), ev.GetTransport(), facts)
	r.Props = ev.GetProps()
}

func (r *Row) fillVisitor(v *onepxv1.Visitor, c *onepxv1.Consent) {
	r.VisitorID, r.DailyHash, r.UserKey = ID(v.GetVisitorId()), ID(v.GetDailyHash()), ID(v.GetUserKey())
	r.VisitorKind = word(v.GetKind().String(), "VISITOR_KIND_")
	r.ForeignSessionID = v.GetForeignSessionId()
	r.ConsentMeasure, r.ConsentProfile, r.ConsentShare, r.ConsentCookie = c.GetMeasure(), c.GetProfile(), c.GetShare(), c.GetCookie()
	r.ConsentDecidedBy = word(c.GetDecidedBy().String(), "CONSENT_SIGNAL_")
}

func (r *Row) fillPage(p *onepxv1.Page, m *onepxv1.Marketing, facts enrich.Facts) {
	r.URL, r.Referrer, r.Title = p.GetUrl(), p.GetReferrer(), p.GetTitle()
	r.PageHost, r.PagePath, r.ReferrerHost = facts.PageHost, facts.PagePath, facts.ReferrerHost
	r.UTMSource, r.UTMMedium, r.UTMCampaign = m.GetUtmSource(), m.GetUtmMedium(), m.GetUtmCampaign()
	r.UTMTerm, r.UTMContent, r.UTMID = m.GetUtmTerm(), m.GetUtmContent(), m.GetUtmId()
	r.ClickID, r.ClickIDParam, r.ClickNetwork = m.GetClickId(), m.GetClickIdParam(), m.GetClickNetwork()
	r.Source, r.Medium, r.Campaign, r.Channel = facts.Source, facts.Medium, facts.Campaign, facts.Channel
}

func (r *Row) fillCommerce(c *onepxv1.Commerce, m *onepxv1.Mail, facts enrich.Facts) {
	r.OrderID, r.Currency, r.SiteCurrency = c.GetOrderId(), facts.Currency, facts.SiteCurrency
	if c != nil {
		r.ValueMicros = c.ValueMicros
	}
	for _, item := range c.GetItems() {
		r.ItemIDs = append(r.ItemIDs, item.GetId())
		r.ItemQuantityMicros = append(r.ItemQuantityMicros, item.GetQuantityMicros())
		r.ItemPriceMicros = append(r.ItemPriceMicros, item.PriceMicros)
		r.ItemCategories = append(r.ItemCategories, item.GetCategory())
	}
	r.MailCampaignID, r.MailMessageID, r.LinkID = m.GetCampaignId(), m.GetMessageId(), m.GetLinkId()
	r.MailSentAt = time.UnixMilli(m.GetSentAtMs()).UTC()
	r.RecipientKey = ID(m.GetRecipientKey())
}

func (r *Row) fillGoals(goals []enrich.GoalHit) {
	for _, goal := range goals {
		r.GoalIDs = append(r.GoalIDs, goal.ID)
		r.GoalOncePer = append(r.GoalOncePer, goal.OncePer)
		r.GoalValues = append(r.GoalValues, goal.Value)
		r.GoalValueMicros = append(r.GoalValueMicros, goal.ValueMicros)
		r.GoalCurrencies = append(r.GoalCurrencies, goal.Currency)
		r.GoalClickWindowDays = append(r.GoalClickWindowDays, goal.ClickWindowDays)
		r.GoalViewWindowDays = append(r.GoalViewWindowDays, goal.ViewWindowDays)
	}
}

func (r *Row) fillSegments(hits []segments.Hit) {
	for _, hit := range hits {
		r.SegmentIDs = append(r.SegmentIDs, hit.Segment)
		r.SegmentVersions = append(r.SegmentVersions, hit.Version)
		r.SegmentSteps = append(r.SegmentSteps, string(hit.Step))
		r.SegmentProducts = append(r.SegmentProducts, hit.Product)
		r.SegmentNth = append(r.SegmentNth, hit.Nth)
		r.SegmentItemMicros = append(r.SegmentItemMicros, hit.ItemMicros)
	}
}

func (r *Row) fillClient(c *onepxv1.Client, t *onepxv1.Transport, facts enrich.Facts) {
	r.IPPrefix, r.Country, r.Region, r.UserAgent, r.Language = c.GetIpPrefix(), c.GetCountry(), c.GetRegion(), c.GetUserAgent(), c.GetLanguage()
	r.NetworkClass = word(c.GetNetworkClass().String(), "NETWORK_CLASS_")
	r.HintBrands, r.HintMobile, r.HintPlatform = c.GetHintBrands(), c.GetHintMobile(), c.GetHintPlatform()
	r.ScreenWidth, r.ScreenHeight = pixels(c.GetScreenWidth()), pixels(c.GetScreenHeight())
	r.Browser, r.BrowserVersion, r.OS, r.OSVersion, r.Device = facts.Browser, facts.BrowserVersion, facts.OS, facts.OSVersion, facts.Device
	r.TrafficClass, r.IsBot = facts.TrafficClass, facts.IsBot
	r.Transport = word(t.GetKind().String(), "TRANSPORT_KIND_")
	r.Dialect, r.Prefetch, r.Head = t.GetDialect(), t.GetPrefetch(), t.GetHead()
}

// word is an enum value as a column shows it: `EVENT_KIND_PAGE_VIEW` becomes `page_view`; `unknown` when it is not set or
// newer than this consumer.
func word(name, prefix string) string {
	text, known := strings.CutPrefix(name, prefix)
	if !known || text == "UNSPECIFIED" {
		return "unknown"
	}
	return strings.ToLower(text)
}

// The bounds of DateTime64(3) that we use: what ClickHouse shows without loss and Go can hold.
var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2149, 6, 6, 0, 0, 0, 0, time.UTC)
)

func instant(ms int64) time.Time {
	return time.UnixMilli(min(max(ms, earliest.UnixMilli()), latest.UnixMilli())).UTC()
}

func pixels(n uint32) uint16 {
	return uint16(min(n, math.MaxUint16))
}
