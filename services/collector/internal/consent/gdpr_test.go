package consent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/consent"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

// fromOneTo are the numbers from 1.
func fromOneTo(last int) (numbers []int) {
	for n := 1; n <= last; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

// The policies of sites, as onepx.yaml has them.
const (
	asPublisher     = "privacy: measure"
	asCookieless    = "privacy: cookieless"
	asVendor        = "consent: {tcf: {vendor: 755}}"
	asProvider      = "consent: {tcf: {ac_provider: 101}}"
	measuringByNine = "consent: {tcf: {measure: [9], profile: [3], share: [7]}}"
)

func TestDecideByTheFramework(t *testing.T) {
	all := fromOneTo(11)
	granted := written{publisher: all}.String()
	refused := written{publisher: []int{}}.String()
	precise := written{publisher: all, features: []int{1}}.String()
	vendor := written{purposes: all, vendors: []int{755}, disclosed: []int{755}}
	with := func(change func(*written)) string {
		w := vendor
		change(&w)
		return w.String()
	}
	for _, test := range []struct {
		why     string
		signals []string
		site    string
		want    string
		by      onepxv1.ConsentSignal
	}{
		{"the GDPR applies and no string came: an anonymous event", []string{"gdpr", "1"}, asPublisher, "s", tcfString},
		{"the same on a cookieless site", []string{"gdpr", "1"}, asCookieless, "s", tcfString},
		{"the GDPR does not apply: the site decides", []string{"gdpr", "0"}, asPublisher, "smcui", siteDefault},
		{"it does not apply, so the string says nothing", []string{"gdpr", "0", "gdpr_consent", refused}, asPublisher, "smcui", siteDefault},
		{"a flag for and one against: it applies", []string{"gdpr", "0", "gdpr", "1"}, asPublisher, "s", tcfString},
		{"a string without a flag: it applies", []string{"gdpr_consent", refused}, asPublisher, "s", tcfString},
		{"a string that can't be read, without a flag, is no signal", []string{"!gdpr_consent", "tea"}, asPublisher, "smcui", siteDefault},
		{"a string that can't be read is no consent", []string{"gdpr", "1", "!gdpr_consent", "tea"}, asPublisher, "s", tcfString},
		{"a string of version 1 is no consent", []string{"gdpr", "1", "!gdpr_consent", "BONciguONcjGKADACHENAOLS1rAHDAFAAEAASABQAMwAeACEAFw"}, asPublisher, "s", tcfString},
		{"a string for all sites is no consent", []string{"gdpr", "1", "!gdpr_consent", "CPuKGCPPuKGCPNEAAAENCZCAAAAAAAAAAAAAAAAAAAAA"}, asPublisher, "s", tcfString},
		{"a string for all sites that grants all is none either, also without a flag", []string{"!gdpr_consent", written{global: true, publisher: all}.String()}, asPublisher, "s", tcfString},
		{"the specification's own string is of an old policy, and has no purpose 1", []string{"gdpr", "1", "!gdpr_consent", "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA.IDKQA4AAgAKAGQAygAAA.YAAAAAAAAAAA"}, asPublisher, "s", tcfString},
		{"consent under an old policy is none", []string{"gdpr", "1", "!gdpr_consent", written{oldPolicy: true, publisher: all}.String()}, asPublisher, "s", tcfString},
		{"a valid string and a broken one: no consent", []string{"gdpr", "1", "gdpr_consent", granted, "!gdpr_consent", "tea"}, asPublisher, "s", tcfString},
		{"a string that grants and one that refuses: the stricter", []string{"gdpr", "1", "gdpr_consent", granted, "gdpr_consent", refused}, asPublisher, "s", tcfString},

		{"all granted to the publisher: everything", []string{"gdpr", "1", "gdpr_consent", granted}, asPublisher, "smphcu", tcfString},
		{"all granted on a cookieless site: still no cookie", []string{"gdpr", "1", "gdpr_consent", granted}, asCookieless, "smphu", tcfString},
		{"nothing granted: anonymous", []string{"gdpr", "1", "gdpr_consent", refused}, asPublisher, "s", tcfString},
		{"consent to vendors is not consent to the publisher", []string{"gdpr", "1", "gdpr_consent", vendor.String()}, asPublisher, "s", tcfString},
		{"8 without 1: measured without a cookie", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{8}}.String()}, asPublisher, "sm", tcfString},
		{"1 without 8: nothing to keep a cookie for", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1}}.String()}, asPublisher, "s", tcfString},
		{"1 and 8: measured with a cookie", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1, 8}}.String()}, asPublisher, "smcu", tcfString},
		{"8 by legitimate interest", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1}, publisherInterests: []int{8}}.String()}, asPublisher, "smcu", tcfString},
		{"1 is never by legitimate interest", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{8}, publisherInterests: []int{1}}.String()}, asPublisher, "sm", tcfString},
		{"nor are 3 and 4", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1, 8}, publisherInterests: []int{2, 3, 4}}.String()}, asPublisher, "smcu", tcfString},
		{"3 without 4: no audiences", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1, 2, 3, 8}}.String()}, asPublisher, "smcu", tcfString},
		{"3 and 4 without 2: audiences, no sharing", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1, 3, 4, 8}}.String()}, asPublisher, "smpcu", tcfString},
		{"audiences need a cookie, and so 1", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{2, 3, 4, 8}}.String()}, asPublisher, "sm", tcfString},
		{"a site may ask for other purposes", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1, 3, 9}}.String()}, measuringByNine, "smpcu", tcfString},
		{"and is not content with those of others", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1, 3, 7, 8}}.String()}, measuringByNine, "s", tcfString},

		{"a vendor with consent to all", []string{"gdpr", "1", "gdpr_consent", vendor.String()}, asVendor, "smphcu", tcfString},
		{"consent to the publisher is not consent to the vendor", []string{"gdpr", "1", "gdpr_consent", granted}, asVendor, "s", tcfString},
		{"purposes are allowed, the vendor is not", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.vendors = []int{754} })}, asVendor, "s", tcfString},
		{"the vendor is allowed, purposes are not", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.purposes = nil })}, asVendor, "s", tcfString},
		{"a vendor that was not disclosed", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.disclosed = []int{1} })}, asVendor, "s", tcfString},
		{"a string that does not tell who was disclosed: consent is enough", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.disclosed = nil })}, asVendor, "smphcu", tcfString},
		{"a vendor's legitimate interest in measuring", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.purposes, w.interests, w.vendorInterests = []int{1}, []int{8}, []int{755} })}, asVendor, "smcu", tcfString},
		{"is none if the visitor objected to it", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.purposes, w.interests = []int{1}, []int{8} })}, asVendor, "s", tcfString},
		{"or if the string does not tell who was disclosed", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) {
			w.purposes, w.interests, w.vendorInterests, w.disclosed = []int{1}, []int{8}, []int{755}, nil
		})}, asVendor, "s", tcfString},
		{"the publisher forbids the vendor a purpose", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.restrictions = [][3]int{{3, 0, 755}} })}, asVendor, "smcu", tcfString},
		{"the publisher forbids another vendor", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.restrictions = [][3]int{{3, 0, 756}} })}, asVendor, "smphcu", tcfString},
		{"the publisher demands consent, and it is there", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.restrictions = [][3]int{{8, 1, 755}} })}, asVendor, "smphcu", tcfString},
		{"the publisher demands consent where there is an interest", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) {
			w.purposes, w.interests, w.vendorInterests = []int{1}, []int{8}, []int{755}
			w.restrictions = [][3]int{{8, 1, 755}}
		})}, asVendor, "s", tcfString},
		{"the publisher demands an interest where there is consent", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.restrictions = [][3]int{{8, 2, 755}} })}, asVendor, "s", tcfString},

		{"precise location allowed: the longer prefix of the address", []string{"gdpr", "1", "gdpr_consent", precise}, asPublisher, "smphcui", tcfString},
		{"the same for a vendor", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.features = []int{1} })}, asVendor, "smphcui", tcfString},
		{"another special feature is not precise location", []string{"gdpr", "1", "gdpr_consent", with(func(w *written) { w.features = []int{2} })}, asVendor, "smphcu", tcfString},
		{"precise location without measuring: no address at all", []string{"gdpr", "1", "gdpr_consent", written{publisher: []int{1}, features: []int{1}}.String()}, asPublisher, "s", tcfString},

		{"a provider of Google's list that the visitor allows", []string{"gdpr", "1", "gdpr_consent", granted, "addtl_consent", "2~1.35.41.101~dv.9.21.81"}, asProvider, "smphcu", tcfString},
		{"by a string of version 1", []string{"gdpr", "1", "gdpr_consent", granted, "addtl_consent", "1~101"}, asProvider, "smphcu", tcfString},
		{"told of, but not allowed: no audiences, no sharing", []string{"gdpr", "1", "gdpr_consent", granted, "addtl_consent", "2~1.35.41~dv.9.21.101"}, asProvider, "smcu", tcfString},
		{"no additional consent came", []string{"gdpr", "1", "gdpr_consent", granted}, asProvider, "smcu", tcfString},
		{"additional consent that can't be read", []string{"gdpr", "1", "gdpr_consent", granted, "addtl_consent", "1~101", "!addtl_consent", "tea"}, asProvider, "smcu", tcfString},
		{"one that allows and one that does not: the stricter", []string{"gdpr", "1", "gdpr_consent", granted, "addtl_consent", "1~101", "addtl_consent", "1~35"}, asProvider, "smcu", tcfString},
		{"additional consent gives none that the string refuses", []string{"gdpr", "1", "gdpr_consent", refused, "addtl_consent", "1~101"}, asProvider, "s", tcfString},
		{"where the GDPR does not apply nobody needs it", []string{"gdpr", "0", "c", "1"}, asProvider, "smphcui", parameter},
		{"nor does a site that is not on the list", []string{"gdpr", "1", "gdpr_consent", granted, "addtl_consent", "1~35"}, asPublisher, "smphcu", tcfString},
		{"additional consent alone is no signal", []string{"addtl_consent", "1~101"}, asProvider, "smcui", siteDefault},

		{"opting out goes before a string that grants", []string{"optout", "1", "gdpr", "1", "gdpr_consent", granted}, asPublisher, "-", optOut},
		{"GPC goes before a string that grants", []string{"gpc", "1", "gdpr", "1", "gdpr_consent", granted}, asPublisher, "sm", gpc},
		{"a string that refuses is stricter than GPC", []string{"gpc", "1", "gdpr", "1", "gdpr_consent", refused}, asPublisher, "s", tcfString},
		{"the site's parameter adds nothing to the string", []string{"gdpr", "1", "gdpr_consent", refused, "c", "1"}, asPublisher, "s", tcfString},
		{"the site's parameter may refuse what the string grants", []string{"gdpr", "1", "gdpr_consent", granted, "c", "0"}, asPublisher, "-", parameter},
		{"opted out of sale although the string grants", []string{"gdpr", "1", "gdpr_consent", granted, "us_privacy", "1YYN"}, asPublisher, "smcu", usPrivacy},
		{"consent mode denies what the string grants", []string{"gdpr", "1", "gdpr_consent", granted, "gcs", "G101"}, asPublisher, "smcu", google},
		{"consent mode grants what the string refuses", []string{"gdpr", "1", "gdpr_consent", refused, "gcs", "G111"}, asPublisher, "s", tcfString},
	} {
		t.Run(test.why, func(t *testing.T) {
			got := consent.Decide(signals(t, test.signals...), site(t, test.site), "", "")
			require.Equal(t, test.want, allowed(got))
			require.Equal(t, test.by, got.By)
		})
	}
}

