package hygiene

import "unsafe"

// decodings is how many layers of encoding are seen through: a URL within a URL's parameter within another's.
const decodings = 3

// view is a text with its percent escapes, and those that JSON has for ASCII characters (\u0040), decoded.
type view struct {
	bytes []byte
	// ends says for each byte where in the source it ends; it begins where the one before it ends.
	ends []int32
}

// decode makes the view of a text. Its memory is used again.
func (v *view) decode(text string) {
	v.bytes, v.ends = append(v.bytes[:0], text...), v.ends[:0]
	for i := range len(text) {
		v.ends = append(v.ends, int32(i+1))
	}
	for range decodings {
		if !v.pass() {
			return
		}
	}
}

// pass removes one layer in place, and tells whether there may be another.
func (v *view) pass() (more bool) {
	n := 0
	for i := 0; i < len(v.bytes); n++ {
		c, size := unescape(v.bytes[i:])
		i += size
		v.bytes[n], v.ends[n] = c, v.ends[i-1]
		more = more || class[c] == escape
	}
	v.bytes, v.ends = v.bytes[:n], v.ends[:n]
	return more
}

// text is the decoded text, without a copy: it is valid until the view is used again.
func (v *view) text() string {
	return unsafe.String(unsafe.SliceData(v.bytes), len(v.bytes)) //nolint:gosec // no copy for every encoded URL; nobody keeps it
}

// source turns a range of the view into one of the source.
func (v *view) source(from, to int) (int, int) {
	begin := 0
	if from > 0 {
		begin = int(v.ends[from-1])
	}
	return begin, int(v.ends[to-1])
}

// unescape returns the first character of b, and how many bytes it takes.
func unescape(b []byte) (c byte, size int) {
	if len(b) >= 3 && b[0] == '%' {
		if c, ok := hex(b[1], b[2]); ok {
			return c, 3
		}
	}
	if len(b) >= 6 && string(b[:4]) == `\u00` {
		if c, ok := hex(b[4], b[5]); ok && c < 0x80 {
			return c, 6
		}
	}
	return b[0], 1
}

func hex(high, low byte) (byte, bool) {
	h, okH := nibble(high)
	l, okL := nibble(low)
	return h<<4 | l, okH && okL
}

func nibble(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}
