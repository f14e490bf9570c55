package api

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// limitKey names a bucket: a mailing fills that of the webhooks, and must not take the place of page views.
type limitKey struct {
	site    string
	webhook bool
}

// newLimits makes two token buckets for each site that has a rate limit. Each holds what a second fills in, and at least one
// full body, which would never get through else. Those before stay where the rate is the same: a new bucket is full.
func newLimits(sites []siteconfig.Site, before map[limitKey]*rate.Limiter) map[limitKey]*rate.Limiter {
	limits := map[limitKey]*rate.Limiter{}
	for i := range sites {
		perSecond := sites[i].RateLimit
		if perSecond == 0 {
			continue
		}
		for webhook, body := range map[bool]int{false: params.MaxEvents, true: deliveries.MaxReports} {
			key := limitKey{sites[i].ID, webhook}
			if limits[key] = before[key]; limits[key] == nil || limits[key].Limit() != rate.Limit(perSecond) {
				limits[key] = rate.NewLimiter(rate.Limit(perSecond), max(perSecond, body))
			}
		}
	}
	return limits
}

// limit refuses the events of each site that sends more than it may; either all of its events in the request or none.
func (b *batch) limit(webhook bool) {
	bySite := map[string][]*hit{}
	for _, h := range b.hits {
		if h.reason == "" && b.config.limits[limitKey{h.site.ID, webhook}] != nil {
			bySite[h.site.ID] = append(bySite[h.site.ID], h)
		}
	}
	for id, hits := range bySite {
		limiter := b.config.limits[limitKey{id, webhook}]
		if limiter.AllowN(b.at, len(hits)) {
			continue
		}
		missing := float64(len(hits)) - limiter.TokensAt(b.at)
		wait := time.Duration(missing / float64(limiter.Limit()) * float64(time.Second))
		b.retryAfter = max(b.retryAfter, wait)
		for _, h := range hits {
			h.reason = reason.RateLimited
		}
	}
}
