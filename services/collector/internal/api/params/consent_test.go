package params_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/collector/internal/consent/gpp"
	"github.com/onepx/onepx/services/shared/reason"
)

func TestConsentSignals(t *testing.T) {
	optOut := consent.Signals{USPrivacy: consent.USPrivacy{OptOut: true}}
	for _, test := range []struct {
		name, query string
		want        consent.Signals
		flags       params.Flags
	}{
		{"a US Privacy string", "us_privacy=1YYN", optOut, nil},
		{"under another name", "uspstring=1YYN", optOut, nil},
		{"under two names the stricter counts", "usprivacy=1YNN&us_privacy=1YYN&usp_consent=1---", optOut, nil},
		{"given twice the stricter counts", "us_privacy=1YNN&us_privacy=1YYN", optOut, params.Flags{reason.DuplicateParameter}},
		{"consent and refusal", "c=1&c=0", consent.Signals{Parameter: "0"}, params.Flags{reason.DuplicateParameter}},
		{"refusal and consent", "c=0&c=1&c=x", consent.Signals{Parameter: "0"}, params.Flags{reason.DuplicateParameter}},
		{"consent and what says nothing", "c=x&c=1", consent.Signals{Parameter: "1"}, params.Flags{reason.DuplicateParameter}},
		{"a macro that was not replaced is none", "us_privacy=${US_PRIVACY}", consent.Signals{}, params.Flags{reason.Placeholder}},
		{"another macro", "ccpa_consent=%25%25CCPA%25%25&gcs=%7B%7Bgcs%7D%7D", consent.Signals{}, params.Flags{reason.Placeholder}},
		{"what has no format is none", "us_privacy=1", consent.Signals{}, params.Flags{reason.ConsentInvalid}},
		{"an empty one is none", "us_privacy=&gcs=&gcd=", consent.Signals{}, nil},
		{"consent mode in both parameters", "gcs=G101&gcd=11p1t1p1p5", consent.Signals{Google: consent.Google{Given: true, NoAdStorage: true, NoAdUserData: true, NoAdPersonalization: true}}, nil},
		{"consent mode that can't be read", "gcs=1&gcd=G111", consent.Signals{}, params.Flags{reason.ConsentInvalid}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := params.Read(params.ParseQuery("site=shop&"+test.query), time.Now(), "")
			require.Equal(t, test.want, hit.Consent)
			require.Equal(t, test.flags, hit.Flags)
			require.Empty(t, hit.Event.GetProps(), "a signal is no property")
		})
	}
}

func TestSignalsOfTheURLAreDefaultsOfTheEvents(t *testing.T) {
	for body, want := range map[string]string{`{}`: "0", `{"c":1}`: "1", `{"c":0}`: "0", `{"c":1,"c":0}`: "0"} {
		events, word := params.ParseJSON([]byte(body))
		require.Empty(t, word)
		events[0].AddDefaults(params.ParseQuery("site=shop&c=1&c=0"))
		require.Equal(t, want, params.Read(events[0], time.Now(), "").Consent.Parameter, body)
	}
}

func TestConsentStringsOfTheFramework(t *testing.T) {
	const text = "CQuSqEAQuSqEAEsABBDECWFgAAAAAAAAAAYgAAAAAAAA.cCAAAAAAAAA"
	for _, test := range []struct {
		name, query            string
		applies, not, said, ok bool
		flags                  params.Flags
	}{
		{"flag and string", "gdpr=1&gdpr_consent=" + text, true, false, true, true, nil},
		{"under other names", "gdprapplies=1&euconsent=" + text, true, false, true, true, nil},
		{"a macro that was not replaced", "gdpr=1&gdpr_consent=${GDPR_CONSENT_123}", true, false, false, false, params.Flags{reason.Placeholder}},
		{"neither was replaced", "gdpr=${GDPR}&gdpr_consent=${GDPR_CONSENT_123}", false, false, false, false, params.Flags{reason.Placeholder}},
		{"the string in the flag's place", "gdpr=" + text + "&gdprapplies=1", true, false, false, false, params.Flags{reason.ConsentInvalid}},
		{"a string cut off", "gdpr=1&gdpr_consent=" + text[:30], true, false, false, false, params.Flags{reason.ConsentInvalid}},
		{"empty", "gdpr=0&gdpr_consent=", false, true, false, false, nil},
		{"additional consent alone does not say that the GDPR applies", "addtl_consent=2~1.35.41.101~dv.9.21.81", false, false, false, false, nil},
		{"additional consent that can't be read", "gdpr=1&addtl_consent=1.35", true, false, false, false, params.Flags{reason.ConsentInvalid}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := params.Read(params.ParseQuery("site=shop&"+test.query), time.Now(), "")
			got := hit.Consent.GDPR
			require.Equal(t, []bool{test.applies, test.not, test.said, test.ok}, []bool{got.Applies, got.DoesNotApply, got.Said, len(got.Strings) == 1})
			require.Equal(t, test.flags, hit.Flags)
			require.Empty(t, hit.Event.GetProps(), "a signal is no property")
		})
	}
}

