// Package api answers visitors and the servers of sites: the pixel, events in bodies, the pages on which visitors opt out,
// and what their programs ask for.
//
// A request goes through the steps of steps.go, whichever endpoint it came to. Whatever it is and whatever happens, each of
// its events is counted once under one outcome (metrics.go), and who asked for the image gets it.
package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/client"
	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/collector/internal/tag"
	"github.com/onepx/onepx/services/collector/internal/tally"
	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Limits of connections. A hit is one small request, so whoever needs longer is broken or holds the connection on purpose.
const (
	maxHeaderBytes    = 32 << 10 // request line included: a URL of 16 KiB and the cookies of a crowded domain
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 15 * time.Second
	idleTimeout       = 75 * time.Second // longer than load balancers keep a connection for
)

// Publisher makes events durable.
type Publisher interface {
	// Publish returns "" when the event is stored for certain, reason.InSpool when it will be, else why neither is known.
	Publish(ctx context.Context, ev *onepxv1.Event) reason.Reason
	// PublishAll returns what Publish would for each of the events of one request, in their order.
	PublishAll(ctx context.Context, events []*onepxv1.Event) []reason.Reason
}

// Suppressions knows whom nothing must be stored of.
type Suppressions interface {
	// Contains tells whether an event of the id that was received at the moment must not be stored; of an empty id it may be.
	Contains(kind suppression.Kind, id []byte, received time.Time) bool
	// Wished tells whether the id stands on the list because somebody wished so.
	Wished(kind suppression.Kind, id []byte) bool
}

// Deps is what a server needs.
type Deps struct {
	// Sites is the configuration at the start; see SetSites.
	Sites        *siteconfig.Config
	Clients      *client.Resolver
	Identities   *identity.Maker
	Suppressions Suppressions
	Wishes       Wishes
	// MailTokens has the keys of tokens in e-mails; nil accepts none.
	MailTokens *mailtoken.Ring
	// Deliveries reads webhooks of providers of mail.
	Deliveries *deliveries.Reader
	Publisher  Publisher
	// Tally counts hits of which nothing is stored because the visitor wishes so.
	Tally func(tally.Key)
	// Account counts an event by the reason it ended with; "" is that of a stored one.
	Account func(reason.Reason)
	// WriteTimeout bounds an answer once the request is read; it must leave the publisher its time.
	WriteTimeout time.Duration
	// MaxConnections is how many connections there may be at once, see conns; 0 means any number.
	MaxConnections int
	Meter          metric.Meter
	Tracer         trace.Tracer
	Sampling       telemetry.Sampling
	Logger         *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Server is the public side of the collector.
type Server struct {
	deps    Deps
	metrics *metrics
	// debugIdentities makes the ids that debug=1 shows, with a secret of its own.
	debugIdentities *identity.Maker
	current         atomic.Pointer[snapshot]
	conns           *conns
	panics          *telemetry.OutageLog
	zstd            *zstd.Decoder
	// wishes limits how much is written to the suppression list; unwritten is told of what Kafka did not take.
	wishes    *rate.Limiter
	unwritten *telemetry.OutageLog
	// bodies is how much memory the bodies of requests at work take, see readBody.
	bodies atomic.Int64
	http   *http.Server
}

// New returns a server that does not listen yet.
func New(deps Deps) (*Server, error) {
	m, err := newMetrics(deps.Meter, deps.Account)
	if err != nil {
		return nil, fmt.Errorf("collector metrics: %w", err)
	}
	decoder, err := newZstd()
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	s := &Server{
		deps: deps, metrics: m, debugIdentities: identity.New(rand.Text()), zstd: decoder,
		panics:    telemetry.NewOutageLog(deps.Logger, "handling a request (a defect)", deps.Now),
		wishes:    rate.NewLimiter(wishEntriesPerSecond, wishEntriesBurst),
		unwritten: telemetry.NewOutageLog(deps.Logger, "write to the suppression list", deps.Now),
	}
	s.SetSites(deps.Sites)
	if s.conns, err = newConns(deps.MaxConnections, s.refused, deps.Meter); err != nil {
		return nil, fmt.Errorf("connection metrics: %w", err)
	}
	s.http = &http.Server{
		Handler:                      http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.current.Load().handler.ServeHTTP(w, r) }),
		MaxHeaderBytes:               maxHeaderBytes,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 deps.WriteTimeout,
		IdleTimeout:                  idleTimeout,
		DisableGeneralOptionsHandler: true, // so that every answer is a handler's; see conn.go
		ErrorLog:                     slog.NewLogLogger(deps.Logger.Handler(), slog.LevelWarn),
	}
	s.conns.watch(s.http)
	return s, nil
}

