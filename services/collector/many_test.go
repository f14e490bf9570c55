//go:build !race

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestManyConnectionsAndRequestsAreAllStored: 60,000 hits come over 4,000 connections that are open at the same time, and
// there are exactly as many records. With the race detector the compression of thousands of batches takes minutes; the API
// has this test with it, without Kafka.
func TestManyConnectionsAndRequestsAreAllStored(t *testing.T) {
	const connections, each = 4000, 15
	allowFiles(t, 2*connections+1000)
	c, broker := start(t, func(s *settings) { s.PublishInFlight, s.PublishTimeout = 2*connections, 30*time.Second })
	var stored atomic.Int64
	var opened, visitors sync.WaitGroup
	opened.Add(connections)
	for visitor := range connections {
		visitors.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
			opened.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			opened.Wait()
			reader := bufio.NewReader(conn)
			for hit := range each {
				word, err := hitOn(conn, reader, fmt.Sprintf("/p.gif?site=shop&id=%d-%d", visitor, hit))
				if err != nil || word != "stored" {
					t.Error(word, err)
					return
				}
				stored.Add(1)
			}
		})
	}
	visitors.Wait()
	require.EqualValues(t, connections*each, stored.Load())
	require.Equal(t, connections*each, len(records(t, broker))) //nolint:testifylint // Len prints them all
	metrics := get(c.admin + "/metrics").body
	require.Contains(t, metrics, `onepx_collector_events_total{outcome="stored",reason=""} 60000`)
	require.Contains(t, metrics, "onepx_collector_connections_displaced_total 0")
}

// hitOn asks on the connection and returns what became of the event.
func hitOn(conn net.Conn, reader *bufio.Reader, target string) (string, error) {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: px.shop.example\r\n\r\n", target); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return "", err
	}
	_, err = reader.Discard(int(response.ContentLength))
	return response.Header.Get("Onepx-Event"), err
}

// allowFiles lets the process open as many files.
func allowFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur < n {
		limit.Cur, limit.Max = n, max(n, limit.Max)
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit), "this test needs %d open files", n)
	}
}
