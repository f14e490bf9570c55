package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// zstandard compresses as programs do that don't know the length yet: the frame declares a window of 8 MiB and no size.
func zstandard(text string) string {
	var b bytes.Buffer
	w, _ := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	_, _ = w.Write([]byte(text))
	_ = w.Flush()
	_ = w.Close()
	return b.String()
}

// zstandardWhole compresses as programs do that have it all: the frame declares its size.
func zstandardWhole(text string) string {
	w, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	return string(w.EncodeAll([]byte(text), nil))
}

// padded is a JSON event of n bytes.
func padded(n int) string {
	const frame = `{"site":"shop","e":"padded","c":1}`
	return frame[:len(frame)-1] + strings.Repeat(" ", n-len(frame)) + "}"
}

func shortened(text string, n int) string { return text[:len(text)-n] }

func TestBodiesAndTheirLimits(t *testing.T) {
	const limit = 1 << 20
	for _, test := range []struct {
		name, body, encoding string
		status               int
		answer               string
	}{
		{"1 MiB", padded(limit), "", 204, "stored"},
		{"one byte more", padded(limit + 1), "", 413, "rejected; reason=body_too_large"},
		{"2 MiB", padded(2 * limit), "", 413, "rejected; reason=body_too_large"},
		{"identity", padded(100), "identity", 204, "stored"},
		{"gzip", gzipped(padded(100)), "gzip", 204, "stored"},
		{"gzip in capitals", gzipped(padded(100)), "GZIP", 204, "stored"},
		{"gzip in several members", gzipped(padded(100)[:50]) + gzipped(padded(100)[50:]), "gzip", 204, "stored"},
		{"gzip of 1 MiB", gzipped(padded(limit)), "gzip", 204, "stored"},
		{"gzip of one byte more", gzipped(padded(limit + 1)), "gzip", 413, "rejected; reason=body_too_large"},
		{"a gzip bomb", gzipped(strings.Repeat("0", 32*limit)), "gzip", 413, "rejected; reason=body_too_large"},
		{"truncated gzip", shortened(gzipped(padded(100)), 20), "gzip", 400, "rejected; reason=compression_invalid"},
		{"gzip without its checksum", shortened(gzipped(padded(100)), 8), "gzip", 400, "rejected; reason=compression_invalid"},
		{"gzip with a wrong checksum", shortened(gzipped(padded(100)), 8) + "abcdefgh", "gzip", 400, "rejected; reason=compression_invalid"},
		{"no gzip at all", padded(100), "gzip", 400, "rejected; reason=compression_invalid"},
		{"zstd", zstandard(padded(100)), "zstd", 204, "stored"},
		{"zstd that declares its size", zstandardWhole(padded(100)), "zstd", 204, "stored"},
		{"zstd in several frames", zstandard(padded(100)[:50]) + zstandardWhole(padded(100)[50:]), "zstd", 204, "stored"},
		{"zstd of 1 MiB", zstandard(padded(limit)), "zstd", 204, "stored"},
		{"zstd of 1 MiB that declares its size", zstandardWhole(padded(limit)), "zstd", 204, "stored"},
		{"zstd of one byte more", zstandard(padded(limit + 1)), "zstd", 413, "rejected; reason=body_too_large"},
		{"zstd of one byte more that declares its size", zstandardWhole(padded(limit + 1)), "zstd", 413, "rejected; reason=body_too_large"},
		{"a zstd bomb", zstandard(strings.Repeat("0", 32*limit)), "zstd", 413, "rejected; reason=body_too_large"},
		{"a zstd bomb in many frames", strings.Repeat(zstandardWhole(strings.Repeat("0", limit/2)), 100), "zstd", 413, "rejected; reason=body_too_large"},
		{"truncated zstd", shortened(zstandard(padded(100)), 5), "zstd", 400, "rejected; reason=compression_invalid"},
		{"no zstd at all", padded(100), "zstd", 400, "rejected; reason=compression_invalid"},
		{"deflate", padded(100), "deflate", 415, "rejected; reason=encoding_unsupported"},
		{"twice", gzipped(gzipped(padded(100))), "gzip, gzip", 415, "rejected; reason=encoding_unsupported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			got := e.post("/e", test.body, "Content-Encoding", test.encoding)
			require.Equal(t, test.answer, got.onepx(), "%s", got.body)
			require.Equal(t, test.status, got.StatusCode)
			if test.status == 204 {
				require.Equal(t, "padded", e.stored().GetName())
				return
			}
			require.Empty(t, e.publisher.events)
			var told struct{ Result, Reason, Message string }
			require.NoError(t, json.Unmarshal(got.body, &told))
			require.Equal(t, "rejected", told.Result)
			if test.status == 413 {
				require.Contains(t, told.Message, "1 MiB", "the limit is named")
			}
		})
	}
}

