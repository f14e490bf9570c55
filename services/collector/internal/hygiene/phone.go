package hygiene

import "strings"

// Bounds of what is masked as a telephone number, in digits: the most of ITU-T E.164, and fewer than that no country needs
// but islands.
const (
	minPhone = 8
	maxPhone = 15
	// minDialled is for a number after `tel:`, which may be one within a country.
	minDialled = 7
)

// national is how many digits national numbers have by country code: the least and the most of fixed lines and mobiles.
// Source: the metadata of libphonenumber as of github.com/nyaruka/phonenumbers v1.8.1, within minPhone and maxPhone.
var national = func() map[string][2]int {
	table := map[string][2]int{}
	for _, group := range []struct {
		least, most int
		codes       string
	}{
		{5, 5, "247 290 500 682"},
		{5, 7, "676 677 678 683 688 690"},
		{5, 8, "686"},
		{5, 10, "263 358 685"},
		{5, 11, "352"},
		{6, 6, "298 299 672 681 687"},
		{6, 7, "597"},
		{6, 9, "27 40 252 359 376 421 508"},
		{6, 10, "53 63 82 95 98 880"},
		{6, 12, "39"},
		{6, 13, "43 49"},
		{7, 7, "220 238 239 246 248 269 291 297 501 592 673 674 679 680 691 692 960"},
		{7, 8, "230 241 267 372 507 599 670 675 961 975"},
		{7, 9, "46 48 231 254 265 354 423 595 967"},
		{7, 10, "243 353"},
		{7, 11, "86"},
		{7, 12, "62 381 882"},
		{8, 8, "45 47 65 216 222 223 226 227 228 232 235 236 253 257 266 268 350 356 357 370 371 373 374 382 386 389 502 503 504 505 506 509 591 598 689 852 853 965 968 973 974 993"},
		{8, 9, "32 36 51 66 213 224 250 258 264 355 377 385 387 593 855 886 962 963 970 971"},
		{8, 10, "20 57 60 64 378 850 856 964 976 977"},
		{8, 12, "383 972"},
		{9, 9, "33 34 41 56 61 93 94 211 212 218 221 233 237 240 242 244 245 249 251 255 256 260 261 262 351 375 380 420 590 594 596 966 992 994 995 996 998"},
		{9, 10, "44 81 84 92 881"},
		{9, 11, "31"},
		{9, 12, "870"},
		{10, 10, "1 7 30 52 58 90 91 225 229 234"},
		{10, 11, "54 55"},
	} {
		for code := range strings.FieldsSeq(group.codes) {
			table[code] = [2]int{group.least, group.most}
		}
	}
	return table
}()

// phones adds the telephone numbers of the text that say which country they are of, after + or 00, and those after `tel:`.
func phones(text string, spans []span) []span {
	done := 0 // where the number before ends, which will be a mask: what comes after it begins anew
	for i := 0; i < len(text); i++ {
		from, to := i, 0
		switch c := text[i]; {
		case c == '+' && (i == done || !alphanumeric(text[i-1])): // else it is a sum, or a space as forms encode it
			if to = international(text, i+1); to > 0 && i > done && text[i-1] == '(' {
				from--
			}
		case c == '0' && strings.HasPrefix(text[i:], "00") && begins(text[done:], i-done):
			to = after00(text, i)
		case c == ':' && i >= 3 && strings.EqualFold(text[i-3:i], "tel"):
			from++
			to = dialled(text, from)
		}
		if to > 0 {
			spans = append(spans, span{from, to, Phone})
			done, i = to, to-1
		}
	}
	return spans
}

// begins tells that the digits at i don't go on with others before, as in 1 004 917 012 345 and 0.0049.
func begins(text string, i int) bool {
	switch {
	case i == 0:
		return true
	case alphanumeric(text[i-1]):
		return false
	}
	return i == 1 || class[text[i-2]] != digit || strings.IndexByte(between, text[i-1]) < 0
}

// between is what people write between the groups of a number; + is a space as forms encode it.
const between = " -./()+_"

// number is the digits of a text up to each end that a number may have.
type number struct {
	digits [maxPhone + 1]byte // and the 0 that some write after the country code, as in +49 (0)170
	size   int
	// dots and others count the separators before the last group.
	dots, others int
}

// read adds the group of digits at the start of the text and returns its length; 0 if it does not fit.
func (n *number) read(text string) int {
	size := run(text)
	if n.size+size > len(n.digits) {
		return 0
	}
	n.size += copy(n.digits[n.size:], text[:size])
	return size
}

// gap returns how many bytes separate the group before from the one at its end, or 0; it notes what kind they are. People
// write one or two characters, such as ") ".
func (n *number) gap(text string) int {
	size := 0
	for size < len(text) && size < 3 && strings.IndexByte(between, text[size]) >= 0 && (size == 0 || text[size] != '+') {
		if text[size] == '.' {
			n.dots++
		} else {
			n.others++
		}
		size++
	}
	if size == 0 || size == len(text) || class[text[size]] != digit {
		return 0
	}
	return size
}

// international returns the end of the number whose country code is at from, or 0: the longest of its groups that make one.
func international(text string, from int) int {
	var n number
	best := 0
	for at := from; ; {
		size := n.read(text[at:])
		if size == 0 {
			return best
		}
		at += size
		decimal := n.dots == 1 && n.others == 0 // such as +47.37691234, which is a place
		if free(text, at) && !decimal && isPhone(n.digits[:n.size]) {
			best = at
		}
		size = n.gap(text[at:])
		if size == 0 {
			return best
		}
		at += size
	}
}

// after00 returns the end of the number that begins with 00 at from, or 0. A run of digits that is right as a product code
// (GTIN) is one.
func after00(text string, from int) int {
	to := international(text, from+len("00"))
	if to == from+run(text[from:]) && isGTIN(text[from:to]) {
		return 0
	}
	return to
}

// dialled returns the end of the number after `tel:`, or 0.
func dialled(text string, from int) int {
	if from < len(text) && text[from] == '+' {
		return international(text, from+1)
	}
	var n number
	best := 0
	for at := from; ; {
		size := n.read(text[at:])
		if size == 0 {
			return best
		}
		if at += size; n.size >= minDialled && n.size <= maxPhone && free(text, at) {
			best = at
		}
		if size = n.gap(text[at:]); size == 0 {
			return best
		}
		at += size
	}
}

// isPhone tells whether the digits are a country code and as many as its numbers have, a 0 between or not.
func isPhone(digits []byte) bool {
	if len(digits) < minPhone {
		return false
	}
	for size := 1; size <= 3; size++ {
		if bounds, known := national[string(digits[:size])]; known {
			rest := digits[size:]
			within := func(n int) bool { return bounds[0] <= n && n <= bounds[1] }
			return within(len(rest)) || rest[0] == '0' && within(len(rest)-1)
		}
	}
	return false
}

// isGTIN tells whether the digits are a GTIN-13 or GTIN-14 with a right check digit (GS1 General Specifications, 7.9).
func isGTIN(digits string) bool {
	if len(digits) != 13 && len(digits) != 14 {
		return false
	}
	sum, weight := 0, 1
	for i := len(digits) - 1; i >= 0; i-- {
		sum += weight * int(digits[i]-'0')
		weight = 4 - weight
	}
	return sum%10 == 0
}
