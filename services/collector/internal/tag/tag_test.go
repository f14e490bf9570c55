package tag_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/collector/internal/tag"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// maxSize is what a page pays for the tag at most, in bytes with gzip.
const maxSize = 2048

// ask asks for the tag; headers are name, value, name, value …
func ask(t *testing.T, method string, paths siteconfig.Paths, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "/t.js", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	tag.New(paths).ServeHTTP(recorder, r)
	return recorder.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	data, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(data)
}

func TestTheTagIsSmall(t *testing.T) {
	longest := "/" + strings.Repeat("x1-", 42)
	for name, paths := range map[string]siteconfig.Paths{
		"native": siteconfig.NativePaths, "custom": {Tag: longest, Events: longest + "e", Pixel: longest + "p"},
	} {
		zipped := body(t, ask(t, http.MethodGet, paths, "Accept-Encoding", "gzip").Body)
		t.Logf("%s: %d bytes with gzip", name, len(zipped))
		require.LessOrEqual(t, len(zipped), maxSize, name)
	}
}

func TestTheTagSendsToThePathsOfItsSite(t *testing.T) {
	for _, tc := range []struct {
		name          string
		paths         siteconfig.Paths
		events, pixel string
	}{
		{"the native one", siteconfig.NativePaths, "/e", "/p.gif"},
		{"all are the site's own", siteconfig.Paths{Tag: "/a.js", Events: "/in", Pixel: "/x.gif"}, "/in", "/x.gif"},
		{"only its name is the site's own", siteconfig.Paths{Tag: "/a.js"}, "/e", "/p.gif"},
		{"its events only", siteconfig.Paths{Tag: "/a.js", Events: "/in"}, "/in", "/p.gif"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.True(t, strings.HasSuffix(body(t, ask(t, http.MethodGet, tc.paths).Body),
				`(window,document,navigator,"`+tc.events+`","`+tc.pixel+`");`+"\n"))
		})
	}
}

func TestTheTagIsAnsweredCompressedToWhoTakesThat(t *testing.T) {
	plain := ask(t, http.MethodGet, siteconfig.NativePaths)
	script := body(t, plain.Body)
	for accepted, zipped := range map[string]bool{
		"gzip": true, "deflate, GZIP, br": true, "gzip;q=0.1": true, "br;q=1.0, gzip;q=0.8, *;q=0.1": true,
		"gzip;q=0": false, "gzip; q=0.000": false, "gzip;q=x": false, "br": false, "identity": false, "": false, ";": false,
	} {
		answer := ask(t, http.MethodGet, siteconfig.NativePaths, "Accept-Encoding", accepted)
		require.Equal(t, "Accept-Encoding", answer.Header.Get("Vary"))
		if !zipped {
			require.Empty(t, answer.Header.Get("Content-Encoding"), accepted)
			require.Equal(t, script, body(t, answer.Body))
			continue
		}
		require.Equal(t, "gzip", answer.Header.Get("Content-Encoding"), accepted)
		require.NotEqual(t, plain.Header.Get("Etag"), answer.Header.Get("Etag"))
		reader, err := gzip.NewReader(answer.Body)
		require.NoError(t, err)
		require.Equal(t, script, body(t, reader))
	}
}

func TestTheTagHasTheHeadersThatPagesNeed(t *testing.T) {
	answer := ask(t, http.MethodHead, siteconfig.NativePaths)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Empty(t, body(t, answer.Body))
	for name, value := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*",
		"Cross-Origin-Resource-Policy": "cross-origin", "X-Content-Type-Options": "nosniff",
	} {
		require.Equal(t, value, answer.Header.Get(name), name)
	}
}

func TestTheTagIsNotSentAgainToWhoHasIt(t *testing.T) {
	for _, encoding := range []string{"gzip", "identity"} {
		first := ask(t, http.MethodGet, siteconfig.NativePaths, "Accept-Encoding", encoding)
		again := ask(t, http.MethodGet, siteconfig.NativePaths, "Accept-Encoding", encoding, "If-None-Match", first.Header.Get("Etag"))
		require.Equal(t, http.StatusNotModified, again.StatusCode)
		require.Empty(t, body(t, again.Body))
		require.Equal(t, "public, max-age=3600", again.Header.Get("Cache-Control"))
		other := ask(t, http.MethodGet, siteconfig.Paths{Tag: "/a.js", Events: "/in"}, "Accept-Encoding", encoding, "If-None-Match", first.Header.Get("Etag"))
		require.Equal(t, http.StatusOK, other.StatusCode)
	}
}
