package api

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// newLimits makes a token bucket for each site that has a rate limit. It holds what a second fills in, and at least one
// full body, which would never get through else. Those before stay where the rate is the same: a new bucket is full.
func newLimits(sites []siteconfig.Site, before map[string]*rate.Limiter) map[string]*rate.Limiter {
	limits := map[string]*rate.Limiter{}
	for i := range sites {
		id, perSecond := sites[i].ID, sites[i].RateLimit
		switch last := before[id]; {
		case perSecond == 0:
		case last != nil && last.Limit() == rate.Limit(perSecond):
			limits[id] = last
		default:
			limits[id] = rate.NewLimiter(rate.Limit(perSecond), max(perSecond, params.MaxEvents))
		}
	}
	return limits
}

// limit refuses the events of each site that sends more than it may; either all of its events in the request or none. Those of a webhook
// may be more than the bucket holds: they take a full one.
func (b *batch) limit() {
	bySite := map[string][]*hit{}
	for _, h := range b.hits {
		if h.reason == "" && b.config.limits[h.site.ID] != nil {
			bySite[h.site.ID] = append(bySite[h.site.ID], h)
		}
	}
	for id, hits := range bySite {
		limiter := b.config.limits[id]
		events := min(len(hits), limiter.Burst())
		if limiter.AllowN(b.at, events) {
			continue
		}
		missing := float64(events) - limiter.TokensAt(b.at)
		wait := time.Duration(missing / float64(limiter.Limit()) * float64(time.Second))
		b.retryAfter = max(b.retryAfter, wait)
		for _, h := range hits {
			h.reason = reason.RateLimited
		}
	}
}
