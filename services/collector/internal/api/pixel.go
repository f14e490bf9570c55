package api

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/trace"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/client"
	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// maxURLBytes is how long a request target may be.
const maxURLBytes = 16 << 10

// steps is what happens to a hit, in this order. A step that gives the hit a reason is the last one before the answer.
var steps = []struct {
	name string
	run  func(*Server, context.Context, *hit)
}{
	{"parse", (*Server).parse},       // bytes → parameters
	{"validate", (*Server).validate}, // parameters → event of a known site
	{"client", (*Server).client},     // address → what may be kept of it
	{"consent", (*Server).consent},   // what the visitor allows
	{"identity", (*Server).identity}, // whose event it is, and whether they want none
	{"publish", (*Server).publish},   // durable
	{"answer", (*Server).answer},     // image, headers, cookie
}

// hit is one request on its way through the steps.
type hit struct {
	at      time.Time
	request *http.Request
	writer  http.ResponseWriter

	query    params.Query
	debug    bool
	site     *siteconfig.Site
	params   *params.Hit
	event    *onepxv1.Event
	flags    params.Flags
	client   client.Info
	decision consent.Decision
	cookie   *http.Cookie // to be set, or nil

	// reason is why the event is not stored, or "".
	reason reason.Reason
}

// pixel answers GET and HEAD /p.gif.
func (s *Server) pixel(c echo.Context) error {
	h := &hit{at: s.deps.Now(), request: c.Request(), writer: c.Response()}
	ctx, span := s.deps.Tracer.Start(h.request.Context(), "pixel", trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	s.metrics.received.Add(ctx, 1)
	last := len(steps) - 1
	s.decide(ctx, h, last)
	counted := h.reason
	if h.debug {
		counted = reason.DebugRequest
	}
	s.metrics.end(ctx, counted, h.flags)
	s.run(ctx, h, last)
	return nil
}

// decide runs the steps before the last one until the hit has a reason. A defect in one of them costs this event only.
func (s *Server) decide(ctx context.Context, h *hit, last int) {
	defer func() {
		if cause := recover(); cause != nil {
			h.reason = reason.InternalError
			s.metrics.panics.Add(ctx, 1)
			s.deps.Logger.ErrorContext(ctx, "panic", slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
		}
	}()
	for i := 0; i < last && h.reason == ""; i++ {
		s.run(ctx, h, i)
	}
}

func (s *Server) run(ctx context.Context, h *hit, i int) {
	start := s.deps.Now()
	steps[i].run(s, ctx, h)
	s.metrics.step(ctx, steps[i].name, s.deps.Now().Sub(start))
}

func (s *Server) parse(_ context.Context, h *hit) {
	if h.request.Method == http.MethodHead {
		h.reason = reason.HeadRequest
		return
	}
	if len(h.request.RequestURI) > maxURLBytes {
		h.reason = reason.URLTooLong
		return
	}
	h.query = params.ParseQuery(h.request.URL.RawQuery)
	h.debug = h.query.Get("debug") == "1"
	id := h.query.Get("site")
	if id == "" {
		h.reason = reason.SiteMissing
		return
	}
	var known bool
	if h.site, known = s.deps.Sites.Site(id); !known {
		h.reason = reason.SiteUnknown
	}
}

func (s *Server) validate(_ context.Context, h *hit) {
	h.params = params.Read(h.query, h.at, h.request.Referer())
	h.event, h.flags, h.reason = h.params.Event, h.params.Flags, h.params.Reject
	h.event.Schema = eventlog.Schema
	h.event.SiteId = h.site.ID
	h.event.Transport = &onepxv1.Transport{Kind: onepxv1.TransportKind_TRANSPORT_KIND_GIF, Dialect: "onepx"}
	if h.event.EventId == nil {
		id := uuid.Must(uuid.NewV7()) // fails only without a source of randomness
		h.event.EventId, h.event.EventIdOrigin = id[:], onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR
	}
}

func (s *Server) client(_ context.Context, h *hit) {
	h.client = s.deps.Clients.Resolve(h.request)
	if h.client.ForwardedInvalid {
		h.flags.Add(reason.ForwardedInvalid)
	}
	h.event.Transport.Prefetch = h.client.Prefetch
	c := h.event.Client
	c.IpPrefix, c.Country, c.Region, c.NetworkClass = h.client.Prefix, h.client.Country, h.client.Region, h.client.Class
	header := func(name string, limit int) string {
		return params.Text(h.request.Header.Get(name), limit, &h.flags)
	}
	c.UserAgent = header("User-Agent", 1024)
	c.HintBrands = header("Sec-CH-UA", 256)
	c.HintMobile = header("Sec-CH-UA-Mobile", 256)
	c.HintPlatform = header("Sec-CH-UA-Platform", 256)
	c.Language = params.Language(h.request.Header.Get("Accept-Language"))
}

func (s *Server) consent(_ context.Context, h *hit) {
	h.decision = consent.Decide(consent.Signals{
		OptOut:    optedOut(h.request),
		GPC:       gpc(h.request),
		DNT:       dnt(h.request),
		Parameter: h.params.Consent,
	}, h.site.Privacy)
	if !h.decision.Store {
		h.reason = reason.OptedOut
		if cookieValue(h.request, visitorCookie) != "" {
			h.cookie = expired(newVisitorCookie("", h.request.Host, h.client.HTTPS, h.site))
		}
		return
	}
	h.event.Consent = &onepxv1.Consent{
		Measure: h.decision.Measure, Profile: h.decision.Profile, Share: h.decision.Share, Cookie: h.decision.Cookie,
		DecidedBy: h.decision.By,
	}
}

func (s *Server) identity(_ context.Context, h *hit) {
	maker := s.deps.Identities
	if h.debug {
		maker = s.debugIdentities
	}
	result := maker.Identify(identity.Request{
		At: h.at, Site: h.site.ID, EventID: h.event.EventId,
		CookieAllowed: h.decision.Cookie, UserKeyAllowed: h.decision.UserKey,
		Cookie: cookieValue(h.request, visitorCookie), VisitorID: h.params.VisitorID, UserID: h.params.UserID,
		Prefix: h.client.Prefix, UserAgent: h.event.Client.UserAgent,
	})
	h.event.Visitor = result.Visitor
	if result.Invalid {
		h.flags.Add(reason.VisitorInvalid)
	}
	if s.deps.Suppressions.Contains(suppression.Visitor, result.Visitor.VisitorId) ||
		s.deps.Suppressions.Contains(suppression.User, result.Visitor.UserKey) {
		h.reason = reason.OnSuppression
		return
	}
	if result.SetCookie != "" {
		h.cookie = newVisitorCookie(result.SetCookie, h.request.Host, h.client.HTTPS, h.site)
	}
}

func (s *Server) publish(ctx context.Context, h *hit) {
	for _, flag := range h.flags {
		h.event.Flags = append(h.event.Flags, string(flag))
	}
	if h.debug {
		return
	}
	h.reason = s.deps.Publisher.Publish(ctx, h.event)
}
