package publish

import (
	"context"
	"errors"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/collector/internal/spool"
	"github.com/onepx/onepx/services/shared/pause"
)

// Replay publishes what lies in the spool, in order, until ctx ends or the spool is closed. An event stays in the spool until
// Kafka has acknowledged it.
func (p *Publisher) Replay(ctx context.Context) {
	for p.replayNext(ctx) {
	}
}

// Drain is Replay until the spool is empty. It returns an error only when ctx ends before.
func (p *Publisher) Drain(ctx context.Context) error {
	for p.cfg.Spool.Len() > 0 {
		if !p.replayNext(ctx) {
			return ctx.Err()
		}
	}
	return nil
}

// replayNext publishes the first events in the spool. It waits while there are none, and returns false when it is to end.
func (p *Publisher) replayNext(ctx context.Context) bool {
	records, ack, err := p.cfg.Spool.Next(ctx)
	switch {
	case ctx.Err() != nil || errors.Is(err, spool.ErrClosed):
		return false
	case err != nil:
		p.cfg.SpoolOutage.Failed(err)
		return pause.For(ctx, probeEvery) == nil
	}
	if !p.replay(ctx, records) {
		return false
	}
	if err := ack(); err != nil {
		p.cfg.SpoolOutage.Failed(err)
	}
	return true
}

// replay publishes the records and returns true, or false when ctx ends before. While all goes well they go all at once.
// After a failure they go one by one: so while Kafka is away only one tries, and the one that Kafka refuses is found.
func (p *Publisher) replay(ctx context.Context, records []spool.Record) bool {
	atOnce := len(records)
	if p.gate.isAway() {
		atOnce = 1
	}
	for len(records) > 0 {
		tried := records[:min(atOnce, len(records))]
		failed := p.replayOnce(ctx, tried)
		if ctx.Err() != nil {
			return false
		}
		left := make([]spool.Record, 0, len(records))
		for _, f := range failed {
			if !p.refusedForGood(f.err) {
				left = append(left, f.record)
			}
		}
		again := len(left) > 0
		records = append(left, records[len(tried):]...)
		if again {
			atOnce = 1
			if pause.For(ctx, probeEvery) != nil {
				return false
			}
		}
	}
	return true
}

// failure is a record that Kafka does not have, and why.
type failure struct {
	record spool.Record
	err    error
}

// replayOnce publishes the records and returns those that Kafka did not acknowledge. It waits for the Writer's last word on
// each, which comes after a few attempts; giving up before would only send it twice.
func (p *Publisher) replayOnce(ctx context.Context, records []spool.Record) []failure {
	p.gate.probing()
	defer p.gate.probing()
	sent := make([]*sending, len(records))
	errs := make([]error, len(records))
	for i, record := range records {
		if i > 0 && errs[i-1] != nil && !errors.Is(errs[i-1], errRefused) {
			errs[i] = errs[i-1] // the others would only wait for as long, each
			continue
		}
		sent[i], errs[i] = p.resend(ctx, record)
	}
	var failed []failure
	for i, record := range records {
		if errs[i] == nil {
			errs[i] = p.await(ctx, sent[i])
		}
		if errs[i] == nil {
			p.replayed.Add(1)
			continue
		}
		failed = append(failed, failure{record, errs[i]})
		if ctx.Err() == nil {
			p.judge(errs[i])
		}
	}
	return failed
}

// resend gives the Writer a record from the spool.
func (p *Publisher) resend(ctx context.Context, record spool.Record) (*sending, error) {
	at, ok := p.waitForPlace(ctx, "")
	if !ok {
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	return p.send(ctx, kafka.Message{Key: record.Key, Value: record.Value, Headers: record.Headers, Time: p.cfg.Now()}, at)
}

// refusedForGood tells whether Kafka will never take a record that it refuses so: its limits are lower than they were when the
// event came. Waiting for such a record would keep all others in the spool until it is full.
func (p *Publisher) refusedForGood(err error) bool {
	if !errors.Is(err, errRefused) {
		return false
	}
	if p.cfg.Unreplayable != nil {
		p.cfg.Unreplayable(err)
	}
	return true
}
