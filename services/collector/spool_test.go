package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/telemetry"
)

func withSpool(dir string) func(*settings) {
	return func(s *settings) { s.Spool.Dir, s.PublishTimeout = dir, 300*time.Millisecond }
}

// spoolSome takes Kafka away and sends events until 20 lie in the spool; it returns their names.
func (c *collector) spoolSome(t *testing.T, broker *kafkatest.Broker) []string {
	t.Helper()
	broker.Stop()
	var names []string
	require.Eventually(t, func() bool {
		name := fmt.Sprintf("event-%d", len(names))
		got := get(c.url + "/p.gif?site=shop&e=" + name)
		if got.onepx == "spooled" && got.status == http.StatusOK && len(got.body) == 43 {
			names = append(names, name)
		}
		return len(names) == 20
	}, patience, time.Millisecond)
	return names
}

// requireStored waits until all of the events are in the topic.
func (c *collector) requireStored(t *testing.T, broker *kafkatest.Broker, names []string) {
	t.Helper()
	require.Eventually(t, func() bool {
		found := map[string]bool{}
		for _, ev := range c.stored(t, broker) {
			found[ev.GetName()] = true
		}
		for _, name := range names {
			if !found[name] {
				return false
			}
		}
		return true
	}, patience, 50*time.Millisecond)
}

func TestWithASpoolTheCollectorStaysReadyAndPublishesOnceKafkaIsBack(t *testing.T) {
	c, broker := start(t, withSpool(filepath.Join(t.TempDir(), "spool")))
	names := c.spoolSome(t, broker)
	metrics := get(c.admin + "/metrics").body
	require.Contains(t, metrics, "onepx_collector_spool_events 20")
	require.Contains(t, metrics, `onepx_collector_spool_lost_total{cause="damaged"} 0`)
	require.Contains(t, metrics, `onepx_collector_events_total{outcome="spooled",reason="spooled"} 20`)
	broker.Resume()
	c.requireStored(t, broker, names)
	require.Eventually(t, func() bool {
		return strings.Contains(get(c.admin+"/metrics").body, "onepx_collector_spool_replayed_total 20")
	}, patience, 10*time.Millisecond)
	replayed := 0
	for _, record := range records(t, broker) {
		if eventlog.Replayed(record.Headers) {
			replayed++
		}
	}
	require.Equal(t, 20, replayed)
}

func TestWhatLiesInTheSpoolAtTheEndIsPublishedByTheNextOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	c, broker := start(t, withSpool(dir))
	names := c.spoolSome(t, broker)
	c.end(t)
	broker.Resume()
	next := launchOn(t, broker, func(s *settings) {
		withSpool(dir)(s)
		s.Spool.QuotaBytes *= 2
	})
	next.requireStored(t, broker, names)
}

func TestDrainSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	c, broker := start(t, withSpool(dir))
	names := c.spoolSome(t, broker)
	drain := drainSpoolCmd{
		Dir: dir, eventLimit: eventLimit{1_000_000}, Telemetry: telemetry.Settings{LogFormat: "json"},
		Kafka: kafkaconn.Settings{Brokers: []string{broker.Addr()}, ClientID: "onepx"},
	}
	require.ErrorContains(t, drain.Run(), "in use by another process")
	c.end(t)
	tel, err := telemetry.New(t.Context(), telemetry.Config{Settings: drain.Telemetry, LogOutput: io.Discard})
	require.NoError(t, err)
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	err = drain.drain(stopped, tel, time.Now)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "21 events are left in the spool", "and the collector's last account")
	tel.Shutdown(t.Context())
	broker.Resume()
	require.NoError(t, drain.Run())
	c.requireStored(t, broker, names)
	require.NoError(t, drain.Run(), "an empty one")
	drain.Dir = filepath.Join(t.TempDir(), "missing")
	require.ErrorContains(t, drain.Run(), "missing")
}

func TestItDoesNotStartOnTheSpoolOfAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	_, broker := start(t, withSpool(dir))
	cfg := testSettings(t, broker.Addr())
	cfg.Spool.Dir = dir
	require.ErrorContains(t, run(t.Context(), cfg, listen(t), listen(t), &buffer{}), "in use by another process")
}

func TestReadyMeansThatOneMoreEventCouldBeMadeDurable(t *testing.T) {
	tel, err := telemetry.New(t.Context(), telemetry.Config{Settings: telemetry.Settings{LogFormat: "json"}, LogOutput: io.Discard})
	require.NoError(t, err)
	defer tel.Shutdown(context.Background())
	cfg := testSettings(t, "127.0.0.1:1") // no Kafka there
	without, err := build(cfg, tel)
	require.NoError(t, err)
	require.ErrorContains(t, without.durable(), "there is no spool")
	require.NoError(t, without.close())
	cfg.Spool.Dir = filepath.Join(t.TempDir(), "spool")
	with, err := build(cfg, tel)
	require.NoError(t, err)
	require.NoError(t, with.durable())
	require.NoError(t, with.close())
}