func TestALargeBodyIsRefusedByItsLengthAlone(t *testing.T) {
	e := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprint(conn, "POST /e?site=shop HTTP/1.1\r\nHost: px\r\nContent-Length: 1048577\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
}

// TestBodiesThatDoNotArrive sends what ends early. Slow bodies are in TestSlowClientsAreCutOff.
func TestBodiesThatDoNotArrive(t *testing.T) {
	for _, test := range []struct{ name, request string }{
		{"shorter than its length", "Content-Length: 100\r\n\r\n{\"e\":\"a\"}"},
		{"without its last chunk", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"},
		{"chunks that are none", "Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t)
			conn, err := net.Dial("tcp", strings.TrimPrefix(e.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			fmt.Fprint(conn, "POST /e?site=shop HTTP/1.1\r\nHost: px\r\n"+test.request)
			half, ok := conn.(*net.TCPConn)
			require.True(t, ok)
			require.NoError(t, half.CloseWrite())
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusRequestTimeout, response.StatusCode)
			require.Equal(t, "rejected; reason=body_incomplete", response.Header.Get("Onepx-Event"))
			require.Equal(t, 1, e.counters()[`onepx_collector_events_total{outcome="rejected",reason="body_incomplete"}`])
			require.Empty(t, e.publisher.events)
			require.Empty(t, e.log.String())
		})
	}
}

func TestBodiesHaveBoundedMemory(t *testing.T) {
	e := start(t)
	e.publisher.holds = make(chan struct{})
	const requests = 40 // of 1 MiB each, where 32 MiB are allowed
	answers := make(chan answer, requests)
	var sent sync.WaitGroup
	for range requests {
		sent.Go(func() { answers <- e.post("/e", padded(1<<20)) })
	}
	require.Eventually(t, func() bool { return len(answers)+int(e.publisher.waiting.Load()) == requests }, time.Minute, time.Millisecond)
	require.LessOrEqual(t, e.publisher.waiting.Load(), int64(32))
	close(e.publisher.holds)
	sent.Wait()
	close(answers)
	refused := 0
	for got := range answers {
		if got.onepx() == "stored" {
			continue
		}
		refused++
		require.Equal(t, "rejected; reason=overloaded", got.onepx())
		require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
		require.Equal(t, "5", got.Header.Get("Retry-After"))
	}
	require.Equal(t, requests, refused+len(e.publisher.events))
	require.NotZero(t, len(e.publisher.events))
	require.Equal(t, "stored", e.post("/e", padded(1<<20)).onepx(), "the memory is given back")
}

// FuzzBody sends whatever bytes as whatever they claim to be to both endpoints.
func FuzzBody(f *testing.F) {
	for _, body := range []string{padded(100), "[{},{}]", "{}\n{}\n", "site=shop&e=a"} {
		f.Add([]byte(body), "", "application/x-www-form-urlencoded")
		f.Add([]byte(gzipped(body)), "gzip", "text/plain")
		f.Add([]byte(zstandard(body)), "zstd", "application/x-ndjson")
		f.Add([]byte(zstandardWhole(body)), "zstd", "application/json")
	}
	f.Fuzz(func(t *testing.T, body []byte, encoding, contentType string) {
		e, server := build(t)
		for _, target := range []string{"/e?site=shop", "/v1/events"} {
			request := httptest.NewRequest(http.MethodPost, target, bytes.NewReader(body))
			request.Header = http.Header{"Content-Encoding": {encoding}, "Content-Type": {contentType}, "X-Write-Key": {"key"}}
			recorder := httptest.NewRecorder()
			server.Handler().ServeHTTP(recorder, request)
			require.Contains(t, []int{200, 204, 400, 413, 415}, recorder.Code)
			require.Equal(t, recorder.Code != http.StatusNoContent, json.Valid(recorder.Body.Bytes()))
		}
		require.Zero(t, e.counters()["onepx_collector_panics_total"])
		e.telemetry.Shutdown(context.Background())
	})
}
