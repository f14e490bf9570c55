// Package enrich derives from an event what its row says beyond the event itself: the site's day, the browser, whether a
// person did it, and the channel that brought the visitor.
package enrich

import (
	"time"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// Enricher derives facts under one set of rules. It may be used from many goroutines at once.
type Enricher struct{}

// New returns the enricher of the rules, or ErrOtherEnrichment.
func New(rules Rules) (*Enricher, error) { return &Enricher{}, nil }

// Facts derives the facts of an event.
func (e *Enricher) Facts(event *onepxv1.Event) Facts { return Facts{} }

// SiteDay is 00:00 UTC of the date that the site's time zone shows at t.
func (e *Enricher) SiteDay(siteID string, t time.Time) time.Time { return t }
