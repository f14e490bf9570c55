package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// intakeReport compares the medians; where our consumer is slower it looks where the time goes.
func (w *world) intakeReport(ctx context.Context, consumer intakeSide, results map[string][]intake) (report, error) {
	rate := func(side string, enriched bool) float64 {
		return medianOf(results[intakeKey(side, enriched)], func(i intake) float64 { return i.rowsPerSecond })
	}
	cpu := func(side string, enriched bool) float64 {
		return medianOf(results[intakeKey(side, enriched)], func(i intake) float64 { return i.cpuPerMillion })
	}
	ratio := func(of func(string, bool) float64, enriched bool) float64 {
		return of("consumer", enriched) / of("kafka_engine", enriched)
	}
	r := report{method: intakeMethod, numbers: []number{
		{name: "consumer_rows_ratio", value: ratio(rate, false), goal: atLeast(1), about: "rows/s of the consumer ÷ rows/s of the Kafka engine, nothing to enrich"},
		{name: "consumer_cpu_ratio", value: ratio(cpu, false), about: "CPU time for a row, consumer and ClickHouse ÷ ClickHouse with the Kafka engine, nothing to enrich"},
		{name: "consumer_rows_per_second", value: rate("consumer", false), about: "rows/s of the consumer, nothing to enrich"},
		{name: "consumer_cpu_s_per_million", value: cpu("consumer", false), unit: "s", about: "CPU time of consumer and ClickHouse for a million rows, nothing to enrich"},
		{name: "kafka_engine_rows_per_second", value: rate("kafka_engine", false), about: "rows/s of the Kafka engine, nothing to enrich"},
		{name: "kafka_engine_cpu_s_per_million", value: cpu("kafka_engine", false), unit: "s", about: "CPU time of ClickHouse for a million rows, nothing to enrich"},
		{name: "consumer_enriched_rows_ratio", value: ratio(rate, true), about: "rows/s of the consumer, which enriches ÷ rows/s of the Kafka engine, which does not"},
		{name: "consumer_enriched_cpu_ratio", value: ratio(cpu, true), about: "CPU time for a row, consumer and ClickHouse ÷ ClickHouse with the Kafka engine, which does not enrich"},
	}}
	if ratio(rate, false) >= 1 {
		return r, nil
	}
	profile, err := w.profileIntake(ctx, consumer)
	r.notes = "Where the consumer's own CPU time goes while it enriches (`go tool pprof -top`):\n\n```\n" + profile + "```"
	return r, err
}

func medianOf(all []intake, of func(intake) float64) float64 {
	var values []float64
	for _, i := range all {
		values = append(values, of(i))
	}
	return median(values)
}

const intakeMethod = `The same 600,000 page views of a shop, protobuf in LZ4 batches in six partitions of ` + "`onepx.events`" + `, are taken in
by the consumer into the database ` + "`onepx`" + `, and by ClickHouse alone into copies of the same tables and materialised views: a
table with ` + "`ENGINE = Kafka`" + ` (ProtobufSingle, a thread for each of its consumers, blocks of up to 65,536 rows) and a view that
makes the rows in SQL. They take turns, on empty tables. Time and CPU time count from the moment at which the consumer has its
partitions, and at which the Kafka engine has read its first messages, until the last row is stored; the limits of the
consumer's batches and its pace (at most four inserts a second) are part of it. CPU time is that of consumer and ClickHouse,
or of ClickHouse alone, with the merges that ClickHouse does meanwhile.

After each turn rows, distinct offsets and event ids, and the sums of ` + "`traffic_daily`" + ` and ` + "`visitor_days`" + ` are compared; they
are equal. The consumer's enrichment cannot be switched off. "Nothing to enrich" means events that the shop's server reports,
without user agent, referrer and utm parameters, so that it finds nothing to work on; the other events come from fifty
browsers over seven ways into the shop.

The comparison favours the Kafka engine where the work differs. It gives no exactly-once guarantee, looks for no repeated
events, and checks no suppression list. In SQL these columns are constants: channel, device, browser, operating system, is_bot,
rules, batch_first, batch_last, items, retention_days, outcome; traffic_class is read from the transport, source and medium are
the utm parameters in lower case, and record_hash covers the key only. With events to enrich its tables therefore hold
less, and one channel instead of several.
`

// profileSeconds is less than the consumer needs for the backlog.
const profileSeconds = 5

// profileIntake returns the most expensive functions of the consumer while it takes in the topic as it is.
func (w *world) profileIntake(ctx context.Context, consumer intakeSide) (string, error) {
	run, err := consumer.begin(ctx, "consumer-profiled")
	if err != nil {
		return "", err
	}
	defer func() { _ = run.stop() }()
	file := filepath.Join(w.dir, "consumer.pprof")
	if err := download(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", run.admin, profileSeconds), file); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=15", file).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	return string(out), nil
}

func download(ctx context.Context, url, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*profileSeconds*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}
