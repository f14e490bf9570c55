package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	site       = "bench"
	topic      = "onepx.events"
	partitions = 6
)

// defaultDeadlines are the consumer's own: a backlog fills all cores, so an insert takes longer than tests allow.
var defaultDeadlines = []string{"ONEPX_INSERT_DEADLINE=15s", "ONEPX_SESSION_TIMEOUT=45s"}

// world is what every benchmark works on; the services are its own affair.
type world struct {
	dir, sites string
	runs       int
	kafka      *localstack.Kafka
	clickHouse *localstack.ClickHouse
	pipeline   *pipeline.Pipeline
}

// start starts Kafka and ClickHouse, with topics and tables; stop must be called also after an error.
func start(ctx context.Context, dir string, runs int) (*world, error) {
	w := &world{dir: dir, sites: filepath.Join(dir, "onepx.yaml"), runs: runs}
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o750); err != nil {
		return w, err
	}
	var err error
	if w.kafka, err = localstack.StartKafka(ctx, localstack.KafkaConfig{
		Dir: filepath.Join(dir, "kafka"), LogFile: filepath.Join(dir, "log", "kafka.log"), WholeHeap: true, Progress: os.Stderr,
	}); err != nil {
		return w, err
	}
	if w.clickHouse, err = localstack.StartClickHouse(ctx, localstack.ClickHouseConfig{Dir: filepath.Join(dir, "clickhouse"), LogFile: filepath.Join(dir, "log", "clickhouse.log"), Progress: os.Stderr}); err != nil {
		return w, err
	}
	if err := w.configure(""); err != nil {
		return w, err
	}
	w.pipeline, err = pipeline.New(ctx, pipeline.Config{
		Dir: dir, Broker: w.kafka.Broker(), ClickHouse: w.clickHouse.NativeAddr(), Sites: w.sites, EventPartitions: partitions, Console: true,
	})
	return w, err
}

func (w *world) stop() {
	if w.kafka != nil {
		_ = w.kafka.Resume() // a benchmark may have failed while it was paused
		_ = w.kafka.Stop()
	}
	if w.clickHouse != nil {
		_ = w.clickHouse.Stop()
	}
}

func (w *world) sql() ledger.ClickHouse { return ledger.ClickHouse{URL: w.clickHouse.HTTPURL()} }
