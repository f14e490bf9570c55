package consent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestDecide(t *testing.T) {
	const (
		siteDefault = onepxv1.ConsentSignal_CONSENT_SIGNAL_SITE_DEFAULT
		optOut      = onepxv1.ConsentSignal_CONSENT_SIGNAL_OPT_OUT_COOKIE
		gpc         = onepxv1.ConsentSignal_CONSENT_SIGNAL_GPC
		dnt         = onepxv1.ConsentSignal_CONSENT_SIGNAL_DNT
		parameter   = onepxv1.ConsentSignal_CONSENT_SIGNAL_PARAMETER
	)
	measureOnly := func(by onepxv1.ConsentSignal) consent.Decision {
		return consent.Decision{Store: true, Measure: true, By: by}
	}
	for _, test := range []struct {
		name    string
		signals consent.Signals
		site    siteconfig.Privacy
		want    consent.Decision
	}{
		{"nothing said: measure with a cookie, no audiences", consent.Signals{}, siteconfig.PrivacyMeasure,
			consent.Decision{Store: true, Measure: true, Cookie: true, UserKey: true, By: siteDefault}},
		{"nothing said on a cookieless site: no cookie", consent.Signals{}, siteconfig.PrivacyCookieless,
			consent.Decision{Store: true, Measure: true, UserKey: true, By: siteDefault}},
		{"an unknown parameter says nothing", consent.Signals{Parameter: "yes"}, siteconfig.PrivacyMeasure,
			consent.Decision{Store: true, Measure: true, Cookie: true, UserKey: true, By: siteDefault}},
		{"consent given: everything", consent.Signals{Parameter: "1"}, siteconfig.PrivacyMeasure,
			consent.Decision{Store: true, Measure: true, Profile: true, Share: true, Cookie: true, UserKey: true, By: parameter}},
		{"consent given on a cookieless site: still no cookie", consent.Signals{Parameter: "1"}, siteconfig.PrivacyCookieless,
			consent.Decision{Store: true, Measure: true, Profile: true, Share: true, UserKey: true, By: parameter}},
		{"refused: nothing", consent.Signals{Parameter: "0"}, siteconfig.PrivacyMeasure, consent.Decision{By: parameter}},
		{"opted out: nothing", consent.Signals{OptOut: true}, siteconfig.PrivacyMeasure, consent.Decision{By: optOut}},
		{"GPC: measure only", consent.Signals{GPC: true}, siteconfig.PrivacyMeasure, measureOnly(gpc)},
		{"DNT: measure only", consent.Signals{DNT: true}, siteconfig.PrivacyMeasure, measureOnly(dnt)},
		{"GPC goes before DNT", consent.Signals{GPC: true, DNT: true}, siteconfig.PrivacyMeasure, measureOnly(gpc)},
		{"GPC goes before consent given to the site", consent.Signals{GPC: true, Parameter: "1"}, siteconfig.PrivacyMeasure, measureOnly(gpc)},
		{"a refusal goes before GPC", consent.Signals{GPC: true, Parameter: "0"}, siteconfig.PrivacyMeasure, consent.Decision{By: parameter}},
		{"opting out goes before everything", consent.Signals{OptOut: true, GPC: true, DNT: true, Parameter: "1"}, siteconfig.PrivacyMeasure, consent.Decision{By: optOut}},
	} {
		t.Run(test.name, func(t *testing.T) { require.Equal(t, test.want, consent.Decide(test.signals, test.site)) })
	}
}
