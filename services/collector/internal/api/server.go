// Package api answers visitors: the pixel, the pages on which they opt out, and what their programs ask for.
//
// A hit goes through the steps of pixel.go. Whatever it is and whatever happens, it gets an image and is counted once under
// one outcome (metrics.go).
package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/client"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Limits of connections. A hit is one small request, so whoever needs longer is broken or holds the connection on purpose.
const (
	maxHeaderBytes    = 64 << 10 // request line included: a URL of 16 KiB and the cookies of a crowded domain
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 15 * time.Second
	idleTimeout       = 75 * time.Second // longer than load balancers keep a connection for
)

// Publisher makes events durable.
type Publisher interface {
	// Publish returns "" when the event is stored for certain, else why it is not known to be.
	Publish(ctx context.Context, ev *onepxv1.Event) reason.Reason
}

// Suppressions knows whom nothing must be stored of.
type Suppressions interface {
	// Contains tells whether the id stands on the list; an empty id never does.
	Contains(kind suppression.Kind, id []byte) bool
}

// Deps is what a server needs.
type Deps struct {
	Sites        *siteconfig.Config
	Clients      *client.Resolver
	Identities   *identity.Maker
	Suppressions Suppressions
	Publisher    Publisher
	// WriteTimeout bounds an answer; it must leave the publisher its time.
	WriteTimeout time.Duration
	Meter        metric.Meter
	Tracer       trace.Tracer
	Logger       *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Server is the public side of the collector.
type Server struct {
	deps    Deps
	metrics *metrics
	// debugIdentities makes the ids that debug=1 shows, with a secret of its own.
	debugIdentities *identity.Maker
	http            *http.Server
}

// New returns a server that does not listen yet.
func New(deps Deps) (*Server, error) {
	m, err := newMetrics(deps.Meter)
	if err != nil {
		return nil, fmt.Errorf("collector metrics: %w", err)
	}
	s := &Server{deps: deps, metrics: m, debugIdentities: identity.New(rand.Text())}
	s.http = &http.Server{
		Handler:                      s.routes(),
		MaxHeaderBytes:               maxHeaderBytes,
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 deps.WriteTimeout,
		IdleTimeout:                  idleTimeout,
		DisableGeneralOptionsHandler: true, // so that every answer is a handler's; see conn.go
		ErrorLog:                     slog.NewLogLogger(deps.Logger.Handler(), slog.LevelWarn),
	}
	s.watch(s.http)
	return s, nil
}

// routes is everything the public port answers.
func (s *Server) routes() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = s.failed
	e.Use(s.recovered)
	page := []string{http.MethodGet, http.MethodHead}
	e.Match(page, "/p.gif", s.pixel)
	e.OPTIONS("/p.gif", s.preflight)
	e.Match(page, "/optout", s.showWish)
	e.POST("/optout", s.optOut)
	e.Match(page, "/optin", s.showWish)
	e.POST("/optin", s.optIn)
	e.Match(page, "/.well-known/gpc.json", gpcSupport)
	e.Match(page, "/robots.txt", robots)
	return e
}

// recovered answers 500 where a handler has a defect; hits have their own, gentler way (decide).
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if cause := recover(); cause != nil {
				ctx := c.Request().Context()
				s.metrics.panics.Add(ctx, 1)
				s.deps.Logger.ErrorContext(ctx, "panic", slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
				err = echo.ErrInternalServerError
			}
		}()
		return next(c)
	}
}

// preflight allows scripts of other origins to ask; who may read the answer is decided by cors.
func (s *Server) preflight(c echo.Context) error {
	header := c.Response().Header()
	query := params.ParseQuery(c.Request().URL.RawQuery)
	site, _ := s.deps.Sites.Site(query.Get("site"))
	cors(header, c.Request(), site)
	header.Set("Access-Control-Allow-Methods", "GET, HEAD")
	header.Set("Access-Control-Allow-Headers", "Content-Type")
	header.Set("Access-Control-Max-Age", "7200")
	return c.NoContent(http.StatusNoContent)
}

// Serve answers on the listener until Shutdown; it returns nil then.
func (s *Server) Serve(listener net.Listener) error {
	err := s.http.Serve(watchedListener{listener, s.refused})
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// Handler answers requests without the limits that belong to connections.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Shutdown stops listening and returns when the requests at work are answered, or when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }
