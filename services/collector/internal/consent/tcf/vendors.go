package tcf

import "github.com/onepx/onepx/services/collector/internal/consent/bits"

// Vendors is a set of vendors, by their ids in the Global Vendor List. It keeps the bits of the string and looks in them.
type Vendors struct {
	data []byte
	// at is where the bits or the ranges begin.
	at int
	// max is the highest id of a bit field, entries the number of ranges; one of them is 0.
	max, entries int
}

// Contains tells whether the vendor is in the set.
func (v Vendors) Contains(id int) bool {
	if id >= 1 && id <= v.max {
		return bits.Peek(v.data, v.at+id-1, 1) == 1
	}
	at := v.at
	for range v.entries {
		var start, end int
		if start, end, at = entry(v.data, at); start <= id && id <= end {
			return true
		}
	}
	return false
}

// entry reads the range that begins at the bit, and returns where the next one begins.
func entry(data []byte, at int) (start, end, next int) {
	start = int(bits.Peek(data, at+1, 16)) //nolint:gosec // 16 bits
	if bits.Peek(data, at, 1) == 0 {
		return start, start, at + 17
	}
	return start, int(bits.Peek(data, at+17, 16)), at + 33 //nolint:gosec // 16 bits
}

// vendors reads a bit field or ranges, whichever the writer found shorter.
func (r *reader) vendors() (Vendors, error) {
	highest := int(r.Take(16)) //nolint:gosec // 16 bits
	if r.Flag() {
		return r.ranges()
	}
	set := Vendors{data: r.Data, at: r.At, max: highest}
	r.Skip(highest)
	return set, r.err()
}

// ranges reads a number of ranges, all of which must be whole and the right way round.
func (r *reader) ranges() (Vendors, error) {
	entries := int(r.Take(12)) //nolint:gosec // 12 bits
	set := Vendors{data: r.Data, at: r.At, entries: entries}
	for range entries {
		isRange := r.Flag()
		start := r.Take(16)
		end := start
		if isRange {
			end = r.Take(16)
		}
		if r.Short {
			return Vendors{}, ErrShort
		}
		if start == 0 || end < start {
			return Vendors{}, ErrRange
		}
	}
	return set, r.err()
}

func (r *reader) err() error {
	if r.Short {
		return ErrShort
	}
	return nil
}
