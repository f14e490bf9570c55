package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// backlogEvents is how many events each side takes in.
	backlogEvents = 400_000
	// backlogMeasured is how many of them must be stored for the clocks to stop: a side's last blocks, which are not full,
	// wait for more, and that is not work.
	backlogMeasured = backlogEvents * 9 / 10
	// intakeTimeout bounds one measurement.
	intakeTimeout = 3 * time.Minute
	// intakePoll is how often the rows are counted meanwhile.
	intakePoll = 50 * time.Millisecond
)

// intake is one measurement of one side.
type intake struct {
	rowsPerSecond, cpuPerMillion float64
	totals                       intakeTotals
}

// intakeTotals are what events and its views hold at the end; both sides must agree.
type intakeTotals struct {
	Rows, Offsets, EventIDs, TrafficEvents, TrafficPageViews, VisitorPageViews, Visitors int64
}

// intakeSide fills tables from the topic.
type intakeSide struct {
	name, database string
	// begin starts the side on empty tables and returns when it has its partitions.
	begin func(ctx context.Context, run string) (intakeRun, error)
}

// intakeRun is a side at work.
type intakeRun struct {
	pids []int
	stop func() error
	// consumer is ours; nil where the Kafka engine works.
	consumer *pipeline.Service
}

// consumerBench compares the consumer with ClickHouse's Kafka engine on a backlog, without and with something to enrich.
func consumerBench(ctx context.Context, w *world) (report, error) {
	sides := []intakeSide{
		{"consumer", "onepx", w.beginConsumer},
		{"kafka_engine", "rival", w.beginKafkaEngine},
	}
	results := map[string][]intake{}
	for _, enriched := range []bool{false, true} {
		if err := emptyTopic(ctx, w.kafka.Broker()); err != nil {
			return report{}, err
		}
		if err := fillTopic(ctx, w.kafka.Broker(), backlogEvents, enriched); err != nil {
			return report{}, err
		}
		for run := range w.runs {
			var totals [2]intakeTotals
			for turn := range sides {
				i := (run + turn) % len(sides) // who goes first changes
				name := fmt.Sprintf("%s-%d-enriched-%t", sides[i].name, run, enriched)
				result, err := w.measureIntake(ctx, sides[i], name)
				if err != nil {
					return report{}, fmt.Errorf("%s: %w", name, err)
				}
				key := intakeKey(sides[i].name, enriched)
				results[key], totals[i] = append(results[key], result), result.totals
			}
			if totals[0] != totals[1] || totals[0].Rows != backlogEvents {
				return report{}, fmt.Errorf("the tables differ: consumer %+v, kafka engine %+v", totals[0], totals[1])
			}
		}
	}
	return w.intakeReport(ctx, sides[0], results)
}

func intakeKey(side string, enriched bool) string { return fmt.Sprintf("%s/%t", side, enriched) }

// measureIntake lets a side take in the topic.
func (w *world) measureIntake(ctx context.Context, side intakeSide, name string) (intake, error) {
	ctx, cancel := context.WithTimeout(ctx, intakeTimeout)
	defer cancel()
	run, err := side.begin(ctx, name)
	if err != nil {
		return intake{}, err
	}
	defer func() { _ = run.stop() }()
	start := time.Now()
	before, err := cpuTimes(run.pids)
	if err != nil {
		return intake{}, err
	}
	rows, err := w.awaitRows(ctx, side.database, backlogMeasured)
	if err != nil {
		return intake{}, err
	}
	took := time.Since(start)
	after, err := cpuTimes(run.pids)
	if err != nil {
		return intake{}, err
	}
	if _, err := w.awaitRows(ctx, side.database, backlogEvents); err != nil {
		return intake{}, err
	}
	if err := run.stop(); err != nil {
		return intake{}, err
	}
	result := intake{rowsPerSecond: rows / took.Seconds(), cpuPerMillion: (after - before).Seconds() / rows * 1e6}
	fmt.Fprintf(os.Stderr, "  %s: %s rows/s, %s CPU s a million rows\n", name, short(result.rowsPerSecond), short(result.cpuPerMillion))
	result.totals, err = w.intakeTotals(ctx, side.database)
	return result, err
}

func cpuTimes(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		t, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// awaitRows waits until events has at least n rows and returns how many it has.
func (w *world) awaitRows(ctx context.Context, database string, n float64) (float64, error) {
	tick := time.NewTicker(intakePoll)
	defer tick.Stop()
	var count struct{ Rows float64 }
	for {
		if err := w.sql().One(ctx, "SELECT count() AS Rows FROM "+database+".events", &count); err != nil {
			return 0, err
		}
		if count.Rows >= n {
			return count.Rows, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%.0f of %.0f rows: %w", count.Rows, n, ctx.Err())
		case <-tick.C:
		}
	}
}

func (w *world) intakeTotals(ctx context.Context, database string) (intakeTotals, error) {
	var t intakeTotals
	err := w.sql().One(ctx, `SELECT
		(SELECT count() FROM `+database+`.events) AS Rows,
		(SELECT uniqExact(kafka_partition, kafka_offset) FROM `+database+`.events) AS Offsets,
		(SELECT uniqExact(event_id) FROM `+database+`.event_ids) AS EventIDs,
		(SELECT sum(events) FROM `+database+`.traffic_daily) AS TrafficEvents,
		(SELECT sum(page_views) FROM `+database+`.traffic_daily) AS TrafficPageViews,
		(SELECT sum(page_views) FROM `+database+`.visitor_days) AS VisitorPageViews,
		(SELECT uniqExact(visitor_id) FROM `+database+`.visitor_days) AS Visitors`, &t)
	return t, err
}

// beginConsumer starts our consumer as a group of its own.
func (w *world) beginConsumer(ctx context.Context, run string) (intakeRun, error) {
	if err := w.exec(ctx, "DROP DATABASE onepx SYNC"); err != nil {
		return intakeRun{}, err
	}
	if out, err := w.pipeline.Consumer(ctx, "migrate"); err != nil {
		return intakeRun{}, fmt.Errorf("consumer migrate: %w\n%s", err, out)
	}
	if err := w.commitIdle(ctx, run); err != nil {
		return intakeRun{}, err
	}
	consumer, err := w.pipeline.StartConsumer(ctx, run, append(defaultDeadlines, "ONEPX_CONSUMER_GROUP="+run)...)
	if err != nil {
		return intakeRun{}, err
	}
	return intakeRun{[]int{consumer.PID(), w.clickHouse.PID()}, consumer.Stop, consumer}, nil
}

func (w *world) exec(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if err := w.sql().Query(ctx, statement, func(json.RawMessage) error { return nil }); err != nil {
			return fmt.Errorf("%w: %.200s", err, statement)
		}
	}
	return nil
}

// commitIdle gives a group the position that a consumer leaves which has stored everything before the topic's first record.
// A group without a position would wait for two insert deadlines before it reads.
func (w *world) commitIdle(ctx context.Context, group string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Broker()))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	positions := kadm.Offsets{}
	starts.Each(func(o kadm.ListedOffset) {
		positions.Add(kadm.Offset{Topic: o.Topic, Partition: o.Partition, At: o.Offset, LeaderEpoch: -1, Metadata: "v1 idle"})
	})
	_, err = admin.CommitOffsets(ctx, group, positions)
	return err
}

// emptyTopic removes all records.
func emptyTopic(ctx context.Context, broker string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	deleted, err := admin.DeleteRecords(ctx, ends.Offsets())
	if err != nil {
		return err
	}
	return deleted.Error()
}
