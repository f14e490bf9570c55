// Package tcf reads TC strings, in which consent banners write what a visitor allows (IAB Europe, Transparency & Consent
// String, version 2: https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework).
//
// Parse reads the format; what is then allowed is decided by the package consent. It takes anything and never panics: a
// string is read as a whole or refused. Vendors are looked up in the bits, so that a string costs few allocations.
package tcf

import (
	"errors"
	"strings"
	"time"

	"github.com/onepx/onepx/services/collector/internal/consent/bits"
)

// MaxLength is how many characters a string may have; with every vendor there is in bit fields it has about 1000.
const MaxLength = 8192

// Why a text is no TC string.
var (
	ErrLength   = errors.New("longer than 8192 characters")
	ErrEncoding = bits.ErrEncoding
	ErrVersion  = errors.New("not of version 2")
	ErrShort    = errors.New("ends too early")
	ErrRange    = errors.New("has a range of vendors that ends before it begins, or begins at 0")
	ErrSegment  = errors.New("has a segment twice")
)

// String is what a TC string says; the names are those of the specification where they are short enough.
type String struct {
	// Created and LastUpdated are when the visitor chose; since 2022 to the day.
	Created, LastUpdated time.Time
	// CMPID and CMPVersion are the banner, ConsentScreen and ConsentLanguage (two letters) what it showed.
	CMPID, CMPVersion, ConsentScreen int
	ConsentLanguage                  string
	// VendorListVersion and PolicyVersion are what it went by.
	VendorListVersion, PolicyVersion int
	// ServiceSpecific tells that the string is for one site or a group, not for all; NonStandardTexts that the banner
	// used its own words.
	ServiceSpecific, NonStandardTexts bool
	// SpecialFeatures are those opted in to, 1 to 12; PurposeConsents and PurposeInterests the purposes, 1 to 24, that the
	// visitor allowed and those of whose legitimate interest they were told without objection.
	SpecialFeatures, PurposeConsents, PurposeInterests Set
	// PurposeOneTreatment tells that the banner did not ask for purpose 1, by the law of PublisherCountry (two letters).
	PurposeOneTreatment bool
	PublisherCountry    string
	// VendorConsents and VendorInterests are the vendors, as purposes.
	VendorConsents, VendorInterests Vendors
	// HasDisclosed tells that the string lists the vendors the visitor was told of: Disclosed.
	HasDisclosed bool
	Disclosed    Vendors
	// HasPublisher tells that the string has the publisher's own part: its purposes, and CustomPurposes (how many, up to
	// 63) of its own making.
	HasPublisher                                      bool
	PublisherConsents, PublisherInterests             Set
	CustomPurposes                                    int
	PublisherCustomConsents, PublisherCustomInterests Set

	// restrictions are the bits of the segment, restrictionsAt the first of them, restricts how many restrictions.
	restrictions              []byte
	restrictionsAt, restricts int
}

// reader takes what a segment is made of.
type reader struct{ bits.Reader }

// Set is a set of purposes or special features, which are numbered from 1.
type Set struct {
	bits uint64
	size int
}

// Contains tells whether the number is in the set.
func (s Set) Contains(number int) bool {
	return number >= 1 && number <= s.size && s.bits>>(s.size-number)&1 == 1
}

func (r *reader) set(size int) Set { return Set{r.Take(size), size} }

// The segments that follow the core.
const (
	typeDisclosed = 1
	typePublisher = 3
)

// Parse reads a TC string of version 2.x. Segments that are not of use to a reader are passed over.
func Parse(text string) (*String, error) {
	if len(text) > MaxLength {
		return nil, ErrLength
	}
	s := &String{}
	// For all segments at once: 3/4 of the characters, and what each adds.
	buffer := make([]byte, 0, len(text)+4*(bits.Padding+1))
	for first := true; first || text != ""; first = false {
		var segment string
		var more bool
		segment, text, more = strings.Cut(text, ".")
		if more && text == "" {
			return nil, ErrShort
		}
		begin := len(buffer)
		var err error
		if buffer, err = bits.Decode(buffer, segment); err != nil {
			return nil, err
		}
		r := &reader{bits.Reader{Data: buffer[begin:], Size: 6 * len(segment)}}
		if first {
			err = s.core(r)
		} else {
			err = s.segment(r)
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *String) core(r *reader) (err error) {
	if version := r.Take(6); r.Short || version != 2 {
		if r.Short {
			return ErrShort
		}
		return ErrVersion
	}
	s.Created, s.LastUpdated = r.time(), r.time()
	s.CMPID, s.CMPVersion = r.Int(12), r.Int(12)
	s.ConsentScreen, s.ConsentLanguage = r.Int(6), r.letters()
	s.VendorListVersion, s.PolicyVersion = r.Int(12), r.Int(6)
	s.ServiceSpecific, s.NonStandardTexts = r.Flag(), r.Flag()
	s.SpecialFeatures, s.PurposeConsents, s.PurposeInterests = r.set(12), r.set(24), r.set(24)
	s.PurposeOneTreatment, s.PublisherCountry = r.Flag(), r.letters()
	if s.VendorConsents, err = r.vendors(); err != nil {
		return err
	}
	if s.VendorInterests, err = r.vendors(); err != nil {
		return err
	}
	s.restricts = r.Int(12)
	s.restrictions, s.restrictionsAt = r.Data, r.At
	for range s.restricts {
		r.Skip(6 + 2)
		if _, err := r.ranges(); err != nil {
			return err
		}
	}
	return r.err()
}

func (s *String) segment(r *reader) (err error) {
	switch r.Take(3) {
	case typeDisclosed:
		if s.HasDisclosed {
			return ErrSegment
		}
		s.HasDisclosed = true
		s.Disclosed, err = r.vendors()
		return err
	case typePublisher:
		if s.HasPublisher {
			return ErrSegment
		}
		s.HasPublisher = true
		s.PublisherConsents, s.PublisherInterests = r.set(24), r.set(24)
		s.CustomPurposes = r.Int(6)
		s.PublisherCustomConsents, s.PublisherCustomInterests = r.longSet(s.CustomPurposes), r.longSet(s.CustomPurposes)
	}
	return r.err()
}

// letters returns two letters, six bits each from A.
func (r *reader) letters() string {
	first, second := byte(r.Take(6)), byte(r.Take(6)) //nolint:gosec // six bits
	return string([]byte{'A' + first, 'A' + second})
}

// time returns the next 36 bits as deciseconds since 1970.
func (r *reader) time() time.Time { return time.UnixMilli(int64(r.Take(36)) * 100).UTC() } //nolint:gosec // 36 bits

// longSet reads a set of up to 63 numbers.
func (r *reader) longSet(size int) Set {
	low := min(size, 32)
	return Set{r.Take(size-low)<<low | r.Take(low), size}
}

// Restriction is what a publisher demands of vendors for a purpose.
type Restriction int

// The restrictions; the numbers are those of the format.
const (
	NotAllowed     Restriction = 0
	RequireConsent Restriction = 1
	RequireLI      Restriction = 2
	Unrestricted   Restriction = 3 // "undefined" in the format
)

// Restriction returns what the publisher demands of the vendor for the purpose. Of several the strictest counts.
func (s *String) Restriction(purpose, vendor int) Restriction {
	found := Unrestricted
	at := s.restrictionsAt
	for range s.restricts {
		head := bits.Peek(s.restrictions, at, 20) // purpose 6, type 2, entries 12
		kind, entries := Restriction(head>>12&3), int(head&0xfff)
		at += 20
		for range entries {
			var start, end int
			start, end, at = entry(s.restrictions, at)
			if int(head>>14) == purpose && start <= vendor && vendor <= end {
				found = min(found, kind)
			}
		}
	}
	return found
}
