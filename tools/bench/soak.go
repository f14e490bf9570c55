package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/onepx/onepx/tools/internal/ledger"
	"github.com/onepx/onepx/tools/internal/load"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// soakCalibration is how many events tell what the pipeline can do, soakConnections how many connections send them without a pause.
	soakCalibration = 100_000
	soakConnections = 64
	// soakSeed is that of the traffic; what tells the rate has the next.
	soakSeed = 9
	// soakVisitors are the people who come.
	soakVisitors = 20_000
	// soakWritten is how long a run must be for the page, and for growth to be a failure: in the first minutes caches fill.
	soakWritten = 10 * time.Minute
	// soakWindow is how many event ids the consumer remembers of each partition, so few that they are as many as will be before values
	// count: with its default they come and go by tens of megabytes in the course of minutes.
	soakWindow = "ONEPX_WINDOW_EVENTS=10000"
	// soakSettled is how long the last events may take to be stored, and millions to be compared.
	soakSettled = 10 * time.Minute
)

// soakPage is the benchmark's place in the page; it runs by a command of its own, as it takes its time.
var soakPage = benchmark{name: "soak", title: "Half load for a long time"}

type soakCmd struct {
	Minutes float64 `default:"30" help:"How long. Below 10 growth is shown, but no failure, and docs/benchmarks.md is not written."`
	Rate    float64 `help:"Events a second; 0 = half of what the pipeline can do here, which is measured first."`
	Dir     string  `help:"Folder for data and logs, which is kept; empty = a temporary one, which is removed on success."`
}

// Run soaks, prints and writes what was found, and fails on anything that grew, was lost or came twice.
func (c *soakCmd) Run(ctx context.Context) error {
	if c.Minutes <= 0 || c.Rate < 0 {
		return errors.New("--minutes must be above 0 and --rate not below")
	}
	return inFolder(c.Dir, func(dir string) error {
		w, err := start(ctx, filepath.Join(dir, soakPage.name), 1)
		defer w.stop()
		if err != nil {
			return err
		}
		result, failed := c.soak(ctx, w)
		for _, n := range result.numbers {
			fmt.Println(n)
		}
		fmt.Println(result.notes)
		if failed == nil && c.length() >= soakWritten {
			failed = writeReport(soakPage, result)
		}
		return failed
	})
}

func (c *soakCmd) length() time.Duration { return time.Duration(c.Minutes * float64(time.Minute)) }

// soak runs the whole pipeline. The report says what was found also beside an error about it.
func (c *soakCmd) soak(ctx context.Context, w *world) (report, error) {
	if err := w.configure(ledger.Rules); err != nil {
		return report{}, err
	}
	s := &soaked{world: w, ledger: ledger.New(), rate: c.Rate}
	defer s.stop()
	if err := s.start(ctx); err != nil {
		return report{}, err
	}
	if s.rate == 0 {
		most, err := s.calibrate(ctx)
		if err != nil {
			return report{}, fmt.Errorf("measure the rate: %w", err)
		}
		s.rate, s.most = most/2, most
	}
	fmt.Fprintf(os.Stderr, "  %s events/s for %s …\n", short(s.rate), c.length())
	gathered, err := s.load(ctx, c.length())
	if err != nil {
		return report{}, err
	}
	balance, err := s.settle(ctx)
	if err != nil {
		return report{}, err
	}
	result, growing, err := soakReport(s, balance, gathered, c.length())
	if err == nil && growing > 0 && c.length() >= soakWritten {
		err = fmt.Errorf("%d values grow", growing)
	}
	return result, errors.Join(err, balance.Err())
}

// soaked is the pipeline under a load that lasts.
type soaked struct {
	*world
	ledger                    *ledger.Ledger
	collector, consumer, jobs *pipeline.Service
	admin                     *kadm.Client
	// rate is that of the load, most what the pipeline can do; 0 where it was not measured.
	rate, most float64
	// unstored are the events that were not answered as stored.
	unstored int
}

func (s *soaked) start(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.Broker()))
	if err != nil {
		return err
	}
	s.admin = kadm.NewClient(client)
	if s.consumer, err = s.pipeline.StartConsumer(ctx, "consumer", append([]string{soakWindow}, defaultDeadlines...)...); err != nil {
		return err
	}
	if s.jobs, err = s.pipeline.StartJobs(ctx, "jobs"); err != nil {
		return err
	}
	s.collector, err = s.pipeline.StartCollector(ctx, "collector")
	return err
}

func (s *soaked) stop() {
	for _, service := range []*pipeline.Service{s.collector, s.consumer, s.jobs} {
		if service != nil {
			_ = service.Stop()
		}
	}
	if s.admin != nil {
		s.admin.Close()
	}
}

// note keeps what the ledger compares: not the event, for there are millions.
func (s *soaked) note(r load.Result) {
	r.Event = nil
	s.ledger.Note(r)
	if r.Outcome != load.Stored {
		s.unstored++
	}
}

// calibrate lets connections that never wait send events, and returns how many a second came through to the tables, with all parts
// on the same cores. The last tenth waits for its blocks to fill, which is no work.
func (s *soaked) calibrate(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, intakeTimeout)
	defer cancel()
	begin := time.Now()
	sent := make(chan error, 1)
	go func() {
		sent <- load.Crowd(ctx, load.CrowdConfig{
			Targets: []string{s.collector.URL}, Site: site, Connections: soakConnections, Workers: soakConnections,
			Requests: soakCalibration, Seed: soakSeed + 1, Timeout: requestTimeout,
		}, s.note)
	}()
	rows, err := s.awaitRows(ctx, "onepx", soakCalibration*9/10)
	took := time.Since(begin)
	if err != nil {
		cancel()
	}
	if err = errors.Join(err, <-sent); err != nil {
		return 0, err
	}
	_, err = s.awaitRows(ctx, "onepx", soakCalibration)
	return rows / took.Seconds(), err
}

