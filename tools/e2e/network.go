package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/onepx/onepx/tools/internal/localstack"
)

// pair is two parts with a proxy between them. The other collector and the other consumer have none: so what fails for one
// goes on for the other, and who is cut off meets what was done meanwhile.
type pair int

// The pairs.
const (
	clientToCollector pair = iota
	collectorToKafka
	consumerToKafka
	consumerToClickHouse
	pairs
)

func (p pair) String() string {
	return [...]string{"client-collector", "collector-kafka", "consumer-kafka", "consumer-clickhouse"}[p]
}

// proxy is between a pair.
type proxy struct {
	*toxiproxy.Proxy
}

// newProxies makes the proxies, which do not know yet where they lead to.
func newProxies() (proxies [pairs]proxy, ports *localstack.Ports, err error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics log on their own
	if ports, err = localstack.ReservePorts(int(pairs)); err != nil {
		return proxies, nil, err
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	for p := range pairs {
		proxies[p] = proxy{toxiproxy.NewProxy(server, p.String(), localstack.Loopback(ports.Numbers[p]), "")}
	}
	return proxies, ports, nil
}

// lead starts the proxy in front of the address.
func (p proxy) lead(address string) error {
	p.Upstream = address
	return p.Start()
}

// The directions of a connection: upstream is from who opened it.
const (
	upstream   = "upstream"
	downstream = "downstream"
)

// toxic is one of toxiproxy's.
type toxic struct {
	kind, stream string
	attributes   map[string]int
}

// poison lets the proxy do something to all its connections, those it has and new ones.
func (p proxy) poison(toxics ...toxic) error {
	for _, t := range toxics {
		text, err := json.Marshal(map[string]any{"type": t.kind, "stream": t.stream, "attributes": t.attributes})
		if err != nil {
			return err
		}
		if _, err := p.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
			return fmt.Errorf("toxic %s of %s: %w", t.kind, p.Name, err)
		}
	}
	return nil
}

// heal closes all connections and lets new ones through as they are.
func (p proxy) heal(ctx context.Context) error {
	p.Stop()
	p.Toxics.ResetToxics(ctx)
	return p.Start()
}

// trouble is something that happens to connections, and for how long.
type trouble struct {
	name   string
	toxics []toxic
	lasts  time.Duration
}

// halfOpen is longer than all timeouts: of the load, of publishing, of inserting, and of the consumers' group.
const halfOpen = 14 * time.Second

// troubles are what can happen to the connections of a pair, in a random order and at random places in the stream.
func (w *world) troubles() []trouble {
	some := func(low, high int) int { return low + w.random.IntN(high-low) }
	stream := []string{upstream, downstream}[w.random.IntN(2)]
	list := []trouble{
		{"slow", []toxic{
			{"latency", upstream, map[string]int{"latency": some(100, 400), "jitter": 100}},
			{"latency", downstream, map[string]int{"latency": some(100, 400), "jitter": 100}},
			{"bandwidth", upstream, map[string]int{"rate": some(50, 200)}},
		}, 8 * time.Second},
		// The request arrives, the answer does not.
		{"answers reset", []toxic{{"reset_peer", downstream, map[string]int{"timeout": some(0, 50)}}}, 4 * time.Second},
		{"requests reset", []toxic{{"reset_peer", upstream, map[string]int{"timeout": some(0, 50)}}}, 3 * time.Second},
		{"cut in the middle", []toxic{{"limit_data", stream, map[string]int{"bytes": some(100, 20000)}}}, 5 * time.Second},
		{"closed late", []toxic{{"slow_close", stream, map[string]int{"delay": some(500, 3000)}}}, 3 * time.Second},
		{"half-open", []toxic{{"timeout", upstream, map[string]int{"timeout": 0}}, {"timeout", downstream, map[string]int{"timeout": 0}}}, halfOpen},
	}
	w.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// network slows, resets, cuts and silences the connections between a pair.
func network(p pair) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		for _, t := range w.troubles() {
			w.between(ctx, time.Second, 2*time.Second)
			if err := w.proxies[p].poison(t.toxics...); err != nil {
				return err
			}
			w.pause(ctx, t.lasts)
			if err := w.proxies[p].heal(ctx); err != nil {
				return err
			}
		}
		return w.allReady(ctx, append(w.collectors, w.consumers...))
	}
}
