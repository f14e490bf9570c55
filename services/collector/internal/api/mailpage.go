package api

import (
	"bytes"
	"html/template"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/reason"
)

// mailLinkBad is the page of a link that is none of ours.
func (t *wishTexts) mailLinkBad() *wishView { return &wishView{Title: t.MailLinkBad} }

// mailHidden is the page behind a link that nobody sees.
func (t *wishTexts) mailHidden() *wishView { return &wishView{Title: t.MailHidden} }

// unsubscribe is the page that asks before anything happens: scanners follow links, and press no buttons.
func (t *wishTexts) unsubscribe() *wishView {
	return &wishView{Title: t.Unsubscribe, State: t.UnsubscribeAbout, Button: t.Unsubscribe}
}

func (t *wishTexts) unsubscribed() *wishView { return &wishView{Title: t.Unsubscribed} }

// unsubscribeFailed asks to press the button again.
func (t *wishTexts) unsubscribeFailed() *wishView {
	return &wishView{Title: t.Unsubscribe, Alert: t.UnsubscribeFailed, Button: t.Unsubscribe}
}

// showUnsubscribe is GET and HEAD /u/{token}. It changes nothing, and is no event.
func (s *Server) showUnsubscribe(now *snapshot) echo.HandlerFunc {
	return func(c echo.Context) error {
		b := &batch{request: c.Request(), writer: c.Response()}
		uncached(c.Response().Header())
		mail, word := s.readToken(mailtoken.Unsubscribe, b.request)
		known := false
		if word == "" {
			_, known = now.sites.Site(mail.Site)
		}
		if !known {
			s.answerMailPage(b, http.StatusNotFound, (*wishTexts).mailLinkBad)
			return nil
		}
		s.answerMailPage(b, http.StatusOK, (*wishTexts).unsubscribe)
		return nil
	}
}

// answerUnsubscribe says whether it is done. Who sends one click for the recipient reads the status only.
func (s *Server) answerUnsubscribe(b *batch) {
	h := s.beginMail(b)
	switch {
	case h == nil:
	case h.mail == nil, h.reason == reason.SiteUnknown:
		s.answerMailPage(b, http.StatusNotFound, (*wishTexts).mailLinkBad)
	case durable(h.reason), h.reason == reason.MailTest:
		s.answerMailPage(b, http.StatusOK, (*wishTexts).unsubscribed)
	default:
		s.answerMailPage(b, http.StatusServiceUnavailable, (*wishTexts).unsubscribeFailed)
	}
}

// answerMailPage writes a page in the reader's language. Nothing of the request stands in it.
func (s *Server) answerMailPage(b *batch, status int, of func(*wishTexts) *wishView) {
	texts := textsFor(b.request)
	view := of(texts)
	view.wishTexts, view.Style = texts, template.CSS(wishStyle) //nolint:gosec // our own file
	var html bytes.Buffer
	if err := wishPage.Execute(&html, view); err != nil {
		panic(err) // not reached: the template is our own
	}
	header := b.writer.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+wishStyleHash+"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	b.writer.WriteHeader(status)
	if b.request.Method != http.MethodHead {
		_, _ = b.writer.Write(html.Bytes()) // who has left needs no page
	}
}
