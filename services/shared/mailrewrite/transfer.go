package mailrewrite

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"strings"
)

// transferEncoding is a Content-Transfer-Encoding.
type transferEncoding string

// Those that text parts may have.
const (
	plain           transferEncoding = "" // 7bit, 8bit, binary
	quotedPrintable transferEncoding = "quoted-printable"
	inBase64        transferEncoding = "base64"
)

// Lengths of lines without their ends: how long they may be, and how long those of base64 are.
const (
	maxLine    = 998
	base64Line = 76
)

func transferEncodingOf(name string) (transferEncoding, error) {
	switch name = strings.ToLower(strings.TrimSpace(name)); name {
	case "", "7bit", "8bit", "binary":
		return plain, nil
	case "quoted-printable", "base64":
		return transferEncoding(name), nil
	}
	return plain, fmt.Errorf("%w: a text part has one that is not known", ErrEncoding)
}

// decode takes the encoding off a body.
func decode(e transferEncoding, body []byte) ([]byte, error) {
	switch e {
	case quotedPrintable:
		var out bytes.Buffer
		out.Grow(len(body) + bytes.MinRead)
		if _, err := out.ReadFrom(quotedprintable.NewReader(bytes.NewReader(body))); err != nil {
			return nil, fmt.Errorf("%w: broken quoted-printable", ErrEncoding)
		}
		return out.Bytes(), nil
	case inBase64:
		body = bytes.Map(func(r rune) rune {
			if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
				return -1
			}
			return r
		}, body)
		out := make([]byte, base64.StdEncoding.DecodedLen(len(body)))
		n, err := base64.StdEncoding.Decode(out, body)
		if err != nil {
			return nil, fmt.Errorf("%w: broken base64", ErrEncoding)
		}
		return out[:n], nil
	}
	return body, nil
}

// encode puts the encoding on a body; or quoted-printable on one that can have none any more, as its lines are too long, or as it
// was in ASCII and is not.
func encode(e transferEncoding, body []byte, newline string, wasASCII bool) (transferEncoding, []byte) {
	switch {
	case e == inBase64:
		return e, encodeBase64(body, newline)
	case e == plain && !tooLong(body) && (isASCII(body) || !wasASCII):
		return e, body
	}
	return quotedPrintable, encodeQuotedPrintable(body, newline)
}

func tooLong(body []byte) bool {
	for line := range bytes.Lines(body) {
		if len(bytes.TrimRight(line, "\r\n")) > maxLine {
			return true
		}
	}
	return false
}

func encodeBase64(body []byte, newline string) []byte {
	text := make([]byte, base64.StdEncoding.EncodedLen(len(body)))
	base64.StdEncoding.Encode(text, body)
	out := make([]byte, 0, len(text)+len(text)/base64Line*len(newline)+len(newline))
	for len(text) > 0 {
		n := min(base64Line, len(text))
		out = append(append(out, text[:n]...), newline...)
		text = text[n:]
	}
	return bytes.TrimSuffix(out, []byte(newline)) // the one before a boundary belongs to the boundary
}

func encodeQuotedPrintable(body []byte, newline string) []byte {
	var out bytes.Buffer
	out.Grow(len(body) + len(body)/8)
	w := quotedprintable.NewWriter(&out)
	// Line ends that are not the message's are content, and are written as such.
	ends := bytes.Count(body, []byte(newline))
	w.Binary = ends != bytes.Count(body, []byte("\n")) || bytes.Count(body, []byte("\r")) != ends*(len(newline)-1)
	_, _ = w.Write(body) // to memory
	_ = w.Close()
	if newline == "\n" {
		return bytes.ReplaceAll(out.Bytes(), []byte("\r\n"), []byte("\n"))
	}
	return out.Bytes()
}
