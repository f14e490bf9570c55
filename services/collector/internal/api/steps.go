package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/client"
	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/collector/internal/tally"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// steps is what happens to a request, in this order; the first and the last are the endpoint's own. A hit that a step gives
// a reason takes part in no further one but the answer. They are timed in groups: what takes some microseconds is not worth
// a histogram of its own, which takes a good part of one.
var steps = []struct {
	name string
	run  []step
}{
	{"parse", []step{(*Server).parse}}, // bytes → parameters of a known site
	{"decide", []step{
		each((*Server).validate), // parameters → event
		each((*Server).client),   // address → what may be kept of it
		each((*Server).consent),  // what the visitor allows
		each((*Server).identity), // whose event it is, and whether they want none
		each((*Server).minimise), // what the site does not want stored
	}},
	{"publish", []step{(*Server).publish}}, // durable
	{"answer", []step{(*Server).answer}},   // what became of it, headers, cookie
}

type step = func(*Server, context.Context, *batch)

// endpoint is a way in which events come.
type endpoint struct {
	// kind is stamped on the events. TRANSPORT_KIND_SERVER means that a server speaks for the visitor: address, user agent
	// and wishes are what it says, and no header or cookie of its own.
	kind onepxv1.TransportKind
	// dialect is stamped on the events; "" is our own.
	dialect string
	// challenge says how to authenticate (RFC 9110, 11.6.1) where that is needed.
	challenge string
	// parse fills in the hits.
	parse func(*Server, *batch)
	// answer writes what became of them.
	answer func(*Server, *batch)
}

// batch is one request and the events it brings.
type batch struct {
	via     *endpoint
	config  *snapshot
	at      time.Time
	request *http.Request
	writer  http.ResponseWriter

	// hits are the events in the order they came. Where the request as a whole is refused, one hit stands for it.
	hits    []*hit
	refused bool
	// cookies are to be set. All events of a request are one visitor's: minted is the cookie that the first one without a
	// cookie got, and where one event says that the visitor refuses it (noCookie), the others make none.
	cookies  []*http.Cookie
	minted   string
	noCookie bool
	// retryAfter is when a rate limit will let the request pass.
	retryAfter time.Duration
	// held is how much of Server.bodies it holds.
	held int64
}

// hit is one event on its way through the steps.
type hit struct {
	query    params.Query
	debug    bool
	site     *siteconfig.Site
	params   *params.Hit
	event    *onepxv1.Event
	flags    params.Flags
	client   client.Info
	decision consent.Decision
	// sync is what it asks for if it came to /sync, mail what the token says if its URL stands in an e-mail; else nil.
	sync *exchange
	mail *mailHit

	// delivery tells that a server says what became of an e-mail.
	delivery bool

	// reason is why the event is not stored, or "".
	reason reason.Reason
}

// counted is the reason under which the event is counted.
func (h *hit) counted() reason.Reason {
	if h.debug {
		return reason.DebugRequest
	}
	return h.reason
}

// receive returns the handler of an endpoint.
func (s *Server) receive(now *snapshot, via *endpoint) echo.HandlerFunc {
	return func(c echo.Context) error {
		b := &batch{via: via, config: now, at: s.deps.Now(), request: c.Request(), writer: c.Response()}
		ctx, span := s.startSpan(c)
		defer endSpan(span, c)
		defer s.release(b)
		last := len(steps) - 1
		s.decide(ctx, b, last)
		s.metrics.received.Add(ctx, int64(len(b.hits)))
		for _, h := range b.hits {
			s.metrics.end(ctx, h.counted(), h.flags)
			s.tally(h)
		}
		s.run(ctx, b, last)
		return nil
	}
}

// tally counts an event of which nothing is stored because its visitor wishes so, unless the site wants not even that.
func (s *Server) tally(h *hit) {
	why := h.counted()
	if outcomeOf(why) != suppressed || why == reason.NoConsent && h.site.WithoutConsent == siteconfig.WithoutConsentNothing {
		return
	}
	by := h.decision.By
	if why == reason.OnSuppression {
		by = onepxv1.ConsentSignal_CONSENT_SIGNAL_SUPPRESSION
	}
	s.deps.Tally(tally.Key{Site: h.site.ID, Kind: h.event.Kind, Reason: why, Signal: by})
}