func TestAPartnerNeedsItsOwnConsent(t *testing.T) {
	all := fromOneTo(11)
	to := func(vendors ...int) string {
		return written{publisher: all, purposes: all, vendors: vendors, disclosed: vendors}.String()
	}
	policy := siteconfig.TCF{Measure: []int{8}, Profile: []int{3, 4}, Share: []int{2, 3, 4}, ACProvider: 101}
	for _, test := range []struct {
		why     string
		signals []string
		allowed bool
	}{
		{"no string, and none is due", nil, true},
		{"the GDPR does not apply", []string{"gdpr", "0", "gdpr_consent", to()}, true},
		{"consent without a string", []string{"c", "1"}, true},
		{"the GDPR applies and no string came", []string{"gdpr", "1"}, false},
		{"a string that allows the partner", []string{"gdpr", "1", "gdpr_consent", to(755)}, true},
		{"a string that allows another", []string{"gdpr", "1", "gdpr_consent", to(754)}, false},
		{"one that allows and one that does not", []string{"gdpr", "1", "gdpr_consent", to(755), "gdpr_consent", to()}, false},
		{"a string that can't be read", []string{"gdpr", "1", "!gdpr_consent", "tea"}, false},
		{"measuring is not asked for", []string{"gdpr_consent", written{purposes: []int{1, 2, 3, 4}, vendors: []int{755}}.String()}, true},
		{"storage is", []string{"gdpr_consent", written{purposes: []int{2, 3, 4}, vendors: []int{755}}.String()}, false},
		{"and audiences", []string{"gdpr_consent", written{purposes: []int{1, 2, 3}, vendors: []int{755}}.String()}, false},
		{"and sharing", []string{"gdpr_consent", written{purposes: []int{1, 3, 4}, vendors: []int{755}}.String()}, false},
		{"the publisher forbids the partner a purpose", []string{"gdpr_consent", written{purposes: all, vendors: []int{755}, restrictions: [][3]int{{3, 0, 755}}}.String()}, false},
	} {
		t.Run(test.why, func(t *testing.T) {
			require.Equal(t, test.allowed, signals(t, test.signals...).AllowsVendor(755, policy))
		})
	}
}
