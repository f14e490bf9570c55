package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// progress tells people how far the group is in all partitions, whoever has them.
type progress struct {
	// connected is set once Kafka and ClickHouse are.
	connected atomic.Pointer[connected]
}

// connected is what progress asks.
type connected struct {
	client *kafka.Client
	group  string
	events *store.Store
}

func (p *progress) facts(ctx context.Context) []telemetry.Fact {
	c := p.connected.Load()
	if c == nil {
		return []telemetry.Fact{{Name: "partitions", Value: "not known before Kafka and ClickHouse have answered"}}
	}
	// Positions that are not onepx's own are an error, beside which those of the others are known.
	positions, unknown := consume.GroupPositions(ctx, c.client, c.group, eventlog.TopicEvents, c.events)
	behind, err := consume.Behind(ctx, c.client, positions)
	var facts []telemetry.Fact
	for _, p := range positions {
		value := fmt.Sprintf("next offset %d", p.First)
		if err == nil {
			value += fmt.Sprintf(", %d behind", behind[p.ID])
		}
		facts = append(facts, telemetry.Fact{Name: fmt.Sprintf("partition %d", p.ID), Value: value})
	}
	for _, err := range []error{unknown, err} {
		if err != nil {
			facts = append(facts, telemetry.Known("partitions", err))
		}
	}
	return facts
}
