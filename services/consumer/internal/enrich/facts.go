package enrich

import (
	"time"

	"github.com/onepx/onepx/services/shared/segments"
)

// Facts are what an event says once the rules are applied: columns of its row in ClickHouse. Every text is bounded by the
// event's own fields; words are from the closed lists TrafficClasses, Channels and Devices.
type Facts struct {
	// SiteDay is 00:00 UTC of the date that the site's time zone shows at occurred_at; 1970-01-01 to 2149-06-06.
	SiteDay time.Time
	// Currency is the event's ISO 4217 code, else the site's; empty when neither is known.
	Currency string
	// SiteCurrency is the site's ISO 4217 code; empty for a site that the rules don't know.
	SiteCurrency string
	// RetentionDays is how long the row is kept.
	RetentionDays uint16

	// Browser, OS and their versions are empty when unknown, and when the user agent is a mail provider's.
	Browser, BrowserVersion string
	OS, OSVersion           string
	// Device is a word of Devices.
	Device string
	// TrafficClass is a word of TrafficClasses.
	TrafficClass string
	// IsBot is true for the classes that are no person's doing: see TrafficClasses.
	IsBot bool

	// Channel is a word of Channels.
	Channel string
	// Source and Medium are lower case; Campaign keeps its case. Each is empty when nothing tells.
	Source, Medium, Campaign string
	// ReferrerHost and PageHost are lower case, without port; PagePath is escaped as in the URL and starts with a slash.
	// Empty when the event has no such URL.
	ReferrerHost, PageHost, PagePath string

	// Goals are the goals of the site that the event matched, in the order of the configuration, whoever did it.
	Goals []GoalHit
	// Segments are what the event fulfils of the site's segments; nil unless it takes part (segments.TakesPart).
	Segments []segments.Hit
}
