package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/valyala/fasthttp"
)

// client sends hits to one server. It takes as little of the cores it shares with the server as a client in Go can.
type client struct {
	host string
	// accept are the answers in the header Onepx-Event that count; empty where the server sends none.
	accept []string
	// more are further parameters of each hit, as `&name=value`.
	more string
	// ask makes a request that is no hit; nil for hits.
	ask func(*fasthttp.Request)
	// answered is told each body that came; nil where nobody wants to know.
	answered func(body []byte)
	http     *fasthttp.HostClient
	sent     atomic.Int64
}

// requestTimeout bounds a request: more than any server here may take.
const requestTimeout = 20 * time.Second

// newClient returns a client of the server at the base URL with so many connections.
func newClient(base string, connections int, accept ...string) (*client, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	return &client{
		host: u.Host, accept: accept,
		http: &fasthttp.HostClient{Addr: u.Host, MaxConns: connections, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, NoDefaultUserAgentHeader: true},
	}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// hitURI is a page view as a tag in a page sends it; an id makes it an event of its own.
const hitURI = "/p.gif?site=" + site + "&e=page_view&u=https%3A%2F%2Fshop.example%2Fproducts%2Fgreen-tea%3Fcolor%3Dred%26utm_source%3Dnews%26utm_campaign%3Dautumn" +
	"&r=https%3A%2F%2Fwww.example.org%2Fsearch%3Fq%3Dtea&t=Green%20tea%20%E2%80%93%20Shop&p.theme=dark&id="

// send sends one hit and returns an error unless it was accepted.
func (c *client) send() error {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetHost(c.host)
	if c.ask != nil {
		c.ask(request)
	} else {
		c.hit(request)
	}
	if err := c.http.DoTimeout(request, response, requestTimeout); err != nil {
		return err
	}
	answer := string(response.Header.Peek("Onepx-Event"))
	if response.StatusCode() >= http.StatusBadRequest || len(c.accept) > 0 && !slices.Contains(c.accept, answer) {
		return fmt.Errorf("%s answered %d %q", c.host, response.StatusCode(), answer)
	}
	if c.answered != nil {
		c.answered(response.Body())
	}
	return nil
}

// hit makes a hit that nobody has sent before.
func (c *client) hit(request *fasthttp.Request) {
	request.SetRequestURI(hitURI + strconv.FormatInt(time.Now().UnixNano(), 36) + strconv.FormatInt(c.sent.Add(1), 36) + c.more)
	asBrowser(request)
}

// asBrowser gives a request the headers of a browser, with a visitor's cookie.
func asBrowser(request *fasthttp.Request) {
	request.Header.Set("User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36")
	request.Header.Set("Accept-Language", "de-DE,de;q=0.9,en;q=0.8")
	request.Header.Set("Cookie", "onepx_v=01890a5d-ac96-774b-bcce-b302099a8057")
}

// warmUp is how long a server is under load before it is measured.
const warmUp = time.Second

// throughput keeps all connections busy and returns the answers per second.
func (c *client) throughput(ctx context.Context, d time.Duration) (float64, error) {
	begin := time.Now().Add(warmUp)
	end := begin.Add(d)
	var counted atomic.Int64
	err := c.eachConnection(ctx, func() error {
		for time.Now().Before(end) && ctx.Err() == nil {
			if err := c.send(); err != nil {
				return err
			}
			if now := time.Now(); now.After(begin) && now.Before(end) {
				counted.Add(1)
			}
		}
		return ctx.Err()
	})
	return float64(counted.Load()) / d.Seconds(), err
}

// latency is the 99th percentile of spread in ms.
func (c *client) latency(ctx context.Context, rate float64, d time.Duration) (float64, error) {
	took, err := c.spread(ctx, rate, d)
	return millis(took, 99), err //nolint:mnd // per cent
}

func millis(took *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(took.ValueAtQuantile(percentile)) / 1000 //nolint:mnd // µs
}

// spread sends so many requests a second, whatever the answers take, and returns the times in µs from when each was due to its
// answer: a server that stalls is charged for all that were due meanwhile.
func (c *client) spread(ctx context.Context, rate float64, d time.Duration) (*hdrhistogram.Histogram, error) {
	const (
		most   = int64(requestTimeout / time.Microsecond)
		digits = 3
	)
	begin := time.Now()
	total := hdrhistogram.New(1, most, digits)
	var mu sync.Mutex
	var next atomic.Int64
	err := c.eachConnection(ctx, func() error {
		mine := hdrhistogram.New(1, most, digits)
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			total.Merge(mine)
		}()
		for ctx.Err() == nil {
			due := begin.Add(time.Duration(float64(next.Add(1)) / rate * float64(time.Second)))
			if due.Sub(begin) > d+warmUp {
				return nil
			}
			time.Sleep(time.Until(due))
			if err := c.send(); err != nil {
				return err
			}
			if due.Sub(begin) > warmUp {
				if err := mine.RecordValue(time.Since(due).Microseconds()); err != nil {
					return err
				}
			}
		}
		return ctx.Err()
	})
	return total, err
}

// eachConnection runs the function once for each connection, at the same time, and returns the first error.
func (c *client) eachConnection(ctx context.Context, do func() error) error {
	errs := make(chan error, c.http.MaxConns)
	var all sync.WaitGroup
	for range c.http.MaxConns {
		all.Go(func() {
			if err := do(); err != nil {
				errs <- err
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return ctx.Err()
	}
}
