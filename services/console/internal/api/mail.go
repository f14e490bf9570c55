package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/onepx/onepx/services/console/internal/mailing"
	"github.com/onepx/onepx/services/shared/mailrewrite"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// Limits of rewriting.
const (
	// maxMailBody is how long a request may be in bytes: a message of the largest size in base64, and recipients.
	maxMailBody = 48 << 20
	// maxMailAnswer is how many bytes a request may ask for: the message for each recipient; maxMailTotal is how many they may
	// have become.
	maxMailAnswer = 64 << 20
	maxMailTotal  = 2 * maxMailAnswer
	// mailsAtOnce is how many requests are at work, from the first byte of their bodies; each may hold several hundred MB for a moment.
	mailsAtOnce = 2
)

const tooMuchMail = "the messages have too many bytes together; send fewer recipients at once"

type rewriteMailInput struct {
	Body struct {
		mailing.Options
		HTML       string              `json:"html,omitempty" doc:"An HTML document."`
		Text       string              `json:"text,omitempty" doc:"A whole message of RFC 5322 in UTF-8, with its header."`
		Base64     []byte              `json:"base64,omitempty" doc:"Such a message in base64, in whatever charset."`
		Recipients []mailing.Recipient `json:"recipients" minItems:"1" maxItems:"1000" doc:"For whom the message is written."`
	}
}

// mailLink is a link of a message.
type mailLink struct {
	ID     string `json:"id" doc:"As in tokens: what data-onepx-link says, or position and a hash of the target." example:"3-1f9a03"`
	Target string `json:"target" doc:"Where it leads, as far as that is known without merge data."`
	Left   string `json:"left,omitempty" enum:"off,unsubscribe,ours,listed,placeholder,target,unclear,personal" doc:"Why it is left alone in the mode of the mailing, if it is."`
}

type rewriteMailOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		Links   []mailLink       `json:"links" doc:"The links of the message, and why some are left alone."`
		Results []mailing.Result `json:"results" doc:"The messages, in the order of the recipients."`
	}
}

func (s *Server) registerMail() {
	op := operation("rewrite-mail", http.MethodPost, "", siteconfig.RightMail, "Put open pixel, links through the collector and unsubscribe header into a message",
		"Of the site of the key. Before the message is DKIM-signed. Nothing of it is stored or logged. Either all recipients get a message, or the problem says what is wrong with them.")
	op.Path, op.MaxBodyBytes, op.BodyReadTimeout = "/v1/mail/rewrite", maxMailBody, readTimeout
	op.Errors, op.Middlewares = append(op.Errors, http.StatusNotImplemented), huma.Middlewares{s.placed}
	register(s, op, s.rewriteMail)
}

// placed lets those through who get a place, before anything of their bodies is read. A site has one: who sends slowly keeps it for
// readTimeout at most, over and over, and only from the same site.
func (s *Server) placed(ctx huma.Context, next func(huma.Context)) {
	site := callerOf(ctx.Context()).site.ID
	if _, has := s.mailing.LoadOrStore(site, true); has {
		s.refuseNow(ctx, busy)
		return
	}
	defer s.mailing.Delete(site)
	select {
	case s.mails <- struct{}{}:
		defer func() { <-s.mails }()
		next(ctx)
	default:
		s.refuseNow(ctx, busy)
	}
}

// readMail reads the message of a request.
func (s *Server) readMail(in *rewriteMailInput) (*mailrewrite.Template, error) {
	read, message, given := mailrewrite.Message, in.Body.Base64, 0
	for _, is := range []bool{in.Body.HTML != "", in.Body.Text != "", len(in.Body.Base64) > 0} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, errInvalid("body", "give one of html, text and base64")
	case in.Body.HTML != "":
		read, message = mailrewrite.HTML, []byte(in.Body.HTML)
	case in.Body.Text != "":
		message = []byte(in.Body.Text)
	}
	if n := len(message) * len(in.Body.Recipients); n > maxMailAnswer {
		return nil, errInvalid("body.recipients", tooMuchMail)
	}
	template, err := read(message, in.Body.Config(s.deps.Mail))
	if err != nil { // it repeats nothing of the message
		return nil, errInvalid("body", err.Error())
	}
	return template, nil
}

func (s *Server) rewriteMail(ctx context.Context, in *rewriteMailInput) (*rewriteMailOutput, error) {
	if s.deps.Mail == nil {
		return nil, huma.Error501NotImplemented("this console signs no mail; its operator sets ONEPX_MAIL_KEYS and ONEPX_MAIL_URL")
	}
	template, err := s.readMail(in)
	if err != nil {
		return nil, err
	}
	m := mailing.Mailing{Site: callerOf(ctx).site.ID, Options: in.Body.Options, Template: template, Key: s.deps.RecipientKey}
	if m.Options.Sent.IsZero() {
		m.Options.Sent = s.deps.Now()
	}
	out := &rewriteMailOutput{CacheControl: "no-store"}
	out.Body.Links, out.Body.Results = []mailLink{}, []mailing.Result{}
	for _, link := range template.Links() {
		out.Body.Links = append(out.Body.Links, mailLink{link.ID, link.Target, string(link.LeftIn(m.Mode()))})
	}
	var wrong problems
	total := 0
	for i := range in.Body.Recipients {
		message, err := m.Write(in.Body.Recipients[i])
		if err != nil {
			wrong.add(fmt.Sprintf("body.recipients[%d]", i), err.Error())
			continue
		}
		if total += len(message); total > maxMailTotal {
			return nil, errInvalid("body.recipients", tooMuchMail)
		}
		out.Body.Results = append(out.Body.Results, mailing.ResultOf(message))
	}
	return out, wrong.err()
}

// problems are what is wrong with the parts of a request, each once.
type problems struct {
	details []*huma.ErrorDetail
	counts  map[string]int
}

func (p *problems) add(location, message string) {
	if p.counts == nil {
		p.counts = map[string]int{}
	}
	if p.counts[message]++; p.counts[message] == 1 {
		p.details = append(p.details, &huma.ErrorDetail{Location: location, Message: message})
	}
}

// err is the problem that tells them; nil if there are none.
func (p *problems) err() error {
	var errs []error
	for _, d := range p.details {
		if n := p.counts[d.Message]; n > 1 {
			d = &huma.ErrorDetail{Location: d.Location, Message: fmt.Sprintf("%s; so it is with %d more", d.Message, n-1)}
		}
		errs = append(errs, d)
	}
	if errs == nil {
		return nil
	}
	return huma.Error422UnprocessableEntity("validation failed", errs...)
}
