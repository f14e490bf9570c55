package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/onepx/onepx/services/shared/reason"
)

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
