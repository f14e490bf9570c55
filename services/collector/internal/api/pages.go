package api

import (
	"bytes"
	_ "embed" // the page of /optout and /optin
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/onepx/onepx/services/shared/reason"
)

//go:embed wish.html
var wishHTML string

var wishPage = template.Must(template.New("wish").Parse(wishHTML))

// wish is what the page shows.
type wish struct {
	// OptedOut is the state; GPC tells that the browser says so on all sites.
	OptedOut, GPC bool
}

// showWish answers GET /optout and /optin: the visitor's state, and a form that changes it.
func (s *Server) showWish(c echo.Context) error {
	var page bytes.Buffer
	r := c.Request()
	if err := wishPage.Execute(&page, wish{OptedOut: optedOut(r), GPC: gpc(r)}); err != nil {
		return err
	}
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: then browsers would say `Origin: null` of our own form, as if it were another site's.
	header.Set("Referrer-Policy", "same-origin")
	return c.HTMLBlob(http.StatusOK, page.Bytes())
}

// optOut answers POST /optout. A form on any site may send it: it asks for less.
func (s *Server) optOut(now *snapshot) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, https := c.Request(), s.deps.Clients.Resolve(c.Request()).HTTPS
		c.SetCookie(newOptOutCookie(https))
		for _, cookie := range now.visitorCookies(r.Host, https) {
			c.SetCookie(expired(cookie))
		}
		return c.Redirect(http.StatusSeeOther, "/optout") // the page then shows whether the browser took the cookie
	}
}

// optIn answers POST /optin. Only our own page may send it, so that no other site can undo a visitor's wish.
func (s *Server) optIn(c echo.Context) error {
	if err := http.NewCrossOriginProtection().Check(c.Request()); err != nil {
		return echo.NewHTTPError(http.StatusForbidden)
	}
	c.SetCookie(expired(newOptOutCookie(s.deps.Clients.Resolve(c.Request()).HTTPS)))
	return c.Redirect(http.StatusSeeOther, "/optin")
}

// visitorCookies are all visitor cookies that may have been set under this host, one for each domain.
func (now *snapshot) visitorCookies(host string, https bool) []*http.Cookie {
	var cookies []*http.Cookie
	for i := range now.sites.Sites {
		cookie := newVisitorCookie("", host, https, &now.sites.Sites[i])
		if !slices.ContainsFunc(cookies, func(known *http.Cookie) bool { return known.Domain == cookie.Domain }) {
			cookies = append(cookies, cookie)
		}
	}
	return cookies
}

// gpcSupport says that we obey Global Privacy Control (https://www.w3.org/TR/gpc/), and since when as we do today.
func gpcSupport(c echo.Context) error {
	return c.JSONBlob(http.StatusOK, []byte(`{"gpc":true,"lastUpdate":"2026-11-25"}`))
}

// robots keeps crawlers out: there is nothing to find.
func robots(c echo.Context) error { return c.String(http.StatusOK, "User-agent: *\nDisallow: /\n") }

// gpc tells whether the browser sends Global Privacy Control: the value 1, nothing else.
func gpc(r *http.Request) bool {
	return anyValue(r, "Sec-GPC", func(v string) bool { return v == "1" })
}

// dnt tells whether the browser sends Do Not Track.
func dnt(r *http.Request) bool {
	return anyValue(r, "DNT", func(v string) bool { return strings.HasPrefix(v, "1") })
}

// anyValue looks at all values of a header: it may come several times, or folded into one line by a proxy.
func anyValue(r *http.Request, header string, is func(string) bool) bool {
	for _, line := range r.Header.Values(header) {
		for value := range strings.SplitSeq(line, ",") {
			if is(strings.TrimSpace(value)) {
				return true
			}
		}
	}
	return false
}

// failed answers what no handler could. Only defects of ours are logged.
func (s *Server) failed(err error, c echo.Context) {
	status := http.StatusInternalServerError
	var known *echo.HTTPError
	if errors.As(err, &known) {
		status = known.Code
	} else {
		s.deps.Logger.ErrorContext(c.Request().Context(), "answer", slog.Any("error", err))
	}
	if status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
		s.wrongPath(c, status)
		return
	}
	if !c.Response().Committed {
		_ = c.String(status, http.StatusText(status)+"\n") // a visitor who has left needs no answer
	}
}

// wrongPath answers what reaches no endpoint. It counts as an event: a mistyped tag must show, and not break the page.
func (s *Server) wrongPath(c echo.Context, status int) {
	ctx, header := c.Request().Context(), c.Response().Header()
	s.metrics.received.Add(ctx, 1)
	s.metrics.end(ctx, reason.WrongPath, nil)
	uncached(header)
	header["Onepx-Event"] = verdicts[reason.WrongPath]
	if strings.HasSuffix(strings.ToLower(strings.TrimRight(c.Request().URL.Path, "/")), "p.gif") {
		_ = c.Blob(status, "image/gif", image)
		return
	}
	_ = c.String(status, http.StatusText(status)+"\n")
}
