package consent

import (
	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/mailtoken"
)

// OfMail is the decision about a hit in an e-mail. visitor is the one about whoever's browser or mail program sent it. What
// mails may measure, the recipient was asked for apart from all that; the stricter wins.
func OfMail(visitor Decision, t *mailtoken.Token) Decision {
	const signal = onepxv1.ConsentSignal_CONSENT_SIGNAL_MAIL
	refused := !visitor.Store && !visitor.NoConsent
	switch {
	case t.Kind == mailtoken.Unsubscribe: // what is asked for can't be done without it
		return Decision{Store: true, By: signal}
	case refused:
		return visitor
	case t.Mode != mailtoken.Full: // a hit of nobody, which needs no consent
		return Decision{Store: true, By: signal}
	case visitor.Measure || visitor.By != onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT:
		return visitor
	}
	return Decision{Store: true, Measure: true, By: signal}
}
