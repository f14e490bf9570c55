package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onepx/onepx/tools/internal/load"
	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// spooled and spoolFullAnswer are answers of a collector.
	spooled         = "spooled"
	spoolFullAnswer = "rejected; reason=spool_full"
	// spoolQuota is the least that a spool may have: with larger events it fills within a minute.
	spoolQuota = 16 << 20
	// stopGrace is how long a collector that stops goes on serving, for the load balancer to notice.
	stopGrace = 2 * time.Second
	// longAway is how long Kafka is away in the long round.
	longAway = 5 * time.Minute
	// The names of the collectors' metrics.
	spoolEvents   = "onepx_collector_spool_events"
	spoolReplayed = "onepx_collector_spool_replayed_total"
)

// kafkaAwayLong lets both collectors put everything into their spools for minutes.
func kafkaAwayLong(ctx context.Context, w *world) error {
	return w.withoutKafka(ctx, func() error {
		w.pause(ctx, longAway)
		return nil
	})
}

// withoutKafka stops Kafka after a while, does something, and starts it again.
func (w *world) withoutKafka(ctx context.Context, do func() error) error {
	w.between(ctx, 2*time.Second, 4*time.Second)
	if err := w.kafka.Stop(); err != nil {
		return err
	}
	return errors.Join(do(), w.kafka.Start(ctx))
}

// killSpooling kills collectors that are writing to their spools. They come back while Kafka is still away: not ready,
// because they can't read the suppressions, but they serve.
func killSpooling(ctx context.Context, w *world) error {
	err := w.withoutKafka(ctx, func() error {
		for range 3 {
			for _, c := range w.collectors {
				if err := w.awaitGrowth(ctx, c, spoolEvents, 100); err != nil {
					return err
				}
				if err := c.Kill(); err != nil {
					return err
				}
				if err := c.Launch(); err != nil {
					return err
				}
				if err := w.await(ctx, c.Admin+" lives", localstack.HTTPReady(c.Admin+"/livez")); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return errors.Join(err, w.allReady(ctx, w.collectors))
}

// killReplaying kills a collector again and again while its spool empties, which a slow connection to Kafka draws out.
func killReplaying(ctx context.Context, w *world) error {
	victim := w.proxiedCollector()
	slow := toxic{kind: "bandwidth", stream: upstream, attributes: map[string]int{"rate": 60}} // KB/s
	err := w.withoutKafka(ctx, func() error {
		return errors.Join(w.awaitGrowth(ctx, victim, spoolEvents, 5000), w.proxies[collectorToKafka].poison(slow))
	})
	if err != nil {
		return err
	}
	kills := 0
	for ; kills < 3; kills++ {
		replaying, err := w.awaitReplaying(ctx, victim)
		if err != nil {
			return err
		}
		if !replaying {
			break
		}
		if err := killAndStart(ctx, victim); err != nil {
			return err
		}
	}
	if kills == 0 {
		return errors.New("the spool was empty before its collector could be killed")
	}
	return w.proxies[collectorToKafka].heal(ctx)
}

// awaitReplaying waits until the collector is in the middle of its spool, and returns false if it has emptied it already.
func (w *world) awaitReplaying(ctx context.Context, s *pipeline.Service) (replaying bool, err error) {
	err = w.await(ctx, "the spool of "+s.Admin+" is being emptied", func(ctx context.Context) error {
		replayed, err := s.Metric(ctx, spoolReplayed)
		if err != nil {
			return err
		}
		left, err := s.Metric(ctx, spoolEvents)
		if err != nil {
			return err
		}
		if replayed == 0 && left > 0 {
			return errors.New("it has not begun")
		}
		replaying = left > 0
		return nil
	})
	return replaying, err
}

// spoolFull keeps Kafka away until the spools refuse events.
func spoolFull(ctx context.Context, w *world) error {
	return w.withoutKafka(ctx, func() error {
		return w.await(ctx, "an event is refused because a spool is full", func(context.Context) error {
			w.noting.Lock()
			defer w.noting.Unlock()
			if w.answers.byWord[spoolFullAnswer] < 50 {
				return errors.New("too few are")
			}
			return nil
		})
	})
}

// rollingRestart restarts all services one by one, as a new version is rolled out.
func rollingRestart(ctx context.Context, w *world) error {
	for range 2 {
		for i := range w.collectors {
			for _, s := range []*pipeline.Service{w.collectors[i], w.consumers[i]} {
				w.between(ctx, time.Second, 2*time.Second)
				if err := s.Restart(ctx); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// The size of the crowd.
const (
	crowdConnections = 4000
	crowdRequests    = 60000
	crowdWorkers     = 400
)

// crowd lets thousands of connections be open at once; each of their events must be one row.
func crowd(ctx context.Context, w *world) error {
	if err := enoughFiles(2 * crowdConnections); err != nil {
		return err
	}
	return load.Crowd(ctx, load.CrowdConfig{
		Targets: w.direct(), Site: site, Connections: crowdConnections, Requests: crowdRequests, Workers: crowdWorkers,
		Retries: 5, Seed: w.random.Uint64(), Timeout: 30 * time.Second,
	}, w.note)
}

func wholeCrowd(a answers) error {
	return errors.Join(
		want(a.unstored == 0, "%d requests of the crowd were not answered as stored", a.unstored),
		want(a.counted == crowdRequests, "%d requests of the crowd made %d rows", crowdRequests, a.counted))
}

func someSpooled(a answers) error {
	return want(a.byWord[spooled] > 0, "no event went to a spool")
}

func spoolsTakeAll(a answers) error {
	return errors.Join(someSpooled(a), noneTurned(a))
}

func someTurned(a answers) error {
	return errors.Join(someSpooled(a), want(a.byWord[spoolFullAnswer] > 0, "no spool was full"))
}

func noneTurned(a answers) error {
	return errors.Join(
		want(a.turned == 0, "%d requests were answered, but not as stored", a.turned),
		want(a.unstored == 0, "%d events were never answered as stored", a.unstored))
}

func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}
