package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Wishes writes the suppression list.
type Wishes interface {
	// Suppress puts all entries on the list, Lift takes them off. Without an error it is acknowledged; ctx has a deadline.
	Suppress(ctx context.Context, entries []suppression.Entry) error
	Lift(ctx context.Context, entries []suppression.Entry) error
}

// Limits of wishes. Anyone may send them, and each adds to a list that all collectors and consumers hold in memory.
const (
	wishEntriesPerSecond = 100
	wishEntriesBurst     = 10_000
	// maxWishCookies is how many visitor cookies of one browser count: it has one for each domain the host lies in.
	maxWishCookies = 4
	maxWishBytes   = 4 << 10
	// wishTimeout is how long a visitor waits for Kafka, and applyTimeout then for our own list, which the page is made from.
	wishTimeout  = 5 * time.Second
	applyTimeout = time.Second
	applyEvery   = 10 * time.Millisecond
	// wishRetryAfter is what is told whom we had to ask to try again, in seconds.
	wishRetryAfter = "30"
)

// wish is a request to /optout or /optin.
type wish struct {
	config  *snapshot
	request *http.Request
	// path is /optout or /optin; what is asked for if it is a POST.
	path string
	// site is the one the request names, or nil; its pages may embed ours. A wish is always for all sites.
	site *siteconfig.Site
	// link names somebody of the site by a signed token, or is nil. badLink tells that there is one that can't be used.
	link    *identity.Link
	token   string
	badLink bool
	// word is why the request can't be taken as it is, or "".
	word reason.Reason
	// cookies are readable values of visitor cookies: that the browser has sent, or that it had before a first try.
	cookies []string
	// asked tells that the browser comes from a POST.
	asked bool
}

// readWish reads the URL, and of a POST the form.
func (s *Server) readWish(now *snapshot, c echo.Context, path string) *wish {
	r := c.Request()
	query := params.ParseQuery(r.URL.RawQuery)
	siteID := query.Get("site")
	w := &wish{config: now, request: r, path: path, asked: query.Get("asked") == "1"}
	w.site, _ = now.sites.Site(siteID)
	switch token := query.Get("link"); {
	case siteID != "" && w.site == nil:
		w.word, w.badLink = reason.SiteUnknown, token != ""
	case token != "":
		w.readLink(s.deps.Identities.ReadLink(siteID, token, s.deps.Now()))
		w.token = token
	}
	cookies := visitorCookieValues(r, visitorCookie, hostCookie, embeddedCookie)
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(c.Response(), r.Body, maxWishBytes)
		_ = r.ParseForm() // what can't be read says nothing; the wish is in the method and the path
		cookies = append(cookies, r.PostForm["v"]...)
		_ = http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(s.deps.WriteTimeout))
	}
	for _, cookie := range cookies {
		_, readable := s.deps.Identities.CookieVisitor(siteID, cookie)
		if readable && len(w.cookies) < maxWishCookies && !slices.Contains(w.cookies, cookie) {
			w.cookies = append(w.cookies, cookie)
		}
	}
	return w
}

func (w *wish) readLink(link identity.Link, err error) {
	w.badLink = err != nil
	switch {
	case err == nil:
		w.link = &link
	case errors.Is(err, identity.ErrLinkExpired):
		w.word = reason.LinkExpired
	default:
		w.word = reason.LinkInvalid
	}
}

