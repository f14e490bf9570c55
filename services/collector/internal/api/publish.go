package api

import (
	"context"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"
)

// publish makes the events durable that no step has given a reason.
func (s *Server) publish(ctx context.Context, b *batch) {
	var hits []*hit
	var events []*onepxv1.Event
	for _, h := range b.hits {
		if h.reason != "" {
			continue
		}
		for _, flag := range h.flags {
			h.event.Flags = append(h.event.Flags, string(flag))
		}
		if !h.debug {
			hits, events = append(hits, h), append(events, h.event)
		}
	}
	switch len(events) {
	case 0:
	case 1:
		hits[0].reason = s.deps.Publisher.Publish(ctx, events[0])
	default:
		for i, word := range s.deps.Publisher.PublishAll(ctx, events) {
			hits[i].reason = word
		}
	}
}
