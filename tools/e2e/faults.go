package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// away is how long a part is away in a round that is about that.
const away = time.Minute

// killCollector kills collectors with requests in flight.
func killCollector(ctx context.Context, w *world) error {
	for range 4 {
		w.between(ctx, time.Second, 3*time.Second)
		if err := killAndStart(ctx, w.collectors[w.random.IntN(len(w.collectors))]); err != nil {
			return err
		}
	}
	return nil
}

// killConsumer kills one consumer, then both at once.
func killConsumer(ctx context.Context, w *world) error {
	w.between(ctx, time.Second, 4*time.Second)
	if err := killAndStart(ctx, w.consumers[w.random.IntN(len(w.consumers))]); err != nil {
		return err
	}
	w.between(ctx, time.Second, 4*time.Second)
	for _, c := range w.consumers {
		if err := c.Kill(); err != nil {
			return err
		}
	}
	return startAll(ctx, w.consumers)
}

func killAndStart(ctx context.Context, s *pipeline.Service) error {
	if err := s.Kill(); err != nil {
		return err
	}
	return s.Start(ctx)
}

func startAll(ctx context.Context, services []*pipeline.Service) error {
	for _, s := range services {
		if err := s.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func stopAll(services []*pipeline.Service) error {
	var errs []error
	for _, s := range services {
		errs = append(errs, s.Stop())
	}
	return errors.Join(errs...)
}

// killDeclared lets consumers die between the declaration of a batch and its insert, and changes the rules before the
// next one makes the rows: it must make them by the declared rules.
func killDeclared(ctx context.Context, w *world) error {
	w.between(ctx, time.Second, 3*time.Second)
	if err := stopAll(w.consumers); err != nil {
		return err
	}
	for i := range 2 {
		doomed, err := w.pipeline.LaunchConsumer(ctx, fmt.Sprint("doomed-", i), "ONEPX_FAULT_KILL_DECLARED=1")
		if err != nil {
			return err
		}
		select {
		case <-doomed.Done():
		case <-ctx.Done():
			return errors.Join(ctx.Err(), doomed.Kill())
		case <-time.After(away):
			return errors.Join(errors.New("the consumer that was to die after a declaration did not"), doomed.Kill())
		}
	}
	zone := []string{"Asia/Tokyo", "Europe/Berlin", "America/Los_Angeles"}[w.random.IntN(3)]
	if err := w.writeSites(zone); err != nil {
		return err
	}
	return startAll(ctx, w.consumers)
}

func killKafka(ctx context.Context, w *world) error {
	for range 2 {
		w.between(ctx, 2*time.Second, 5*time.Second)
		if err := w.kafka.Kill(); err != nil {
			return err
		}
		if err := w.kafka.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func killClickHouse(ctx context.Context, w *world) error {
	for range 3 {
		w.between(ctx, time.Second, 4*time.Second)
		if err := w.clickHouse.Kill(); err != nil {
			return err
		}
		if err := w.clickHouse.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// viewFails makes a view fail, so that the table has rows which the view lacks, and kills a consumer meanwhile.
func viewFails(ctx context.Context, w *world) error {
	w.between(ctx, time.Second, 3*time.Second)
	if err := w.sql().Query(ctx, "INSERT INTO onepx.e2e_switch VALUES (1)", nil); err != nil {
		return err
	}
	w.between(ctx, 3*time.Second, 5*time.Second)
	victim := w.consumers[w.random.IntN(len(w.consumers))]
	if err := victim.Kill(); err != nil {
		return err
	}
	w.between(ctx, time.Second, 8*time.Second)
	if err := w.sql().Query(ctx, "TRUNCATE TABLE onepx.e2e_switch", nil); err != nil {
		return err
	}
	return victim.Start(ctx)
}

// pauseConsumer stops a consumer for longer than the session timeout and lets it go on with what it was doing.
func pauseConsumer(ctx context.Context, w *world) error {
	for range 2 {
		w.between(ctx, time.Second, 3*time.Second)
		victim := w.consumers[w.random.IntN(len(w.consumers))]
		if err := victim.Pause(); err != nil {
			return err
		}
		w.between(ctx, 12*time.Second, 16*time.Second)
		if err := victim.Resume(); err != nil {
			return err
		}
	}
	return nil
}

func kafkaAway(ctx context.Context, w *world) error {
	return w.withoutKafka(ctx, func() error {
		w.pause(ctx, away)
		return nil
	})
}

func clickHouseAway(ctx context.Context, w *world) error {
	w.between(ctx, 2*time.Second, 4*time.Second)
	if err := w.clickHouse.Stop(); err != nil {
		return err
	}
	w.pause(ctx, away)
	return w.clickHouse.Start(ctx)
}

// offsetsReset moves the group's offsets by hand, in one partition back and in another to where they are; both must stop,
// and go on after accept-offsets.
func offsetsReset(ctx context.Context, w *world) error {
	w.between(ctx, 2*time.Second, 4*time.Second)
	if err := stopAll(w.consumers); err != nil {
		return err
	}
	committed, err := w.admin.FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	var moved kadm.Offsets
	for partition, back := range map[int32]int64{0: 50, 1: 0} {
		at, _ := committed.Lookup(topic, partition)
		moved.AddOffset(topic, partition, max(at.At-back, 0), -1)
	}
	if err := w.admin.CommitAllOffsets(ctx, group, moved); err != nil {
		return err
	}
	stopping, err := w.pipeline.LaunchConsumer(ctx, "offsets-moved")
	if err != nil {
		return err
	}
	for _, partition := range []string{"0", "1"} {
		if err := w.awaitMetric(ctx, stopping, "onepx_consumer_partition_stopped", 1, "partition", partition, "reason", "offsets_moved"); err != nil {
			return errors.Join(err, stopping.Kill())
		}
	}
	if err := stopping.Stop(); err != nil {
		return err
	}
	out, err := w.pipeline.Consumer(ctx, "topics", "accept-offsets", "--yes")
	if err != nil {
		return fmt.Errorf("accept-offsets: %w\n%s", err, out)
	}
	if !strings.Contains(out, "goes on at") {
		return fmt.Errorf("accept-offsets accepted nothing:\n%s", out)
	}
	return startAll(ctx, w.consumers)
}
