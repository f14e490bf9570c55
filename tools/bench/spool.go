package main

import (
	"context"
	"fmt"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// spoolBench measures answers while Kafka is away, each an fsync's worth, against those while it is there.
func spoolBench(ctx context.Context, w *world) (report, error) {
	collector, err := w.pipeline.StartCollector(ctx, "collector")
	if err != nil {
		return report{}, err
	}
	defer func() { _ = collector.Stop() }()
	c, err := newClient(collector.URL, busy, "stored", "spooled")
	if err != nil {
		return report{}, err
	}
	defer c.close()
	var with, without, ratios, drains []float64
	for range w.runs {
		there, err := c.throughput(ctx, measured)
		if err != nil {
			return report{}, err
		}
		away, drained, err := spoolOnce(ctx, w, collector, c)
		if err != nil {
			return report{}, err
		}
		with, without, ratios, drains = append(with, there), append(without, away), append(ratios, away/there), append(drains, drained)
	}
	return report{
		numbers: []number{
			{"spool_answers_per_second", median(without), "/s", nil, "answers `spooled` while Kafka is away, each after the fsync it is part of"},
			{"spool_throughput_ratio", median(ratios), "x", nil, fmt.Sprintf("against answers `stored` while Kafka is there (%s/s)", short(median(with)))},
			{"spool_replayed_per_second", median(drains), "/s", nil, "events that go to Kafka once it is back, with no other load"},
		},
		method: fmt.Sprintf(`Kafka's process is stopped (SIGSTOP), so that it neither answers nor refuses; once the collector has noticed, %d connections that never wait are measured
for %s. Then Kafka goes on and the spool drains.`, busy, measured),
	}, nil
}

// spoolOnce measures answers per second with Kafka away, and events per second replayed afterwards.
func spoolOnce(ctx context.Context, w *world, collector *pipeline.Service, c *client) (answers, replayed float64, err error) {
	if err := w.kafka.Pause(); err != nil {
		return 0, 0, err
	}
	resumed := false
	defer func() {
		if !resumed {
			_ = w.kafka.Resume()
		}
	}()
	// The first answers wait for Kafka until their time is over; measured is what comes then.
	if _, err := c.throughput(ctx, requestTimeout/2); err != nil {
		return 0, 0, err
	}
	if answers, err = c.throughput(ctx, measured); err != nil {
		return 0, 0, err
	}
	events, err := collector.Metric(ctx, "onepx_collector_spool_events")
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	resumed = true
	if err := w.kafka.Resume(); err != nil {
		return 0, 0, err
	}
	for ctx.Err() == nil {
		left, err := collector.Metric(ctx, "onepx_collector_spool_events")
		if err != nil {
			return 0, 0, err
		}
		if left == 0 {
			return answers, events / time.Since(begin).Seconds(), nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return 0, 0, ctx.Err()
}
