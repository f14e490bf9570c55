package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// image is a transparent GIF of one pixel with a graphic control extension, as strict decoders want it.
var image = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\x00\x00" +
	"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b")

// retryAfter is what a client is told that may try again, in seconds.
const retryAfter = "5"

// statuses is the HTTP status of each outcome. Browsers render the image whatever it is.
var statuses = map[outcome]int{
	stored: http.StatusOK, suppressed: http.StatusOK, ignored: http.StatusOK,
	rejected: http.StatusBadRequest, lost: http.StatusServiceUnavailable,
}

// answer writes the image, or for debug=1 what was decided.
func (s *Server) answer(_ context.Context, h *hit) {
	verdict := outcomeOf(h.reason)
	header := h.writer.Header()
	uncached(header)
	cors(header, h.request, h.site)
	if h.debug {
		answerDebug(h, verdict)
		return
	}
	header.Set("Onepx-Event", eventHeader(verdict, h.reason))
	if verdict == lost {
		header.Set("Retry-After", retryAfter)
	}
	// There is no new visitor without an event; a repeat of it mints the same id.
	if h.cookie != nil && (verdict == stored || verdict == suppressed) {
		http.SetCookie(h.writer, h.cookie)
	}
	header.Set("Content-Type", "image/gif")
	header.Set("Content-Length", strconv.Itoa(len(image)))
	h.writer.WriteHeader(statuses[verdict])
	if h.request.Method != http.MethodHead {
		_, _ = h.writer.Write(image) // a visitor who has left needs no image
	}
}

// eventHeader tells the client what became of its event. A lost one is called rejected: it can't tell whose fault it was
// better than by the status.
func eventHeader(o outcome, word reason.Reason) string {
	if o == lost {
		o = rejected
	}
	if word == "" {
		return string(o)
	}
	return string(o) + "; reason=" + string(word)
}

// uncached sets the headers of every answer to a hit: each load of the page asks again (the comma matters to mail proxies),
// pages with a cross-origin policy may show the image, and nothing leaks a referrer.
func uncached(header http.Header) {
	header.Set("Cache-Control", "no-store, no-cache, must-revalidate, private, max-age=0")
	header.Set("Pragma", "no-cache")
	header.Set("Expires", "0")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	header.Set("Timing-Allow-Origin", "*")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
}

// cors lets scripts read the answer: those of the site's origins also with cookies, others without.
func cors(header http.Header, r *http.Request, site *siteconfig.Site) {
	header.Set("Access-Control-Expose-Headers", "Onepx-Event, Retry-After")
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if site != nil && origin != "" && site.AllowsOrigin(origin) {
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Allow-Credentials", "true")
		return
	}
	header.Set("Access-Control-Allow-Origin", "*")
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

func answerDebug(h *hit, verdict outcome) {
	answer := debugAnswer{Outcome: verdict, Reason: h.reason}
	if verdict == stored {
		answer.Event = eventJSON(h.event)
	}
	header := h.writer.Header()
	header.Set("Onepx-Event", eventHeader(ignored, reason.DebugRequest))
	header.Set("Content-Type", "application/json")
	encoder := json.NewEncoder(h.writer)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(answer) // a visitor who has left needs no answer
}

func eventJSON(ev *onepxv1.Event) json.RawMessage {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(ev)
	if err != nil {
		return nil // not reached: all texts are valid UTF-8
	}
	return data
}
