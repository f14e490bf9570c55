package api_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/siteconfig"
)

func parsed(t *testing.T, text string) *siteconfig.Config {
	t.Helper()
	config, err := siteconfig.Parse("onepx.yaml", []byte(text))
	require.NoError(t, err)
	return config
}

const newSite = "  - {id: new, timezone: UTC, currency: USD, allowed_origins: [\"https://new.example\"]}\n"

func TestANewSiteWorksAndARemovedOneIsUnknown(t *testing.T) {
	e := start(t)
	require.Equal(t, "rejected; reason=site_unknown", e.get("/p.gif?site=new").onepx())
	e.server.SetSites(parsed(t, sites+newSite))
	got := e.get("/p.gif?site=new", "Origin", "https://new.example")
	require.Equal(t, "stored", got.onepx())
	require.Equal(t, "https://new.example", got.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", e.do(http.MethodOptions, "/e", "Origin", "https://new.example").Header.Get("Access-Control-Allow-Credentials"))

	e.server.SetSites(parsed(t, "sites:\n"+newSite))
	require.Equal(t, "stored", e.get("/p.gif?site=new").onepx())
	require.Equal(t, "rejected; reason=site_unknown", e.get("/p.gif?site=shop").onepx())
	require.Equal(t, http.StatusUnauthorized, e.post("/v1/events", `{}`, withKey...).StatusCode)
	require.Empty(t, e.do(http.MethodOptions, "/e", "Origin", "https://shop.example").Header.Get("Access-Control-Allow-Credentials"))
}

func TestARateLimitIsKeptWhenItIsNotChanged(t *testing.T) {
	e := start(t)
	full := "[" + strings.Repeat(`{"site":"slow","c":0},`, 499) + `{"site":"slow","c":0}]`
	e.post("/e", full) // opted out, but they count against the rate
	require.Equal(t, http.StatusTooManyRequests, e.post("/e", `{"site":"slow"}`).StatusCode)
	e.server.SetSites(parsed(t, sites+newSite))
	require.Equal(t, http.StatusTooManyRequests, e.post("/e", `{"site":"slow"}`).StatusCode)
	e.server.SetSites(parsed(t, strings.Replace(sites, "rate_limit: 10", "rate_limit: 20", 1)))
	require.Equal(t, "stored", e.post("/e", `{"site":"slow"}`).onepx())
}

// TestARequestKeepsTheConfigurationItBeganWith has the site removed while the event is on its way.
func TestARequestKeepsTheConfigurationItBeganWith(t *testing.T) {
	e := start(t)
	e.publisher.holds = make(chan struct{})
	answered := make(chan answer, 1)
	go func() { answered <- e.get("/p.gif?site=shop", "Origin", "https://shop.example") }()
	require.Eventually(t, func() bool { return e.publisher.waiting.Load() == 1 }, patience, tick)
	e.server.SetSites(parsed(t, "sites:\n"+newSite))
	close(e.publisher.holds)
	got := <-answered
	require.Equal(t, "stored", got.onepx())
	require.Equal(t, "https://shop.example", got.Header.Get("Access-Control-Allow-Origin"))
}

func TestNoRequestIsDroppedByReloads(t *testing.T) {
	e := start(t)
	configs := []*siteconfig.Config{parsed(t, sites), parsed(t, sites+newSite)}
	var visitors sync.WaitGroup
	var sent, bad atomic.Int64
	done := make(chan struct{})
	for range 8 {
		visitors.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				got := e.get("/p.gif?site=shop")
				sent.Add(1)
				if got.onepx() != "stored" || len(got.body) != 43 {
					bad.Add(1)
				}
			}
		})
	}
	for i := range 100 {
		e.server.SetSites(configs[i%2])
		before := sent.Load()
		require.Eventually(t, func() bool { return sent.Load() > before+2 }, patience, tick)
	}
	close(done)
	visitors.Wait()
	require.Zero(t, bad.Load())
	require.Len(t, e.publisher.events, int(sent.Load()))
	require.Equal(t, int(sent.Load()), e.counters()[`onepx_collector_events_total{outcome="stored",reason=""}`])
}
