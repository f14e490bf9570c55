// Package money reads amounts of money exactly: as whole millionths ("micros"), never as floating-point numbers.
package money

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// decimal is the only form of an amount that means the same to everybody.
var decimal = regexp.MustCompile(`^([-+]?)([0-9]{1,12})(?:\.([0-9]{1,6}))?$`)

// Micros returns the millionths of a decimal number: at most 12 digits before and 6 after the point, one of each at least
// where there is a point, a sign or none. An exponent, a separator of thousands or a currency makes it none.
func Micros(text string) (micros int64, ok bool) {
	m := decimal.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	digits := m[2] + m[3] + "000000"[len(m[3]):]
	micros, err := strconv.ParseInt(m[1]+digits, 10, 64) // at most 18 digits: always fits
	return micros, err == nil
}

// Text is the decimal number of so many millionths, without zeros at its end; Micros reads it unless it has more than 12 digits
// before the point.
func Text(micros int64) string {
	sign, size := "", uint64(micros) //nolint:gosec // two's complement: the lowest number has a size too
	if micros < 0 {
		sign, size = "-", -size
	}
	text := fmt.Sprintf("%s%d.%06d", sign, size/1e6, size%1e6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
