package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOnlyTheSiteMayEmbedThePage(t *testing.T) {
	e := start(t)
	for path, ancestors := range map[string]string{
		"/optout":              "'none'",
		"/optout?site=shop":    "'self' https://shop.example",
		"/optin?site=shop":     "'self' https://shop.example",
		"/optout?site=blog":    "'self'",
		"/optout?site=nowhere": "'none'",
	} {
		policy := e.get(path).Header.Get("Content-Security-Policy")
		require.True(t, strings.HasSuffix(policy, "; frame-ancestors "+ancestors), "%s: %s", path, policy)
		require.Contains(t, policy, "default-src 'none'; style-src 'sha256-")
		require.NotContains(t, policy, "unsafe")
	}
}

func TestScriptsOfTheSite(t *testing.T) {
	e := start(t)
	script := func(origin string) []string {
		return append([]string{"Accept", "application/json", "Origin", origin}, onPx...)
	}
	got := e.get("/optout?site=shop", script("https://shop.example")...)
	require.JSONEq(t, `{"opted_out": false, "gpc": false}`, string(got.body))
	require.Equal(t, "https://shop.example", got.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", got.Header.Get("Access-Control-Allow-Credentials"))
	got = e.get("/optout?site=shop", "Accept", "application/json", "Cookie", "onepx_optout=1", "Sec-GPC", "1")
	require.JSONEq(t, `{"opted_out": true, "gpc": true}`, string(got.body))
	for _, path := range []string{"/optout?site=blog", "/optout"} {
		require.Empty(t, e.get(path, script("https://shop.example")...).Header.Get("Access-Control-Allow-Credentials"), path)
	}

	got = e.do(http.MethodPost, "/optout?site=shop", script("https://shop.example")...)
	require.Equal(t, http.StatusNoContent, got.StatusCode)
	require.Equal(t, "true", got.Header.Get("Access-Control-Allow-Credentials"))
	require.Len(t, got.Cookies(), 4)
	require.Equal(t, visitors(t, ""), e.suppressions.written)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/optin?site=shop", script("https://shop.example")...).StatusCode)
}

func TestThePageTellsOfGPC(t *testing.T) {
	e := start(t)
	require.Contains(t, string(e.get("/optout", "Sec-GPC", "1").body), "Global Privacy Control")
	require.NotContains(t, string(e.get("/optout").body), "Global Privacy Control")
}

func TestThePageSpeaksTheVisitorsLanguage(t *testing.T) {
	e := start(t)
	for accept, want := range map[string]struct{ lang, dir, title string }{
		"":                          {"en", "ltr", "Opt out of measurement"},
		"de-AT,de;q=0.9,en;q=0.8":   {"de", "ltr", "Messung widersprechen"},
		"fr-CA":                     {"fr", "ltr", "Refuser la mesure d’audience"},
		"es-MX, en;q=0.1":           {"es", "ltr", "Rechazar la medición"},
		"it":                        {"it", "ltr", "Rifiuta la misurazione"},
		"nl-BE":                     {"nl", "ltr", "Afmelden voor metingen"},
		"pl":                        {"pl", "ltr", "Zrezygnuj z pomiaru"},
		"pt-BR":                     {"pt", "ltr", "Recusar a medição"},
		"ar-EG,fr;q=0.5":            {"ar", "rtl", "رفض القياس"},
		"ja":                        {"en", "ltr", "Opt out of measurement"},
		"xx;q=9, , ;;, \"><script>": {"en", "ltr", "Opt out of measurement"},
		strings.Repeat("de,", 5000): {"en", "ltr", "Opt out of measurement"},
	} {
		page := e.get("/optout", "Accept-Language", accept)
		require.Contains(t, string(page.body), fmt.Sprintf(`<html lang="%s" dir="%s">`, want.lang, want.dir), accept)
		require.Contains(t, string(page.body), "<h1>"+want.title+"</h1>", accept)
	}
}
