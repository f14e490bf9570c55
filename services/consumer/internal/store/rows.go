package store

import (
	"time"

	"github.com/google/uuid"
)

// Outcomes of an offset, in the order in which they are decided: the first that applies is stored.
const (
	// OutcomeMissing: Kafka has no record at this offset.
	OutcomeMissing = "missing"
	// OutcomeDead: the record's bytes are no event; they lie in the dead-letter topic.
	OutcomeDead = "dead"
	// OutcomeSuppressed: the visitor does not wish to be counted; the row keeps nothing but the offset.
	OutcomeSuppressed = "suppressed"
	// OutcomeDuplicate: an earlier record of the partition has the same site and event id.
	OutcomeDuplicate = "duplicate"
	// OutcomeEvent: it counts.
	OutcomeEvent = "event"
	// OutcomeTally: no event, but how many hits a collector did not store.
	OutcomeTally = "tally"
	// OutcomeAccount: no event, but what a collector did within a minute.
	OutcomeAccount = "account"
	// OutcomeErased: it was an event or a duplicate of a person who has been erased since. Only an erasure writes it.
	OutcomeErased = "erased"
)

// Row is one row of the table events; the tags are the only place in the code that names its columns. What they mean
// stands in migrations/0001_events.sql, 0005_goals.sql and 0018_segments.sql.
type Row struct {
	KafkaTopic     string    `ch:"kafka_topic"`
	KafkaPartition int32     `ch:"kafka_partition"`
	KafkaOffset    int64     `ch:"kafka_offset"`
	RecordTime     time.Time `ch:"record_time"`
	RecordHash     uint64    `ch:"record_hash"`
	BatchFirst     int64     `ch:"batch_first"`
	BatchLast      int64     `ch:"batch_last"`
	BatchDay       time.Time `ch:"batch_day"`
	DeclaredAt     time.Time `ch:"declared_at"`
	// InsertUntil is set by Store.Insert.
	InsertUntil time.Time `ch:"insert_until"`
	Rules       string    `ch:"rules"`

	Outcome string   `ch:"outcome"`
	Reason  string   `ch:"reason"`
	Flags   []string `ch:"flags"`

	SiteID        string    `ch:"site_id"`
	EventID       uuid.UUID `ch:"event_id"`
	EventIDOrigin string    `ch:"event_id_origin"`
	Kind          string    `ch:"kind"`
	Name          string    `ch:"name"`

	ReceivedAt time.Time `ch:"received_at"`
	OccurredAt time.Time `ch:"occurred_at"`
	SiteDay    time.Time `ch:"site_day"`

	VisitorID        uuid.UUID `ch:"visitor_id"`
	VisitorKind      string    `ch:"visitor_kind"`
	DailyHash        uuid.UUID `ch:"daily_hash"`
	UserKey          uuid.UUID `ch:"user_key"`
	ForeignSessionID string    `ch:"foreign_session_id"`

	URL          string `ch:"url"`
	PageHost     string `ch:"page_host"`
	PagePath     string `ch:"page_path"`
	Referrer     string `ch:"referrer"`
	ReferrerHost string `ch:"referrer_host"`
	Title        string `ch:"title"`

	UTMSource    string `ch:"utm_source"`
	UTMMedium    string `ch:"utm_medium"`
	UTMCampaign  string `ch:"utm_campaign"`
	UTMTerm      string `ch:"utm_term"`
	UTMContent   string `ch:"utm_content"`
	UTMID        string `ch:"utm_id"`
	ClickID      string `ch:"click_id"`
	ClickIDParam string `ch:"click_id_param"`
	ClickNetwork string `ch:"click_network"`
	Source       string `ch:"source"`
	Medium       string `ch:"medium"`
	Campaign     string `ch:"campaign"`
	Channel      string `ch:"channel"`

	OrderID            string   `ch:"order_id"`
	ValueMicros        *int64   `ch:"value_micros"`
	Currency           string   `ch:"currency"`
	SiteCurrency       string   `ch:"site_currency"`
	ItemIDs            []string `ch:"items.id"`
	ItemQuantityMicros []int64  `ch:"items.quantity_micros"`
	ItemPriceMicros    []*int64 `ch:"items.price_micros"`
	ItemCategories     []string `ch:"items.category"`

	MailCampaignID string    `ch:"mail_campaign_id"`
	MailMessageID  string    `ch:"mail_message_id"`
	MailSentAt     time.Time `ch:"mail_sent_at"`
	RecipientKey   uuid.UUID `ch:"recipient_key"`
	LinkID         string    `ch:"link_id"`

	IPPrefix       string `ch:"ip_prefix"`
	Country        string `ch:"country"`
	Region         string `ch:"region"`
	NetworkClass   string `ch:"network_class"`
	UserAgent      string `ch:"user_agent"`
	HintBrands     string `ch:"hint_brands"`
	HintMobile     string `ch:"hint_mobile"`
	HintPlatform   string `ch:"hint_platform"`
	Browser        string `ch:"browser"`
	BrowserVersion string `ch:"browser_version"`
	OS             string `ch:"os"`
	OSVersion      string `ch:"os_version"`
	Device         string `ch:"device"`
	Language       string `ch:"language"`
	ScreenWidth    uint16 `ch:"screen_width"`
	ScreenHeight   uint16 `ch:"screen_height"`
	TrafficClass   string `ch:"traffic_class"`
	IsBot          bool   `ch:"is_bot"`

	ConsentMeasure   bool   `ch:"consent_measure"`
	ConsentProfile   bool   `ch:"consent_profile"`
	ConsentShare     bool   `ch:"consent_share"`
	ConsentCookie    bool   `ch:"consent_cookie"`
	ConsentDecidedBy string `ch:"consent_decided_by"`

	Transport string `ch:"transport"`
	Dialect   string `ch:"dialect"`
	Prefetch  bool   `ch:"prefetch"`
	Head      bool   `ch:"head"`
	Replayed  bool   `ch:"replayed"`

	GoalIDs             []string `ch:"goals.id"`
	GoalOncePer         []string `ch:"goals.once_per"`
	GoalValues          []string `ch:"goals.value"`
	GoalValueMicros     []*int64 `ch:"goals.value_micros"`
	GoalCurrencies      []string `ch:"goals.currency"`
	GoalClickWindowDays []uint8  `ch:"goals.click_window_days"`
	GoalViewWindowDays  []uint8  `ch:"goals.view_window_days"`

	SegmentIDs        []string `ch:"segments.id"`
	SegmentVersions   []string `ch:"segments.version"`
	SegmentSteps      []string `ch:"segments.step"`
	SegmentProducts   []string `ch:"segments.product"`
	SegmentNth        []uint16 `ch:"segments.nth"`
	SegmentItemMicros []*int64 `ch:"segments.item_micros"`

	Props         map[string]string `ch:"props"`
	RetentionDays uint16            `ch:"retention_days"`

	TallyHits uint64 `ch:"tally_hits"`
	Account   string `ch:"account"`
}
