package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/eventlog"
)

const (
	// checkEvery is how often Kafka is asked whether it is there: a fraction of what a load balancer takes to notice.
	checkEvery = 3 * time.Second
	// checkTimeout bounds one question.
	checkTimeout = 2 * time.Second
)

// Health knows whether Kafka can take events, from questions asked now and then: the readiness probe itself must be quick.
type Health struct {
	client *kafka.Client

	mu  sync.Mutex
	err error
}

// NewHealth returns a health that is bad until Watch has asked.
func NewHealth(cfg Config) *Health {
	return &Health{
		client: &kafka.Client{Addr: cfg.Addr, Transport: cfg.Transport, Timeout: checkTimeout},
		err:    errors.New("kafka was not asked yet"),
	}
}

// Err is nil if Kafka can take events.
func (h *Health) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Watch asks until ctx ends.
func (h *Health) Watch(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		err := h.ask(ctx)
		h.mu.Lock()
		h.err = err
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask asks the leaders of the topic's partitions for their end. Asking for metadata would prove nothing: kafka-go answers
// that from memory for as long as it lives. One leader is enough, as the others' events are refused one by one.
func (h *Health) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	topic := eventlog.TopicEvents
	meta, err := h.client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	var ends []kafka.OffsetRequest
	for _, t := range meta.Topics {
		if t.Error != nil {
			return fmt.Errorf("kafka topic %s: %w", topic, t.Error)
		}
		for _, p := range t.Partitions {
			ends = append(ends, kafka.LastOffsetOf(p.ID))
		}
	}
	res, err := h.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: ends}})
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	err = fmt.Errorf("kafka topic %s has no partitions", topic)
	for _, p := range res.Topics[topic] {
		if p.Error == nil {
			return nil
		}
		err = fmt.Errorf("kafka topic %s, partition %d: %w", topic, p.Partition, p.Error)
	}
	return err
}
