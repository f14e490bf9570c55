package api_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/api"
	"github.com/onepx/onepx/services/shared/reason"
)

const (
	// patience is how long these tests wait for what must happen, tick is how often they look.
	patience = 20 * time.Second
	tick     = time.Millisecond

	pixelRequest = "GET /p.gif?site=shop HTTP/1.1\r\nHost: px\r\n\r\n"
	// partOfRequest are headers that do not end.
	partOfRequest = "GET /p.gif?site=shop HTTP/1.1\r\nHost: px\r\nX-Slow: "
)

// inVirtualTime serves pipes in made-up time, at most so many at once. dial returns the visitor's end of a new one.
func inVirtualTime(t *testing.T, most int, test func(t *testing.T, e *edge, dial func() net.Conn)) {
	t.Helper()
	e, server := build(t, func(deps *api.Deps) { deps.MaxConnections = most })
	synctest.Test(t, func(t *testing.T) {
		listener := make(pipes, 100)
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		var ends []net.Conn
		test(t, e, func() net.Conn {
			ours, theirs := net.Pipe()
			listener <- theirs
			ends = append(ends, ours)
			synctest.Wait() // until it is accepted, so that connections wait in the order in which they are dialled
			return ours
		})
		for _, end := range ends {
			_ = end.Close()
		}
		require.NoError(t, server.Shutdown(context.Background()))
		require.NoError(t, <-served)
		synctest.Wait()
	})
	require.Zero(t, e.counters()["onepx_collector_connections_open"])
	e.telemetry.Shutdown(context.Background())
}

func ask(t *testing.T, conn net.Conn, request string) {
	t.Helper()
	_, err := conn.Write([]byte(request))
	require.NoError(t, err)
}

func outcomeOn(t *testing.T, conn net.Conn) string {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	return response.Header.Get("Onepx-Event")
}

func isClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestANewConnectionTakesThePlaceOfTheOneThatIsIdleForLongest(t *testing.T) {
	inVirtualTime(t, 3, func(t *testing.T, e *edge, dial func() net.Conn) {
		first, second, slow := dial(), dial(), dial()
		ask(t, first, pixelRequest)
		require.Equal(t, "stored", outcomeOn(t, first))
		<-time.After(time.Second)
		ask(t, second, pixelRequest)
		require.Equal(t, "stored", outcomeOn(t, second))
		ask(t, slow, partOfRequest)
		<-time.After(2 * time.Second)

		fourth := dial()
		isClosed(t, slow) // nothing came of it since it connected
		ask(t, fourth, pixelRequest)
		require.Equal(t, "stored", outcomeOn(t, fourth))
		fifth := dial()
		isClosed(t, first)
		for _, conn := range []net.Conn{fifth, second, fourth} {
			ask(t, conn, pixelRequest)
			require.Equal(t, "stored", outcomeOn(t, conn))
		}
		synctest.Wait()
		require.Equal(t, 2, e.counters()["onepx_collector_connections_displaced_total"])
		require.Zero(t, e.counters()["onepx_collector_connections_delayed_total"])
	})
}

func TestAConnectionWaitsWhereAllOthersAreAtWork(t *testing.T) {
	inVirtualTime(t, 2, func(t *testing.T, e *edge, dial func() net.Conn) {
		e.publisher.holds = make(chan struct{})
		busy := []net.Conn{dial(), dial()}
		for _, conn := range busy {
			ask(t, conn, pixelRequest)
		}
		waits := dial()
		time.AfterFunc(3*time.Second, func() { close(e.publisher.holds) })
		begin := time.Now()
		go func() {
			for _, conn := range busy {
				_, _ = io.Copy(io.Discard, conn)
			}
		}()
		ask(t, waits, pixelRequest)
		require.Equal(t, "stored", outcomeOn(t, waits))
		require.InDelta(t, 4, time.Since(begin).Seconds(), 1.1, "one second after one of them was answered")
		require.Equal(t, 1, e.counters()["onepx_collector_connections_delayed_total"])
	})
}

