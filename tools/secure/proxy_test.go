//go:build integration

package secure_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxyTLS ends TLS in front of an address, as libchdb listens without, and returns its own address.
func proxyTLS(t *testing.T, pair tls.Certificate, to string) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			outside, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				open.Go(func() { join(outside, to) })
			}
		}
	})
	t.Cleanup(func() { // the clients have ended by now, and their connections with them
		require.NoError(t, listener.Close())
		open.Wait()
	})
	return listener.Addr().String()
}

// join copies both ways until the inner side ends. It reads what that has to say to the last: a reset would abort libchdb.
func join(outside net.Conn, to string) {
	defer func() { _ = outside.Close() }()
	address, err := net.ResolveTCPAddr("tcp", to)
	if err != nil {
		return
	}
	inside, err := net.DialTCP("tcp", nil, address)
	if err != nil {
		return
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.Copy(inside, outside)
		_ = inside.CloseWrite()
	}()
	_, _ = io.Copy(outside, inside)
	_, _ = io.Copy(io.Discard, inside) // when the outer side has gone first
	_ = outside.Close()
	<-sent
	_ = inside.Close()
}