func TestStringsOfThePlatform(t *testing.T) {
	const text, seven = "DBABLA~CEAQAAAAAACA", gpp.IDs(1 << 7)
	for _, test := range []struct {
		name, query string
		strings     int
		broken      bool
		listed      bool
		applicable  gpp.IDs
		flags       params.Flags
	}{
		{"string and list", "gpp=" + text + "&gpp_sid=7", 1, false, true, seven, nil},
		{"the list under another name", "gppsid=7&gpp=" + text, 1, false, true, seven, nil},
		{"the list encoded", "gpp_sid=7%2C8", 0, false, true, seven | 1<<8, nil},
		{"none applies", "gpp_sid=-1", 0, false, true, 0, nil},
		{"macros that were not replaced", "gpp=${GPP_STRING_123}&gpp_sid=${GPP_SID}", 0, false, false, 0, params.Flags{reason.Placeholder}},
		{"other macros", "gpp=%5BGPP%5D&gpp_sid=%5BGPP_SID%5D", 0, false, false, 0, params.Flags{reason.Placeholder}},
		{"a list that can't be read", "gpp_sid=usnat", 0, false, false, 0, params.Flags{reason.ConsentInvalid}},
		{"a string that can't be read", "gpp=" + text + "~1YNN", 0, true, false, 0, params.Flags{reason.ConsentInvalid}},
		{"a section that can't be read", "gpp=DBABBgA~xlgWEYCZAA", 1, false, false, 0, params.Flags{reason.ConsentInvalid}},
		{"a US Privacy section that is none", "gpp=DBABTA~1Y", 1, false, false, 0, params.Flags{reason.ConsentInvalid}},
		{"a TC string under an old policy", "gpp=DBABMA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA", 1, false, false, 0, params.Flags{reason.ConsentInvalid}},
		{"empty", "gpp=&gpp_sid=", 0, false, false, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			hit := params.Read(params.ParseQuery("site=shop&"+test.query), time.Now(), "")
			got := hit.Consent.GPP
			require.Len(t, got.Strings, test.strings)
			require.Equal(t, []bool{test.broken, test.listed}, []bool{got.Broken, got.Listed})
			require.Equal(t, test.applicable, got.Applicable)
			require.Equal(t, test.flags, hit.Flags)
			require.Empty(t, hit.Event.GetProps(), "a signal is no property")
		})
	}
}

func TestTheListOfSectionsInJSON(t *testing.T) {
	for text, want := range map[string]gpp.IDs{`[7,8]`: 1<<7 | 1<<8, `[2]`: 1 << 2, `7`: 1 << 7, `"7,8"`: 1<<7 | 1<<8, `["7"]`: 0, `[]`: 0} {
		events, word := params.ParseJSON([]byte(`{"site": "shop", "gpp_sid": ` + text + `}`))
		require.Empty(t, word)
		require.Equal(t, want, params.Read(events[0], time.Now(), "").Consent.GPP.Applicable, text)
	}
}

func TestNamesThatMayBeASitesOwnStayProperties(t *testing.T) {
	hit := params.Read(params.ParseQuery("site=shop&ccpa=1YYN&usp=fast&consent=1&consentString=x"), time.Now(), "")
	require.Equal(t, map[string]string{"ccpa": "1YYN", "usp": "fast", "consent": "1", "consentString": "x"}, hit.Event.GetProps())
	require.Zero(t, hit.Consent)
}
