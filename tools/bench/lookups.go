package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

const (
	lookupKey  = "key of the bench"
	lookupRate = 1000 // a second
	// lookupIDs is how many visitors there are to ask for, lookupConnections how many requests there are at once.
	lookupIDs         = 200_000
	lookupConnections = 64
	lookupTime        = 20 * time.Second
	// Of visitors whose answers are kept: how many in a round, for how long they are asked for, and how many rounds. With the second
	// before it is measured, a round must end well within the two seconds for which answers are kept, or it measures new ones; so would
	// one of the same visitors as the round before.
	keptIDs, keptTime, keptRounds = 100, 300 * time.Millisecond, 15
)

// lookups asks a console for the audiences of visitors.
func (w *world) lookups(ctx context.Context) ([]number, error) {
	if err := w.configure(fmt.Sprintf("    api_keys: [{name: bench, key: \"sha256:%x\", rights: [audiences], rate_limit: 10000}]\n", sha256.Sum256([]byte(lookupKey)))); err != nil {
		return nil, err
	}
	console, err := w.pipeline.StartConsole(ctx, "console", "ONEPX_LOOKUP_QUERIES=1") // as docs/console.md has it for two cores
	if err != nil {
		return nil, err
	}
	defer func() { _ = console.Stop() }()
	ids, err := w.visitorIDs(ctx)
	if err != nil {
		return nil, err
	}
	c, err := newClient(console.URL, lookupConnections)
	if err != nil {
		return nil, err
	}
	defer c.close()
	cold := visitorsOf(c, ids)
	took, err := c.spread(ctx, lookupRate, lookupTime)
	if err != nil {
		return nil, err
	}
	numbers := percentiles("lookup_new", "of new visitors", took, atMost(15))
	perSecond, err := c.throughput(ctx, lookupTime/2)
	if err != nil {
		return nil, err
	}
	if asked := int(cold.Load()); asked > len(ids) {
		return nil, fmt.Errorf("%d lookups were more than there are visitors to ask for", asked)
	}
	kept, err := keptLookups(ctx, c, ids)
	if err != nil {
		return nil, err
	}
	numbers = append(numbers, percentiles("lookup_kept", "of visitors whose answers are kept", kept, atMost(5))...)
	return append(numbers, number{"lookups_per_second", perSecond, "/s", nil, fmt.Sprintf("lookups of new visitors a second, over %d connections", lookupConnections)}), nil
}

// keptLookups asks again and again for visitors who were just asked for; of all ids it takes the first.
func keptLookups(ctx context.Context, c *client, ids []string) (*hdrhistogram.Histogram, error) {
	all := hdrhistogram.New(1, int64(requestTimeout/time.Microsecond), 3)
	for round := range keptRounds {
		of := ids[round*keptIDs : (round+1)*keptIDs]
		asked := visitorsOf(c, of)
		if err := c.eachConnection(ctx, func() error {
			for int(asked.Load()) < len(of) {
				if err := c.send(); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
		took, err := c.spread(ctx, lookupRate, keptTime)
		if err != nil {
			return nil, err
		}
		all.Merge(took)
	}
	return all, nil
}

// visitorsOf makes the client ask for the visitors in turn; the counter is how many requests there were.
func visitorsOf(c *client, ids []string) *atomic.Int64 {
	next := &atomic.Int64{}
	c.ask = func(r *fasthttp.Request) {
		n := next.Add(1) - 1
		r.SetRequestURI("/v1/sites/" + site + "/visitors/" + ids[int(n)%len(ids)] + "/audiences")
		r.Header.Set("Authorization", "Bearer "+lookupKey)
	}
	return next
}

func percentiles(name, about string, took *hdrhistogram.Histogram, p99 *goal) []number {
	return []number{
		{name + "_p50", millis(took, 50), "ms", nil, fmt.Sprintf("lookups %s at %d a second, median", about, lookupRate)}, //nolint:mnd // per cent
		{name + "_p99", millis(took, 99), "ms", p99, "p99 of it"},                                                         //nolint:mnd // per cent
	}
}

// visitorIDs are some of those who have hits, each once.
func (w *world) visitorIDs(ctx context.Context) ([]string, error) {
	var ids []string
	err := w.sql().Query(ctx, fmt.Sprintf("SELECT DISTINCT toString(reinterpret(sipHash128(cityHash64(number) %% %d), 'UUID')) AS ID FROM numbers(%d)", audienceVisitors, lookupIDs), func(row json.RawMessage) error {
		var one struct{ ID string }
		err := json.Unmarshal(row, &one)
		ids = append(ids, one.ID)
		return err
	})
	return ids, err
}
