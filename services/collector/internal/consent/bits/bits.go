// Package bits reads the base64url texts in which the IAB's consent strings pack their bits. The packages tcf and gpp know
// what the bits mean.
package bits

import (
	"encoding/binary"
	"errors"
)

// ErrEncoding says that a text has a character that base64url does not have; padding with = is one.
var ErrEncoding = errors.New("not base64url")

// Padding follows the bytes of each text, so that eight bytes can be loaded from any of its bits.
const Padding = 8

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

// Decode appends the bits of the text, each character six, and Padding. It is not encoding/base64 because some writers
// end after any character, where that demands whole bytes.
func Decode(to []byte, text string) ([]byte, error) {
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
	return append(to, make([]byte, Padding)...), nil
}

// Reader takes numbers from the bits of a text.
type Reader struct {
	// Data are the bits as Decode appends them.
	Data []byte
	// At is the next bit, Size how many there are: six for each character.
	At, Size int
	// Short tells that more bits were asked for than there are.
	Short bool
}

// Take returns the next n bits, at most 56, as a number; 0 past the end.
func (r *Reader) Take(n int) uint64 {
	if r.At+n > r.Size {
		r.At, r.Short = r.Size, true
		return 0
	}
	value := Peek(r.Data, r.At, n)
	r.At += n
	return value
}

// Int returns the next n bits, at most 32.
func (r *Reader) Int(n int) int { return int(r.Take(n)) } //nolint:gosec // 32 bits

// Flag returns the next bit.
func (r *Reader) Flag() bool { return r.Take(1) == 1 }

// Skip passes over the next n bits.
func (r *Reader) Skip(n int) {
	if r.At+n > r.Size {
		r.At, r.Short = r.Size, true
		return
	}
	r.At += n
}

// Peek returns n bits, at most 56, from the bit at.
func Peek(data []byte, at, n int) uint64 {
	return binary.BigEndian.Uint64(data[at>>3:]) << (at & 7) >> (64 - n)
}
