package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/onepx/onepx/services/shared/pause"
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
	proxies    [pairs]proxy
	proxyPorts *localstack.Ports
	ledger     *ledger.Ledger
	letters    *letters
	// verdict is that of the last round, answers are those of this one.
	verdict verdict
	noting  sync.Mutex // guards answers and ledger while there is load
	answers answers
	// alerts is what the drill of alerts has come to, empty as long as there was none.
	alerts string
}

// start starts everything; stop must be called also after an error.
func start(ctx context.Context, dir string, rate float64, seed uint64) (*world, error) {
	w := &world{dir: dir, rate: rate, seed: seed, ledger: ledger.New(), random: rand.New(rand.NewPCG(seed, 2))}
	var err error
	if w.letters, err = newLetters(); err != nil {
		return w, err
	}
	if w.proxies, w.proxyPorts, err = newProxies(); err != nil {
		return w, err
	}
	if w.kafka, err = localstack.StartKafka(ctx, localstack.KafkaConfig{
		Dir: filepath.Join(dir, "kafka"), LogFile: filepath.Join(dir, "log", "kafka.log"), Progress: os.Stderr,
		Advertised: []string{w.proxies[collectorToKafka].Listen, w.proxies[consumerToKafka].Listen},
	}); err != nil {
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
	return w, w.startServices(ctx)
}

// startServices starts two of each; the second of each reaches the others through the proxies.
func (w *world) startServices(ctx context.Context) error {
	err := errors.Join(
		w.proxies[collectorToKafka].lead(w.kafka.ProxiedAddr(0)),
		w.proxies[consumerToKafka].lead(w.kafka.ProxiedAddr(1)),
		w.proxies[consumerToClickHouse].lead(w.clickHouse.NativeAddr()),
	)
	if err != nil {
		return err
	}
	forCollector := []string{fmt.Sprint("ONEPX_SPOOL_QUOTA_BYTES=", spoolQuota), "ONEPX_STOP_GRACE=" + stopGrace.String(), "ONEPX_MAIL_KEYS=" + w.letters.keys}
	var forConsumer []string
	for i := range 2 {
		if i == 1 {
			forCollector = append(forCollector, "ONEPX_KAFKA_BROKERS="+w.proxies[collectorToKafka].Listen)
			forConsumer = append(forConsumer, "ONEPX_KAFKA_BROKERS="+w.proxies[consumerToKafka].Listen, "ONEPX_CLICKHOUSE_ADDR="+w.proxies[consumerToClickHouse].Listen)
		}
		consumer, err := w.pipeline.StartConsumer(ctx, fmt.Sprint("consumer-", i), forConsumer...)
		if err != nil {
			return err
		}
		w.consumers = append(w.consumers, consumer)
		collector, err := w.pipeline.StartCollector(ctx, fmt.Sprint("collector-", i), forCollector...)
		if err != nil {
			return err
		}
		w.collectors = append(w.collectors, collector)
	}
	return w.proxies[clientToCollector].lead(strings.TrimPrefix(w.proxiedCollector().URL, "http://"))
}

// proxiedCollector is the one behind proxies.
func (w *world) proxiedCollector() *pipeline.Service { return w.collectors[1] }

// direct are the addresses of the collectors without the proxy.
func (w *world) direct() []string { return []string{w.collectors[0].URL, w.collectors[1].URL} }

// stop ends all processes; what is paused or dead is killed.
func (w *world) stop() {
	for _, s := range append(w.collectors, w.consumers...) {
		_ = s.Resume()
		_ = s.Stop()
	}
	for _, p := range w.proxies {
		if p.Proxy != nil {
			p.Stop()
		}
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
	return os.WriteFile(w.sites(), fmt.Appendf(nil, "sites:\n  - id: %s\n    timezone: %s\n    currency: %s\n%s    goals:\n%s  - {id: "+mailSite+", timezone: UTC, currency: EUR}\n", site, timezone, shop.Currency, ledger.Rules, goals), 0o600)
}

func (w *world) sql() ledger.ClickHouse { return ledger.ClickHouse{URL: w.clickHouse.HTTPURL()} }

// makeFragileView adds a third view, which fails as long as its switch has a row. Its sum must be right like the others'.
func (w *world) makeFragileView(ctx context.Context) error {
	const window = " SETTINGS non_replicated_deduplication_window = 100000"
	for _, statement := range []string{
		"CREATE TABLE onepx.e2e_switch (x UInt8) ENGINE = MergeTree ORDER BY x",
		"CREATE TABLE onepx.e2e_counts (events UInt64, last_offsets Map(Int32, Int64)) ENGINE = MergeTree ORDER BY tuple()" + window,
		"CREATE MATERIALIZED VIEW onepx.e2e_view TO onepx.e2e_counts AS SELECT countIf(outcome = 'event' AND site_id = '" + site + "') + throwIf((SELECT count() FROM onepx.e2e_switch) > 0) AS events, map(any(kafka_partition), max(kafka_offset)) AS last_offsets FROM onepx.events",
	} {
		if err := w.sql().Query(ctx, statement, nil); err != nil {
			return err
		}
	}
	return nil
}

// round runs the fault under load, waits until everything is stored, and compares.
func (w *world) round(ctx context.Context, number int, k kind) (verdict, error) {
	loading, stopLoad := context.WithCancel(ctx)
	defer stopLoad()
	w.answers = answers{byWord: map[string]int{}}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		w.load(loading, number, k)
	}()
	err := k.fault(ctx, w)
	if err == nil {
		w.pause(ctx, loadAfterFault)
	}
	stopLoad()
	<-loaded
	if err != nil {
		return verdict{}, err
	}
	v, err := w.settle(ctx)
	w.answers.counted = v.balance.Rows - w.verdict.balance.Rows
	if err == nil && k.check != nil {
		err = k.check(w.answers)
	}
	return v, err
}

// load sends traffic until ctx ends.
func (w *world) load(ctx context.Context, number int, k kind) {
	rate := w.rate
	switch {
	case k.rate == silence:
		return
	case k.rate > 0:
		rate = k.rate
	}
	cfg := load.Config{
		Targets: []string{w.collectors[0].URL, "http://" + w.proxies[clientToCollector].Listen},
		Site:    site, Rate: rate, Visitors: 300, Repeat: 0.02, Retries: 2, Filler: k.filler,
		Seed: w.seed + uint64(number), Timeout: 10 * time.Second, InFlight: 1000,
	}
	if k.balanced {
		for _, c := range w.collectors {
			cfg.Ready = append(cfg.Ready, c.Admin+"/readyz")
		}
	}
	var reading sync.WaitGroup
	reading.Go(func() { w.letters.read(ctx, number, cfg.Targets) })
	load.Run(ctx, cfg, w.note)
	reading.Wait()
}

// note takes what became of an event.
func (w *world) note(r load.Result) {
	w.noting.Lock()
	defer w.noting.Unlock()
	w.ledger.Note(r)
	w.answers.note(r)
}

// pause waits, or until the context ends.
func (w *world) pause(ctx context.Context, d time.Duration) { _ = pause.For(ctx, d) }

// between waits for a random time.
func (w *world) between(ctx context.Context, low, high time.Duration) {
	w.pause(ctx, low+time.Duration(w.random.Int64N(int64(high-low))))
}
