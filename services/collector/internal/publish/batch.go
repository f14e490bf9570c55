package publish

import (
	"context"

	"github.com/segmentio/kafka-go"

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
	ctx, span := p.startSpan(context.WithoutCancel(ctx), len(events))
	words := make([]reason.Reason, len(events))
	defer func() { endSpan(span, words...) }()
	records := make([]kafka.Message, len(events))
	for i, ev := range events {
		records[i], words[i] = p.encode(ctx, ev)
	}
	p.allToKafka(ctx, events, records, words)
	p.spoolAll(ctx, records, words)
	return words
}

// allToKafka does what toKafka does, for each event that has no reason yet.
func (p *Publisher) allToKafka(ctx context.Context, events []*onepxv1.Event, records []kafka.Message, words []reason.Reason) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	sent := make([]*sending, len(events))
	for i, ev := range events {
		if words[i] != "" {
			continue
		}
		var at place
		if at, words[i] = p.admitOneOfMany(ctx, ev.GetSiteId()); words[i] == "" {
			var err error
			sent[i], err = p.send(ctx, records[i], at)
			words[i] = p.judge(err)
		}
	}
	for i := range sent {
		switch {
		case sent[i] != nil:
			words[i] = p.judge(p.await(ctx, sent[i]))
		case words[i] == reason.Overloaded:
			words[i] = p.noPlace() // those before it may have shown by now that Kafka is away
		}
	}
}

// admitOneOfMany waits for a place, or tells why the event may not enter.
func (p *Publisher) admitOneOfMany(ctx context.Context, site string) (place, reason.Reason) {
	if p.gate.isAway() {
		return p.admit(site) // hardly one gets in, so nobody waits
	}
	at, ok := p.waitForPlace(ctx, site)
	if !ok {
		return place{}, p.noPlace()
	}
	return p.enter(at)
}

// waitForPlace takes one of the places that requests with many events share with each other, or returns false when ctx ends.
func (p *Publisher) waitForPlace(ctx context.Context, site string) (place, bool) {
	select {
	case p.shared <- struct{}{}:
	case <-ctx.Done():
		return place{}, false
	}
	select {
	case p.places <- struct{}{}:
		p.sites.add(site)
		return place{site: site, shared: true}, true
	case <-ctx.Done():
		<-p.shared
		return place{}, false
	}
}
