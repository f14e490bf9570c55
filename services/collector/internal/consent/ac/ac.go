// Package ac reads AC strings: Google's additional consent, which names the companies of Google's list of ad technology
// providers that the visitor allows, as those are not in IAB Europe's framework
// (https://support.google.com/admanager/answer/9681920).
package ac

import (
	"errors"
	"strings"
)

// MaxLength is how many characters a string may have; with each of Google's 1100 or so providers it has about 5000.
const MaxLength = 8192

// Why a text is no AC string.
var (
	ErrLength  = errors.New("longer than 8192 characters")
	ErrVersion = errors.New("neither of version 1 nor 2")
	ErrFormat  = errors.New("not ids with dots between, in version 2 with ~dv. and others behind")
)

// String is what an AC string says. The zero value names nobody.
type String struct {
	// Consented are the providers that the visitor allows. Disclosed are those that they were told of besides, without
	// consent; version 1 does not know them.
	Consented, Disclosed Providers
}

// Parse reads an AC string, such as 2~1.35.41.101~dv.9.21.81 or, of version 1, 1~1.35.41.101.
func Parse(text string) (String, error) {
	if len(text) > MaxLength {
		return String{}, ErrLength
	}
	version, rest, _ := strings.Cut(text, "~")
	if version != "1" && version != "2" {
		return String{}, ErrVersion
	}
	consented, disclosed, has := strings.Cut(rest, "~")
	if has {
		var marked bool
		if disclosed, marked = strings.CutPrefix(disclosed, "dv."); !marked || version == "1" {
			return String{}, ErrFormat
		}
	}
	s := String{Providers(consented), Providers(disclosed)}
	if len(text) < len("1~") || !s.Consented.valid() || !s.Disclosed.valid() {
		return String{}, ErrFormat
	}
	return s, nil
}

// MaxID is the highest id of a provider that is read.
const MaxID = 999_999

// Providers is a set of providers, as the ids in the text.
type Providers string

// Contains tells whether the provider is in the set.
func (p Providers) Contains(id int) bool {
	found, _ := p.scan(id)
	return found
}

func (p Providers) valid() bool {
	_, valid := p.scan(0)
	return valid || p == ""
}

// scan looks for an id among numbers from 1 to MaxID with dots between.
func (p Providers) scan(id int) (found, valid bool) {
	number := 0
	for i := range len(p) {
		if p[i] == '.' {
			if number == 0 {
				return found, false
			}
			found, number = found || number == id, 0
			continue
		}
		digit := p[i] - '0'
		if digit > 9 || digit == 0 && number == 0 {
			return found, false
		}
		if number = 10*number + int(digit); number > MaxID {
			return found, false
		}
	}
	return (found || number == id) && id > 0, number > 0
}
