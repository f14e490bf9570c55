package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/load"
	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	site       = "demo"
	topic      = "onepx.events"
	group      = "onepx-consumer"
	partitions = 4
	// loadAfterFault is how long the load goes on when the fault is over.
	loadAfterFault = 3 * time.Second
	// settleLimit is how long everything that was sent may take to be stored.
	settleLimit = 3 * time.Minute
)

// world is the running system.
type world struct {
	dir        string
	rate       float64
	seed       uint64
	random     *rand.Rand
	kafka      *localstack.Kafka
	clickHouse *localstack.ClickHouse
	pipeline   *pipeline.Pipeline
	collectors []*pipeline.Service
	consumers  []*pipeline.Service
	admin      *kadm.Client
	ledger     *ledger.Ledger
	balance    ledger.Balance
}

// start starts everything; stop must be called also after an error.
func start(ctx context.Context, dir string, rate float64, seed uint64) (*world, error) {
	w := &world{dir: dir, rate: rate, seed: seed, ledger: ledger.New(), random: rand.New(rand.NewPCG(seed, 2))}
	var err error
	if w.kafka, err = localstack.StartKafka(ctx, localstack.KafkaConfig{Dir: filepath.Join(dir, "kafka"), LogFile: filepath.Join(dir, "log", "kafka.log"), Progress: os.Stderr}); err != nil {
		return w, err
	}
	if w.clickHouse, err = localstack.StartClickHouse(ctx, localstack.ClickHouseConfig{Dir: filepath.Join(dir, "clickhouse"), LogFile: filepath.Join(dir, "log", "clickhouse.log"), Progress: os.Stderr}); err != nil {
		return w, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Broker()))
	if err != nil {
		return w, err
	}
	w.admin = kadm.NewClient(client)
	if err := w.writeSites("Europe/Berlin"); err != nil {
		return w, err
	}
	w.pipeline, err = pipeline.New(ctx, pipeline.Config{
		Dir: dir, Broker: w.kafka.Broker(), ClickHouse: w.clickHouse.NativeAddr(), Sites: w.sites(), Tags: "faults", EventPartitions: partitions,
	})
	if err != nil {
		return w, err
	}
	if err := w.makeFragileView(ctx); err != nil {
		return w, err
	}
	for i := range 2 {
		consumer, err := w.pipeline.StartConsumer(ctx, fmt.Sprint("consumer-", i))
		if err != nil {
			return w, err
		}
		w.consumers = append(w.consumers, consumer)
		collector, err := w.pipeline.StartCollector(ctx, fmt.Sprint("collector-", i))
		if err != nil {
			return w, err
		}
		w.collectors = append(w.collectors, collector)
	}
	return w, nil
}

// stop ends all processes; what is paused or dead is killed.
func (w *world) stop() {
	for _, s := range append(w.collectors, w.consumers...) {
		_ = s.Resume()
		_ = s.Stop()
	}
	if w.admin != nil {
		w.admin.Close()
	}
	if w.kafka != nil {
		_ = w.kafka.Stop()
	}
	if w.clickHouse != nil {
		_ = w.clickHouse.Stop()
	}
}

func (w *world) sites() string { return filepath.Join(w.dir, "onepx.yaml") }

// writeSites writes the configuration; the time zone is part of the rules.
func (w *world) writeSites(timezone string) error {
	return os.WriteFile(w.sites(), fmt.Appendf(nil, "sites:\n  - id: %s\n    timezone: %s\n    currency: EUR\n", site, timezone), 0o600)
}

func (w *world) sql() ledger.ClickHouse { return ledger.ClickHouse{URL: w.clickHouse.HTTPURL()} }

// makeFragileView adds a third view, which fails as long as its switch has a row. Its sum must be right like the others'.
func (w *world) makeFragileView(ctx context.Context) error {
	const window = " SETTINGS non_replicated_deduplication_window = 100000"
	for _, statement := range []string{
		"CREATE TABLE onepx.e2e_switch (x UInt8) ENGINE = MergeTree ORDER BY x",
		"CREATE TABLE onepx.e2e_counts (events UInt64) ENGINE = MergeTree ORDER BY tuple()" + window,
		"CREATE MATERIALIZED VIEW onepx.e2e_view TO onepx.e2e_counts AS SELECT countIf(outcome = 'event') + throwIf((SELECT count() FROM onepx.e2e_switch) > 0) AS events FROM onepx.events",
	} {
		if err := w.sql().Query(ctx, statement, nil); err != nil {
			return err
		}
	}
	return nil
}

// round runs the fault under load, waits until everything is stored, and compares.
func (w *world) round(ctx context.Context, number int, fault func(context.Context, *world) error) (ledger.Balance, error) {
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	var targets []string
	for _, c := range w.collectors {
		targets = append(targets, c.URL)
	}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		load.Run(loading, load.Config{
			Targets: targets, Site: site, Rate: w.rate, Visitors: 300, Repeat: 0.02, Retries: 2,
			Seed: w.seed + uint64(number), Timeout: 10 * time.Second, InFlight: 1000,
		}, w.ledger.Note)
	}()
	err := fault(ctx, w)
	if err == nil {
		w.pause(ctx, loadAfterFault)
	}
	stopLoad()
	<-loaded
	if err != nil {
		return ledger.Balance{}, err
	}
	return w.settle(ctx)
}

// settle waits until every offset of Kafka has a row, and compares the ledger with what is stored.
func (w *world) settle(ctx context.Context) (ledger.Balance, error) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for {
		ends, err := w.ends(ctx)
		if err != nil {
			return ledger.Balance{}, err
		}
		balance, err := w.ledger.Compare(ctx, w.sql(), site, ends)
		if err != nil {
			return balance, err
		}
		var fragile struct{ Events int }
		if err := w.sql().One(ctx, "SELECT sum(events) AS Events FROM onepx.e2e_counts", &fragile); err != nil {
			return balance, err
		}
		if balance.MissingOffsets == 0 || ctx.Err() != nil {
			err := balance.Err()
			if fragile.Events != balance.Rows {
				err = errors.Join(err, fmt.Errorf("the fragile view sums up to %d events, events has %d", fragile.Events, balance.Rows))
			}
			return balance, err
		}
		w.pause(ctx, 500*time.Millisecond)
	}
}

func (w *world) ends(ctx context.Context) (map[int]int64, error) {
	listed, err := w.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends := map[int]int64{}
	listed.Each(func(o kadm.ListedOffset) { ends[int(o.Partition)] = o.Offset })
	return ends, listed.Error()
}

// pause waits, or until the context ends.
func (w *world) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// between waits for a random time.
func (w *world) between(ctx context.Context, low, high time.Duration) {
	w.pause(ctx, low+time.Duration(w.random.Int64N(int64(high-low))))
}

// awaitMetric waits until a line of the service's metrics has the name, the label and a value that is not 0.
func (w *world) awaitMetric(ctx context.Context, s *pipeline.Service, name, label string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Admin+"/metrics", nil)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			text, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, name) && strings.Contains(line, label) && !strings.HasSuffix(line, " 0\n") {
					return nil
				}
			}
		}
		w.pause(ctx, 200*time.Millisecond)
	}
	return fmt.Errorf("metric %s with %s did not show within a minute", name, label)
}
