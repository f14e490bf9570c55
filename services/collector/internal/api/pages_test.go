package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAVisitorOptsOutAndInAgain(t *testing.T) {
	e := start(t)
	page := e.get("/optout")
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Equal(t, "text/html; charset=UTF-8", page.Header.Get("Content-Type"))
	require.Equal(t, "no-store", page.Header.Get("Cache-Control"))
	require.Contains(t, string(page.body), `<form method="post" action="/optout">`)
	require.NotContains(t, string(page.body), "<script")

	out := e.do(http.MethodPost, "/optout", "X-Forwarded-Proto", "https", "Host", "px.shop.example")
	require.Equal(t, http.StatusSeeOther, out.StatusCode)
	require.Equal(t, "/optout", out.Header.Get("Location"))
	require.Equal(t, []string{
		"onepx_optout=1; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=None",
		"onepx_v=; Path=/; Domain=shop.example; Max-Age=0; HttpOnly; Secure; SameSite=None",
		"onepx_v=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None",
	}, out.Header.Values("Set-Cookie"))

	for _, path := range []string{"/optout", "/optin"} {
		page = e.get(path, "Cookie", "onepx_optout=1")
		require.Contains(t, string(page.body), "You have opted out")
		require.Contains(t, string(page.body), `<form method="post" action="/optin">`)
	}
	in := e.do(http.MethodPost, "/optin")
	require.Equal(t, "/optin", in.Header.Get("Location"))
	require.Equal(t, "onepx_optout=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax", in.Header.Get("Set-Cookie"))
}

func TestNoOtherSiteCanUndoAWish(t *testing.T) {
	e := start(t)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/optin", "Sec-Fetch-Site", "cross-site").StatusCode)
	require.Equal(t, http.StatusForbidden, e.do(http.MethodPost, "/optin", "Origin", "https://evil.example").StatusCode)
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optin", "Sec-Fetch-Site", "same-origin").StatusCode)
	require.Equal(t, http.StatusSeeOther, e.do(http.MethodPost, "/optout", "Sec-Fetch-Site", "cross-site").StatusCode)
}

func TestThePageTellsOfGPC(t *testing.T) {
	e := start(t)
	require.Contains(t, string(e.get("/optout", "Sec-GPC", "1").body), "Global Privacy Control")
	require.NotContains(t, string(e.get("/optout").body), "Global Privacy Control")
}

func TestForBrowsersAndCrawlers(t *testing.T) {
	e := start(t)
	gpc := e.get("/.well-known/gpc.json")
	require.Equal(t, "application/json", gpc.Header.Get("Content-Type"))
	require.JSONEq(t, `{"gpc":true,"lastUpdate":"2026-11-25"}`, string(gpc.body))
	require.Equal(t, "User-agent: *\nDisallow: /\n", string(e.get("/robots.txt").body))
	require.Empty(t, e.do(http.MethodHead, "/robots.txt").body)
}
