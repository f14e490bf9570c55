package api

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/onepx/onepx/services/shared/reason"
)

// What net/http refuses itself (raw spaces in the URL, headers too large, no Host …) reaches no handler and no hook. But it
// writes its refusal to the connection: so a write between two requests, while no handler has begun, is one.
//
//	handler begins  → answering       ConnState idle → waiting       write while waiting → refused, counted

// watchedConn is a connection that knows whether a handler is at work.
type watchedConn struct {
	net.Conn
	answering atomic.Bool
	refused   func()
}

// Write counts what is no handler's.
func (c *watchedConn) Write(b []byte) (int, error) {
	if !c.answering.Swap(true) {
		c.refused()
	}
	return c.Conn.Write(b)
}

// watchedListener wraps the connections of a listener.
type watchedListener struct {
	net.Listener
	refused func()
}

// Accept waits for the next connection.
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn, refused: l.refused}, nil
}

type connKey struct{}

// watch makes the server count refusals of net/http as malformed requests. The listener it serves must be watched too.
func (s *Server) watch(server *http.Server) {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if watched, ok := c.(*watchedConn); ok && state == http.StateIdle {
			watched.answering.Store(false)
		}
	}
	inner := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if watched, ok := r.Context().Value(connKey{}).(*watchedConn); ok {
			watched.answering.Store(true)
		}
		inner.ServeHTTP(w, r)
	})
}

// refused counts a request that net/http refused.
func (s *Server) refused() {
	ctx := context.Background()
	s.metrics.received.Add(ctx, 1)
	s.metrics.end(ctx, reason.MalformedRequest, nil)
}
