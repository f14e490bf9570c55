package api

import (
	"errors"
	"net/http"
	"strings"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/mailtoken"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// The endpoints whose URLs stand in e-mails: docs/mail.md has what clients see.
var (
	// mailOpen is GET and HEAD /o/{token}.gif.
	mailOpen = &endpoint{
		kind:  onepxv1.TransportKind_TRANSPORT_KIND_GIF,
		parse: mailParser(mailtoken.Open), answer: (*Server).answerOpen,
	}
	// mailClick is GET and HEAD /c/{token}/{target}.
	mailClick = &endpoint{
		kind:  onepxv1.TransportKind_TRANSPORT_KIND_REDIRECT,
		parse: mailParser(mailtoken.Click), answer: (*Server).answerClick,
	}
	// mailUnsubscribe is POST /u/{token}: the button of the page, or the one click of RFC 8058.
	mailUnsubscribe = &endpoint{
		kind:  onepxv1.TransportKind_TRANSPORT_KIND_BEACON,
		parse: mailParser(mailtoken.Unsubscribe), answer: (*Server).answerUnsubscribe,
	}
)

// mailEvents are kind and name of the events, and what their paths begin with.
var mailEvents = map[mailtoken.Kind]struct {
	kind       onepxv1.EventKind
	name, path string
}{
	mailtoken.Open:        {onepxv1.EventKind_EVENT_KIND_EMAIL_OPEN, "email_open", mailtoken.OpenPath},
	mailtoken.Click:       {onepxv1.EventKind_EVENT_KIND_EMAIL_CLICK, "email_click", mailtoken.ClickPath},
	mailtoken.Unsubscribe: {onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE, "email_unsubscribe", mailtoken.UnsubscribePath},
}

// mailHit is a hit whose URL stands in an e-mail, with what the token says.
type mailHit struct {
	mailtoken.Token
	// target is where a click leads.
	target string
}

// mailParser reads tokens of a kind. The query plays no part: it is not signed.
func mailParser(kind mailtoken.Kind) func(*Server, *batch) {
	return func(s *Server, b *batch) {
		if len(b.request.RequestURI) > maxURLBytes {
			b.refuse(nil, reason.URLTooLong)
			return
		}
		mail, word := s.readToken(kind, b.request)
		if word != "" {
			b.refuse(nil, word)
			return
		}
		query := params.ParseQuery(b.request.URL.RawQuery)
		h := &hit{mail: mail, debug: query.Get("debug") == "1" && kind != mailtoken.Unsubscribe}
		b.hits = append(b.hits, h)
		if mail.target != "" {
			h.query.Pairs = []params.Pair{{Name: "u", Value: mail.target}}
		}
		known := false
		h.site, known = b.config.sites.Site(mail.Site)
		switch header := b.request.Header; {
		case !known:
			h.reason = reason.SiteUnknown
		case mail.Test:
			h.reason = reason.MailTest
		case kind == mailtoken.Open && (header.Get("If-None-Match") != "" || header.Get("If-Modified-Since") != ""):
			h.reason = reason.NotModifiedAsked
		}
	}
}

// readToken reads the path. The reason is why there is no hit, or "".
func (s *Server) readToken(kind mailtoken.Kind, r *http.Request) (*mailHit, reason.Reason) {
	token, target := strings.TrimPrefix(r.URL.Path, mailEvents[kind].path), ""
	var err error
	switch kind {
	case mailtoken.Open:
		token = strings.TrimSuffix(token, mailtoken.OpenSuffix)
	case mailtoken.Click:
		token, target, _ = strings.Cut(token, "/")
		target, err = mailtoken.DecodeTarget(target)
	}
	if err != nil || s.deps.MailTokens == nil {
		return nil, reason.MailTokenInvalid
	}
	mail := &mailHit{target: target}
	switch mail.Token, err = s.deps.MailTokens.Verify(kind, token, target, s.deps.Now()); {
	case errors.Is(err, mailtoken.ErrKeyExpired):
		return nil, reason.MailTokenExpired
	case err != nil:
		return nil, reason.MailTokenInvalid
	}
	return mail, ""
}

// describe makes the event one of a mail.
func (m *mailHit) describe(b *batch, event *onepxv1.Event) {
	event.Kind, event.Name = mailEvents[m.Kind].kind, mailEvents[m.Kind].name
	event.Mail = &onepxv1.Mail{CampaignId: m.Campaign, MessageId: m.Message, LinkId: m.Link, SentAtMs: m.Sent.UnixMilli()}
	if m.Recipient != [mailtoken.RecipientSize]byte{} {
		event.Mail.RecipientKey = m.Recipient[:]
	}
	event.Transport.Head = b.request.Method == http.MethodHead
}

// identifyReader tells whether there is nobody else to identify than the recipient: who does not want to be measured, though may
// want no more mail, and who reads a mail. A cookie would say of other sites who that is; with a click it is the visitor's, if the
// browser's own signals and the site's terms allow to know one: mails are forwarded, and only the recipient was asked. Behind the
// hidden link there is no visitor.
func (s *Server) identifyReader(b *batch, h *hit) bool {
	m := h.mail
	named := m.Recipient != [mailtoken.RecipientSize]byte{}
	if m.Kind != mailtoken.Unsubscribe && named && s.deps.Suppressions.Contains(suppression.Recipient, m.Recipient[:], b.at) {
		h.reason = reason.OnSuppression
		return true
	}
	if m.Kind == mailtoken.Click && m.Link != mailtoken.Honeypot && h.decision.By != onepxv1.ConsentSignal_CONSENT_SIGNAL_MAIL {
		return false
	}
	h.dropClickIDs()
	h.event.Visitor = &onepxv1.Visitor{Kind: onepxv1.VisitorKind_VISITOR_KIND_NONE}
	return true
}

// answerOpen writes the image. Its status is 200 whatever became of the event: mail programs show what is broken.
func (s *Server) answerOpen(b *batch) {
	if h := s.beginMail(b); h != nil {
		b.writeImage(http.StatusOK)
	}
}

// answerClick leads to the target, also when nothing could be stored. A token that is not ours leads nowhere, and the hidden link
// to a page without anything.
func (s *Server) answerClick(b *batch) {
	h := s.beginMail(b)
	switch {
	case h == nil:
	case h.mail == nil:
		s.answerMailPage(b, http.StatusNotFound, (*wishTexts).mailLinkBad)
	case h.mail.Link == mailtoken.Honeypot: // who scans mails need not visit the site too
		s.answerMailPage(b, http.StatusOK, (*wishTexts).mailHidden)
	default:
		b.setCookies()
		b.writer.Header().Set("Location", h.mail.target)
		b.writer.WriteHeader(http.StatusFound)
	}
}

// beginMail sets the headers of all answers. It returns nil if it has answered, to debug=1.
func (s *Server) beginMail(b *batch) *hit {
	h, header := b.hits[0], b.writer.Header()
	uncached(header)
	setResult(header, b, h.counted())
	if h.debug {
		writeJSON(b.writer, http.StatusOK, debugOf(h))
		return nil
	}
	return h
}
