package api

import (
	"strings"
	"time"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/deliveries"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// ofProvider is POST /v1/mail/{site}/{provider}: the webhook of a provider of mail. What it tells becomes events as a server of the
// site would send them.
func ofProvider(provider deliveries.Provider) *endpoint {
	return &endpoint{
		kind: onepxv1.TransportKind_TRANSPORT_KIND_SERVER, dialect: string(provider), challenge: `Basic realm="onepx"`,
		parse: func(s *Server, b *batch) { s.parseWebhook(b, provider) }, answer: (*Server).answerServerEvents,
	}
}

// nobody is a site that knows no provider: an unknown site is answered as one that does not know who asks.
var nobody = &siteconfig.Site{}

func (s *Server) parseWebhook(b *batch, provider deliveries.Provider) {
	body, word := s.readBody(b)
	if word != "" {
		b.refuse(nil, word)
		return
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(b.request.URL.Path, deliveries.Path), "/")
	site, known := b.config.sites.Site(id)
	if !known {
		site = nobody
	}
	reports, word := s.deps.Deliveries.Read(b.request.Context(), provider, &site.MailProviders, b.request, body)
	if word != "" {
		b.refuse(nil, word)
		return
	}
	for i := range reports {
		b.hits = append(b.hits, hitOf(&reports[i], site))
	}
	b.limit(true) // providers send again what is answered with 429
}

// hitOf makes the parameters of a server's event of a report.
func hitOf(report *deliveries.Report, site *siteconfig.Site) *hit {
	h := &hit{site: site, reason: report.Reason}
	add := func(name, value string) {
		if value = params.Clean(value, &h.query.Flags); value != "" {
			h.query.Pairs = append(h.query.Pairs, params.Pair{Name: name, Value: value})
		}
	}
	if h.reason != "" {
		return h
	}
	add("e", report.Name)
	add("id", report.ID)
	if !report.At.IsZero() {
		add("ts", report.At.UTC().Format(time.RFC3339Nano))
	}
	add("mail_campaign", report.Campaign)
	add("mail_message", report.Message)
	add("mail_to", report.Recipient)
	add("p.bounce", report.Bounce)
	return h
}
