package params

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/onepx/onepx/services/shared/money"
)

// symbols are the signs that stand for one currency only; $, £, ¥ and kr stand for several.
var symbols = map[string]string{
	"€": "EUR", "₪": "ILS", "₫": "VND", "₴": "UAH", "₹": "INR", "₺": "TRY", "₽": "RUB", "₦": "NGN", "₸": "KZT", "₾": "GEL", "zł": "PLN",
}

// printed is an amount as shops print it: sign, currency, sign, number, currency, all but the number optional. Spaces of any
// width may stand between currency and number, and in the number.
var printed = regexp.MustCompile(`^([-+−]?)(?:([A-Za-z]{3}|\p{Sc}|zł)\pZ*)?([-+−]?)([0-9](?:[0-9.,'’\pZ]*[0-9])?)(?:\pZ*([A-Za-z]{3}|\p{Sc}|zł))?$`)

// readAmount returns an amount in millionths and its currency, "" if the text names none. It reads decimal numbers
// (money.Micros), and what shops print instead if that can mean one number only. A comma before three digits may be of
// thousands as well as decimal, and so may a point where there is a currency too; elsewhere 1.234 is a decimal number.
func readAmount(text string) (micros int64, code string, ok bool) {
	m := printed.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, "", false
	}
	sign, before, signAfter, number, after := m[1], m[2], m[3], m[4], m[5]
	if sign != "" && signAfter != "" || before != "" && after != "" {
		return 0, "", false
	}
	if named := before + after; named != "" {
		if code, ok = readNamedCurrency(named); !ok {
			return 0, "", false
		}
	}
	decimal, ok := plain(number, code != "")
	if !ok {
		return 0, "", false
	}
	micros, ok = money.Micros(strings.Replace(sign+signAfter, "−", "-", 1) + decimal)
	if !ok {
		return 0, "", false
	}
	return micros, code, true
}

// readNamedCurrency returns the ISO 4217 code of a code or a symbol.
func readNamedCurrency(named string) (code string, ok bool) {
	if code, ok = symbols[named]; ok {
		return code, true
	}
	return readCurrency(named)
}

// plain returns the number, which begins and ends with a digit, without separators of thousands and with a point before the
// decimals; false if it could be read in two ways, or in none. with tells that a currency stands beside it.
func plain(number string, with bool) (string, bool) {
	first, last := strings.IndexFunc(number, isSeparator), strings.LastIndexFunc(number, isSeparator)
	if last < 0 {
		return number, true
	}
	group, _ := utf8.DecodeRuneInString(number[first:])
	point, size := utf8.DecodeRuneInString(number[last:])
	whole, decimals := number[:last], number[last+size:]
	switch {
	case point != '.' && point != ',', first != last && group == point: // nothing but thousands
		return ungroup(number, group)
	case first != last:
		whole, ok := ungroup(whole, group)
		return whole + "." + decimals, ok
	case point == ',' && len(decimals) > 2, point == '.' && with && mayBeThousands(whole, decimals):
		return "", false
	default:
		return whole + "." + decimals, true
	}
}

func isSeparator(r rune) bool { return r < '0' || r > '9' }

// ungroup removes the separators of thousands; false if they stand elsewhere, or are not all the same. The number has one.
func ungroup(number string, separator rune) (string, bool) {
	parts := strings.Split(number, string(separator))
	for _, part := range parts[1:] {
		if !mayBeThousands(parts[0], part) {
			return "", false
		}
	}
	return strings.Join(parts, ""), true
}

// mayBeThousands tells whether a number can begin with the digits first and go on, after a separator of thousands, with part.
func mayBeThousands(first, part string) bool {
	return len(first) <= 3 && first[0] != '0' && len(part) == 3 && strings.IndexFunc(part, isSeparator) < 0
}
