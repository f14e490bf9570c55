package consent

import "regexp"

// USPrivacy is what US Privacy strings say (IAB US Privacy String, version 1).
type USPrivacy struct {
	// OptOut tells that one of them opts out of the sale of personal data.
	OptOut bool
}

// usPrivacy is version, notice given, opted out of sale, covered by the LSPA. Some senders write lower case.
var usPrivacy = regexp.MustCompile(`^1(---|[-YyNn][YyNn][-YyNn])$`)

// Add reads one more string; the stricter of several counts. It returns false if the text is none: also where the wish
// alone is left open, which the specification does not know. `1---` says that the law does not apply.
func (u *USPrivacy) Add(text string) bool {
	if !usPrivacy.MatchString(text) {
		return false
	}
	u.OptOut = u.OptOut || text[2]|0x20 == 'y'
	return true
}
