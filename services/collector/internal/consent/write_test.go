package consent_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// written is a TC string to be written; the zero value is valid and allows nothing.
type written struct {
	global                        bool
	oldPolicy                     bool
	features                      []int
	purposes, interests           []int
	vendors, vendorInterests      []int
	restrictions                  [][3]int // purpose, type, vendor
	disclosed                     []int    // nil: no such segment
	publisher, publisherInterests []int    // both nil: no such segment
}

// String writes bit fields only; the package tcf is tested with ranges.
func (w written) String() string {
	var b strings.Builder
	number := func(value, bits int) { fmt.Fprintf(&b, "%0*b", bits, value) }
	set := func(in []int, bits int) {
		for n := 1; n <= bits; n++ {
			number(map[bool]int{true: 1}[slices.Contains(in, n)], 1)
		}
	}
	vendors := func(in []int) {
		highest := slices.Max(append([]int{0}, in...))
		number(highest, 16)
		number(0, 1)
		set(in, highest)
	}
	policy, serviceSpecific := 5, 1
	if w.oldPolicy {
		policy = 3
	}
	if w.global {
		serviceSpecific = 0
	}
	for _, field := range [][2]int{{2, 6}, {17_956_512_000, 36}, {17_956_512_000, 36}, {300, 12}, {1, 12}, {1, 6}, {3, 6}, {4, 6}, {150, 12}, {policy, 6}, {serviceSpecific, 1}, {0, 1}} {
		number(field[0], field[1])
	}
	set(w.features, 12)
	set(w.purposes, 24)
	set(w.interests, 24)
	number(0, 1)
	number(3, 6)
	number(4, 6)
	vendors(w.vendors)
	vendors(w.vendorInterests)
	number(len(w.restrictions), 12)
	for _, r := range w.restrictions {
		number(r[0], 6)
		number(r[1], 2)
		number(1, 12)
		number(0, 1)
		number(r[2], 16)
	}
	segments := []string{encoded(b.String())}
	if w.disclosed != nil {
		b.Reset()
		number(1, 3)
		vendors(w.disclosed)
		segments = append(segments, encoded(b.String()))
	}
	if w.publisher != nil || w.publisherInterests != nil {
		b.Reset()
		number(3, 3)
		set(w.publisher, 24)
		set(w.publisherInterests, 24)
		number(0, 6)
		segments = append(segments, encoded(b.String()))
	}
	return strings.Join(segments, ".")
}

func encoded(bits string) string {
	bits += strings.Repeat("0", (8-len(bits)%8)%8)
	var data []byte
	for at := 0; at < len(bits); at += 8 {
		var value byte
		for _, bit := range bits[at : at+8] {
			value = value<<1 | byte(bit-'0')
		}
		data = append(data, value)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}
