package api_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/identity"
	"github.com/onepx/onepx/services/shared/suppression"
)

const deliverySites = `
sites:
  - {id: shop, timezone: UTC, currency: EUR, write_keys: ["sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"]} # of the word "key"
`

// annasKey is that of anna@example.com on the site shop.
var annasKey = identity.New("0123456789abcdef0123456789abcdef").RecipientKey("shop", "anna@example.com")

func TestAServerTellsWhatBecameOfAMail(t *testing.T) {
	for name, kind := range map[string]onepxv1.EventKind{
		"email_sent":        onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY,
		"email_delivered":   onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY,
		"email_bounced":     onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY,
		"email_complained":  onepxv1.EventKind_EVENT_KIND_EMAIL_DELIVERY,
		"email_unsubscribe": onepxv1.EventKind_EVENT_KIND_EMAIL_UNSUBSCRIBE,
		"email_open":        onepxv1.EventKind_EVENT_KIND_CUSTOM,
		"email_click":       onepxv1.EventKind_EVENT_KIND_CUSTOM,
		"email_read":        onepxv1.EventKind_EVENT_KIND_CUSTOM,
	} {
		e := on(t, deliverySites)
		e.post("/v1/events", `{"e":"`+name+`","id":"p-1","ts":"2026-11-25T11:00:00Z","mail_campaign":"autumn","mail_message":"<1@shop.example>","mail_link":"l1","mail_to":" Anna <Anna@Example.com> ",`+
			`"bounce":"hard","ip":"81.2.69.160","ua":"x","v":"ann","uid":"ann"}`, withKey...)
		event := e.stored()
		require.Equal(t, kind, event.GetKind(), name)
		require.EqualValues(t, arrival.UnixMilli()-3_600_000, event.GetOccurredAtMs())
		require.NotContains(t, event.String(), "xample.com", "no address is stored")
		if kind == onepxv1.EventKind_EVENT_KIND_CUSTOM {
			require.Nil(t, event.GetMail())
			require.Equal(t, []string{"mail_misplaced"}, event.GetFlags())
			continue
		}
		require.Empty(t, event.GetFlags())
		require.Equal(t, []any{"autumn", "<1@shop.example>", "l1", annasKey},
			[]any{event.GetMail().GetCampaignId(), event.GetMail().GetMessageId(), event.GetMail().GetLinkId(), event.GetMail().GetRecipientKey()})
		require.Equal(t, map[string]string{"bounce": "hard"}, event.GetProps())
		require.Equal(t, onepxv1.VisitorKind_VISITOR_KIND_NONE, event.GetVisitor().GetKind(), "nobody has visited anything")
		require.Empty(t, event.GetVisitor().GetUserKey())
		require.Empty(t, event.GetClient().GetIpPrefix())
		require.Empty(t, event.GetClient().GetUserAgent())
	}
}

func TestARecipientMayBeGivenAsAKey(t *testing.T) {
	for _, test := range []struct {
		name, fields string
		want         []byte
		flag         string
	}{
		{"as an address", `"mail_to":"anna@example.com"`, annasKey, ""},
		{"as a key", `"mail_recipient":"01020304-0506-0708-090A-0b0c0d0e0f10"`, recipient[:], ""},
		{"as both: the key counts", `"mail_to":"anna@example.com","mail_recipient":"01020304-0506-0708-090a-0b0c0d0e0f10"`, recipient[:], ""},
		{"not at all", `"mail_campaign":"autumn"`, nil, ""},
		{"as something else", `"mail_recipient":"0102"`, nil, "recipient_invalid"},
		{"as several addresses", `"mail_to":"anna@example.com, ben@example.com"`, nil, "recipient_invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := on(t, deliverySites)
			e.post("/v1/events", `{"e":"email_sent",`+test.fields+`}`, withKey...)
			require.Equal(t, test.want, e.stored().GetMail().GetRecipientKey())
			require.Equal(t, test.flag != "", len(e.stored().GetFlags()) == 1, e.stored().GetFlags())
		})
	}
}