// TestManyAtOnceLoseNothing: more connect than may be, and none of those whose request is on its way loses its place.
func TestManyAtOnceLoseNothing(t *testing.T) {
	inVirtualTime(t, 5, func(t *testing.T, e *edge, dial func() net.Conn) {
		answers := make(chan string)
		for range 50 {
			conn := dial()
			go func() {
				ask(t, conn, strings.Replace(pixelRequest, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
				answers <- outcomeOn(t, conn)
			}()
		}
		for range 50 {
			require.Equal(t, "stored", <-answers)
		}
		require.Zero(t, e.counters()["onepx_collector_connections_displaced_total"])
	})
}

func TestSlowHeadersAreCountedAndEmptyConnectionsAreNot(t *testing.T) {
	inVirtualTime(t, 0, func(t *testing.T, e *edge, dial func() net.Conn) {
		slow, empty, kept := dial(), dial(), dial()
		ask(t, slow, partOfRequest)
		ask(t, kept, pixelRequest)
		require.Equal(t, "stored", outcomeOn(t, kept))
		begin := time.Now()
		isClosed(t, slow)
		isClosed(t, empty)
		require.Equal(t, 10*time.Second, time.Since(begin))
		isClosed(t, kept)
		synctest.Wait()
		require.Equal(t, 1, e.counters()[`onepx_collector_events_total{outcome="rejected",reason="malformed_request"}`])
		require.Equal(t, 2, e.counters()["onepx_collector_events_received_total"])
	})
}

func TestHeadersHaveBoundedMemory(t *testing.T) {
	const each = 30 << 10
	inVirtualTime(t, 0, func(t *testing.T, e *edge, dial func() net.Conn) {
		many := 32<<20/each + 20
		for range many {
			conn := dial()
			go func() { _, _ = conn.Write([]byte(partOfRequest + strings.Repeat("a", each))) }()
		}
		synctest.Wait()
		crowded := func() int { return e.counters()[`onepx_collector_events_total{outcome="lost",reason="overloaded"}`] }
		require.Greater(t, crowded(), 10)
		require.Less(t, crowded(), many/10)
		<-time.After(11 * time.Second)
		synctest.Wait()
		require.Equal(t, many-crowded(), e.counters()[`onepx_collector_events_total{outcome="rejected",reason="malformed_request"}`])
		again := dial()
		ask(t, again, pixelRequest)
		require.Equal(t, "stored", outcomeOn(t, again), "the memory is given back")
	})
}

// TestSlowConnectionsDoNotKeepOthersFromTheirAnswers: 500 hang in their headers and 500 in their bodies.
func TestSlowConnectionsDoNotKeepOthersFromTheirAnswers(t *testing.T) {
	e := start(t)
	for i := range 1000 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		if i%2 == 0 {
			ask(t, conn, partOfRequest)
		} else {
			ask(t, conn, "POST /e?site=shop HTTP/1.1\r\nHost: px\r\nContent-Length: 100\r\n\r\n{")
		}
	}
	for range 200 {
		require.Equal(t, "stored", e.get("/p.gif?site=shop").onepx())
	}
	require.Equal(t, 1001, e.counters()["onepx_collector_connections_open"])
}

// counting takes everything and counts it.
type counting struct {
	nowhere
	events atomic.Int64
}

func (c *counting) Publish(context.Context, *onepxv1.Event) reason.Reason {
	c.events.Add(1)
	return ""
}

// TestManyConnectionsAndRequestsAreAllAnswered: 60,000 hits come over 4,000 connections that are open at the same time.
func TestManyConnectionsAndRequestsAreAllAnswered(t *testing.T) {
	const connections, each = 4000, 15
	taken := &counting{}
	e := start(t, func(deps *api.Deps) { deps.Publisher, deps.MaxConnections = taken, connections })
	var stored atomic.Int64
	var opened, visitors sync.WaitGroup
	opened.Add(connections)
	for range connections {
		visitors.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
			opened.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			opened.Wait()
			reader := bufio.NewReader(conn)
			for range each {
				_, _ = conn.Write([]byte(pixelRequest))
				response, err := http.ReadResponse(reader, nil)
				if err != nil || response.Header.Get("Onepx-Event") != "stored" {
					t.Error(response, err)
					return
				}
				_, _ = reader.Discard(int(response.ContentLength))
				stored.Add(1)
			}
		})
	}
	visitors.Wait()
	require.EqualValues(t, connections*each, stored.Load())
	require.EqualValues(t, connections*each, taken.events.Load())
	require.Equal(t, connections*each, e.counters()[`onepx_collector_events_total{outcome="stored",reason=""}`])
	require.Zero(t, e.counters()["onepx_collector_connections_displaced_total"])
}

func TestADefectThatIsHitAllTheTimeDoesNotFloodTheLog(t *testing.T) {
	e := start(t)
	e.publisher.panics = true
	for range 100 {
		require.Equal(t, "rejected; reason=internal_error", e.get("/p.gif?site=shop").onepx())
	}
	require.Equal(t, 100, e.counters()["onepx_collector_panics_total"])
	require.Equal(t, 1, strings.Count(e.log.String(), "panic: a defect"), e.log.String())
	require.Contains(t, e.log.String(), "publisher).Publish", "the log says where")
}
