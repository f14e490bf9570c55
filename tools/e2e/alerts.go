package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/onepx/onepx/tools/internal/load"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// quiet is how long no symptom must be raised for all to be well.
	quiet = 2 * time.Second
	// backlog is how long ClickHouse is away in the drill: longer than a batch that counts as young may take, and than an
	// insert of before may still take to fail.
	backlog = 12 * time.Second
	// bareRate is events a second for the collector without a spool.
	bareRate = 10
)

// drill breaks one thing after the other and reads meanwhile what the alerts would be told: each fault must raise its
// symptom, and before the first and after the last there must be none.
type drill struct {
	*world
	services []*pipeline.Service
	// raised are the words of the faults that were seen.
	raised []string
}

// drillAlerts runs the drill beside one more collector, which has no spool.
func drillAlerts(ctx context.Context, w *world) error {
	bare, err := w.pipeline.StartCollector(ctx, "collector-bare", "ONEPX_SPOOL_DIR=")
	if err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	var sending sync.WaitGroup
	cfg := load.Config{
		Targets: []string{bare.URL}, Site: site, Rate: bareRate, Visitors: 30, Seed: w.random.Uint64(), Timeout: 10 * time.Second, InFlight: 1000,
	}
	sending.Go(func() { load.Run(loading, cfg, w.note) })
	d := drill{world: w, services: slices.Concat(w.collectors, w.consumers, []*pipeline.Service{bare})}
	err = d.run(ctx)
	stop()
	sending.Wait()
	w.alerts = d.String()
	return errors.Join(err, bare.Stop())
}

func (d *drill) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.calm, d.deadLetter, d.withoutClickHouse, d.withoutKafka, d.calm} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *drill) String() string {
	var words []string
	for _, s := range symptoms() {
		word := "silent"
		if slices.Contains(d.raised, s.fault) {
			word = "raised"
		}
		words = append(words, s.fault+"="+word)
	}
	return strings.Join(words, " ")
}

// calm waits until no symptom is raised.
func (d *drill) calm(ctx context.Context) error {
	return d.await(ctx, "no alert has a reason", func(ctx context.Context) error {
		before, err := readAll(ctx, d.services)
		if err != nil {
			return err
		}
		d.pause(ctx, quiet)
		return d.silent(ctx, before, symptoms()...)
	})
}

// silent returns an error if one of the symptoms has been raised since.
func (d *drill) silent(ctx context.Context, before []reading, symptoms ...symptom) error {
	now, err := readAll(ctx, d.services)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range symptoms {
		errs = append(errs, want(!s.anywhere(before, now), "%s has a reason: %s", s.alert, s.fault))
	}
	return errors.Join(errs...)
}

// awaitRaised waits until the symptom has been raised since.
func (d *drill) awaitRaised(ctx context.Context, before []reading, s symptom) error {
	err := d.await(ctx, s.fault+" gives "+s.alert+" a reason", func(ctx context.Context) error {
		now, err := readAll(ctx, d.services)
		if err != nil {
			return err
		}
		return want(s.anywhere(before, now), "%v tell nothing", s.asks)
	})
	if err == nil {
		d.raised = append(d.raised, s.fault)
	}
	return err
}

// deadLetter publishes a record that is no event.
func (d *drill) deadLetter(ctx context.Context) error {
	before, err := readAll(ctx, d.services)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(d.kafka.Broker()))
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("no event")}).FirstErr(); err != nil {
		return err
	}
	return d.awaitRaised(ctx, before, deadLetters)
}

// withoutClickHouse stops ClickHouse for a while. Its symptom must go on for as long, as the rule waits for minutes; rows are
// late when it is back.
func (d *drill) withoutClickHouse(ctx context.Context) error {
	away, err := readAll(ctx, d.services)
	if err != nil {
		return err
	}
	if err := d.clickHouse.Stop(); err != nil {
		return err
	}
	err = d.awaitRaised(ctx, away, clickHouseIsAway)
	if err == nil {
		d.pause(ctx, backlog)
		var later []reading
		if later, err = readAll(ctx, d.services); err == nil {
			err = errors.Join(d.awaitRaised(ctx, later, clickHouseIsAway), d.silent(ctx, away, kafkaIsAway, spoolGrows, deadLetters))
		}
	}
	back, failed := readAll(ctx, d.services)
	if err := errors.Join(err, failed, d.clickHouse.Start(ctx)); err != nil {
		return err
	}
	return d.awaitRaised(ctx, back, rowsAreLate)
}

// withoutKafka stops Kafka until one collector loses events and the others spool them.
func (d *drill) withoutKafka(ctx context.Context) error {
	before, err := readAll(ctx, d.services)
	if err != nil {
		return err
	}
	return d.world.withoutKafka(ctx, func() error {
		return errors.Join(d.awaitRaised(ctx, before, kafkaIsAway), d.awaitRaised(ctx, before, spoolGrows), d.silent(ctx, before, deadLetters))
	})
}