func TestNoBrowserTellsOfMail(t *testing.T) {
	for _, target := range []string{"/p.gif?site=shop&e=email_delivered&mail_to=anna%40example.com", "/p.gif?site=shop&e=email_open", "/p.gif?site=shop&e=email_unsubscribe", "/p.gif?site=shop&mail_recipient=x"} {
		e := on(t, deliverySites)
		e.get(target)
		event := e.stored()
		require.Nil(t, event.GetMail())
		require.Contains(t, []onepxv1.EventKind{onepxv1.EventKind_EVENT_KIND_CUSTOM, onepxv1.EventKind_EVENT_KIND_PAGE_VIEW}, event.GetKind())
		require.Empty(t, event.GetProps())
		require.Equal(t, []string{"mail_misplaced"}, event.GetFlags(), target)
	}
}

func TestDebugShowsNoKeyOfARecipient(t *testing.T) {
	e := on(t, deliverySites)
	key := func() string {
		return string(e.post("/v1/events", `{"e":"email_sent","debug":1,"mail_to":"anna@example.com"}`, withKey...).told(t).Results[0].Debug.Event)
	}
	require.Contains(t, key(), "recipient_key")
	require.NotContains(t, key(), base64.StdEncoding.EncodeToString(annasKey))
}

func TestWhatIsStoredOfADelivery(t *testing.T) {
	const all, nobody, nothing = "all", "nobody", ""
	mail, parameter, tcf := onepxv1.ConsentSignal_CONSENT_SIGNAL_MAIL, onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER, onepxv1.ConsentSignal_CONSENT_SIGNAL_TCF
	for _, test := range []struct {
		name, privacy, fields, of string
		by                        onepxv1.ConsentSignal
	}{
		{"nothing was said, and the site measures", "measure", `"e":"email_sent"`, all, mail},
		{"the site asks visitors first", "opt_in, consent: {without: nothing}", `"e":"email_sent"`, all, mail},
		{"the recipient has consented", "opt_in", `"e":"email_sent","c":1`, all, parameter},
		{"the recipient has refused", "measure", `"e":"email_sent","c":0`, nothing, 0},
		{"a banner says that nothing may be measured", "measure", `"e":"email_sent","gdpr":1`, nobody, tcf},
		{"the same on a site that stores nothing without consent", "opt_in, consent: {without: nothing}", `"e":"email_sent","gdpr":1`, nobody, tcf},
		{"who wants no more mail is heard", "measure", `"e":"email_unsubscribe","c":0`, all, mail},
		{"and where nothing may be measured", "opt_in, consent: {without: nothing}", `"e":"email_unsubscribe","gdpr":1`, all, mail},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := on(t, "sites: [{id: shop, timezone: UTC, currency: EUR, write_keys: [\"sha256:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683\"], privacy: "+test.privacy+"}]")
			e.post("/v1/events", `{`+test.fields+`,"mail_campaign":"autumn","mail_message":"m-1","mail_to":"anna@example.com"}`, withKey...)
			if test.of == nothing {
				require.Empty(t, e.publisher.events)
				return
			}
			event := e.stored()
			require.Equal(t, test.by, event.GetConsent().GetDecidedBy())
			require.Equal(t, "autumn", event.GetMail().GetCampaignId())
			require.Equal(t, test.of == all, len(event.GetMail().GetRecipientKey()) > 0)
			require.Equal(t, test.of == all, event.GetMail().GetMessageId() != "")
			require.False(t, event.GetConsent().GetProfile() || event.GetConsent().GetShare() || event.GetConsent().GetCookie())
		})
	}
}

func TestDeliveriesOfWhoHasWithdrawnAreLeftOut(t *testing.T) {
	e := on(t, deliverySites)
	e.suppressions.kind, e.suppressions.id = suppression.Recipient, annasKey
	e.post("/v1/events", `[{"e":"email_sent","mail_to":"anna@example.com"},{"e":"email_unsubscribe","mail_to":"anna@example.com"},{"e":"email_sent","mail_to":"ben@example.com"}]`, withKey...)
	require.Equal(t, []string{"email_unsubscribe", "email_sent"}, e.names())
	require.Equal(t, 1, e.counters()[`onepx_collector_events_total{outcome="suppressed",reason="suppression_list"}`])
}
