package consent

import "github.com/onepx/onepx/services/collector/internal/consent/gpp"

// GPP is what strings of the Global Privacy Platform say.
type GPP struct {
	// Strings are those that can be read. Broken tells that one came that can't be.
	Strings []*gpp.String
	Broken  bool
	// Listed tells that the sections that apply were named: Applicable. Else all that a string has apply.
	Listed     bool
	Applicable gpp.IDs
}

// AddString reads `gpp`. It returns false if the text, or a section of it, can't be read or is no longer valid.
func (g *GPP) AddString(text string) bool {
	s, err := gpp.Parse(text)
	if err != nil {
		g.Broken = true
		return false
	}
	g.Strings = append(g.Strings, s)
	return s.Unread == 0 && (s.TCF == nil || usable(s.TCF)) && (s.USPrivacy == "" || new(USPrivacy).Add(s.USPrivacy))
}

// AddSections reads `gpp_sid`. It returns false if the text is no list of sections.
func (g *GPP) AddSections(text string) bool {
	ids, known, err := gpp.ParseIDs(text)
	g.Listed = g.Listed || known
	g.Applicable |= ids
	return err == nil
}

func (g *GPP) applies(id int) bool { return !g.Listed || g.Applicable.Contains(id) }

// handOver gives the sections that are strings of other frameworks to those. The list says whether the GDPR applies.
func (g *GPP) handOver(gdpr *GDPR, us *USPrivacy) {
	if g.Listed {
		listed := g.Applicable.Contains(gpp.TCFEU)
		gdpr.Applies, gdpr.DoesNotApply = gdpr.Applies || listed, gdpr.DoesNotApply || !listed
		gdpr.Broken = gdpr.Broken || listed && g.Broken
	}
	for _, s := range g.Strings {
		if g.applies(gpp.TCFEU) && s.TCF != nil {
			gdpr.add(s.TCF)
		}
		gdpr.Broken = gdpr.Broken || g.applies(gpp.TCFEU) && s.Unread.Contains(gpp.TCFEU)
		if g.applies(gpp.USPrivacy) {
			us.Add(s.USPrivacy)
		}
	}
}

// optOuts are the questions of US sections that are about audiences and sharing.
var optOuts = [...]gpp.Field{gpp.SaleOptOut, gpp.SharingOptOut, gpp.TargetedAdvertisingOptOut}

// us returns what the sections of US laws that apply allow; given is false if nobody opted out. One that is said to apply
// and can't be read may be an opt-out, so it is one.
func (g *GPP) us() (allowed Decision, given bool) {
	allowed = unasked
	if g.Listed && g.Broken && g.Applicable&gpp.US != 0 {
		given = true
	}
	for _, s := range g.Strings {
		given = given || g.Listed && s.Unread&g.Applicable&gpp.US != 0
		for i := range s.Sections {
			section := &s.Sections[i]
			if !g.applies(section.ID) {
				continue
			}
			given = given || section.GPC
			for _, field := range optOuts {
				given = given || section.Has(field, gpp.OptedOut)
			}
			if section.Has(gpp.KnownChildSensitiveDataConsents, gpp.OptedOut) {
				allowed, given = measureOnly, true
			}
		}
	}
	return allowed, given
}
