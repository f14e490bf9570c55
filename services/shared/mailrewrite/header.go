package mailrewrite

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// splitHeader cuts a message or part after the empty line that ends its header.
func splitHeader(data []byte) (head, body []byte) {
	at := 0
	for line := range bytes.Lines(data) {
		at += len(line)
		if string(line) == "\n" || string(line) == "\r\n" {
			return data[:at], data[at:]
		}
	}
	return data, nil
}

// headerField is a field, and where it stands in its header.
type headerField struct {
	name string
	// value has no line breaks.
	value    string
	from, to int
}

var nameForm = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// fieldsOf reads a header; lines that are none of a field are passed over.
func fieldsOf(head []byte) []headerField {
	var fields []headerField
	at := 0
	for line := range bytes.Lines(head) {
		from := at
		at += len(line)
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			break
		}
		if text[0] == ' ' || text[0] == '\t' {
			if n := len(fields); n > 0 && fields[n-1].to == from {
				fields[n-1].to, fields[n-1].value = at, fields[n-1].value+text
			}
			continue
		}
		name, value, found := strings.Cut(text, ":")
		name = strings.TrimRight(name, " \t")
		if found && nameForm.MatchString(name) {
			fields = append(fields, headerField{name, strings.TrimSpace(value), from, at})
		}
	}
	return fields
}

// header is the header of a message or part, with the empty line.
type header struct {
	raw []byte
	// top tells that it is that of the message.
	top bool
}

func (h *header) render(r *rendering, out []byte) ([]byte, error) { return h.write(r, out, false) }

// signatures are fields that rewriting makes wrong.
var signatures = []string{"dkim-signature", "domainkey-signature", "arc-seal", "arc-message-signature", "arc-authentication-results"}

// write appends the header, changed where the body's encoding is another now and, at the top, where the message needs it.
func (h *header) write(r *rendering, out []byte, reencoded bool) ([]byte, error) {
	if !h.top && !reencoded {
		return append(out, h.raw...), nil
	}
	at := 0
	var had []string // URIs of the List-Unsubscribe
	for _, f := range fieldsOf(h.raw) {
		name := strings.ToLower(f.name)
		changed, ours := "", r.addsUnsubscribe() && (name == "list-unsubscribe" || name == "list-unsubscribe-post")
		switch {
		case reencoded && name == "content-transfer-encoding", h.top && slices.Contains(signatures, name):
		case h.top && ours:
			had = append(had, urisOf(f.value)...)
		case h.top && fieldForm.MatchString(decodedHeader(f.value)):
			var err error
			if changed, err = r.mergeHeader(f); err != nil {
				return nil, err
			}
			if changed == "" {
				continue
			}
		default:
			continue
		}
		out = append(append(out, h.raw[at:f.from]...), changed...)
		at = f.to
		if err := bounded(len(out)); err != nil {
			return nil, err
		}
	}
	added, err := h.added(r, had, reencoded)
	if err != nil {
		return nil, err
	}
	empty := h.emptyLine()
	out = append(out, h.raw[at:max(at, empty)]...)
	if added != "" && len(out) > 0 && out[len(out)-1] != '\n' {
		added = r.template.newline + added
	}
	return append(append(out, added...), h.raw[empty:]...), nil
}

// emptyLine is where the line that ends the header begins.
func (h *header) emptyLine() int {
	line, ended := bytes.CutSuffix(h.raw, []byte("\n"))
	end := len(bytes.TrimSuffix(line, []byte("\r")))
	if !ended || end > 0 && h.raw[end-1] != '\n' {
		return len(h.raw)
	}
	return end
}

// added are the fields that the header gets.
func (h *header) added(r *rendering, had []string, reencoded bool) (string, error) {
	added := ""
	if reencoded {
		added = "Content-Transfer-Encoding: quoted-printable" + r.template.newline
	}
	if !h.top || !r.addsUnsubscribe() {
		return added, nil
	}
	lines, err := r.listUnsubscribe(had)
	return added + lines, err
}

// addsUnsubscribe tells whether the message gets the header of RFC 8058.
func (r *rendering) addsUnsubscribe() bool {
	return !r.template.config.KeepListUnsubscribe
}

// listUnsubscribe are the fields by which mail programs show a button; RFC 8058 wants https for one click. Of the URIs that the
// message has, mailto: is kept.
func (r *rendering) listUnsubscribe(had []string) (string, error) {
	u, err := r.unsubscribeURL()
	if err != nil {
		return "", err
	}
	newline := r.template.newline
	uris := "<" + u + ">"
	for _, one := range had {
		if !strings.HasPrefix(strings.ToLower(one), "mailto:") {
			continue
		}
		merged, known, err := r.merge(one)
		switch {
		case err != nil:
			return "", err
		case known && merged != one && len(merged) > maxLine-len(" <>,"):
			return "", fmt.Errorf("%w: List-Unsubscribe is too long with it", ErrField)
		case known:
			one = merged
		}
		uris += "," + newline + " <" + one + ">"
	}
	lines := "List-Unsubscribe: " + uris + newline
	if strings.HasPrefix(u, "https://") {
		lines += "List-Unsubscribe-Post: List-Unsubscribe=One-Click" + newline
	}
	return lines, nil
}

// endsSubscription tells whether a URL with merge data is one of the message's own List-Unsubscribe.
func (r *rendering) endsSubscription(merged string) bool {
	if r.unsubscribes == nil {
		r.unsubscribes = map[string]bool{}
		for one := range r.template.unsubscribes {
			if u, known, err := r.merge(one); err == nil && known {
				r.unsubscribes[u] = true
			}
		}
	}
	return r.unsubscribes[merged]
}

// oneForm writes the fields of a URL without spaces.
func oneForm(u string) string { return fieldForm.ReplaceAllString(u, "{{$1}}") }

// urisOf are those of a List-Unsubscribe.
func urisOf(value string) []string {
	var uris []string
	for _, part := range strings.Split(value, "<")[1:] {
		if uri, _, closed := strings.Cut(part, ">"); closed {
			uris = append(uris, strings.TrimSpace(uri))
		}
	}
	return uris
}
