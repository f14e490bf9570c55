package api_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

func TestWhoMayAsk(t *testing.T) {
	w := newWorld(t)
	const audiences, erasures = "/v1/sites/shop/audiences", "/v1/sites/shop/privacy/links"
	for _, test := range []struct {
		name, key, path string
		want            int
	}{
		{"a key with all rights", shopKey, audiences, http.StatusOK},
		{"a key with the right", adsKey, audiences, http.StatusOK},
		{"a key without the right", privacyKey, audiences, http.StatusForbidden},
		{"a key without the other right", adsKey, erasures, http.StatusForbidden},
		{"no key", "", audiences, http.StatusUnauthorized},
		{"a wrong key", "key-of-the-shoq", audiences, http.StatusUnauthorized},
		{"the hash of a key", siteconfig.HashKey(shopKey).String(), audiences, http.StatusUnauthorized},
		{"no key and a site that there is not", "", "/v1/sites/nosite/audiences", http.StatusUnauthorized},
		{"the key of another site", blogKey, audiences, http.StatusNotFound},
		{"a site that there is not", shopKey, "/v1/sites/nosite/audiences", http.StatusNotFound},
		{"a site that can't be", shopKey, "/v1/sites/%00/audiences", http.StatusNotFound},
		{"a path that there is not", shopKey, "/v1/sites/shop/nothing", http.StatusNotFound},
		{"a method that there is not", shopKey, "/openapi.json", http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := w.get(test.key, test.path)
			if strings.Contains(test.path, "privacy") {
				answer = w.post(test.key, test.path, `{"visitors":["`+visitor(1).String()+`"]}`)
			}
			require.Equal(t, test.want, answer.status, answer.body)
			if test.want != http.StatusOK {
				answer.problem(t)
			}
			if test.want == http.StatusUnauthorized {
				require.Equal(t, "Bearer", answer.header.Get("WWW-Authenticate"))
			}
		})
	}
	require.Equal(t, []string{"audiences shop", "audiences shop"}, w.asked, "nobody else is asked for")
}

func TestThatASiteIsAnothersAndThatThereIsNoneLookTheSame(t *testing.T) {
	w := newWorld(t)
	id := visitor(1).String()
	for _, path := range []string{"/audiences", "/audiences/cart", "/audiences/no", "/audiences/cart/members?limit=0", "/audiences/cart/sizes", "/visitors/" + id + "/audiences", "/visitors/x/audiences", "/privacy/erasures/" + id} {
		foreign, unknown, nothing := w.get(blogKey, "/v1/sites/shop"+path), w.get(blogKey, "/v1/sites/nosite"+path), w.get(blogKey, "/v1/other")
		require.Equal(t, http.StatusNotFound, foreign.status, path)
		require.Equal(t, foreign, unknown, path)
		require.Equal(t, foreign.body, nothing.body, path)
	}
	for _, path := range []string{"/privacy/access", "/privacy/links", "/privacy/erasures"} {
		for _, body := range []string{`{"visitors":["` + id + `"]}`, "{", ""} {
			foreign, unknown := w.post(blogKey, "/v1/sites/shop"+path, body), w.post(blogKey, "/v1/sites/nosite"+path, body)
			require.Equal(t, http.StatusNotFound, foreign.status, path)
			require.Equal(t, foreign, unknown, path)
		}
	}
	require.Empty(t, w.asked)
	require.Empty(t, w.written)
}

func TestAKeyThatAsksTooOftenIsToldWhenToAskAgain(t *testing.T) {
	w := newWorld(t)
	const path = "/v1/sites/shop/audiences"
	for range 2 {
		require.Equal(t, http.StatusOK, w.get(slowKey, path).status)
	}
	refused := w.get(slowKey, path)
	require.Equal(t, http.StatusTooManyRequests, refused.status)
	require.Equal(t, "1", refused.header.Get("Retry-After"))
	refused.problem(t)
	require.Equal(t, http.StatusOK, w.get(adsKey, path).status, "others have a limit of their own")

	reloaded := func(rate int) {
		sites, err := siteconfig.Parse("onepx.yaml", []byte(sitesFile(rate)))
		require.NoError(t, err)
		w.server.SetSites(sites)
	}
	reloaded(2)
	require.Equal(t, http.StatusTooManyRequests, w.get(slowKey, path).status, "a reload gives no more")
	w.now = w.now.Add(500 * time.Millisecond)
	require.Equal(t, http.StatusOK, w.get(slowKey, path).status)
	reloaded(3)
	require.Equal(t, http.StatusOK, w.get(slowKey, path).status, "another limit holds at once")
}

func TestAKeyThatIsTakenOutIsRefusedFromThenOn(t *testing.T) {
	w := newWorld(t)
	sites, err := siteconfig.Parse("onepx.yaml", []byte("sites: [{id: shop, timezone: UTC, currency: EUR}]"))
	require.NoError(t, err)
	w.server.SetSites(sites)
	require.Equal(t, http.StatusUnauthorized, w.get(shopKey, "/v1/sites/shop/audiences").status)
}

func TestWhatIsWrongBehindTheConsoleIsLoggedAndNotTold(t *testing.T) {
	w := newWorld(t)
	w.err = errors.New("dial tcp 10.0.0.7:9000: refused")
	for _, path := range []string{"/audiences", "/audiences/cart", "/audiences/cart/members", "/visitors/" + visitor(1).String() + "/audiences"} {
		answer := w.get(shopKey, "/v1/sites/shop"+path)
		require.Equal(t, http.StatusServiceUnavailable, answer.status, path)
		require.Equal(t, "1", answer.header.Get("Retry-After"))
		require.Equal(t, "the database does not answer; try again", answer.problem(t))
	}
	for _, path := range []string{"/privacy/links", "/privacy/erasures", "/privacy/access"} {
		answer := w.post(shopKey, "/v1/sites/shop"+path, `{"uids":["anna@example.com"]}`)
		require.Equal(t, http.StatusServiceUnavailable, answer.status, path)
		require.NotContains(t, answer.problem(t), "10.0.0.7")
	}
	require.Contains(t, w.log.String(), "10.0.0.7")
	require.NotContains(t, w.log.String(), "anna")
}
