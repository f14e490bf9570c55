package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/kafkaconn"
	"github.com/onepx/onepx/services/shared/kafkatest"
	"github.com/onepx/onepx/services/shared/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testSites = `
sites:
  - id: shop
    timezone: Europe/Berlin
    currency: EUR
`

// collector is a running service.
type collector struct {
	url, admin string
	stop       context.CancelFunc
	ended      chan error
}

func start(t *testing.T, broker *kafkatest.Broker, change func(*settings)) *collector {
	t.Helper()
	sites := filepath.Join(t.TempDir(), "onepx.yaml")
	require.NoError(t, os.WriteFile(sites, []byte(testSites), 0o600))
	cfg := settings{
		Config: sites, Secret: "0123456789abcdef0123456789abcdef",
		PublishInFlight: 1024, PublishTimeout: 5 * time.Second, MaxEventBytes: 1_000_000, StopTimeout: 15 * time.Second,
		Kafka:     kafkaconn.Settings{Brokers: []string{broker.Addr()}, ClientID: "onepx"},
		Telemetry: telemetry.Settings{LogFormat: "json"},
	}
	if change != nil {
		change(&cfg)
	}
	require.NoError(t, cfg.Validate())
	public, admin := listen(t), listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	c := &collector{url: "http://" + public.Addr().String(), admin: "http://" + admin.Addr().String(), stop: cancel, ended: make(chan error, 1)}
	go func() { c.ended <- run(ctx, cfg, public, admin, io.Discard) }()
	t.Cleanup(func() {
		cancel()
		<-c.ended
		http.DefaultClient.CloseIdleConnections()
	})
	require.Eventually(t, func() bool { return status(c.admin+"/readyz") == http.StatusOK }, 20*time.Second, 20*time.Millisecond)
	return c
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func status(url string) int {
	res, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

func TestAHitIsARecordInKafka(t *testing.T) {
	broker := kafkatest.Start(t, map[string]int{eventlog.TopicEvents: 6, eventlog.TopicSuppressions: 1})
	c := start(t, broker, nil)
	require.Equal(t, http.StatusOK, status(fmt.Sprintf("%s/p.gif?site=shop&e=hello", c.url)))
	records := broker.Records(t, eventlog.TopicEvents)
	require.Len(t, records, 1)
	ev, err := eventlog.Decode(records[0].Value)
	require.NoError(t, err)
	require.Equal(t, "hello", ev.GetName())
	t.Log(ev)
}
