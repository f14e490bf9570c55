package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/time/rate"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

const (
	// keyScheme is what the OpenAPI document calls the key.
	keyScheme = "key"
	// rightOf is where an operation keeps the right that it takes.
	rightOf = "right"
)

// snapshot is a site configuration and what is made of it. A request keeps to one from its start to its end.
type snapshot struct {
	sites *siteconfig.Config
	// limits are those of the keys.
	limits map[siteconfig.KeyHash]*rate.Limiter
}

// SetSites makes the configuration that of all requests that begin from now on. A key whose rate limit is as before has no
// more left of it than before. To be called by one goroutine at a time.
func (s *Server) SetSites(sites *siteconfig.Config) {
	now := &snapshot{sites: sites, limits: map[siteconfig.KeyHash]*rate.Limiter{}}
	before := map[siteconfig.KeyHash]*rate.Limiter{}
	if last := s.sites.Load(); last != nil {
		before = last.limits
	}
	for i := range sites.Sites {
		for _, key := range sites.Sites[i].APIKeys {
			limit := rate.Limit(key.RateLimit)
			if last := before[key.Hash]; last != nil && last.Limit() == limit {
				now.limits[key.Hash] = last
				continue
			}
			now.limits[key.Hash] = rate.NewLimiter(limit, key.RateLimit)
		}
	}
	s.sites.Store(now)
}

// caller is who asks: a key, and the site that it is of.
type caller struct {
	site *siteconfig.Site
	key  *siteconfig.APIKey
}

type callerKey struct{}

// callerOf is who asks; authorized has put it there.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// authorized lets those through whose key is of the site and has the right. That a site is another's and that there is none
// look the same.
func (s *Server) authorized(ctx huma.Context, next func(huma.Context)) {
	now := s.sites.Load()
	site, key := now.sites.APIKey(bearer(ctx.Header("Authorization")))
	if key == nil {
		ctx.SetHeader("WWW-Authenticate", "Bearer")
		s.refuse(ctx, http.StatusUnauthorized, "send an API key of the site as Authorization: Bearer")
		return
	}
	if wait := s.limited(now.limits[key.Hash]); wait > 0 {
		ctx.SetHeader("Retry-After", seconds(wait))
		s.refuse(ctx, http.StatusTooManyRequests, "this key has made as many requests as it may; wait, or raise its rate_limit")
		return
	}
	if strings.Contains(ctx.Operation().Path, "{site}") && ctx.Param("site") != site.ID {
		s.refuse(ctx, http.StatusNotFound, noSuchThing)
		return
	}
	right, _ := ctx.Operation().Metadata[rightOf].(siteconfig.Right)
	if !key.Has(right) {
		s.refuse(ctx, http.StatusForbidden, "this key has not the right "+string(right))
		return
	}
	next(huma.WithValue(ctx, callerKey{}, caller{site, key}))
}

func (s *Server) refuse(ctx huma.Context, status int, message string) {
	_ = huma.WriteErr(s.api, ctx, status, message) // whoever has gone needs no answer
}

// refuseNow is errAgain where an operation returns no errors.
func (s *Server) refuseNow(ctx huma.Context, message string) {
	ctx.SetHeader("Retry-After", seconds(retryAfter))
	s.refuse(ctx, http.StatusServiceUnavailable, message)
}

// limited takes one request off the limit and returns 0, or how long to wait for it.
func (s *Server) limited(limit *rate.Limiter) time.Duration {
	at := s.deps.Now()
	if limit.AllowN(at, 1) {
		return 0
	}
	missing := 1 - limit.TokensAt(at)
	return max(time.Millisecond, time.Duration(missing/float64(limit.Limit())*float64(time.Second)))
}

// bearer is the key that a header brings, or "".
func bearer(header string) string {
	scheme, key, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(key)
}
