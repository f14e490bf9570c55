package gpp

import (
	"strings"

	"github.com/onepx/onepx/services/collector/internal/consent/bits"
)

// Section is what the section of a US law says: that of one state, or the national one.
type Section struct {
	// ID is that of the section, Version the version of its format; in those of Maryland, Indiana, Kentucky and Rhode
	// Island, which have none, that of the agreement they speak of.
	ID, Version int
	// GPC tells that the visitor's browser sent Global Privacy Control.
	GPC bool

	layout *layout
	// values are two bits for each, from the left.
	values uint64
}

// Value is the answer to one question of a section.
type Value int

// The answers. Of opt-outs 1 is the opt-out and 2 its absence, of consents 1 is the refusal and 2 the consent, of notices 1
// is given and 2 not given.
const (
	NotApplicable Value = 0
	OptedOut      Value = 1
	NotOptedOut   Value = 2
)

// Value returns the i-th answer of the field, from 0; false if the section has none.
func (s *Section) Value(f Field, i int) (Value, bool) {
	part := s.layout.parts[f]
	if i < 0 || i >= part.count {
		return 0, false
	}
	return Value(s.values >> (62 - 2*(part.at+i)) & 3), true
}

// Has tells whether one of the field's answers is this.
func (s *Section) Has(f Field, answer Value) bool {
	for i := range s.layout.parts[f].count {
		if value, _ := s.Value(f, i); value == answer {
			return true
		}
	}
	return false
}

// typeGPC is the type of the segment behind the core that tells of Global Privacy Control.
const typeGPC = 1

// readSection reads the core and the segments behind it.
func readSection(id int, text string) (Section, error) {
	s := Section{ID: id}
	core, rest, more := strings.Cut(text, ".")
	isHeader, err := s.core(core)
	if isHeader {
		core, rest, more = strings.Cut(rest, ".")
		if isHeader, err = s.core(core); isHeader {
			err = ErrVersion
		}
	}
	for more && err == nil {
		core, rest, more = strings.Cut(rest, ".")
		err = s.segment(core)
	}
	if err != nil {
		return Section{}, err
	}
	return s, nil
}

// core reads the answers. It returns true if the text is instead the header that the specifications of Maryland, Indiana,
// Kentucky and Rhode Island put before the core, and the IAB's own library does not: it begins with the section's id.
func (s *Section) core(text string) (isHeader bool, err error) {
	var buffer [32]byte
	data, err := bits.Decode(buffer[:0], text)
	if err != nil {
		return false, err
	}
	r := bits.Reader{Data: data, Size: 6 * len(text)}
	s.Version = r.Int(6)
	if r.Short {
		return false, ErrShort
	}
	if s.layout = layoutOf(s.ID, s.Version); s.layout == nil {
		return false, ErrVersion
	}
	if s.layout.version == 0 && s.Version == s.ID {
		return true, nil
	}
	first := min(s.layout.size, 16)
	second := s.layout.size - first
	s.values = r.Take(2*first)<<(64-2*first) | r.Take(2*second)<<(32-2*second)
	if r.Short {
		return false, ErrShort
	}
	if s.values&(s.values>>1)&0x5555_5555_5555_5555 != 0 {
		return false, ErrValue
	}
	return false, nil
}

func (s *Section) segment(text string) error {
	var buffer [32]byte
	data, err := bits.Decode(buffer[:0], text)
	if err != nil {
		return err
	}
	r := bits.Reader{Data: data, Size: 6 * len(text)}
	if s.layout.gpc && r.Int(2) == typeGPC && r.Flag() {
		s.GPC = true
	}
	if r.Short || text == "" {
		return ErrShort
	}
	return nil
}
