package api

import (
	"bytes"
	"mime"
	"net/http"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
)

// beacon is POST /e: what scripts send, also while the page goes away. Those requests are "simple" ones (text/plain, form
// or no content type), for which browsers ask no leave first, so the content type does not say what the body is.
var beacon = &endpoint{
	kind:  onepxv1.TransportKind_TRANSPORT_KIND_BEACON,
	parse: (*Server).parseBeacon, answer: (*Server).answerBeacon,
}

func (s *Server) parseBeacon(b *batch) {
	query, ok := parseTarget(b)
	if !ok {
		return
	}
	site, _ := b.config.sites.Site(query.Get("site")) // for CORS, should the body be refused
	body, word := s.readBody(b)
	if word != "" {
		b.refuse(site, word)
		return
	}
	events, word := readBeacon(body, mediaType(b.request))
	if word != "" {
		b.refuse(site, word)
		return
	}
	s.addAll(b, events, query, nil)
	b.limit(false)
}

// readBeacon returns the events of the body: JSON, or the form that pages and programs have posted since HTML 2. With an
// empty body the one event is in the URL.
func readBeacon(body []byte, mediaType string) ([]params.Query, reason.Reason) {
	content := bytes.TrimSpace(body)
	switch {
	case len(content) == 0:
		return []params.Query{{}}, ""
	case mediaType == "application/x-www-form-urlencoded" && content[0] != '{' && content[0] != '[':
		return []params.Query{params.ParseQuery(string(content))}, ""
	}
	return params.ParseJSON(body)
}

// mediaType is the content type without its parameters, or "" if there is none or it can't be read.
func mediaType(r *http.Request) string {
	name, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return name
}