// url is the page under one of the two paths, after a POST with asked.
func (w *wish) url(path string, asked bool) string {
	query := url.Values{}
	if w.site != nil {
		query.Set("site", w.site.ID)
	}
	if w.link != nil {
		query.Set("link", w.token)
	}
	if asked {
		query.Set("asked", "1")
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// named tells whether whom the link names is on the list.
func (s *Server) named(w *wish) bool {
	return w.link != nil && s.deps.Suppressions.Wished(w.kind(), w.link.Key)
}

// kind is that of whom the link names.
func (w *wish) kind() suppression.Kind {
	if w.link.Kind == identity.LinkUser {
		return suppression.User
	}
	return suppression.Recipient
}

// entries are all that the wish is about: the visitor that the cookie is on each site, since any may have set it, and whom
// the link names.
func (s *Server) entries(w *wish) []suppression.Entry {
	var all []suppression.Entry
	for _, cookie := range w.cookies {
		for i := range w.config.sites.Sites {
			site := &w.config.sites.Sites[i]
			if id, ok := s.deps.Identities.CookieVisitor(site.ID, cookie); ok && site.HasCookies() {
				all = append(all, suppression.Entry{Kind: suppression.Visitor, ID: id})
			}
		}
	}
	if w.link != nil {
		all = append(all, suppression.Entry{Kind: w.kind(), ID: w.link.Key})
	}
	return all
}

// showWish answers GET and HEAD: the visitor's state, and a form that changes it. It changes nothing itself: scanners of
// mails and browsers that read ahead follow links too.
func (s *Server) showWish(now *snapshot, path string) echo.HandlerFunc {
	return func(c echo.Context) error {
		w := s.readWish(now, c, path)
		if c.Request().Method == http.MethodGet {
			s.metrics.wish(c.Request().Context(), "page", w.word)
		}
		return s.answerWish(c, w, http.StatusOK)
	}
}

// optOut answers POST /optout. A form on any site may send it: it asks for less.
func (s *Server) optOut(now *snapshot) echo.HandlerFunc {
	return func(c echo.Context) error {
		w := s.readWish(now, c, "/optout")
		at := s.placeOf(w.request)
		for _, cookie := range append(now.withoutVisitor(at), now.optOutCookies(at)...) {
			c.SetCookie(cookie)
		}
		return s.carryOut(c, w, "opt_out", true)
	}
}

// optIn answers POST /optin. Only our own page may send it, so that no other site can undo a visitor's wish: browsers say
// in Sec-Fetch-Site or Origin where a form was.
func (s *Server) optIn(now *snapshot) echo.HandlerFunc {
	return func(c echo.Context) error {
		w := s.readWish(now, c, "/optin")
		if err := http.NewCrossOriginProtection().Check(w.request); err != nil {
			w.word = reason.OptInForeign
			s.metrics.wish(w.request.Context(), "opt_in", w.word)
			return s.answerWish(c, w, http.StatusForbidden)
		}
		for _, cookie := range now.withoutOptOut(s.placeOf(w.request)) {
			c.SetCookie(cookie)
		}
		return s.carryOut(c, w, "opt_in", false)
	}
}

func (s *Server) placeOf(r *http.Request) place {
	return place{r.Host, s.deps.Clients.Resolve(r).HTTPS}
}

// carryOut changes the suppression list and answers.
func (s *Server) carryOut(c echo.Context, w *wish, request string, suppress bool) error {
	ctx := w.request.Context()
	word := s.record(ctx, s.entries(w), suppress, wishTimeout)
	if word == "" {
		s.metrics.wish(ctx, request, w.word)
		if wantsJSON(w.request) {
			s.wishHeaders(c, w)
			return c.NoContent(http.StatusNoContent)
		}
		return c.Redirect(http.StatusSeeOther, w.url(w.path, true)) // the page then shows whether the browser took the cookie
	}
	w.word = word
	s.metrics.wish(ctx, request, word)
	c.Response().Header().Set("Retry-After", wishRetryAfter)
	return s.answerWish(c, w, http.StatusServiceUnavailable)
}

// record puts what is not yet there on the suppression list, or takes what is there off. It returns "" when that is
// acknowledged within the time, else why it is not.
func (s *Server) record(ctx context.Context, entries []suppression.Entry, suppress bool, within time.Duration) reason.Reason {
	as := func(e suppression.Entry) bool { return s.deps.Suppressions.Wished(e.Kind, e.ID) == suppress }
	entries = slices.DeleteFunc(entries, as)
	if len(entries) == 0 {
		return ""
	}
	if !s.wishes.AllowN(s.deps.Now(), min(len(entries), wishEntriesBurst)) {
		return reason.WishesLimited
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within) // a visitor who has gone on has wished all the same
	defer cancel()
	write := s.deps.Wishes.Lift
	if suppress {
		write = s.deps.Wishes.Suppress
	}
	if err := write(ctx, entries); err != nil {
		s.unwritten.Failed(err)
		return reason.SuppressionUnwritten
	}
	s.unwritten.Recovered()
	s.await(ctx, func() bool { return as(entries[len(entries)-1]) })
	return ""
}

// await lets our own list read what was written, so that it holds, and shows, when the visitor is answered.
func (*Server) await(ctx context.Context, applied func() bool) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	ticker := time.NewTicker(applyEvery)
	defer ticker.Stop()
	for !applied() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// wantsJSON tells that a script asks.
func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json")
}
