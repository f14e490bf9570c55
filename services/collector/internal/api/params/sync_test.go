package params_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/collector/internal/api/params"
	"github.com/onepx/onepx/services/collector/internal/hygiene"
)

func TestWhatAPartnersIDLooksLike(t *testing.T) {
	for text, is := range map[string]bool{
		"7": true, "0190b5ad-0000-7000-8000-000000000001": true, "aB+4/==": true, "k-1_2.3~4:5|6": true, "4111111111111111": true, strings.Repeat("x", 512): true,
		"a$b{c}#d": true, // further on they are no macro's
		"":         false, strings.Repeat("x", 513): false, "a b": false, "a\tb": false, "a\x7fb": false, "é": false, "\xff": false,
		"$UID": false, "${UID}": false, "{OPENX_ID}": false, "#PMUID": false, "%%UID%%": false, "[UID]": false, "undefined": false, "NULL": false,
		"ann@shop.com": false, "ann%40shop.com": false, "+491701234567": false, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.": false,
	} {
		require.Equal(t, is, params.IsPartnerUID(text), text)
	}
}

func TestAParameterThatIsGivenWithoutAValue(t *testing.T) {
	for raw, is := range map[string]bool{
		"uid": true, "uid=": true, "a=1&uid=&b": true, "amp;uid=": true, "%75id=": true, "uid=&uid=7": true,
		"": false, "uid=7": false, "uids=": false, "a=uid": false, "UID=": false, "uid=%00": false,
	} {
		require.Equal(t, is, params.IsBlank(raw, "uid"), raw)
	}
}

func TestOnlySignalsAreLeftOfAQuery(t *testing.T) {
	query := params.ParseQuery("site=shop&c=1&uid=7&gdpr=1&gdpr=0&gdprapplies=1&note=x")
	signals := query.Signals()
	var left []string
	for _, pair := range signals.Pairs {
		left = append(left, pair.Name+"="+pair.Value)
	}
	require.Equal(t, []string{"c=1", "gdpr=1", "gdpr=0", "gdprapplies=1"}, left)
	require.Equal(t, "shop", query.Get("site"), "the query keeps all")
}

func FuzzPartnerUID(f *testing.F) {
	for _, seed := range []string{"7", "$UID", "ann@shop.com", "a=1&uid=&b", "4111111111111111", "\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		blank := params.IsBlank(text, "uid")
		require.False(t, blank && !strings.ContainsAny(text, "u%"))
		if !params.IsPartnerUID(text) {
			return
		}
		require.NotEmpty(t, text)
		require.LessOrEqual(t, len(text), 512)
		require.False(t, strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' }))
		_, found := hygiene.Mask(text)
		require.Zero(t, found&(hygiene.Email|hygiene.Phone|hygiene.Token))
	})
}
