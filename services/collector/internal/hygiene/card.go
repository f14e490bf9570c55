package hygiene

import "slices"

// Lengths of card numbers in digits. Those of 13 are left alone: no issuer has given them out for decades, while every
// GTIN-13 and every Unix time in milliseconds has as many.
const (
	minCard = 14
	maxCard = 19
)

// issuers are the ranges of first digits and the lengths that card schemes use.
var issuers = []struct{ first, last, digits, shortest, longest int }{
	{4, 4, 1, 16, 19},       // Visa
	{51, 55, 2, 16, 16},     // Mastercard
	{2221, 2720, 4, 16, 16}, // Mastercard
	{34, 34, 2, 15, 15},     // American Express
	{37, 37, 2, 15, 15},     // American Express
	{300, 305, 3, 14, 14},   // Diners Club
	{36, 36, 2, 14, 19},     // Diners Club
	{38, 39, 2, 14, 19},     // Diners Club
	{6011, 6011, 4, 16, 19}, // Discover
	{644, 659, 3, 16, 19},   // Discover
	{3528, 3589, 4, 16, 19}, // JCB
	{62, 62, 2, 16, 19},     // UnionPay
	{2200, 2204, 4, 16, 19}, // Mir
	{9792, 9792, 4, 16, 16}, // Troy
	{5018, 5018, 4, 16, 19}, // Maestro, here and below
	{5020, 5020, 4, 16, 19},
	{5038, 5038, 4, 16, 19},
	{5893, 5893, 4, 16, 19},
	{6304, 6304, 4, 16, 19},
	{6759, 6763, 4, 16, 19},
}

// layouts are the ways in which cards print their number in groups.
var layouts = [][]int{{4, 4, 4, 4, 3}, {4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}}

// cards adds the card numbers of the text: digits in one run or in the groups of a layout, of an issuer, with a right check
// digit. A run that touches a letter is part of a longer id, and one after "0." is a fraction.
func cards(text string, spans []span) []span {
	for i := 0; i < len(text); {
		if class[text[i]] != digit {
			i++
			continue
		}
		end := i + run(text[i:])
		switch to := cardAt(text, i, end); {
		case to > 0:
			spans = append(spans, span{i, to, Card})
			i = to
		default:
			i = end
		}
	}
	return spans
}

// cardAt returns the end of the card number whose first run of digits is [from, end), or 0.
func cardAt(text string, from, end int) int {
	if from > 0 && class[text[from-1]] == letter {
		return 0
	}
	var number [maxCard]byte
	if size := end - from; minCard <= size && size <= maxCard {
		fraction := from >= 2 && text[from-1] == '.' && class[text[from-2]] == digit
		if !fraction && free(text, end) && isCard(append(number[:0], text[from:end]...)) {
			return end
		}
	}
	if end-from != layouts[0][0] {
		return 0
	}
	for _, layout := range layouts {
		if digits, to := groups(text, from, layout, number[:0]); to > 0 && free(text, to) && isCard(digits) {
			return to
		}
	}
	return 0
}

// free tells that no letter touches the end.
func free(text string, end int) bool { return end == len(text) || class[text[end]] != letter }

// groups reads groups of digits with one separator between, the same throughout; to is 0 if they are not there.
func groups(text string, from int, layout []int, digits []byte) (_ []byte, to int) {
	between := byte(0)
	for i, size := range layout {
		if i > 0 {
			if from == len(text) || !separates(text[from]) || i > 1 && text[from] != between {
				return nil, 0
			}
			between = text[from]
			from++
		}
		if run(text[from:]) != size {
			return nil, 0
		}
		digits = append(digits, text[from:from+size]...)
		from += size
	}
	return digits, from
}

// separates tells whether people write the character between the groups; + is a space as forms encode it.
func separates(c byte) bool { return c == ' ' || c == '-' || c == '.' || c == '+' || c == '_' }

// run returns how many digits the text begins with.
func run(text string) int {
	n := 0
	for n < len(text) && class[text[n]] == digit {
		n++
	}
	return n
}

// isCard tells whether the digits are a number that an issuer may have given out.
func isCard(digits []byte) bool {
	for _, issuer := range issuers {
		prefix := 0
		for _, d := range digits[:issuer.digits] {
			prefix = prefix*10 + int(d-'0')
		}
		if issuer.first <= prefix && prefix <= issuer.last && issuer.shortest <= len(digits) && len(digits) <= issuer.longest {
			return luhn(digits)
		}
	}
	return false
}

// luhn checks the last digit (ISO/IEC 7812-1, annex B).
func luhn(digits []byte) bool {
	sum, double := 0, false
	for _, d := range slices.Backward(digits) {
		n := int(d - '0')
		if double {
			n = n*2/10 + n*2%10
		}
		sum, double = sum+n, !double
	}
	return sum%10 == 0
}
