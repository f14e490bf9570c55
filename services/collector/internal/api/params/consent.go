package params

import (
	"strings"

	"github.com/onepx/onepx/services/shared/reason"
)

// A consent signal that can't be read is none: an unreplaced macro is flagged as a placeholder, anything else as invalid.

func readGDPR(h *Hit, p Pair) { h.signal(p, h.Consent.GDPR.AddFlag) }

func readGDPRConsent(h *Hit, p Pair) { h.signal(p, h.Consent.GDPR.AddString) }

func readAdditional(h *Hit, p Pair) { h.signal(p, h.Consent.GDPR.AddProviders) }

func readGPP(h *Hit, p Pair) { h.signal(p, h.Consent.GPP.AddString) }

// readGPPSections takes the list also as the array that it is in JSON, which else would look like a placeholder.
func readGPPSections(h *Hit, p Pair) {
	if list, isArray := strings.CutPrefix(p.Value, "["); isArray && h.Consent.GPP.AddSections(strings.TrimSuffix(list, "]")) {
		return
	}
	h.signal(p, h.Consent.GPP.AddSections)
}

func readCOPPA(h *Hit, p Pair) { h.signal(p, h.Consent.AddCOPPA) }

func readUSPrivacy(h *Hit, p Pair) { h.signal(p, h.Consent.USPrivacy.Add) }

func readGCS(h *Hit, p Pair) { h.signal(p, h.Consent.Google.AddGCS) }

func readGCD(h *Hit, p Pair) { h.signal(p, h.Consent.Google.AddGCD) }

// signal hands a signal to its reader, which tells whether it could read it.
func (h *Hit) signal(p Pair, add func(text string) bool) {
	if !h.placeholder(p) && !add(p.Value) {
		h.Flags.Add(reason.ConsentInvalid)
	}
}
