package tcf

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
		return peek(v.data, v.at+id-1, 1) == 1
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
	start = int(peek(data, at+1, 16)) //nolint:gosec // 16 bits
	if peek(data, at, 1) == 0 {
		return start, start, at + 17
	}
	return start, int(peek(data, at+17, 16)), at + 33 //nolint:gosec // 16 bits
}

// vendors reads a bit field or ranges, whichever the writer found shorter.
func (r *reader) vendors() (Vendors, error) {
	highest := int(r.take(16)) //nolint:gosec // 16 bits
	if r.flag() {
		return r.ranges()
	}
	set := Vendors{data: r.data, at: r.at, max: highest}
	r.skip(highest)
	return set, r.err()
}

// ranges reads a number of ranges, all of which must be whole and the right way round.
func (r *reader) ranges() (Vendors, error) {
	entries := int(r.take(12)) //nolint:gosec // 12 bits
	set := Vendors{data: r.data, at: r.at, entries: entries}
	for range entries {
		isRange := r.flag()
		start := r.take(16)
		end := start
		if isRange {
			end = r.take(16)
		}
		if r.short {
			return Vendors{}, ErrShort
		}
		if start == 0 || end < start {
			return Vendors{}, ErrRange
		}
	}
	return set, r.err()
}

func (r *reader) skip(n int) {
	if r.at+n > r.size {
		r.at, r.short = r.size, true
		return
	}
	r.at += n
}

func (r *reader) err() error {
	if r.short {
		return ErrShort
	}
	return nil
}
