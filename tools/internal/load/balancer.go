package load

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// probeEvery is how often a balancer asks whether a target wants traffic, probeTimeout how long it waits for an answer.
const (
	probeEvery   = 200 * time.Millisecond
	probeTimeout = time.Second
)

// balancer picks among targets, those first that say they want traffic. The zero value picks among all.
type balancer struct {
	// ready are the indices of the targets that want traffic.
	ready    atomic.Pointer[[]int]
	watching sync.WaitGroup
}

// watch asks the URLs now, and again and again until the context ends.
func (b *balancer) watch(ctx context.Context, urls []string) {
	client := &http.Client{Timeout: probeTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	b.probe(ctx, client, urls)
	b.watching.Go(func() {
		tick := time.NewTicker(probeEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-tick.C:
				b.probe(ctx, client, urls)
			}
		}
	})
}

func (b *balancer) probe(ctx context.Context, client *http.Client, urls []string) {
	ready := make([]bool, len(urls))
	var asking sync.WaitGroup
	for i, url := range urls {
		asking.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return
			}
			res, err := client.Do(req)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			ready[i] = res.StatusCode/100 == 2
		})
	}
	asking.Wait()
	if ctx.Err() != nil {
		return // what was not answered says nothing about the targets
	}
	var now []int
	for i := range ready {
		if ready[i] {
			now = append(now, i)
		}
	}
	b.ready.Store(&now)
}

// pick returns the index of one of n targets.
func (b *balancer) pick(random *rand.Rand, n int) int {
	ready := b.ready.Load()
	if ready == nil || len(*ready) == 0 {
		return random.IntN(n)
	}
	return (*ready)[random.IntN(len(*ready))]
}