// decide runs the steps before the last one as long as there is an event without a reason. A defect in a step that is for
// all events costs all that have none yet.
func (s *Server) decide(ctx context.Context, b *batch, last int) {
	defer s.rescue(ctx, func() {
		if len(b.hits) == 0 {
			b.refuse(nil, reason.InternalError)
		}
		for _, h := range b.hits {
			if h.reason == "" {
				h.reason = reason.InternalError
			}
		}
	})
	s.run(ctx, b, 0)
	for i := 1; i < last && b.undecided(); i++ {
		s.run(ctx, b, i)
	}
}

func (s *Server) run(ctx context.Context, b *batch, i int) {
	start := s.deps.Now()
	for n, do := range steps[i].run {
		if n == 0 || b.undecided() {
			do(s, ctx, b)
		}
	}
	s.metrics.step(ctx, steps[i].name, s.deps.Now().Sub(start))
}

// each makes a step of what is done to one event. A defect costs that event only.
func each(do func(*Server, *batch, *hit)) step {
	one := func(s *Server, ctx context.Context, b *batch, h *hit) {
		defer s.rescue(ctx, func() { h.reason = reason.InternalError })
		do(s, b, h)
	}
	return func(s *Server, ctx context.Context, b *batch) {
		for _, h := range b.hits {
			if h.reason == "" {
				one(s, ctx, b, h)
			}
		}
	}
}

// rescue is to be deferred. It ends a panic, which is a defect of ours, and then calls the function.
func (s *Server) rescue(ctx context.Context, then func()) {
	cause := recover()
	if cause == nil {
		return
	}
	s.metrics.panics.Add(ctx, 1)
	s.panics.Failed(fmt.Errorf("panic: %v\n%s", cause, debug.Stack())) // not a line each: a request may be sent at will
	then()
}

// refuse refuses the request as a whole. site is the one it names, or nil.
func (b *batch) refuse(site *siteconfig.Site, word reason.Reason) {
	b.hits, b.refused = []*hit{{site: site, reason: word}}, true
}

// undecided tells whether there is an event without a reason.
func (b *batch) undecided() bool {
	for _, h := range b.hits {
		if h.reason == "" {
			return true
		}
	}
	return false
}

func (s *Server) parse(_ context.Context, b *batch) { b.via.parse(s, b) }

// add makes a hit of the parameters. site is nil unless the endpoint knows it already.
func (s *Server) add(b *batch, query params.Query, site *siteconfig.Site) {
	h := &hit{query: query, debug: query.Get("debug") == "1", site: site, reason: query.Reject}
	b.hits = append(b.hits, h)
	id := query.Get("site")
	switch {
	case h.reason != "":
	case site != nil && id != "" && id != site.ID:
		h.reason = reason.SiteMismatch
	case site != nil:
	case id == "":
		h.reason = reason.SiteMissing
	default:
		var known bool
		if h.site, known = b.config.sites.Site(id); !known {
			h.reason = reason.SiteUnknown
		}
	}
}

// addAll makes hits of the events of a body. The parameters of the URL are their defaults; but an event id is that of one
// event only.
func (s *Server) addAll(b *batch, events []params.Query, defaults params.Query, site *siteconfig.Site) {
	if len(events) > 1 {
		defaults.Pairs = slices.DeleteFunc(defaults.Pairs, func(p params.Pair) bool { return p.Name == "id" })
	}
	for _, event := range events {
		event.AddDefaults(defaults)
		s.add(b, event, site)
	}
}

func (s *Server) validate(b *batch, h *hit) {
	referer := ""
	if !b.fromServer() && h.sync == nil && h.mail == nil {
		referer = b.request.Referer()
	}
	h.params = params.Read(h.query, b.at, referer)
	h.event, h.flags, h.reason = h.params.Event, h.params.Flags, h.params.Reject
	h.event.Schema = eventlog.Schema
	h.event.SiteId = h.site.ID
	h.event.Transport = &onepxv1.Transport{Kind: b.via.kind, Dialect: cmp.Or(b.via.dialect, "onepx")}
	if h.event.EventId == nil {
		id := uuid.Must(uuid.NewV7()) // fails only without a source of randomness
		h.event.EventId, h.event.EventIdOrigin = id[:], onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR
	}
	if h.sync != nil {
		h.sync.describe(h.event)
	}
	if h.mail != nil {
		h.mail.describe(b, h.event)
	} else {
		s.describeDelivery(b, h)
	}
}

