//go:build integration

package browser_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// aheadOf is the script of the page that has another one rendered ahead, and goes there when the server says so.
const aheadOf = `<script type="speculationrules">{"prerender": [{"urls": ["/next"], "eagerness": "immediate"}]}</script>
<script>fetch("/go").then(() => { location.href = "/next" })</script>`

func TestAPageThatIsRenderedAheadCountsWhenItIsVisited(t *testing.T) {
	script, err := os.ReadFile("../../services/collector/internal/tag/t.min.js")
	require.NoError(t, err)
	events, rendered, visit := make(chan string, 10), make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/":
			_, _ = fmt.Fprint(w, aheadOf)
		case "/next":
			// By the second answer a tag that does not wait would long have sent its event.
			_, _ = fmt.Fprint(w, `<script src="/t.js" data-site="shop"></script><script>if (document.prerendering) fetch("/ran").then(() => fetch("/ran?again"))</script>`)
		case "/t.js":
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write(script)
		case "/ran":
			if r.URL.RawQuery != "" {
				close(rendered)
			}
		case "/go":
			select {
			case <-visit:
			case <-r.Context().Done():
			}
		case "/e":
			body, _ := io.ReadAll(r.Body)
			events <- string(body)
		}
	}))
	t.Cleanup(server.Close)
	b := start(t)
	// Chromium prerenders nothing for a page that is being watched.
	_, err = chromedp.CallBrowser(b.ctx, target.CreateTarget, target.CreateTargetParams{URL: strings.Replace(server.URL, "127.0.0.1", "shop.localhost", 1)})
	require.NoError(t, err)
	select {
	case <-rendered:
	case <-time.After(patience):
		t.Fatal("the page is not rendered ahead")
	}
	require.Empty(t, events)
	close(visit)
	select {
	case body := <-events:
		require.Contains(t, body, `"e":"page_view"`)
		require.Contains(t, body, "/next")
	case <-time.After(patience):
		t.Fatal("the visit does not count")
	}
}
