package consume

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// scrape returns the samples of the consumer by name and labels, as Prometheus sees them.
func scrape(t *testing.T, tel *telemetry.Telemetry) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	samples := map[string]float64{}
	for line := range strings.Lines(w.Body.String()) {
		words := strings.Fields(line)
		if !strings.HasPrefix(line, "onepx_consumer_") {
			continue
		}
		n, err := strconv.ParseFloat(words[len(words)-1], 64)
		require.NoError(t, err, line)
		samples[withoutScope(strings.TrimSuffix(words[0], "}"))] = n
	}
	return samples
}

// withoutScope drops the labels that say which library counts.
func withoutScope(name string) string {
	name, labels, _ := strings.Cut(name, "{")
	var kept []string
	for label := range strings.SplitSeq(labels, ",") {
		if label != "" && !strings.HasPrefix(label, "otel_scope_") {
			kept = append(kept, strings.ReplaceAll(label, `"`, ""))
		}
	}
	return name + "{" + strings.Join(kept, ",") + "}"
}

func newTelemetry(t *testing.T) (*telemetry.Telemetry, *Metrics) {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{Service: "test", Version: "0"})
	require.NoError(t, err)
	t.Cleanup(func() { tel.Shutdown(context.WithoutCancel(t.Context())) })
	metrics, err := NewMetrics(tel.Meter)
	require.NoError(t, err)
	return tel, metrics
}

func TestCountersAreBornAtZero(t *testing.T) {
	tel, _ := newTelemetry(t)
	samples := scrape(t, tel)
	for _, outcome := range outcomes {
		require.Contains(t, samples, "onepx_consumer_rows_total{outcome="+outcome+"}")
	}
	for _, result := range []string{resultStored, resultRefused, resultUnknown} {
		require.Contains(t, samples, "onepx_consumer_inserts_total{result="+result+"}")
	}
	for _, cause := range []string{causeInherited, causeInsert} {
		require.Contains(t, samples, "onepx_consumer_recoveries_total{cause="+cause+"}")
	}
	require.Contains(t, samples, "onepx_consumer_storing_failures_total{}")
	require.Zero(t, sum(samples, "onepx_consumer_rows_total"))
}

func sum(samples map[string]float64, name string) float64 {
	total := 0.0
	for sample := range maps.Keys(samples) {
		if strings.HasPrefix(sample, name+"{") {
			total += samples[sample]
		}
	}
	return total
}

// TestMetricsAddUp: rows by outcome are the offsets stored, also when inserts and the reads after them have failed.
func TestMetricsAddUp(t *testing.T) {
	tel, metrics := newTelemetry(t)
	inVirtualTime(t, func(t *testing.T, w *world) {
		w.log.append(nil)
		w.events(1, 20)
		w.events(1, 3) // repeats
		failing := &partStore{}
		failing.insert = func(ctx context.Context, token string, rows iter.Seq[*store.Row]) error {
			if failing.inserts.Load() == 1 {
				return errAway
			}
			return failing.Store.Insert(ctx, token, rows)
		}
		reads := 0
		failing.recent = func(context.Context) error {
			if reads++; reads == 3 { // the window after the recovery
				return errAway
			}
			return nil
		}
		w.run(t, func(d *Deps) { failing.Store, d.Store, d.Metrics = d.Store, failing, metrics })
		until(t, "all is idle", func() bool { return w.group.get() == Committed{Offset: 24, Metadata: idle} })
		require.Equal(t, 24, w.stored())
		require.GreaterOrEqual(t, reads, 4, "the read after the recovery has failed once")
		require.Positive(t, scrape(t, tel)["onepx_consumer_history_bytes{partition=3}"])
	})
	samples := scrape(t, tel)
	require.Equal(t, 24.0, sum(samples, "onepx_consumer_rows_total"))
	require.Equal(t, 20.0, samples["onepx_consumer_rows_total{outcome=event}"])
	require.Equal(t, 3.0, samples["onepx_consumer_rows_total{outcome=duplicate}"])
	require.Equal(t, 1.0, samples["onepx_consumer_rows_total{outcome=missing}"])
	require.Equal(t, 1.0, samples["onepx_consumer_recoveries_total{cause=insert_failed}"])
	require.Equal(t, 1.0, samples["onepx_consumer_inserts_total{result=unknown}"])
	require.Equal(t, 3.0, samples["onepx_consumer_inserts_total{result=stored}"], "batches")
	require.Equal(t, 2.0, samples["onepx_consumer_storing_failures_total{}"], "the insert, and the read after the recovery")
	require.Equal(t, 24.0, samples["onepx_consumer_position_offset{partition=3}"])
	require.Zero(t, samples["onepx_consumer_history_bytes{partition=3}"], "the worker has ended")
}

// TestAlarmsEnd when the partition is somebody else's.
func TestAlarmsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(w *world, failing *partStore)
		reason  string
	}{
		"a block that ClickHouse refuses": {func(_ *world, failing *partStore) {
			failing.insert = func(context.Context, string, iter.Seq[*store.Row]) error { return store.ErrRefused }
		}, "insert_refused"},
		"moved offsets": {func(w *world, _ *partStore) { w.group.set(Committed{Offset: 1}) }, "offsets_moved"},
	} {
		t.Run(name, func(t *testing.T) {
			tel, metrics := newTelemetry(t)
			inVirtualTime(t, func(t *testing.T, w *world) {
				w.events(1, 3)
				failing := &partStore{}
				c.happens(w, failing)
				p := w.run(t, func(d *Deps) { failing.Store, d.Store, d.Metrics = d.Store, failing, metrics })
				rest(time.Minute)
				require.Equal(t, 1.0, scrape(t, tel)["onepx_consumer_partition_stopped{partition=3,reason="+c.reason+"}"])
				p.cancel()
				require.NoError(t, endsSoon(t, p))
				require.Zero(t, scrape(t, tel)["onepx_consumer_partition_stopped{partition=3,reason="+c.reason+"}"])
			})
		})
	}
}
