package load_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/load"
)

// collector answers as a collector does, with what answer says for the n-th request under an event id.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	asked map[string]int
	// open is how many connections are, most how many have been at once.
	open, most atomic.Int64
}

func startCollector(t *testing.T, answer func(n int) (status int, event string)) *collector {
	t.Helper()
	c := &collector{asked: map[string]int{}}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("id")
		c.mu.Lock()
		c.asked[id]++
		n := c.asked[id]
		c.mu.Unlock()
		status, event := answer(n)
		w.Header().Set("Onepx-Event", event)
		w.WriteHeader(status)
	}))
	c.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			if now := c.open.Add(1); now > c.most.Load() {
				c.most.Store(now)
			}
		case http.StateClosed:
			c.open.Add(-1)
		}
	}
	c.Start()
	t.Cleanup(c.Close)
	return c
}

func (c *collector) requests() (events, requests int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.asked {
		requests += n
	}
	return len(c.asked), requests
}

func TestACrowdIsOpenAtOnceAndSendsEachEventOnce(t *testing.T) {
	one := startCollector(t, func(int) (int, string) { return http.StatusOK, "stored" })
	two := startCollector(t, func(int) (int, string) { return http.StatusOK, "spooled" })
	ids := map[uuid.UUID]bool{}
	err := load.Crowd(t.Context(), load.CrowdConfig{
		Targets: []string{one.URL, two.URL}, Site: "demo", Connections: 50, Requests: 333, Workers: 7, Retries: 2, Timeout: 10 * time.Second,
	}, func(r load.Result) {
		require.Equal(t, load.Stored, r.Outcome, r.Answer)
		ids[r.ID] = true
	})
	require.NoError(t, err)
	require.Len(t, ids, 333)
	first, _ := one.requests()
	second, _ := two.requests()
	require.Equal(t, 333, first+second)
	require.EqualValues(t, 25, one.most.Load())
	require.EqualValues(t, 25, two.most.Load())
}

func TestACrowdRetriesUnderTheSameIDButNotForEver(t *testing.T) {
	for name, c := range map[string]struct {
		stored   int // the request that is answered as stored
		outcome  string
		requests int
	}{
		"the third is stored": {3, load.Stored, 3},
		"none is":             {100, load.Unknown, 6},
	} {
		t.Run(name, func(t *testing.T) {
			collector := startCollector(t, func(n int) (int, string) {
				if n >= c.stored {
					return http.StatusOK, "stored"
				}
				return http.StatusServiceUnavailable, "rejected; reason=spool_full"
			})
			err := load.Crowd(t.Context(), load.CrowdConfig{
				Targets: []string{collector.URL}, Site: "demo", Connections: 1, Requests: 1, Workers: 1, Retries: 5, Timeout: 10 * time.Second,
			}, func(r load.Result) {
				require.Equal(t, c.outcome, r.Outcome)
				require.Equal(t, c.requests, r.Requests)
			})
			require.NoError(t, err)
			events, requests := collector.requests()
			require.Equal(t, 1, events)
			require.Equal(t, c.requests, requests)
		})
	}
}

func TestBalancedLoadGoesToWhoWantsIt(t *testing.T) {
	busy := startCollector(t, func(int) (int, string) { return http.StatusServiceUnavailable, "rejected; reason=stopping" })
	free := startCollector(t, func(int) (int, string) { return http.StatusOK, "stored" })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	load.Run(ctx, load.Config{
		Targets: []string{busy.URL, free.URL}, Ready: []string{busy.URL, free.URL},
		Site: "demo", Rate: 500, Visitors: 5, Timeout: 10 * time.Second, InFlight: 50,
	}, func(r load.Result) {
		require.Equal(t, load.Stored, r.Outcome, r.Answer)
		require.Zero(t, r.Turned)
		if seen++; seen == 100 {
			cancel()
		}
	})
	require.GreaterOrEqual(t, seen, 100)
}

func TestTheShopSendsWhatConversionsAreMadeOf(t *testing.T) {
	collector := startCollector(t, func(int) (int, string) { return http.StatusOK, "stored" })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent []*answers.Event
	load.Run(ctx, load.Config{
		Targets: []string{collector.URL}, Site: "demo", Rate: 5000, Visitors: 20, Seed: 1, Timeout: 10 * time.Second, InFlight: 50,
	}, func(r load.Result) {
		require.Equal(t, r.ID.String(), r.Event.ID)
		if sent = append(sent, r.Event); len(sent) == 3000 {
			cancel()
		}
	})
	touches, follow, sold := map[string]int{}, map[string]int{}, map[string]int{}
	for _, e := range sent {
		touches[e.TouchKind()]++
		if e.Name == "purchase" {
			sold[e.OrderID]++
		}
	}
	for _, e := range sent {
		if e.Kind() == "order" {
			follow[fmt.Sprintf("%s value=%t items=%t", e.Name, e.Value != "", len(e.Items) > 0)]++
			require.Positive(t, sold[e.OrderID], "the order of %s was sold", e.Name)
		}
	}
	for _, kind := range []string{"click", "view", "direct"} {
		require.Positive(t, touches[kind], kind)
	}
	for _, kind := range []string{"refund value=true items=false", "refund value=false items=true", "refund value=false items=false", "cancel value=false items=false"} {
		require.Positive(t, follow[kind], kind)
	}
	require.Greater(t, follow["purchase value=true items=true"], len(sold), "an order's page is loaded again under another event id")
}
