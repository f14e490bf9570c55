package mailrewrite

import (
	"fmt"
	"io"
	"mime"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/onepx/onepx/services/shared/userkey"
)

// addressed are the fields that hold addresses.
var addressed = []string{"to", "cc", "bcc", "from", "reply-to", "sender"}

// unstructured are the fields, besides those of X-, in which encoded words may stand anywhere.
var unstructured = []string{"subject", "comments", "organization", "thread-topic", "content-description"}

func isUnstructured(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "x-") || slices.Contains(unstructured, name)
}

// wordStart begins an encoded word (RFC 2047).
const wordStart = "=?"

// wordDecoder reads encoded words.
var wordDecoder = &mime.WordDecoder{CharsetReader: func(name string, in io.Reader) (io.Reader, error) {
	set, err := htmlindex.Get(name)
	if err != nil {
		return nil, err
	}
	return set.NewDecoder().Reader(in), nil
}}

// decodedHeader is a value without encoded words.
func decodedHeader(value string) string {
	if !strings.Contains(value, wordStart) {
		return value
	}
	text, err := wordDecoder.DecodeHeader(value)
	if err != nil {
		return value
	}
	return text
}

// mergeHeader is a field of the message with merge data, encoded and folded; "" if it stays as it is.
func (r *rendering) mergeHeader(f headerField) (string, error) {
	text := decodedHeader(f.value)
	values := fieldValues{}
	size := len(text)
	for _, m := range fieldForm.FindAllStringSubmatch(text, -1) {
		value, known, err := r.field(m[1])
		switch {
		case err != nil || !known:
			return "", err
		case strings.ContainsAny(value, "\r\n"):
			return "", fmt.Errorf("%w %s: has a line break, and stands in the header", ErrField, m[1])
		}
		if size += len(value); size > maxField {
			return "", fmt.Errorf("%w: %s is too long with it", ErrField, f.name)
		}
		values[m[1]] = value
	}
	merged := values.merge(text)
	if strings.Count(merged, wordStart) > strings.Count(text, wordStart) { // mail programs would read what it encodes
		return "", fmt.Errorf("%w: has %s in %s, where it begins an encoded word", ErrField, wordStart, f.name)
	}
	newline := r.template.newline
	if slices.Contains(addressed, strings.ToLower(f.name)) {
		list, err := addresses(f.value, values)
		if err != nil {
			return "", fmt.Errorf("%w: %s is no list of addresses with it", ErrField, f.name)
		}
		return f.name + ": " + strings.Join(list, ","+newline+" ") + newline, nil
	}
	// Encoded words are separated by spaces, at which the line may be folded.
	if encoded := mime.QEncoding.Encode("utf-8", merged); encoded != merged {
		if !isUnstructured(f.name) {
			return "", fmt.Errorf("%w: %s may have printable ASCII only", ErrField, f.name)
		}
		return f.name + ": " + strings.ReplaceAll(encoded, " ", newline+" ") + newline, nil
	}
	if len(merged) > maxLine-len(f.name)-2 {
		return "", fmt.Errorf("%w: %s is too long with it", ErrField, f.name)
	}
	return f.name + ": " + merged + newline, nil
}

// fieldValues are those of the fields of a header's field, by name.
type fieldValues map[string]string

func (v fieldValues) merge(text string) string {
	return fieldForm.ReplaceAllStringFunc(text, func(field string) string { return v[fieldName(field)] })
}

// fieldName is the name in a merge field.
func fieldName(field string) string { return fieldForm.FindStringSubmatch(field)[1] }

// Marks stand for values while addresses are read, so that no value makes an address of its own.
const (
	markStart  = "onepxfield"
	markDomain = "@mark.invalid"
)

var (
	// markForm is a mark, or a field that was not seen as it stands in an encoded word.
	markForm    = regexp.MustCompile(markStart + `(\d+)x(?:` + markDomain + `)?|` + fieldForm.String())
	addressMark = regexp.MustCompile(`(^\s*|[<,]\s*)(` + markStart + `\d+x)(\s*(?:$|[>,]))`)
)

// addresses are those of a field, each as it is written, with the values in the places of its merge fields. Encoded
// words are read after the list, as a comma in one separates no addresses.
func addresses(value string, values fieldValues) ([]string, error) {
	var names []string
	marked := fieldForm.ReplaceAllStringFunc(value, func(field string) string {
		names = append(names, fieldName(field))
		return markStart + strconv.Itoa(len(names)-1) + "x"
	})
	for range 2 { // a comma is of two addresses
		marked = addressMark.ReplaceAllString(marked, "${1}${2}"+markDomain+"${3}")
	}
	list, err := (&mail.AddressParser{WordDecoder: wordDecoder}).ParseList(marked)
	if err != nil {
		return nil, err
	}
	merge := func(text string) string {
		return markForm.ReplaceAllStringFunc(text, func(mark string) string {
			m := markForm.FindStringSubmatch(mark)
			if m[2] != "" {
				return values[m[2]]
			}
			i, err := strconv.Atoi(m[1])
			if err != nil || i >= len(names) {
				return mark
			}
			return values[names[i]]
		})
	}
	out := make([]string, len(list))
	for i, a := range list {
		a.Name, a.Address = merge(a.Name), merge(a.Address)
		if strings.Contains(a.Address, `"`) || userkey.Address(a.Address) != a.Address {
			return nil, fmt.Errorf("%w: no address", ErrField)
		}
		out[i] = a.String()
	}
	return out, nil
}
