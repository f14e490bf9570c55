package api_test

import (
	"context"
	"io"
	"net"
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
					_, err = io.Copy(io.Discard, ours)
					require.NoError(t, err)
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
			require.NoError(t, e.telemetry.Shutdown(context.Background()))
		})
	}
}
