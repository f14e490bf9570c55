package main

import (
	"context"
	"fmt"
)

// intakeReport compares the medians and looks where the consumer's time goes.
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
	profile, err := w.profileIntake(ctx, consumer)
	r.notes = "Where the consumer's own CPU time goes while it enriches (`go tool pprof -top`, the first seconds):\n\n```\n" + profile + "```"
	return r, err
}

func medianOf(all []intake, of func(intake) float64) float64 {
	var values []float64
	for _, i := range all {
		values = append(values, of(i))
	}
	return median(values)
}

const intakeMethod = `The same 400,000 page views of a shop, protobuf in LZ4 batches in six partitions of ` + "`onepx.events`" + `, are taken in
by the consumer into the database ` + "`onepx`" + `, and by ClickHouse alone into copies of the same tables and materialised views: a
table with ` + "`ENGINE = Kafka`" + ` (ProtobufSingle, a consumer with a thread of its own for each core, at most six, blocks of up to
65,536 rows, all else by default) and a view that makes the rows in SQL. They take turns, on empty tables. Time and CPU time
count from the moment at which the consumer has its partitions, or the Kafka engine has read its first messages, until nine
tenths of the rows are stored. The last tenth is left out because there both wait for blocks to fill, the Kafka engine longer.
The consumer has its default settings; its pace, at most four inserts a second, is part of it. CPU time is that of consumer
and ClickHouse, or of ClickHouse alone, with the merges that ClickHouse does meanwhile.

After each turn all rows are there, and their number, distinct offsets and event ids, the sums of ` + "`traffic_daily`" + ` and
` + "`visitor_days`" + `, and the number of visitors are compared: they must be equal.

The consumer's enrichment cannot be switched off. "Nothing to enrich" means events that the shop's server reports, without
user agent, referrer and utm parameters, so that enrichment has next to nothing to work on; the other events come from fifty
browsers over seven ways into the shop.

Where the work differs, the Kafka engine has less of it. It gives no exactly-once guarantee, looks for no repeated events and
asks no suppression list. Constants in its rows are outcome, channel, device, is_bot and retention_days; browser and operating
system with their versions, items, rules, reason, replayed, batch_first and batch_last stay empty. traffic_class comes from
the transport alone, source, medium and campaign from the utm parameters alone, and record_hash covers the key only. With
events to enrich, its views therefore have one channel where the consumer's have several.
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
	return w.profileTop(ctx, run.consumer, fmt.Sprintf("profile?seconds=%d", profileSeconds), "-nodecount=8")
}
