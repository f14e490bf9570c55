//go:build integration

// Package cluster_test runs the pipeline on a ClickHouse of two shards: two servers, each with half of the facts. They have no
// Keeper, so what needs one is rendered and parsed only; docs/cluster.md says what that leaves open.
package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/onepx/onepx/tools/internal/answers"
	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/load"
	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

func TestMain(m *testing.M) {
	localstack.RunChild()
	goleak.VerifyTestMain(m)
}

const (
	// patience is how long what must happen may take, and glance the pause between two looks.
	patience = time.Minute
	glance   = 100 * time.Millisecond
	// partitions are twice the shards.
	partitions = 4
)

const sites = `sites:
  - id: shop
    timezone: UTC
    currency: EUR
` + ledger.Rules + `    goals:
      - {id: purchase, event: purchase}
`

var shop = answers.Site{Zone: time.UTC, Currency: "EUR", Goals: []answers.Goal{
	{ID: "purchase", Event: "purchase", OncePer: "order", Value: "event", ClickDays: 30, ViewDays: 1},
}}

// world is the pipeline on two shards and a Kafka of its own.
type world struct {
	t        *testing.T
	kafka    *localstack.Kafka
	shards   []*localstack.ClickHouse
	pipeline *pipeline.Pipeline
	// clickHouse is the first shard, which is asked.
	clickHouse ledger.ClickHouse
	admin      *kadm.Client

	mu     sync.Mutex // guards ledger while there is load
	ledger *ledger.Ledger
}

func open(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{t: t, ledger: ledger.New()}
	w.startParts(dir)
	config := filepath.Join(dir, "onepx.yaml")
	require.NoError(t, os.WriteFile(config, []byte(sites), 0o600))
	var err error
	w.pipeline, err = pipeline.New(t.Context(), pipeline.Config{
		Dir: dir, Broker: w.kafka.Broker(), ClickHouse: w.shards[0].NativeAddr(), Sites: config, EventPartitions: partitions,
		Env: w.settings(w.shards[0].NativeAddr(), w.shards[1].NativeAddr()),
	})
	require.NoError(t, err)
	w.clickHouse = ledger.ClickHouse{URL: w.shards[0].HTTPURL()}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Broker()))
	require.NoError(t, err)
	w.admin = kadm.NewClient(client)
	t.Cleanup(w.admin.Close)
	return w
}

func (w *world) settings(shards ...string) []string {
	return []string{
		"ONEPX_CLICKHOUSE_CLUSTER=" + localstack.ClusterName, "ONEPX_CLICKHOUSE_SHARDS=" + strings.Join(shards, ","), "ONEPX_CLICKHOUSE_UNREPLICATED=true",
		"ONEPX_INSERT_DEADLINE=3s", "ONEPX_SESSION_TIMEOUT=6s",
	}
}

func (w *world) startParts(dir string) {
	w.t.Helper()
	var starting errgroup.Group
	starting.Go(func() (err error) {
		w.kafka, err = localstack.StartKafka(w.t.Context(), localstack.KafkaConfig{Dir: filepath.Join(dir, "kafka")})
		return err
	})
	starting.Go(func() (err error) {
		w.shards, err = localstack.StartShards(w.t.Context(), localstack.ClickHouseConfig{Dir: filepath.Join(dir, "clickhouse")}, 2)
		return err
	})
	err := starting.Wait()
	if w.kafka != nil {
		w.t.Cleanup(func() { require.NoError(w.t, w.kafka.Stop()) })
	}
	for _, shard := range w.shards {
		w.t.Cleanup(func() { require.NoError(w.t, shard.Kill()) }) // nobody needs its data
	}
	require.NoError(w.t, err)
	w.t.Cleanup(http.DefaultClient.CloseIdleConnections)
}

func (w *world) consumer(name string) *pipeline.Service {
	w.t.Helper()
	service, err := w.pipeline.StartConsumer(w.t.Context(), name)
	require.NoError(w.t, err)
	return service
}

// send lets visitors shop for a while and calls meanwhile.
func (w *world) send(seed uint64, meanwhile func()) {
	w.t.Helper()
	collector, err := w.pipeline.StartCollector(w.t.Context(), fmt.Sprint("collector-", seed))
	require.NoError(w.t, err)
	ctx, stop := context.WithCancel(w.t.Context())
	var sending sync.WaitGroup
	sending.Go(func() {
		load.Run(ctx, load.Config{
			Targets: []string{collector.URL}, Site: "shop", Rate: 200, Visitors: 100, Repeat: 0.05, Retries: 2, Seed: seed, Timeout: 10 * time.Second, InFlight: 500,
		}, w.note)
	})
	meanwhile()
	stop()
	sending.Wait()
	require.NoError(w.t, collector.Stop())
}

func (w *world) note(r load.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.Note(r)
}

// await waits until so many rows are stored.
func (w *world) await(rows int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		var stored struct{ Rows int }
		err := w.clickHouse.One(w.t.Context(), "SELECT count() AS Rows FROM onepx.events", &stored)
		return err == nil && stored.Rows >= rows
	}, patience, glance)
}

// settled waits until every offset has a row, and what is stored is what was sent: views get a row a moment after events has it.
func (w *world) settled() ledger.Balance {
	w.t.Helper()
	var b ledger.Balance
	look := func() error {
		listed, err := w.admin.ListEndOffsets(w.t.Context(), "onepx.events")
		if err != nil {
			return err
		}
		ends := map[int]int64{}
		listed.Each(func(o kadm.ListedOffset) { ends[int(o.Partition)] = o.Offset })
		if b, err = w.ledger.Compare(w.t.Context(), w.clickHouse, "shop", ends); err != nil {
			return err
		}
		return b.Err()
	}
	var last error
	if !assert.Eventually(w.t, func() bool { last = look(); return last == nil }, patience, glance) {
		require.NoError(w.t, last)
	}
	return b
}

// answer is the sorted rows of a query; %s in it stands for the database.
func (w *world) answer(database, query string) []string {
	w.t.Helper()
	var all []string
	err := w.clickHouse.Query(w.t.Context(), strings.ReplaceAll(query, "%s", database), func(row json.RawMessage) error {
		all = append(all, string(row))
		return nil
	})
	require.NoError(w.t, err, query)
	return all
}
