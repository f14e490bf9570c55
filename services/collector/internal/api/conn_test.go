package api_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener without a network: what is sent to it is accepted.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error { close(p); return nil }

func (pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowClientsAreCutOff runs in made-up time.
func TestSlowClientsAreCutOff(t *testing.T) {
	for _, test := range []struct {
		name, request string
		reads         bool
		after         time.Duration
	}{
		{"who sends nothing", "", true, 10 * time.Second},
		{"who sends a part of the headers", "GET /p.gif?site=shop HTTP/1.1\r\nHost: px", true, 10 * time.Second},
		{"who asks nothing more", "GET /p.gif?site=shop HTTP/1.1\r\nHost: px\r\n\r\n", true, 75 * time.Second},
		{"who sends a part of the body", "POST /e?site=shop HTTP/1.1\r\nHost: px\r\nContent-Length: 100\r\n\r\n{", true, 15 * time.Second},
		{"who sends a part of the chunks", "POST /v1/events HTTP/1.1\r\nHost: px\r\nX-Write-Key: key\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{", true, 15 * time.Second},
		{"who does not read the answer to a body", "POST /e?site=shop HTTP/1.1\r\nHost: px\r\nContent-Length: 2\r\n\r\n{}", false, 20 * time.Second},
		{"who does not read", "GET /p.gif?site=shop HTTP/1.1\r\nHost: px\r\n\r\n", false, 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, server := build(t)
			synctest.Test(t, func(t *testing.T) {
				listener := make(pipes, 1)
				served := make(chan error, 1)
				go func() { served <- server.Serve(listener) }()
				ours, theirs := net.Pipe()
				listener <- theirs
				begin := time.Now()
				_, err := ours.Write([]byte(test.request))
				require.NoError(t, err)
				if test.reads {
					told, err := io.ReadAll(ours)
					require.NoError(t, err)
					require.Equal(t, strings.HasPrefix(test.request, "POST"), strings.HasPrefix(string(told), "HTTP/1.1 408 "))
				} else {
					<-time.After(test.after + time.Second)
					_, err = ours.Read(make([]byte, 1))
					require.ErrorIs(t, err, io.EOF)
					begin = begin.Add(time.Second)
				}
				require.Equal(t, test.after, time.Since(begin).Round(time.Second))
				require.NoError(t, server.Shutdown(context.Background()))
				require.NoError(t, <-served)
			})
			e.telemetry.Shutdown(context.Background())
		})
	}
}

// TestASlowBodyLeavesTimeForTheAnswer: the body takes 14 seconds and the publisher 10 more.
func TestASlowBodyLeavesTimeForTheAnswer(t *testing.T) {
	e, server := build(t)
	synctest.Test(t, func(t *testing.T) {
		e.publisher.holds = make(chan struct{})
		listener := make(pipes, 1)
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		ours, theirs := net.Pipe()
		listener <- theirs
		_, err := ours.Write([]byte("POST /e?site=shop HTTP/1.1\r\nHost: px\r\nContent-Length: 2\r\n\r\n{"))
		require.NoError(t, err)
		<-time.After(14 * time.Second)
		_, err = ours.Write([]byte("}"))
		require.NoError(t, err)
		time.AfterFunc(10*time.Second, func() { close(e.publisher.holds) })
		response, err := http.ReadResponse(bufio.NewReader(ours), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, response.StatusCode)
		require.NoError(t, ours.Close())
		require.NoError(t, server.Shutdown(context.Background()))
		require.NoError(t, <-served)
	})
	e.telemetry.Shutdown(context.Background())
}