func (s *Server) client(b *batch, h *hit) {
	c := h.event.Client
	header := func(name string, limit int) string {
		return params.Text(b.request.Header.Get(name), limit, &h.flags)
	}
	if b.fromServer() {
		var readable bool
		if h.client, readable = s.deps.Clients.Given(h.params.IP); !readable {
			h.flags.Add(reason.IPInvalid)
		}
		c.UserAgent = params.Text(h.params.UserAgent, maxUserAgent, &h.flags)
	} else {
		h.client = s.deps.Clients.Resolve(b.request)
		c.UserAgent = header("User-Agent", maxUserAgent)
		c.HintBrands = header("Sec-CH-UA", maxHint)
		c.HintMobile = header("Sec-CH-UA-Mobile", maxHint)
		c.HintPlatform = header("Sec-CH-UA-Platform", maxHint)
		c.Language = params.Language(b.request.Header.Get("Accept-Language"))
	}
	if h.client.ForwardedInvalid {
		h.flags.Add(reason.ForwardedInvalid)
	}
	h.event.Transport.Prefetch = h.client.Prefetch
	c.IpPrefix, c.Country, c.Region, c.NetworkClass = h.client.Prefix, h.client.Country, h.client.Region, h.client.Class
}

// Limits of what is kept of headers, in bytes.
const (
	maxUserAgent = 1024
	maxHint      = 256
)

func (s *Server) consent(b *batch, h *hit) {
	signals := h.params.Consent
	if !b.fromServer() {
		signals.OptOut, signals.GPC, signals.DNT = optedOut(b.request), gpc(b.request), dnt(b.request)
	}
	h.decision = consent.Decide(signals, h.site, h.client.Country, h.client.Region)
	switch {
	case h.mail != nil:
		h.decision = consent.OfMail(h.decision, &h.mail.Token)
	case h.delivery:
		h.decision = consent.OfDelivery(h.decision, h.event.Kind)
	}
	if !h.debug && !b.noCookie && signals.RefusesCookie(h.site) {
		b.dropCookie(h, signals.OptOut)
	}
	s.refuseProfiling(b, h)
	if h.decision.NoConsent {
		h.reason = reason.NoConsent
		return
	}
	if !h.decision.Store {
		h.reason = reason.OptedOut
		return
	}
	if h.sync != nil && !h.mayExchange() {
		h.reason = reason.SharingRefused
		return
	}
	if !h.decision.PreciseIP {
		h.event.Client.IpPrefix = h.client.ShortPrefix()
	}
	if !h.decision.Measure {
		h.anonymise()
	}
	h.event.Consent = &onepxv1.Consent{
		Measure: h.decision.Measure, Profile: h.decision.Profile, Share: h.decision.Share, Cookie: h.decision.Cookie,
		DecidedBy: h.decision.By,
	}
}

// fromServer tells that a server speaks for the visitor.
func (b *batch) fromServer() bool { return b.via.kind == onepxv1.TransportKind_TRANSPORT_KIND_SERVER }

func (s *Server) identity(b *batch, h *hit) {
	if h.mail != nil && s.identifyReader(b, h) {
		return
	}
	if h.delivery {
		s.identifyDelivery(b, h)
		return
	}
	maker, minted := s.deps.Identities, b.minted
	if h.debug {
		maker, minted = s.debugIdentities, ""
	}
	names := b.cookieNames(h)
	request := identity.Request{
		At: b.at, Site: h.site.ID, EventID: h.event.EventId,
		CookieAllowed: h.decision.Cookie, UserKeyAllowed: h.decision.UserKey,
		NoCookie: len(names) == 0 || h.sync != nil && h.sync.told, Minted: minted,
		Cookies: visitorCookieValues(b.request, names...), VisitorID: h.params.VisitorID, UserID: h.params.UserID,
		Prefix: h.client.Prefix, UserAgent: h.event.Client.UserAgent,
	}
	result := maker.Identify(request)
	h.event.Visitor = result.Visitor
	if result.Invalid {
		h.flags.Add(reason.VisitorInvalid)
	}
	if s.suppressed(maker, request, result.Visitor) {
		h.reason = reason.OnSuppression
		return
	}
	if h.sync != nil {
		h.reason = h.sync.end(result.Visitor)
	}
	if h.debug {
		return
	}
	s.allowProfiling(b, h)
	if result.SetCookie == "" {
		return
	}
	b.minted = result.SetCookie
	if !b.noCookie {
		b.cookies = []*http.Cookie{newCookie(names[0], result.SetCookie, b.place(h), h.site)}
	}
}
