package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// crowd is how many connections the collector has while its memory is measured.
	crowd = 512
	// underLoad is how long.
	underLoad = 15 * time.Second
	// waiting is how many events wait for the consumer.
	waiting = 2_000_000
)

// memoryBench measures what the services take where they take most.
func memoryBench(ctx context.Context, w *world) (report, error) {
	load, err := collectorMemory(ctx, w, "load", func(c *client, _ *pipeline.Service) error {
		_, err := c.throughput(ctx, underLoad)
		return err
	})
	if err != nil {
		return report{}, err
	}
	away, err := collectorMemory(ctx, w, "away", func(c *client, s *pipeline.Service) error {
		_, _, err := spoolOnce(ctx, w, s, c)
		return err
	})
	if err != nil {
		return report{}, err
	}
	consumer, profile, err := consumerMemory(ctx, w)
	if err != nil {
		return report{}, err
	}
	return report{
		numbers: []number{
			{"memory_collector_full_load", load, " MB", atMost(150), "most resident memory of a collector at full load"},
			{"memory_collector_kafka_away", away, " MB", atMost(150), "the same while Kafka is away, and while the spool drains"},
			{"memory_consumer_backlog", consumer, " MB", atMost(300), fmt.Sprintf("most resident memory of the consumer of all %d partitions while it works off %d events", partitions, waiting)},
		},
		method: fmt.Sprintf(`VmHWM of the processes. The collector is fresh for each number and has %d connections that never wait, for %s or through an outage of Kafka.
The consumer starts on the whole backlog.`, crowd, underLoad),
		notes: "What the consumer's heap holds half way (`go tool pprof -sample_index=inuse_space -top`):\n\n```\n" + profile + "```",
	}, nil
}

// collectorMemory is the most memory that a fresh collector takes while it does something.
func collectorMemory(ctx context.Context, w *world, name string, do func(*client, *pipeline.Service) error) (float64, error) {
	collector, err := w.pipeline.StartCollector(ctx, "collector-"+name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = collector.Stop() }()
	c, err := newClient(collector.URL, crowd, "stored", "spooled")
	if err != nil {
		return 0, err
	}
	defer c.close()
	if err := do(c, collector); err != nil {
		return 0, err
	}
	return peakMemory(collector.PID())
}

// consumerMemory is the most memory that the consumer takes on its way through the backlog, and a heap profile half way.
func consumerMemory(ctx context.Context, w *world) (peak float64, profile string, err error) {
	fmt.Fprintf(os.Stderr, "writing %d events …\n", waiting)
	if err := fillTopic(ctx, w.kafka.Broker(), waiting, true); err != nil {
		return 0, "", err
	}
	consumer, err := w.pipeline.StartConsumer(ctx, "consumer", defaultDeadlines...)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = consumer.Stop() }()
	if _, err := w.awaitRows(ctx, "onepx", waiting/2); err != nil {
		return 0, "", err
	}
	if profile, err = w.profileTop(ctx, consumer, "heap", "-sample_index=inuse_space", "-nodecount=12"); err != nil {
		return 0, "", err
	}
	if _, err := w.awaitRows(ctx, "onepx", waiting); err != nil { // the collectors' events are on top
		return 0, "", err
	}
	peak, err = peakMemory(consumer.PID())
	return peak, profile, err
}
