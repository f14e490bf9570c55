// Package gpp reads GPP strings, which carry what a visitor chose under several laws, a section for each (IAB Tech Lab,
// Global Privacy Platform, version 1: https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform).
//
// Parse reads the format; what is then allowed is decided by the package consent. It takes anything and never panics. A
// section that can't be read costs that section only: each law has a format of its own, which may get a new version.
package gpp

import (
	"errors"
	"strings"

	"github.com/onepx/onepx/services/collector/internal/consent/bits"
	"github.com/onepx/onepx/services/collector/internal/consent/tcf"
)

// MaxLength is how many characters a string may have: room for the longest TC string in it, and all other sections.
const MaxLength = tcf.MaxLength + 1024

// Why a text is no GPP string.
var (
	ErrLength   = errors.New("longer than 9216 characters")
	ErrEncoding = bits.ErrEncoding
	ErrVersion  = errors.New("not of a version that is known")
	ErrShort    = errors.New("ends too early")
	ErrID       = errors.New("has a section whose id is above 4095")
	ErrSections = errors.New("has not the sections that its header lists")
	ErrValue    = errors.New("has a choice that is none of 0, 1 and 2")
)

// String is what a GPP string says.
type String struct {
	// IDs are the sections it has, Unread those of them that can't be read.
	IDs, Unread IDs
	// TCF is the section of IAB Europe's framework, nil if there is none that can be read.
	TCF *tcf.String
	// USPrivacy is the text of the US Privacy section, "" if there is none.
	USPrivacy string
	// Sections are those of US laws that can be read, in the order they came.
	Sections []Section
}

// Parse reads a GPP string, or a TC string in its place, as which banners wrote before there were others. Sections that are
// not of use (Canada's framework, laws to come) are passed over.
func Parse(text string) (*String, error) {
	if len(text) > MaxLength {
		return nil, ErrLength
	}
	if strings.HasPrefix(text, "C") { // as of TCF: version 2 begins with it
		s := &String{}
		if err := s.read(TCFEU, text); err != nil {
			return nil, err
		}
		return s, nil
	}
	head, rest, more := strings.Cut(text, "~")
	var buffer [64]byte
	data, err := bits.Decode(buffer[:0], head)
	if err != nil {
		return nil, err
	}
	h := header{Reader: bits.Reader{Data: data, Size: 6 * len(head)}}
	if err := h.begin(); err != nil {
		return nil, err
	}
	s := &String{}
	for {
		id, err := h.next()
		if err != nil {
			return nil, err
		}
		if id == 0 {
			break
		}
		var section string
		section, rest, more = strings.Cut(rest, "~")
		if section == "" {
			return nil, ErrSections
		}
		if s.read(id, section) != nil {
			s.Unread.add(id)
		}
	}
	if more {
		return nil, ErrSections
	}
	return s, nil
}

func (s *String) read(id int, text string) (err error) {
	s.IDs.add(id)
	switch {
	case id == TCFEU:
		s.TCF, err = tcf.Parse(text)
	case id == USPrivacy:
		s.USPrivacy = text
	case id >= firstUS && id <= lastUS:
		var section Section
		if section, err = readSection(id, text); err == nil {
			s.Sections = append(s.Sections, section)
		}
	}
	return err
}

// Of the header.
const (
	headerType    = 3
	headerVersion = 1
	maxID         = 4095
)

// header goes through the ids of the sections.
type header struct {
	bits.Reader
	// entries are the ranges of ids to come. last is the id before the next one, until the end of the range it is in.
	entries, last, until int
}

func (h *header) begin() error {
	kind, version, entries := h.Int(6), h.Int(6), h.Int(12)
	if h.Short {
		return ErrShort
	}
	if kind != headerType || version != headerVersion {
		return ErrVersion
	}
	h.entries = entries
	return nil
}

// next returns the next id, or 0 if there is none. Ids ascend, as each is the distance from the one before.
func (h *header) next() (int, error) {
	if h.last < h.until {
		h.last++
		return h.last, nil
	}
	if h.entries == 0 {
		return 0, nil
	}
	h.entries--
	isRange := h.Flag()
	h.last += h.fibonacci()
	h.until = h.last
	if isRange {
		h.until += h.fibonacci()
	}
	switch {
	case h.Short:
		return 0, ErrShort
	case h.until > maxID:
		return 0, ErrID
	}
	return h.last, nil
}

// fibonacci reads a number from 1: its bits count 1, 2, 3, 5, 8 …, no two in a row are set, and a set one after the last
// ends it. Above maxID it is only known to be above.
func (h *header) fibonacci() (value int) {
	counts, next, before := 1, 2, false
	for !h.Short {
		set := h.Flag()
		if set && before {
			break
		}
		if set {
			value = min(value+counts, maxID+1)
		}
		counts, next, before = next, min(counts+next, maxID+1), set
	}
	return value
}
