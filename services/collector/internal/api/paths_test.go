package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The site "named" of these tests has names of its own for everything, "half" for the tag only.
func TestASiteMayChooseTheNames(t *testing.T) {
	e := start(t)
	require.Contains(t, string(e.get("/t.js").body), `"/e","/p.gif"`)
	require.Contains(t, string(e.get("/assets/a.js").body), `"/assets/b","/assets/c.gif"`)
	require.Contains(t, string(e.get("/half.js").body), `"/e","/p.gif"`)

	image := e.get("/assets/c.gif?site=named")
	require.Equal(t, http.StatusOK, image.StatusCode)
	require.Equal(t, "image/gif", image.Header.Get("Content-Type"))
	require.Equal(t, http.StatusNoContent, e.post("/assets/b?site=shop", `{"e":"signup"}`, "Origin", "https://shop.example").StatusCode)
	require.Equal(t, http.StatusNoContent, e.do(http.MethodOptions, "/assets/b", "Origin", "https://shop.example").StatusCode)
	require.Equal(t, http.StatusNoContent, e.do(http.MethodOptions, "/assets/c.gif", "Origin", "https://shop.example").StatusCode)

	head := e.do(http.MethodHead, "/assets/a.js")
	require.Equal(t, http.StatusOK, head.StatusCode)
	require.True(t, strings.HasPrefix(head.Header.Get("Content-Type"), "text/javascript"))
	again := e.do(http.MethodHead, "/assets/a.js", "If-None-Match", head.Header.Get("Etag"))
	require.Equal(t, http.StatusNotModified, again.StatusCode)
}
