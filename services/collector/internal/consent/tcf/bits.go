package tcf

import "encoding/binary"

// padding follows each segment's bytes, so that eight bytes can be loaded from any of its bits.
const padding = 8

// sextets is the value of a character of base64url, 0xff for all others.
var sextets = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		table[c] = byte(i)
	}
	return table
}()

// decode appends the bits of the text, each character six, and padding. It is not encoding/base64 because some writers of
// TC strings end after any character, where that demands whole bytes.
func decode(to []byte, text string) ([]byte, error) {
	var held uint32
	var bits uint
	for i := range len(text) {
		value := sextets[text[i]]
		if value == 0xff {
			return to, ErrEncoding
		}
		held, bits = held<<6|uint32(value), bits+6
		if bits >= 8 {
			bits -= 8
			to = append(to, byte(held>>bits)) //nolint:gosec // the upper bits are gone already
		}
	}
	to = append(to, byte(held<<(8-bits))) //nolint:gosec // as above
	return append(to, make([]byte, padding)...), nil
}

// reader takes numbers from the bits of a segment.
type reader struct {
	data []byte
	// at is the next bit, size how many there are.
	at, size int
	// short tells that more bits were asked for than there are.
	short bool
}

// take returns the next n bits, at most 56, as a number; 0 past the end.
func (r *reader) take(n int) uint64 {
	if r.at+n > r.size {
		r.at, r.short = r.size, true
		return 0
	}
	value := peek(r.data, r.at, n)
	r.at += n
	return value
}

func (r *reader) flag() bool { return r.take(1) == 1 }

// letters returns two letters, six bits each from A.
func (r *reader) letters() string {
	first, second := byte(r.take(6)), byte(r.take(6)) //nolint:gosec // six bits
	return string([]byte{'A' + first, 'A' + second})
}

// peek returns n bits from the bit at.
func peek(data []byte, at, n int) uint64 {
	return binary.BigEndian.Uint64(data[at>>3:]) << (at & 7) >> (64 - n)
}
