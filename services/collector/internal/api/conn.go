package api

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/onepx/onepx/services/shared/reason"
)

const (
	// spare is how long a connection may be without a request at work before it is closed where others need its place. A
	// request that has been sent is read by then.
	spare = time.Second
	// maxHeadersBytes is how much the headers of all connections may take as they are sent; in memory they take a few times
	// that. Enough for tens of thousands of usual requests at once.
	maxHeadersBytes = 32 << 20
)

// conns are the connections of a server, and keep to its limits. They also count what net/http refuses itself (raw spaces
// in the URL, headers too large or too slow …), which reaches no handler and no hook. But it writes its refusal to the
// connection, or closes it: so a write or an end between two requests, while no handler has begun, is one.
//
//	accepted → waiting      headers arrive → begun      handler begins → answering      ConnState idle → waiting
//	write, or end after begun, without answering → refused, counted
type conns struct {
	// max is how many there may be, or 0.
	max     int
	refused func(reason.Reason)
	headers atomic.Int64 // bytes, see maxHeadersBytes

	mu   sync.Mutex
	open int
	// waiting are those without a request at work, the one that has been so for longest in front.
	waiting *list.List
	// freed has a value after a place was freed.
	freed chan struct{}

	closed, waits metric.Int64Counter
}

func newConns(most int, refused func(reason.Reason), meter metric.Meter) (*conns, error) {
	c := &conns{max: most, refused: refused, waiting: list.New()}
	ctx := context.Background()
	_, err := meter.Int64ObservableGauge("onepx_collector_connections_open",
		metric.WithDescription("Connections of visitors; at ONEPX_MAX_CONNECTIONS new ones take the place of idle ones, or wait."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			o.Observe(int64(c.open))
			return nil
		}))
	if err != nil {
		return nil, err
	}
	c.closed, err = meter.Int64Counter("onepx_collector_connections_displaced_total",
		metric.WithDescription("Connections without a request at work that were closed to make room for new ones."))
	if err != nil {
		return nil, err
	}
	c.waits, err = meter.Int64Counter("onepx_collector_connections_delayed_total",
		metric.WithDescription("New connections that waited because all others were at work."))
	if err != nil {
		return nil, err
	}
	c.closed.Add(ctx, 0)
	c.waits.Add(ctx, 0)
	return c, nil
}

// watch sets the hooks of the server. The listener it serves must come from listen.
func (c *conns) watch(server *http.Server) {
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	server.ConnState = func(conn net.Conn, state http.ConnState) {
		if watched, ok := conn.(*watchedConn); ok {
			watched.is(state)
		}
	}
	inner := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if watched, ok := r.Context().Value(connKey{}).(*watchedConn); ok {
			watched.answers()
		}
		inner.ServeHTTP(w, r)
	})
}

type connKey struct{}

