package load

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// CrowdConfig says how many come at once.
type CrowdConfig struct {
	// Targets are base URLs of collectors; the connections are shared out evenly.
	Targets []string
	Site    string
	// Connections are open at once, from before the second request of the first to after the last request of all.
	Connections int
	// Requests is how many events are sent, one a request, on the connections in turn.
	Requests int
	// Workers is how many requests may be without an answer at once; at most as many as there are connections.
	Workers int
	// Retries is how often an event that was not answered as stored is sent again under the same id.
	Retries int
	Seed    uint64
	// Timeout bounds one request.
	Timeout time.Duration
}

// Crowd opens all the connections, sends all the events on them, and closes them. Results come as those of Run do. A
// connection that does not open, or ends before its last answer, is an error.
func Crowd(ctx context.Context, cfg CrowdConfig, result func(Result)) error {
	c := &crowd{CrowdConfig: cfg, shop: newShop(Config{Site: cfg.Site, Visitors: cfg.Connections, Seed: cfg.Seed}), result: result}
	errs := make(chan error, cfg.Workers)
	var working, opened sync.WaitGroup
	opened.Add(cfg.Workers)
	for worker := range cfg.Workers {
		working.Go(func() { errs <- c.work(ctx, worker, &opened) })
	}
	working.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

type crowd struct {
	CrowdConfig
	shop   *shop
	mu     sync.Mutex
	result func(Result)
}

// guest is a connection with its reader.
type guest struct {
	net.Conn
	target string
	reader *bufio.Reader
}

// work opens every Workers-th connection and sends an event on each, so that the collector does not take it for one that
// says nothing; when all workers have, it sends every Workers-th of the other events.
func (c *crowd) work(ctx context.Context, worker int, opened *sync.WaitGroup) error {
	var guests []*guest
	defer func() {
		for _, g := range guests {
			_ = g.Close()
		}
	}()
	var failed error
	for i := worker; i < c.Connections && failed == nil; i += c.Workers {
		var g *guest
		if g, failed = c.open(ctx, i); failed == nil {
			guests = append(guests, g)
			failed = c.deliver(g, int64(i))
		}
	}
	opened.Done()
	opened.Wait()
	turn := 0
	for n := c.Connections + worker; n < c.Requests && failed == nil; n += c.Workers {
		if failed = ctx.Err(); failed == nil {
			failed = c.deliver(guests[turn%len(guests)], int64(n))
		}
		turn++
	}
	return failed
}

func (c *crowd) open(ctx context.Context, number int) (*guest, error) {
	target := c.Targets[number%len(c.Targets)]
	address, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{Timeout: c.Timeout}).DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return nil, fmt.Errorf("connection %d: %w", number, err)
	}
	return &guest{Conn: conn, target: target, reader: bufio.NewReader(conn)}, nil
}

// deliver sends the event and its retries.
func (c *crowd) deliver(g *guest, number int64) error {
	id := EventID(c.Seed, number)
	hit := c.shop.hit(rand.New(rand.NewPCG(c.Seed, uint64(number))), id)
	out := Result{Number: number, ID: id, Event: hit.event, Outcome: Refused}
	var failed error
	for out.Outcome != Stored && out.Requests <= c.Retries && failed == nil {
		var outcome string
		outcome, out.Answer, failed = c.request(g, hit)
		if out.Requests++; outcome == Stored || outcome == Unknown {
			out.Outcome = outcome
		}
		if outcome != Stored && answered(out.Answer) {
			out.Turned++
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result(out)
	return failed
}

func (c *crowd) request(g *guest, hit hit) (outcome, answer string, err error) {
	req, err := hit.request(g.target)
	if err != nil {
		return Refused, "", err
	}
	if err := g.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return Refused, "", err
	}
	if err := req.Write(g); err != nil {
		return Unknown, err.Error(), err
	}
	res, err := http.ReadResponse(g.reader, req)
	if err != nil {
		return Unknown, err.Error(), err
	}
	outcome, answer = read(res, hit)
	if res.Close {
		err = fmt.Errorf("the collector closes the connection with %q", answer)
	}
	return outcome, answer, err
}
