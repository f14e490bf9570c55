package publish

import (
	"context"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/reason"
)

// PublishAll publishes the events of one request and returns what Publish would for each, in their order. It gives each to
// the Writer as soon as there is a place for it, in order, so that all are on their way at once if the places allow it; when
// they don't, it waits for some to come free, at most Config.Timeout all in all.
//
// It can't block itself or others: places come free by Kafka's answers alone, requests take turns (a channel serves who
// waits longest), and however many wait, they hold at most half of the places.
func (p *Publisher) PublishAll(ctx context.Context, events []*onepxv1.Event) []reason.Reason {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Timeout)
	defer cancel()
	words := make([]reason.Reason, len(events))
	sent := make([]*sending, len(events))
	for i, ev := range events {
		var shared bool
		if shared, words[i] = p.admitOneOfMany(ctx); words[i] == "" {
			sent[i], words[i] = p.send(ctx, ev, shared)
		}
	}
	for i := range sent {
		switch {
		case sent[i] != nil:
			words[i] = p.await(ctx, sent[i])
		case words[i] == reason.Overloaded:
			words[i] = p.noPlace() // those before it may have shown by now that Kafka is away
		}
	}
	return words
}

// admitOneOfMany waits for a place, or tells why the event may not enter. shared tells which kind of place it is.
func (p *Publisher) admitOneOfMany(ctx context.Context) (shared bool, word reason.Reason) {
	if p.gate.isAway() {
		return false, p.admit() // hardly one gets in, so nobody waits
	}
	select {
	case p.shared <- struct{}{}:
	case <-ctx.Done():
		return false, p.noPlace()
	}
	select {
	case p.places <- struct{}{}:
		return true, p.enter(true)
	case <-ctx.Done():
		<-p.shared
		return false, p.noPlace()
	}
}
