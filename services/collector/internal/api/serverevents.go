package api

import (
	"net/http"
	"slices"
	"strings"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// serverEvents is POST /v1/events: what a site's servers send. The write key says whose they are.
var serverEvents = &endpoint{
	kind: onepxv1.TransportKind_TRANSPORT_KIND_SERVER, challenge: `Bearer realm="onepx"`,
	parse: (*Server).parseServerEvents, answer: (*Server).answerServerEvents,
}

func (s *Server) parseServerEvents(b *batch) {
	query, ok := parseTarget(b)
	if !ok {
		return
	}
	key := writeKey(b.request)
	if key == "" {
		b.refuse(nil, reason.WriteKeyMissing)
		return
	}
	site := b.config.siteOf(key)
	if site == nil {
		b.refuse(nil, reason.WriteKeyWrong)
		return
	}
	body, word := s.readBody(b)
	if word != "" {
		b.refuse(site, word)
		return
	}
	read := params.ParseJSON
	if linesMeant(mediaType(b.request), body) {
		read = params.ParseLines
	}
	events, word := read(body)
	if word != "" {
		b.refuse(site, word)
		return
	}
	s.addAll(b, events, query, site)
	b.limit(false)
}

// lineTypes are the content types of JSON lines; none of them is registered.
var lineTypes = []string{"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines"}

// linesMeant tells whether the body is NDJSON: by its type, or if the type does not say what it is (as with curl --data),
// by its looks.
func linesMeant(mediaType string, body []byte) bool {
	if mediaType == "application/json" {
		return false
	}
	return slices.Contains(lineTypes, mediaType) || params.AreLines(body)
}

// writeKey is the key the request brings, or "".
func writeKey(r *http.Request) string {
	if key := r.Header.Get("X-Write-Key"); key != "" {
		return key
	}
	if user, _, ok := r.BasicAuth(); ok {
		return user
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// siteOf returns the site the write key belongs to, or nil. It asks all sites whatever the answers, so that its time says
// nothing about the keys.
func (now *snapshot) siteOf(key string) *siteconfig.Site {
	var found *siteconfig.Site
	for i := range now.sites.Sites {
		if site := &now.sites.Sites[i]; site.AcceptsKey(key) {
			found = site
		}
	}
	return found
}
