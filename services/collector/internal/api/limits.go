package api

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// newLimits makes a token bucket for each site that has a rate limit. It holds what a second fills in, and at least one
// full body, which would never get through else.
func newLimits(sites []siteconfig.Site) map[string]*rate.Limiter {
	limits := map[string]*rate.Limiter{}
	for i := range sites {
		if perSecond := sites[i].RateLimit; perSecond > 0 {
			limits[sites[i].ID] = rate.NewLimiter(rate.Limit(perSecond), max(perSecond, params.MaxEvents))
		}
	}
	return limits
}

// limit refuses the events of each site that sends more than it may; either all of its events in the request or none.
func (s *Server) limit(b *batch) {
	bySite := map[string][]*hit{}
	for _, h := range b.hits {
		if h.reason == "" && s.limits[h.site.ID] != nil {
			bySite[h.site.ID] = append(bySite[h.site.ID], h)
		}
	}
	for id, hits := range bySite {
		limiter := s.limits[id]
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