// load sends the traffic of a shop and gathers values meanwhile.
func (s *soaked) load(ctx context.Context, length time.Duration) (*collection, error) {
	loading, stop := context.WithTimeout(ctx, length)
	defer stop()
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		load.Run(loading, load.Config{
			Targets: []string{s.collector.URL}, Site: site, Rate: s.rate, Visitors: soakVisitors, Repeat: 0.02, Retries: 2,
			Seed: soakSeed, Timeout: requestTimeout, InFlight: 1000,
		}, s.note)
	}()
	gathered, err := s.gather(loading)
	stop()
	<-loaded
	return gathered, errors.Join(err, ctx.Err())
}

// settle ends the collector, waits until every offset has its row, and compares.
func (s *soaked) settle(ctx context.Context) (ledger.Balance, error) {
	ctx, cancel := context.WithTimeout(ctx, soakSettled)
	defer cancel()
	if left, err := s.collector.Metric(ctx, "onepx_collector_spool_events"); err != nil || left > 0 {
		return ledger.Balance{}, errors.Join(err, fmt.Errorf("%.0f events are in the spool although Kafka was never away", left))
	}
	if err := s.collector.Stop(); err != nil {
		return ledger.Balance{}, err
	}
	ends, total, err := s.ends(ctx)
	if err != nil {
		return ledger.Balance{}, err
	}
	if _, err := s.awaitRows(ctx, "onepx", total); err != nil {
		return ledger.Balance{}, err
	}
	for {
		balance, err := s.ledger.Compare(ctx, s.sql(), site, ends)
		if err != nil || balance.Err() == nil || ctx.Err() != nil {
			return balance, err
		}
		time.Sleep(time.Second) // the views of the last batch are filled a moment after the table
	}
}

// ends are how many offsets Kafka has given in each partition, and in all.
func (s *soaked) ends(ctx context.Context) (map[int]int64, float64, error) {
	listed, err := s.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, 0, err
	}
	ends, total := map[int]int64{}, 0.0
	listed.Each(func(o kadm.ListedOffset) {
		ends[int(o.Partition)] = o.Offset
		total += float64(o.Offset)
	})
	return ends, total, listed.Error()
}

// soakReport is what was found, and how many values grow.
func soakReport(s *soaked, b ledger.Balance, gathered *collection, length time.Duration) (report, int, error) {
	table, growing, err := growthTable(gathered)
	if err != nil {
		return report{}, 0, err
	}
	half := "a rate that was given"
	if s.most > 0 {
		half = fmt.Sprintf("half of the %s/s that came through to the tables when %d connections never waited", short(s.most), soakConnections)
	}
	return report{
		numbers: []number{
			{"soak_events_per_second", s.rate, "/s", nil, "rate of the load: " + half},
			{"soak_events", float64(b.Rows), "", nil, "events counted"},
			{"soak_unstored", float64(s.unstored), "", atMost(0), "events that were not answered as stored"},
			{"soak_lost", float64(b.Lost), "", atMost(0), "events answered as stored and not counted"},
			{"soak_double", float64(b.Double), "", atMost(0), "events counted more than once"},
			{"soak_growing", float64(growing), "", atMost(0), "values that grow"},
		},
		method: fmt.Sprintf(`The whole pipeline on this machine for %s: collector, Kafka, consumer, jobs and ClickHouse, with the traffic of a shop of %d visitors in an open loop. Values are read each
few seconds. The first tenth of the time is left out; then the median of the last third is compared with that of the first. A value grows if it is above by more than %.0f %% and by more than what
it may differ by chance: 8 MB, 10 goroutines or handles (ClickHouse, whose handles follow its merges: 200), 50 parts, 10 s of load that wait for the consumer. The collector's handles and goroutines are those without connections of the load, the consumer's memory and heap those without onepx_consumer_history_bytes, which it keeps for a week. Memory is resident; heap is that of Go, between collections. Kafka has all of its heap of 512 MB from the start: a JVM fills what it may have before it collects. The consumer has %s, which fills in the first minute. "Shows from" is the least steady growth an hour that this run would
have told; a slower one it can't.`, length, soakVisitors, flatShare*100, soakWindow),
		notes:   table,
		command: "make soak",
	}, growing, nil
}

// growthTable shows what each series came to, and counts those that grow.
func growthTable(gathered *collection) (table string, growing int, err error) {
	var t strings.Builder
	t.WriteString("| Process | Value | First third | Last third | Slope an hour | Shows from | |\n|---|---|---|---|---|---|---|\n")
	for _, s := range gathered.all {
		g, err := s.judge()
		if err != nil {
			return "", 0, err
		}
		verdict := "flat"
		if !g.flat {
			verdict = "**grows**"
			growing++
		}
		unit := ""
		if s.gauge.unit != "" {
			unit = " " + s.gauge.unit
		}
		fmt.Fprintf(&t, "| %s | %s | %s%s | %s%s | %s | %s | %s |\n", s.process, s.gauge.name, short(g.first), unit, short(g.last), unit, short(g.perHour), short(g.visible), verdict)
	}
	return t.String(), growing, nil
}