// take waits until there is a place for one more connection, or the listener is closed.
func (c *conns) take(ended <-chan struct{}) bool {
	for delayed := false; ; delayed = true {
		wait, ok := c.tryTake()
		if ok {
			return true
		}
		if !delayed {
			c.waits.Add(context.Background(), 1)
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.freed:
		case <-timer.C:
		case <-ended:
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// tryTake takes a free place or that of the connection that has waited for longest, or returns when to try again at the
// latest.
func (c *conns) tryTake() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.max == 0 || c.open < c.max {
		c.open++
		return 0, true
	}
	oldest := c.waiting.Front()
	if oldest == nil {
		return spare, false
	}
	conn, _ := oldest.Value.(*watchedConn)
	if rest := spare - time.Since(conn.since); rest > 0 {
		return rest, false
	}
	c.leave(conn)
	conn.displaced = true
	_ = conn.Conn.Close() // the server will notice
	c.closed.Add(context.Background(), 1)
	return 0, true
}

// wait adds the connection to those that wait, with mu held.
func (c *conns) wait(conn *watchedConn) {
	if !conn.displaced {
		conn.since, conn.place = time.Now(), c.waiting.PushBack(conn)
	}
}

// leave is the opposite; it does nothing if the connection does not wait.
func (c *conns) leave(conn *watchedConn) {
	if conn.place != nil {
		c.waiting.Remove(conn.place)
		conn.place = nil
	}
}

// free gives back the place of a connection that has ended, with mu held.
func (c *conns) free(conn *watchedConn) {
	c.leave(conn)
	if conn.displaced {
		return // another has it already
	}
	c.open--
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// listen wraps the connections of the listener.
func (c *conns) listen(inner net.Listener) net.Listener {
	c.freed = make(chan struct{}, 1)
	return &watchedListener{Listener: inner, conns: c, ended: make(chan struct{})}
}

type watchedListener struct {
	net.Listener
	conns *conns
	once  sync.Once
	ended chan struct{}
}

// Accept waits for the next connection and a place for it. Meanwhile those who connect wait in the system's queue.
func (l *watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.conns.take(l.ended) {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	watched := &watchedConn{Conn: conn, conns: l.conns}
	l.conns.mu.Lock()
	defer l.conns.mu.Unlock()
	l.conns.wait(watched)
	return watched, nil
}

// Close also ends the wait for a place.
func (l *watchedListener) Close() error {
	l.once.Do(func() { close(l.ended) })
	return l.Listener.Close()
}

// watchedConn is a connection that knows whether a handler is at work.
type watchedConn struct {
	net.Conn
	conns *conns

	begun, answering, crowded atomic.Bool
	// headers is how much of conns.headers it holds.
	headers atomic.Int64

	// place is that among conns.waiting, since is when it got it; displaced tells that its place was given to another. All
	// are under conns.mu.
	place     *list.Element
	since     time.Time
	displaced bool
}

// Read gives a request more than the first buffer for its headers only while those of all connections leave memory for it.
func (c *watchedConn) Read(b []byte) (int, error) {
	if c.answering.Load() {
		return c.Conn.Read(b)
	}
	if c.headers.Load() > 0 && c.conns.headers.Load() > maxHeadersBytes {
		c.crowded.Store(true)
		return 0, os.ErrDeadlineExceeded // as of one that is too slow: net/http says nothing then
	}
	n, err := c.Conn.Read(b)
	c.headers.Add(int64(n))
	c.conns.headers.Add(int64(n))
	return n, err
}

// Write counts what is no handler's.
func (c *watchedConn) Write(b []byte) (int, error) {
	if !c.answering.Swap(true) {
		c.conns.refused(reason.MalformedRequest)
	}
	return c.Conn.Write(b)
}

// answers says that a handler begins.
func (c *watchedConn) answers() {
	c.answering.Store(true)
	c.conns.mu.Lock()
	defer c.conns.mu.Unlock()
	c.conns.leave(c)
}

// is takes note of the state that net/http tells.
func (c *watchedConn) is(state http.ConnState) {
	switch state {
	case http.StateActive:
		c.begun.Store(true)
	case http.StateIdle:
		c.release()
		c.begun.Store(false)
		c.crowded.Store(false)
		c.answering.Store(false)
		c.conns.mu.Lock()
		defer c.conns.mu.Unlock()
		c.conns.wait(c)
	case http.StateClosed:
		c.release()
		if c.begun.Load() && !c.answering.Load() {
			c.conns.refused(c.why())
		}
		c.conns.mu.Lock()
		defer c.conns.mu.Unlock()
		c.conns.free(c)
	}
}

// why is the reason for which a request ended before a handler began.
func (c *watchedConn) why() reason.Reason {
	if c.crowded.Load() {
		return reason.Overloaded
	}
	return reason.MalformedRequest
}

func (c *watchedConn) release() { c.conns.headers.Add(-c.headers.Swap(0)) }

// refused counts a request that net/http refused.
func (s *Server) refused(word reason.Reason) {
	ctx := context.Background()
	s.metrics.received.Add(ctx, 1)
	s.metrics.end(ctx, word, nil)
}
