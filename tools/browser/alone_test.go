//go:build integration

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// away is a page with the tag, and a collector that cuts every connection for so long after the first request for it.
type away struct {
	script []byte
	outage time.Duration

	mu          sync.Mutex
	first, last time.Time
	tries       int
	got         string
}

func (a *away) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html")
		// An old library has put a function into every object.
		_, _ = fmt.Fprint(w, `<script>Object.prototype.extend = function () {}</script><script src="/t.js" data-site="shop"></script>`)
	case "/t.js":
		_, _ = w.Write(a.script)
	case "/e", "/p.gif":
		a.mu.Lock()
		defer a.mu.Unlock()
		a.last = time.Now()
		if a.tries == 0 {
			a.first = a.last
		}
		a.tries++
		if a.last.Sub(a.first) < a.outage {
			panic(http.ErrAbortHandler)
		}
		a.got = r.URL.RawQuery
		w.WriteHeader(http.StatusNoContent)
	}
}

// TestATagThatHasHadNoAnswerWaitsBetweenItsTries: a collector that is away when the page loads is not stormed, and gets the
// event when it is back.
func TestATagThatHasHadNoAnswerWaitsBetweenItsTries(t *testing.T) {
	script, err := os.ReadFile("../../services/collector/internal/tag/t.min.js")
	require.NoError(t, err)
	a := &away{script: script, outage: 2 * time.Second}
	server := httptest.NewServer(a)
	defer server.Close()
	start(t).visit(strings.Replace(server.URL, "127.0.0.1", "shop.localhost", 1))
	require.Eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.got != ""
	}, patience, glance)
	a.mu.Lock()
	defer a.mu.Unlock()
	require.Less(t, a.tries, 20, "two or three tries in three ways each, which the browser may repeat once")
	require.NotContains(t, a.got, "extend")
}
