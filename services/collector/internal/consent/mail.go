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

// OfDelivery is the decision about what a server tells of an e-mail. sender is the one about the signals that the server gives of
// its recipient. A mail server's word is not read off anybody's device, so the site's mode, which is about visitors who have said
// nothing, does not hold here; what the recipient has said does.
func OfDelivery(sender Decision, kind onepxv1.EventKind) Decision {
	const signal = onepxv1.ConsentSignal_CONSENT_SIGNAL_MAIL
	switch {
	case kind == onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE: // as OfMail has it
		return Decision{Store: true, By: signal}
	case sender.By == onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT:
		return Decision{Store: true, Measure: true, By: signal}
	case sender.Store && !sender.Measure || sender.NoConsent: // one of nobody still counts for its campaign
		return Decision{Store: true, By: sender.By}
	}
	return Decision{Store: sender.Store, Measure: sender.Measure, By: sender.By}
}
