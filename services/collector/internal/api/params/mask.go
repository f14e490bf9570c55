package params

import (
	"github.com/onepx/onepx/services/collector/internal/hygiene"
	"github.com/onepx/onepx/services/shared/reason"
)

// masks are the flags of what hygiene finds.
var masks = []struct {
	kind hygiene.Kinds
	word reason.Reason
}{
	{hygiene.Email, reason.EmailMasked},
	{hygiene.Token, reason.TokenMasked},
	{hygiene.Card, reason.CardMasked},
	{hygiene.Phone, reason.PhoneMasked},
}

// mask is for every free text that is stored, before it is cut: half an address would not be found. Not for ids (event,
// visitor, user, order, item, click), which must stay what they are.
func mask(text string, flags *Flags) string {
	text, kinds := hygiene.Mask(text)
	for _, m := range masks {
		if kinds&m.kind != 0 {
			flags.Add(m.word)
		}
	}
	return text
}
