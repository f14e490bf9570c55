package api

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/reason"
)

// image is a transparent GIF of one pixel with a graphic control extension, as strict decoders want it.
var image = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\x00\x00" +
	"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b")

// retryAfter is what a client is told that may try again, in seconds.
const retryAfter = "5"

// statuses is the HTTP status of each outcome. Browsers render the image whatever it is.
var statuses = map[outcome]int{
	stored: http.StatusOK, spooled: http.StatusOK, suppressed: http.StatusOK, ignored: http.StatusOK,
	rejected: http.StatusBadRequest, lost: http.StatusServiceUnavailable,
}

// ownStatuses are those of the reasons that HTTP has a word for.
var ownStatuses = map[reason.Reason]int{
	reason.EventTooLarge:       http.StatusRequestEntityTooLarge,
	reason.BodyTooLarge:        http.StatusRequestEntityTooLarge,
	reason.TooManyEvents:       http.StatusRequestEntityTooLarge,
	reason.BodyIncomplete:      http.StatusRequestTimeout,
	reason.EncodingUnsupported: http.StatusUnsupportedMediaType,
	reason.WriteKeyMissing:     http.StatusUnauthorized,
	reason.WriteKeyWrong:       http.StatusUnauthorized,
	reason.DeliveryUnproven:    http.StatusUnauthorized,
	reason.RateLimited:         http.StatusTooManyRequests,
	reason.WrongPath:           http.StatusNotFound,
	reason.SharingRefused:      http.StatusUnavailableForLegalReasons,
	reason.SyncRedirect:        http.StatusFound,
}

// Status is the HTTP status of a request that ends with the reason.
func Status(word reason.Reason) int {
	if status, own := ownStatuses[word]; own {
		return status
	}
	return statuses[outcomeOf(word)]
}

func (s *Server) answer(_ context.Context, b *batch) { b.via.answer(s, b) }

// answerPixel writes the image, or for debug=1 what was decided.
func (s *Server) answerPixel(b *batch) {
	h := b.hits[0]
	header := b.writer.Header()
	uncached(header)
	s.cors(header, b)
	setResult(header, b, h.counted())
	if h.debug {
		writeJSON(b.writer, http.StatusOK, debugOf(h))
		return
	}
	b.setCookies()
	b.writeImage(Status(h.reason))
}

func (b *batch) writeImage(status int) {
	maps.Copy(b.writer.Header(), ofImage)
	b.writer.WriteHeader(status)
	if b.request.Method != http.MethodHead {
		_, _ = b.writer.Write(image) // a visitor who has left needs no image
	}
}

// setResult sets the headers that say what became of the event.
func setResult(header http.Header, b *batch, word reason.Reason) {
	header["Onepx-Event"] = verdicts[word]
	switch {
	case outcomeOf(word) == lost:
		header.Set("Retry-After", retryAfter)
	case word == reason.RateLimited:
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(b.retryAfter.Seconds()))))
	}
}

// setCookies sets the batch's cookies. There is no new visitor without an event, or somebody else who has got the id; a repeat
// of an event mints the same.
func (b *batch) setCookies() {
	if !slices.ContainsFunc(b.hits, func(h *hit) bool {
		return durable(h.counted()) || outcomeOf(h.counted()) == suppressed || h.counted() == reason.SyncRedirect
	}) {
		return
	}
	for _, cookie := range b.cookies {
		http.SetCookie(b.writer, cookie)
	}
}

// eventHeader tells the client what became of its event.
func eventHeader(o outcome, word reason.Reason) string {
	if durable(word) {
		return string(o)
	}
	return string(outwardly(o)) + "; reason=" + string(word)
}

// outwardly is the outcome as clients are told it. A lost event is called rejected: whose fault it was they see by the
// status.
func outwardly(o outcome) outcome {
	if o == lost {
		return rejected
	}
	return o
}

// uncacheable are headers of every answer to a hit: each load of the page asks again (the comma matters to mail proxies),
// pages with a cross-origin policy may show the image, and nothing leaks a referrer.
var uncacheable = http.Header{
	"Cache-Control":                {"no-store, no-cache, must-revalidate, private, max-age=0"},
	"Pragma":                       {"no-cache"},
	"Expires":                      {"0"},
	"Cross-Origin-Resource-Policy": {"cross-origin"},
	"Timing-Allow-Origin":          {"*"},
	"X-Content-Type-Options":       {"nosniff"},
	"Referrer-Policy":              {"no-referrer"},
}

// ofImage are those of the image.
var ofImage = http.Header{"Content-Type": {"image/gif"}, "Content-Length": {strconv.Itoa(len(image))}}

// forAnyOrigin are the headers of CORS for everybody: what they say is the same for all, and without cookies.
var forAnyOrigin = http.Header{
	"Access-Control-Expose-Headers": {"Onepx-Event, Retry-After"},
	"Access-Control-Allow-Origin":   {"*"},
	"Vary":                          {"Origin"},
}

// verdicts are the values of the header Onepx-Event by reason.
var verdicts = func() map[reason.Reason][]string {
	all := map[reason.Reason][]string{}
	for word, o := range outcomes {
		all[word] = []string{eventHeader(o, word)}
	}
	return all
}()

// uncached sets the headers that are the same in all answers to hits. They share their values, which nobody changes.
func uncached(header http.Header) { maps.Copy(header, uncacheable) }

// cors lets scripts read the answer: those of the sites' origins also with cookies, others without.
func (s *Server) cors(header http.Header, b *batch) {
	listed := false
	for _, h := range b.hits {
		if h.site == nil {
			continue
		}
		if listed = h.site.AllowsOrigin(b.request.Header.Get("Origin")); !listed {
			break
		}
	}
	allowOrigin(header, b.request, listed)
}

// allowOrigin sets the headers of CORS. An origin that is not listed is never named, and never gets credentials.
func allowOrigin(header http.Header, r *http.Request, listed bool) {
	maps.Copy(header, forAnyOrigin)
	if listed {
		header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		header.Set("Access-Control-Allow-Credentials", "true")
	}
}

// debugAnswer is the answer to debug=1.
type debugAnswer struct {
	// Outcome and Reason are what would be counted.
	Outcome outcome       `json:"outcome"`
	Reason  reason.Reason `json:"reason,omitempty"`
	// Event is what would be stored, in protobuf's JSON form. Its hashes are made with a key of this process alone, so
	// that nobody can ask here for the hash of somebody's e-mail address.
	Event json.RawMessage `json:"event,omitempty"`
}

func debugOf(h *hit) *debugAnswer {
	answer := &debugAnswer{Outcome: outcomeOf(h.reason), Reason: h.reason}
	if answer.Outcome == stored {
		answer.Event = eventJSON(h.event)
	}
	return answer
}

func eventJSON(ev *onepxv1.Event) json.RawMessage {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(ev)
	if err != nil {
		return nil // not reached: all texts are valid UTF-8
	}
	return data
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(answer) // who has left needs no answer
}
