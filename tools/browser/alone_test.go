//go:build integration

package browser_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// away is a page with the tag, and a collector that is away for so long after the first request for it.
type away struct {
	script []byte
	outage time.Duration
	refuse func(http.ResponseWriter)

	mu    sync.Mutex
	first time.Time
	tries int
	got   string // URL and body of the first request that is answered
}

func (a *away) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html")
		// An old library has put a function into every object, and a new one has frozen what it could.
		_, _ = fmt.Fprintf(w, `<script>Object.prototype.extend = function () {}; Object.freeze(history)</script><script src="http://px.localhost:%s/t.js" data-site="shop"></script><script>onepx("track", "signup", {id: ""})</script>`, port("http://"+r.Host))
	case "/t.js":
		_, _ = w.Write(a.script)
	case "/e", "/p.gif":
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.tries == 0 {
			a.first = time.Now()
		}
		a.tries++
		if time.Since(a.first) < a.outage {
			a.refuse(w)
			return
		}
		body, _ := io.ReadAll(r.Body)
		a.got = cmp.Or(a.got, r.URL.RawQuery+" "+string(body))
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.WriteHeader(http.StatusNoContent)
	}
}

// TestATagThatHasHadNoAnswerWaitsBetweenItsTries: a collector that is away when the page loads is not stormed, and gets the
// event when it is back.
func TestATagThatHasHadNoAnswerWaitsBetweenItsTries(t *testing.T) {
	script, err := os.ReadFile("../../services/collector/internal/tag/t.min.js")
	require.NoError(t, err)
	b := start(t)
	for name, refuse := range map[string]func(http.ResponseWriter){
		"nobody answers": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"a proxy answers, which knows no CORS of us": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
	} {
		t.Run(name, func(t *testing.T) {
			a := &away{script: script, outage: 2 * time.Second, refuse: refuse}
			server := httptest.NewServer(a)
			defer server.Close()
			b.visit(strings.Replace(server.URL, "127.0.0.1", "shop.localhost", 1))
			require.Eventually(t, func() bool {
				a.mu.Lock()
				defer a.mu.Unlock()
				return a.got != ""
			}, 15*time.Second, glance)
			a.mu.Lock()
			defer a.mu.Unlock()
			require.Less(t, a.tries, 20, "two or three tries in three ways each, which the browser may repeat once")
			require.NotContains(t, a.got, "extend")
			require.Len(t, eventID.FindAllString(a.got, -1), 2)
			require.NotContains(t, a.got, `"id":""`, "without an id a repeat would count")
		})
	}
}
