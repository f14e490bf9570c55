package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/reason"
)

// results is the JSON answer to a body of events.
type results struct {
	// Results has one entry for each event, in the order of the body.
	Results []result `json:"results"`
}

// result is what became of one event.
type result struct {
	// ID is the event's id as it was given, or the one made for it; "" if the event could not be read.
	ID string `json:"id,omitempty"`
	// Result and Reason are what the header Onepx-Event would say of it alone.
	Result outcome       `json:"result"`
	Reason reason.Reason `json:"reason,omitempty"`
	// Retry tells that the same event may be sent again, and should be.
	Retry bool `json:"retry,omitempty"`
	// Debug is the answer to debug=1.
	Debug *debugAnswer `json:"debug,omitempty"`
}

// refusal is the JSON answer to a request that is refused as a whole.
type refusal struct {
	Result  outcome       `json:"result"`
	Reason  reason.Reason `json:"reason"`
	Message string        `json:"message"`
	Retry   bool          `json:"retry,omitempty"`
}

// answerBeacon writes nothing when all is well and nobody asked, because browsers don't show it to anybody.
func (s *Server) answerBeacon(b *batch) {
	header := b.writer.Header()
	uncached(header)
	s.cors(header, b)
	b.setCookies()
	status := http.StatusOK
	wanted := strings.Contains(b.request.Header.Get("Accept"), "application/json")
	if h := b.decisive(); h != nil {
		status = Status(h.counted())
		setResult(header, b, h.counted())
		wanted = wanted || status != http.StatusOK || slices.ContainsFunc(b.hits, func(h *hit) bool { return h.debug })
	}
	if wanted {
		writeJSON(b.writer, status, b.told())
		return
	}
	b.writer.WriteHeader(http.StatusNoContent)
}

// answerServerEvents answers 200 also when events are refused: the client reads what became of each. Only where it should
// send the request again it gets another status, because many clients read no more than that.
func (s *Server) answerServerEvents(b *batch) {
	header := b.writer.Header()
	uncached(header)
	status := http.StatusOK
	if h := b.decisive(); h != nil {
		setResult(header, b, h.counted())
		if b.refused || retry(h.counted()) {
			status = Status(h.counted())
		}
	}
	if status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", b.via.challenge)
	}
	writeJSON(b.writer, status, b.told())
}

// retry tells whether the same event may be stored when it comes again.
func retry(word reason.Reason) bool { return outcomeOf(word) == lost || word == reason.RateLimited }

// decisive is the event that status and headers speak of: one that should be sent again, else one that is refused, else
// one that is spooled or stored. It is nil if there is no event.
func (b *batch) decisive() *hit {
	rank := func(h *hit) int {
		word := h.counted()
		switch verdict := outcomeOf(word); {
		case verdict == lost:
			return 5
		case word == reason.RateLimited:
			return 4
		default:
			return slices.Index([]outcome{ignored, suppressed, stored, spooled, rejected}, verdict)
		}
	}
	var worst *hit
	for _, h := range b.hits {
		if worst == nil || rank(h) > rank(worst) {
			worst = h
		}
	}
	return worst
}

// told is the body of the answer.
func (b *batch) told() any {
	if b.refused {
		word := b.hits[0].reason
		return refusal{Result: rejected, Reason: word, Message: word.Meaning(), Retry: retry(word)}
	}
	all := results{Results: []result{}}
	for _, h := range b.hits {
		word := h.counted()
		one := result{ID: h.id(), Result: outwardly(outcomeOf(word)), Reason: word, Retry: retry(word)}
		if durable(word) {
			one.Reason = ""
		}
		if h.debug {
			one.Debug = debugOf(h)
		}
		all.Results = append(all.Results, one)
	}
	return all
}

// id is the event's id as the client gave it, or the one made for it.
func (h *hit) id() string {
	if h.event.GetEventIdOrigin() == onepxv1.IdOrigin_ID_ORIGIN_COLLECTOR {
		return uuid.UUID(h.event.GetEventId()).String()
	}
	return h.query.Get("id")
}
