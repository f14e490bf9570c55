package main

import (
	"bytes"
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
	if asked := int(cold.asked.Load()); asked > len(ids) {
		return nil, fmt.Errorf("%d lookups were more than there are visitors to ask for", asked)
	}
	if err := cold.members(); err != nil {
		return nil, err
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
			for int(asked.asked.Load()) < len(of) {
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
		if err := asked.members(); err != nil {
			return nil, err
		}
		all.Merge(took)
	}
	return all, nil
}

// lookedUp counts requests, and answers that tell of an audience.
type lookedUp struct{ asked, found atomic.Int64 }

// visitorsOf makes the client ask for the visitors in turn.
func visitorsOf(c *client, ids []string) *lookedUp {
	of := &lookedUp{}
	c.ask = func(r *fasthttp.Request) {
		n := of.asked.Add(1) - 1
		r.SetRequestURI("/v1/sites/" + site + "/visitors/" + ids[int(n)%len(ids)] + "/audiences")
		r.Header.Set("Authorization", "Bearer "+lookupKey)
	}
	c.answered = func(body []byte) {
		if bytes.Contains(body, []byte(`"id":"came"`)) {
			of.found.Add(1)
		}
	}
	return of
}

// members is an error unless nearly all who were asked for are in an audience: all but those who refused or are suppressed.
func (l *lookedUp) members() error {
	if asked, found := l.asked.Load(), l.found.Load(); found < asked*9/10 {
		return fmt.Errorf("of %d lookups only %d told of an audience: they were not of the visitors that were made", asked, found)
	}
	return nil
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
	err := w.sql().Query(ctx, fmt.Sprintf("SELECT DISTINCT toString(reinterpret(sipHash128(toUInt64(cityHash64(number) %% %d)), 'UUID')) AS ID FROM numbers(%d)", audienceVisitors, lookupIDs), func(row json.RawMessage) error {
		var one struct{ ID string }
		err := json.Unmarshal(row, &one)
		ids = append(ids, one.ID)
		return err
	})
	return ids, err
}
