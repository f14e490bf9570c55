package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForBrowsersAndCrawlers(t *testing.T) {
	e := start(t)
	gpc := e.get("/.well-known/gpc.json")
	require.Equal(t, "application/json", gpc.Header.Get("Content-Type"))
	require.JSONEq(t, `{"gpc":true,"lastUpdate":"2026-11-25"}`, string(gpc.body))
	require.Equal(t, "User-agent: *\nDisallow: /\n", string(e.get("/robots.txt").body))
	require.Empty(t, e.do(http.MethodHead, "/robots.txt").body)
}
