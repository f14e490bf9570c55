package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/telemetry"
)

func TestAdminServer(t *testing.T) {
	var notReady error
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the metrics") })
	started := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	server := telemetry.AdminServer(telemetry.Admin{
		Ready: func() error { return notReady }, Metrics: metrics,
		Status: telemetry.Status{Service: "collector", Version: "1.2.3", Started: started, Now: func() time.Time { return started.Add(90 * time.Minute) }},
		Facts: func(ctx context.Context) []telemetry.Fact {
			_, bounded := ctx.Deadline()
			return []telemetry.Fact{{Name: "spool", Value: "3 events"}, telemetry.Known("kafka", errors.Join(errors.New("away"), errors.New("and gone"))), {Name: "bounded", Value: fmt.Sprint(bounded)}}
		},
	})
	for _, c := range []struct {
		name, path string
		ready      error
		status     int
		body       string
	}{
		{"alive while not ready", "/livez", errors.New("stopping"), http.StatusOK, "ok\n"},
		{"ready", "/readyz", nil, http.StatusOK, "ok\n"},
		{"not ready says why", "/readyz", errors.New("kafka is away"), http.StatusServiceUnavailable, "kafka is away\n"},
		{"a status of one that is ready", "/status", nil, http.StatusOK, "service  onepx collector\nversion  1.2.3, " + runtime.Version() +
			"\nup       1h30m0s, since 2026-11-25T12:00:00Z\nready    ok\nspool    3 events\nkafka    away; and gone\nbounded  true\n"},
		{"a status of one that is not says why", "/status", errors.New("kafka is away"), http.StatusOK, "ready    kafka is away\n"},
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
