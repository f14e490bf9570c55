package api_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/suppression"
)

// profiled is the key on the list of the shop's visitor of the cookie.
func profiled(t *testing.T) string {
	t.Helper()
	id, ok := identities.CookieVisitor("shop", cookieValue)
	require.True(t, ok)
	return string(suppression.Key(suppression.Profiling, id))
}

func TestAVisitorWhoRefusesAudiencesLeavesThoseTheyAreIn(t *testing.T) {
	for _, test := range []struct {
		name    string
		target  string
		headers []string
		listed  bool
	}{
		{"GPC keeps the id out of the event, so the list says it", "/p.gif?site=shop", append([]string{"Sec-GPC", "1"}, onPx...), true},
		{"so does DNT", "/p.gif?site=shop", append([]string{"DNT", "1"}, onPx...), true},
		{"so does the banner's no", "/p.gif?site=shop&c=0", onPx, true},
		{"so does a child", "/p.gif?site=shop&coppa=1", onPx, true},
		{"nothing said: events have the id and say what is allowed", "/p.gif?site=shop", onPx, false},
		{"consent", "/p.gif?site=shop&c=1", onPx, false},
		{"without a cookie nobody is known", "/p.gif?site=shop", []string{"Sec-GPC", "1"}, false},
		{"a broken cookie is nobody's", "/p.gif?site=shop", []string{"Sec-GPC", "1", "Cookie", "onepx_v=x"}, false},
		{"a debug request changes nothing", "/p.gif?site=shop&debug=1", append([]string{"Sec-GPC", "1"}, onPx...), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			require.Equal(t, http.StatusOK, e.get(test.target, test.headers...).StatusCode)
			require.Equal(t, test.listed, slices.Contains(e.suppressions.written, profiled(t)))
			require.Equal(t, test.listed, e.wishes("refuse_profiling", "") == 1)
			require.Zero(t, e.wishes("allow_profiling", ""))
		})
	}
}

func TestARefusalIsWrittenOnceAndTakenBackByConsent(t *testing.T) {
	e := start(t)
	gpc := append([]string{"Sec-GPC", "1"}, onPx...)
	e.get("/p.gif?site=shop", gpc...)
	e.get("/p.gif?site=shop", gpc...)
	require.Equal(t, []string{profiled(t)}, e.suppressions.written)
	e.get("/p.gif?site=shop", onPx...)
	require.Len(t, e.suppressions.written, 1, "silence allows no audiences here")
	e.get("/p.gif?site=shop&c=1", onPx...)
	require.Equal(t, []string{profiled(t), "-" + profiled(t)}, e.suppressions.written)
	require.Equal(t, 1, e.wishes("allow_profiling", ""))
}

func TestARefusalNamesTheIDThatTheSiteGives(t *testing.T) {
	e := start(t)
	e.get("/p.gif?site=shop&v=0190b5ad-0000-7000-8000-000000000001", "Sec-GPC", "1")
	id := []byte{0x01, 0x90, 0xb5, 0xad, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}
	require.Equal(t, []string{string(suppression.Key(suppression.Profiling, id))}, e.suppressions.written)
}
