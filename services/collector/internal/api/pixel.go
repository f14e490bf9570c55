package api

import (
	"net/http"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/shared/reason"
)

// pixel is GET and HEAD /p.gif.
var pixel = &endpoint{
	kind:  onepxv1.TransportKind_TRANSPORT_KIND_GIF,
	parse: (*Server).parsePixel, answer: (*Server).answerPixel,
}

// maxURLBytes is how long a request target may be.
const maxURLBytes = 16 << 10

func (s *Server) parsePixel(b *batch) {
	if b.request.Method == http.MethodHead {
		b.refuse(nil, reason.HeadRequest)
		return
	}
	if query, ok := parseTarget(b); ok {
		s.add(b, query, nil)
	}
}

// parseTarget reads the query of the URL, or refuses the request if the URL is too long.
func parseTarget(b *batch) (params.Query, bool) {
	if len(b.request.RequestURI) > maxURLBytes {
		b.refuse(nil, reason.URLTooLong)
		return params.Query{}, false
	}
	return params.ParseQuery(b.request.URL.RawQuery), true
}
