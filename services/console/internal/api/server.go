// Package api is what programs ask the console: audiences of a visitor, members of audiences and their exports, what is stored
// about people and its erasure, and to make mail measurable.
//
// Each operation is one huma operation; the OpenAPI document is made of their types, so it can't differ from them. Who asks is
// decided before anything of the request is read (keys.go); what goes wrong is told in one way (problem.go).
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/onepx/onepx/services/console/internal/seal"
	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Limits of connections.
const (
	maxHeaderBytes    = 16 << 10
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 75 * time.Second // longer than load balancers keep a connection for
	// writeMargin is the time an answer may take to write, besides the wait for the database.
	writeMargin = 10 * time.Second
)

// Deps is what a server needs.
type Deps struct {
	// Sites is the configuration at the start; see SetSites.
	Sites     *siteconfig.Config
	Lookups   Lookups
	Audiences Audiences
	People    func(site string) People
	Requests  Requests
	Exports   Exports
	// Unsubscribes are those that are found.
	Unsubscribes Unsubscribes
	// ExportDir is the folder of all exports; "" when this console does not see it.
	ExportDir string
	Jobs      Jobs
	// Suppressions knows whom nothing may be said of.
	Suppressions Suppressions
	Sealer       *seal.Sealer
	// UserKey makes the key of a customer id or e-mail address on a site; nil for a text of nothing but spaces.
	UserKey func(site, text string) []byte
	// RecipientKey makes that of an e-mail address to which the site sends, on the same terms.
	RecipientKey func(site, address string) []byte
	// Mail makes the URLs of mails; nil when this console has no keys for that.
	Mail *mailtoken.URLs
	// QueryTimeout bounds each question to the database but those of lookups; Queries is how many may run at once.
	QueryTimeout time.Duration
	Queries      int
	Version      string
	Meter        metric.Meter
	Tracer       trace.Tracer
	Sampling     telemetry.Sampling
	Logger       *slog.Logger
	// Now is the clock.
	Now func() time.Time
}

// Server is the public side of the console.
type Server struct {
	deps    Deps
	metrics *metrics
	sites   atomic.Pointer[snapshot]
	// queries has a place for each question that may be asked at once.
	queries chan struct{}
	// previews has one for each preview that may run at once; each of them is a question, too.
	previews chan struct{}
	// mails has a place for each request that may rewrite mail at once; mailing are the ids of the sites that have one.
	mails   chan struct{}
	mailing sync.Map
	outage  *telemetry.OutageLog
	panics  *telemetry.OutageLog
	api     huma.API
	http    *http.Server
}

// New returns a server that does not listen yet.
func New(deps Deps) (*Server, error) {
	m, err := newMetrics(deps.Meter)
	if err != nil {
		return nil, fmt.Errorf("console metrics: %w", err)
	}
	s := &Server{
		deps: deps, metrics: m, queries: make(chan struct{}, deps.Queries), previews: make(chan struct{}, maxPreviews), mails: make(chan struct{}, mailsAtOnce),
		outage: telemetry.NewOutageLog(deps.Logger, "asking the database", deps.Now),
		panics: telemetry.NewOutageLog(deps.Logger, "handling a request (a defect)", deps.Now),
	}
	s.SetSites(deps.Sites)
	handler, err := s.routes()
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           handler,
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + deps.QueryTimeout + writeMargin,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(deps.Logger.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// routes is everything that the public port answers.
func (s *Server) routes() (http.Handler, error) {
	e := echo.New()
	e.HTTPErrorHandler = s.failed
	e.Use(s.recovered, unescaped)
	config := huma.DefaultConfig("onepx console", s.deps.Version)
	config.Info.Description = "Audiences for ad servers, and requests of people about their data. docs/console.md tells how to use it."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		keyScheme: {Type: "http", Scheme: "bearer", Description: "An API key of the site: api_keys in onepx.yaml."},
	}
	s.api = humaecho.New(e, config)
	s.api.UseMiddleware(s.measured, s.authorized)
	s.registerVisitors()
	s.registerAudiences()
	s.registerMembers()
	s.registerPreview()
	s.registerPeople()
	s.registerErasures()
	s.registerExports()
	s.registerMail()
	s.registerUnsubscribes()
	document, err := s.api.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	e.GET("/openapi.json", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/openapi+json", document)
	})
	return e, nil
}

// OpenAPI is the document of the API as YAML.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().YAML() }

// operation is an operation on a site, for whoever has the right. An id like "list-audiences" names it in metrics too.
func operation(id, method, path string, right siteconfig.Right, summary, description string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: "/v1/sites/{site}" + path, Summary: summary, Description: description,
		Tags: []string{string(right)}, Security: []map[string][]string{{keyScheme: {}}}, Metadata: map[string]any{rightOf: right},
		Errors: []int{
			http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests, http.StatusServiceUnavailable,
		},
	}
}

// register adds an operation.
func register[In, Out any](s *Server, op huma.Operation, do func(context.Context, *In) (*Out, error)) {
	huma.Register(s.api, op, func(ctx context.Context, in *In) (*Out, error) {
		out, err := do(ctx, in)
		if err = s.problem(ctx, err); err != nil {
			return nil, err
		}
		return out, nil
	})
}

// ask calls the function with the time that a question to the database may take, when there is room for one more.
func (s *Server) ask(ctx context.Context, question func(context.Context) error) error {
	select {
	case s.queries <- struct{}{}:
		defer func() { <-s.queries }()
	default:
		return errAgain(busy)
	}
	ctx, cancel := context.WithTimeout(ctx, s.deps.QueryTimeout)
	defer cancel()
	return question(ctx)
}

// recovered answers 500 where a handler has a defect. A stream that can't go on is cut off, so that its reader knows.
func (s *Server) recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler { //nolint:errorlint,err113 // the very value, as net/http compares it
				panic(cause)
			}
			s.metrics.panics.Add(c.Request().Context(), 1)
			s.panics.Failed(fmt.Errorf("%v", cause)) //nolint:err113 // whatever it is
			err = echo.ErrInternalServerError
		}()
		return next(c)
	}
}

// unescaped gives operations the parts of a path as they are meant: where it has an escape that it would not need, such as %2F
// within an id, echo leaves all of them as they were sent.
func unescaped(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().URL.RawPath == "" {
			return next(c)
		}
		values := c.ParamValues()
		for i, value := range values {
			meant, err := url.PathUnescape(value)
			if err != nil {
				return echo.ErrBadRequest
			}
			values[i] = meant
		}
		c.SetParamValues(values...)
		return next(c)
	}
}

// Serve answers on the listener until Shutdown; it returns nil then.
func (s *Server) Serve(listener net.Listener) error {
	if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// Handler answers requests without the limits that belong to connections.
func (s *Server) Handler() http.Handler { return s.http.Handler }

// Shutdown stops listening and returns when the requests at work are answered, or when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }
