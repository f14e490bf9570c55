package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/onepx/onepx/services/shared/clickhouseconn"
)

// Errors are problems of RFC 9457. They say what the caller can do about it, and repeat nothing of what was sent: it may be
// an address of a person. What is wrong with the parts behind the console stands in its log.

//nolint:gochecknoinits // the only way to tell huma how answers look
func init() {
	huma.DefaultArrayNullable = false // none is null here
	standard := huma.NewError
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		var told []error
		for _, err := range errs {
			if detailer, ok := err.(huma.ErrorDetailer); ok {
				detail := detailer.ErrorDetail()
				told = append(told, &huma.ErrorDetail{Message: detail.Message, Location: detail.Location})
			}
		}
		return standard(status, message, told...)
	}
}

// The texts of problems that several endpoints have.
const (
	noSuchThing = "there is nothing here for this key"
	tooSlow     = "no answer in time; try again"
	away        = "the database does not answer; try again"
	busy        = "too many requests wait; try again"
)

// errNotFound is the answer to what is not there, or not the caller's.
func errNotFound() error { return huma.Error404NotFound(noSuchThing) }

// errInvalid says what is wrong with a part of the request.
func errInvalid(location, message string) error {
	return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: location, Message: message})
}

// retryAfter is how long callers wait whom something behind the console has no answer for.
const retryAfter = time.Second

// errAgain is a problem that may be over a moment later.
func errAgain(message string) error {
	return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(message), http.Header{"Retry-After": {seconds(retryAfter)}})
}

// seconds is a time as Retry-After has it.
func seconds(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(wait.Seconds()))))
}

// problem is what the caller is told of an error: itself if it is one for callers, else that the database is away, which
// the log says more about.
func (s *Server) problem(ctx context.Context, err error) error {
	var status huma.StatusError
	switch {
	case err == nil:
		s.outage.Recovered()
		return nil
	case errors.As(err, &status):
		return err
	case ctx.Err() != nil: // the caller has gone
		return errAgain(tooSlow)
	}
	s.outage.Failed(clickhouseconn.Discreet(err))
	if errors.Is(err, context.DeadlineExceeded) {
		return errAgain(tooSlow)
	}
	return errAgain(away)
}

// failed answers what no operation does: unknown paths and methods, and defects.
func (s *Server) failed(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status, message := http.StatusInternalServerError, "this is a defect of the console; its log says more"
	var known *echo.HTTPError
	if errors.As(err, &known) {
		switch status = known.Code; status {
		case http.StatusNotFound:
			message = noSuchThing
		default:
			message = http.StatusText(status)
		}
	}
	c.Response().Header().Set("Content-Type", "application/problem+json")
	c.Response().WriteHeader(status)
	_ = huma.DefaultJSONFormat.Marshal(c.Response(), huma.NewError(status, message)) // whoever has gone needs no answer
}