// snapshot is a site configuration and what is made of it. A request keeps to one from its start to its end.
type snapshot struct {
	sites  *siteconfig.Config
	limits map[limitKey]*rate.Limiter
	// domains are the cookie domains of all sites, each once.
	domains []string
	// partitioned tells that a site has partitioned cookies.
	partitioned bool
	handler     http.Handler
}

// SetSites makes the configuration that of all requests that begin from now on; those at work keep theirs. A site whose
// rate limit is as before has no more left of it than before. To be called by one goroutine at a time.
func (s *Server) SetSites(sites *siteconfig.Config) {
	now := &snapshot{sites: sites}
	var before map[limitKey]*rate.Limiter
	if last := s.current.Load(); last != nil {
		before = last.limits
	}
	now.limits = newLimits(sites.Sites, before)
	for i := range sites.Sites {
		if domain := sites.Sites[i].CookieDomain; domain != "" && !slices.Contains(now.domains, domain) {
			now.domains = append(now.domains, domain)
		}
		now.partitioned = now.partitioned || sites.Sites[i].PartitionedCookie
	}
	now.handler = s.routes(now)
	s.current.Store(now)
}

// routes is everything the public port answers under a configuration.
func (s *Server) routes(now *snapshot) http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = s.failed
	e.Use(s.recovered)
	s.mount(e, now, siteconfig.NativePaths)
	for i := range now.sites.Sites {
		s.mount(e, now, now.sites.Sites[i].Paths)
	}
	page := []string{http.MethodGet, http.MethodHead}
	e.POST("/v1/events", s.receive(now, serverEvents)) // no preflight: no browser may hold a write key
	for _, provider := range deliveries.Providers {
		e.POST(deliveries.Path+":site/"+string(provider), s.receive(now, ofProvider(provider)))
	}
	e.Match(page, syncPath, s.receive(now, cookieSync))
	e.Match(page, mailtoken.OpenPath+":token", s.receive(now, mailOpen))
	e.Match(page, mailtoken.ClickPath+":token/:target", s.receive(now, mailClick))
	e.Match(page, mailtoken.UnsubscribePath+":token", s.showUnsubscribe(now))
	e.POST(mailtoken.UnsubscribePath+":token", s.receive(now, mailUnsubscribe))
	e.Match(page, "/optout", s.showWish(now, "/optout"))
	e.POST("/optout", s.optOut(now))
	e.Match(page, "/optin", s.showWish(now, "/optin"))
	e.POST("/optin", s.optIn(now))
	e.Match(page, "/.well-known/gpc.json", gpcSupport)
	e.Match(page, "/robots.txt", robots)
	return e
}

// mount serves what scripts of pages need under the paths that are given.
func (s *Server) mount(e *echo.Echo, now *snapshot, paths siteconfig.Paths) {
	page := []string{http.MethodGet, http.MethodHead}
	if paths.Pixel != "" {
		e.Match(page, paths.Pixel, s.receive(now, pixel))
		e.OPTIONS(paths.Pixel, preflight(now, "GET, HEAD"))
	}
	if paths.Events != "" {
		e.POST(paths.Events, s.receive(now, beacon))
		e.OPTIONS(paths.Events, preflight(now, "POST"))
	}
	if paths.Tag != "" {
		e.Match(page, paths.Tag, echo.WrapHandler(tag.New(paths)))
	}
}

// recovered answers 500 where a handler has a defect; hits have their own, gentler way (decide).
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer s.rescue(c.Request().Context(), func() { err = echo.ErrInternalServerError })
		return next(c)
	}
}

// preflight allows scripts of other origins to ask; who may read the answer is decided by cors. Where the site is not in the
// URL it will be in the body, so cookies may be sent by the origins of any site.
func preflight(now *snapshot, methods string) echo.HandlerFunc {
	return func(c echo.Context) error {
		header, origin := c.Response().Header(), c.Request().Header.Get("Origin")
		query := params.ParseQuery(c.Request().URL.RawQuery)
		listed := false
		for i := range now.sites.Sites {
			site := &now.sites.Sites[i]
			if id := query.Get("site"); id == "" || id == site.ID {
				listed = listed || site.AllowsOrigin(origin)
			}
		}
		allowOrigin(header, c.Request(), listed)
		header.Set("Access-Control-Allow-Methods", methods)
		header.Set("Access-Control-Allow-Headers", "Content-Type, Content-Encoding")
		header.Set("Access-Control-Max-Age", "7200")
		return c.NoContent(http.StatusNoContent)
	}
}

// Serve answers on the listener until Shutdown; it returns nil then.
func (s *Server) Serve(listener net.Listener) error {
	err := s.http.Serve(s.conns.listen(listener))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// Handler answers requests without the limits that belong to connections.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Shutdown stops listening and returns when the requests at work are answered, or when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }
