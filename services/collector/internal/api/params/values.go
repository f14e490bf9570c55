package params

import (
	"crypto/sha256"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bojanz/currency"
	"github.com/google/uuid"

	"github.com/onepx/onepx/services/shared/reason"
)

// readCurrency returns the ISO 4217 code in upper case.
func readCurrency(text string) (code string, ok bool) {
	code = strings.ToUpper(text)
	return code, currency.IsValid(code)
}

// unixTime is a Unix time in seconds or milliseconds, perhaps with decimals.
var unixTime = regexp.MustCompile(`^(\d{1,16})(?:\.(\d{1,9}))?$`)

// firstMilliseconds is the first number that is read as milliseconds: as seconds it would lie in the year 5138, as
// milliseconds in 1973.
const firstMilliseconds = 100_000_000_000

// readTime reads a Unix time in seconds or milliseconds, or RFC 3339, and returns milliseconds.
func readTime(text string) (ms int64, ok bool) {
	if text == "" {
		return 0, false
	}
	m := unixTime.FindStringSubmatch(text)
	if m == nil {
		t, err := time.Parse(time.RFC3339, text)
		return t.UnixMilli(), err == nil
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, false
	}
	if n >= firstMilliseconds {
		return n, true
	}
	fraction, err := strconv.ParseInt((m[2] + "000")[:3], 10, 64)
	return n*1000 + fraction, err == nil
}

// readEventID returns the 16 bytes of a client's event id: of a UUID as they are, of any other text a UUIDv8 made from its
// SHA-256, so that the same text is the same event.
func readEventID(text string) []byte {
	if id, ok := readUUID(text); ok {
		return id[:]
	}
	hash := sha256.Sum256([]byte(text))
	id := hash[:16]
	id[6] = id[6]&0x0f | 0x80 // version 8 (RFC 9562, 5.8)
	id[8] = id[8]&0x3f | 0x80 // variant
	return id
}

// readUUID reads the one common text form, 36 characters in any case.
func readUUID(text string) (uuid.UUID, bool) {
	if len(text) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(text)
	return id, err == nil
}

// unreplaced is what templates and ad servers leave behind when they don't know a value: {{id}}, ${ID}, %%ID%%, <id>, [ID].
var unreplaced = regexp.MustCompile(`^(\{\{.*\}\}|\$\{.*\}|%%.*%%|<.*>|\[.*\])$`)

// isPlaceholder tells whether the text stands for a missing value.
func isPlaceholder(text string) bool {
	switch strings.ToLower(text) {
	case "undefined", "null", "(null)", "none", "nan":
		return true
	}
	return unreplaced.MatchString(text)
}

// readScreen reads WIDTHxHEIGHT in pixels.
func readScreen(text string) (width, height uint32, ok bool) {
	w, h, found := strings.Cut(strings.ToLower(text), "x")
	wide, errW := strconv.ParseUint(w, 10, 16)
	high, errH := strconv.ParseUint(h, 10, 16)
	return uint32(wide), uint32(high), found && errW == nil && errH == nil
}

// Text makes a header's value fit for the event: cleaned, masked, and at most limit bytes long.
func Text(value string, limit int, flags *Flags) string {
	return cut(mask(Clean(value, flags), flags), limit, flags)
}

// firstLanguage is the first tag of Accept-Language (RFC 9110, 12.5.4) in the form of BCP 47, and maxLanguage the length of
// the longest that it speaks of.
var firstLanguage = regexp.MustCompile(`^\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:[,;]|$)`)

const maxLanguage = 35

// Language returns the language a browser prefers, or "" if it does not say so.
func Language(acceptLanguage string) string {
	m := firstLanguage.FindStringSubmatch(acceptLanguage)
	if m == nil || len(m[1]) > maxLanguage {
		return ""
	}
	return m[1]
}

// cut shortens the text to at most limit bytes without breaking a character.
func cut(text string, limit int, flags *Flags) string {
	if len(text) <= limit {
		return text
	}
	flags.Add(reason.TextTruncated)
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// cutRunes shortens the text to at most limit characters.
func cutRunes(text string, limit int, flags *Flags) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	flags.Add(reason.TextTruncated)
	end := 0
	for range limit {
		_, size := utf8.DecodeRuneInString(text[end:])
		end += size
	}
	return text[:end]
}

// RecipientKey reads the key of a recipient, the text form of a UUID; nil if the text is none.
func RecipientKey(text string) []byte {
	id, ok := readUUID(text)
	if !ok {
		return nil
	}
	return id[:]
}
