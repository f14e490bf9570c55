//go:build integration

package needle_test

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// kind is a kind of personal data. Each text of it that is sent is another one, and tells by its number where it was put.
type kind struct {
	name string
	// text is the text with a number below limit, and find finds it, of which the groups are the number.
	text func(number int) string
	find *regexp.Regexp
}

// limit is how many texts of a kind there are.
const limit = 10_000

var (
	email   = kind{"e-mail address", func(n int) string { return fmt.Sprintf("ndlmail%04d@shop.com", n) }, regexp.MustCompile(`ndlmail(\d{4})`)}
	phone   = kind{"telephone number", func(n int) string { return fmt.Sprintf("+49 170 9%04d77", n) }, regexp.MustCompile(`49.{0,3}170.{0,3}9(\d{4})77`)}
	card    = kind{"card number", cardOf, regexp.MustCompile(`411111(\d{4})99999`)}
	token   = kind{"token", func(n int) string { return fmt.Sprintf("ghp_Nkey%04dabdefghijklmnopqrstuvwxyz012", n) }, regexp.MustCompile(`nkey(\d{4})`)}
	secret  = kind{"password", func(n int) string { return fmt.Sprintf("Sesame%04dOpen", n) }, regexp.MustCompile(`sesame(\d{4})`)}
	person  = kind{"name of a person", func(n int) string { return fmt.Sprintf("User%04dKey", n) }, regexp.MustCompile(`user(\d{4})key`)}
	refused = kind{"hit that must not be stored", func(n int) string { return fmt.Sprintf("Gone%04dAway", n) }, regexp.MustCompile(`gone(\d{4})away`)}
	address = kind{"IPv4 address", func(n int) string { return fmt.Sprintf("81.%d.%d.213", n/250, n%250) }, regexp.MustCompile(`81\.(\d+)\.(\d+)\.213`)}
	ipv6    = kind{"IPv6 address", func(n int) string { return fmt.Sprintf("2a02:%x:0:1::f00d", n+1) }, regexp.MustCompile(`2a02:([0-9a-f]+):0:1::f00d`)}
)

// kinds are all of them, inText those that may stand in any text.
var (
	kinds  = []kind{email, phone, card, token, secret, person, refused, address, ipv6}
	inText = []kind{email, phone, card, token}
)

func cardOf(n int) string {
	digits := fmt.Sprintf("411111%04d99999", n)
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return digits + strconv.Itoa((10-sum%10)%10)
}

// number reads what find has found.
func (k kind) number(groups [][]byte) int {
	if k.name == address.name {
		high, _ := strconv.Atoi(string(groups[1]))
		low, _ := strconv.Atoi(string(groups[2]))
		return high*250 + low
	}
	if k.name == ipv6.name {
		n, _ := strconv.ParseInt(string(groups[1]), 16, 32)
		return int(n) - 1
	}
	n, _ := strconv.Atoi(string(groups[1]))
	return n
}

// marks remembers where each text was put.
type marks struct {
	places []string
}

// at returns a text of the kind for a place that is described.
func (m *marks) at(k kind, place string) string {
	m.places = append(m.places, k.name+" in "+place)
	if len(m.places) > limit {
		panic("more texts than numbers")
	}
	return k.text(len(m.places) - 1)
}

// found are the places whose texts are in the data, in capitals or not.
func (m *marks) found(data []byte) []string {
	data = bytes.ToLower(data)
	places := map[string]bool{}
	for _, k := range kinds {
		for _, groups := range k.find.FindAllSubmatch(data, -1) {
			if n := k.number(groups); n < len(m.places) {
				places[m.places[n]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(places))
}
