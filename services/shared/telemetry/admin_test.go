package telemetry_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/telemetry"
)

func TestAdminServer(t *testing.T) {
	var notReady error
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the metrics") })
	server := telemetry.AdminServer("127.0.0.1:0", func() error { return notReady }, metrics)
	for _, c := range []struct {
		name, path string
		ready      error
		status     int
		body       string
	}{
		{"alive while not ready", "/livez", errors.New("stopping"), http.StatusOK, "ok\n"},
		{"ready", "/readyz", nil, http.StatusOK, "ok\n"},
		{"not ready says why", "/readyz", errors.New("kafka is away"), http.StatusServiceUnavailable, "kafka is away\n"},
		{"metrics", "/metrics", nil, http.StatusOK, "the metrics"},
		{"profiles", "/debug/pprof/goroutine?debug=1", nil, http.StatusOK, "goroutine profile"},
		{"nothing else", "/", nil, http.StatusNotFound, "not found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			notReady = c.ready
			w := httptest.NewRecorder()
			server.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil))
			require.Equal(t, c.status, w.Code)
			require.Contains(t, w.Body.String(), c.body)
		})
	}
	require.Positive(t, server.ReadHeaderTimeout)
	require.Positive(t, server.ReadTimeout)
	require.Positive(t, server.WriteTimeout)
	require.Positive(t, server.IdleTimeout)
}
