// Package publish hands events to Kafka and waits until it has them.
//
// The API step calls Publish for a request's one event, or PublishAll for its many (batch.go). kafka-go's Writer gathers the events of concurrent requests into batches, one
// goroutine per partition. Its queue has no bound and it goes on sending after a caller gave up, so the bound is kept here:
// a place is taken before an event enters the Writer and given back only when the Writer has finished with it, acknowledged
// or not. So memory is bounded by the places, whatever Kafka does. Requests with many events wait for places, but have at
// most half of them: those with one event, which don't wait, always find the others.
//
// While Kafka is away nothing enters the Writer but one event a second, to find out whether it is back (see gate).
package publish

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/propagation"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/telemetry"
)

const (
	// batchTimeout is how long an event waits for others to share a request with: less than a round trip to a broker
	// that replicates, and enough to keep the requests few.
	batchTimeout = 2 * time.Millisecond
	// batchSize bounds a request; the Writer reserves room for this many in each batch.
	batchSize = 256
	// maxAttempts and the backoff let a leader election pass (some hundred ms) without giving up.
	maxAttempts = 3
	backoffMin  = 100 * time.Millisecond
	backoffMax  = 500 * time.Millisecond
)

// Config is what New needs.
type Config struct {
	// Addr and Transport lead to Kafka. The caller closes the transport's connections after Close.
	Addr      net.Addr
	Transport *kafka.Transport
	// InFlight is the number of events that may be on their way at once.
	InFlight int
	// Timeout is how long Publish waits for the acknowledgment.
	Timeout time.Duration
	// MaxEventBytes bounds one record, and one batch before compression; the topic must take that much.
	MaxEventBytes int
	// Outage is told of every failure and success.
	Outage *telemetry.OutageLog
	// Now is the clock.
	Now func() time.Time
}

// Publisher publishes events. It may be used from anywhere at once.
type Publisher struct {
	cfg    Config
	writer *kafka.Writer
	places chan struct{}
	// shared has one for each place that requests with many events hold; see PublishAll.
	shared  chan struct{}
	gate    gate
	closing atomic.Bool
	drained chan struct{}
}

// New returns a publisher. It does not connect yet.
func New(cfg Config) *Publisher {
	p := &Publisher{
		cfg: cfg, places: make(chan struct{}, cfg.InFlight), shared: make(chan struct{}, max(1, cfg.InFlight/2)),
		gate: gate{now: cfg.Now}, drained: make(chan struct{}),
	}
	p.writer = &kafka.Writer{
		Addr:            cfg.Addr,
		Transport:       cfg.Transport,
		Topic:           eventlog.TopicEvents,
		Balancer:        kafka.Murmur2Balancer{Consistent: true}, // as Java clients do: same key, same partition
		RequiredAcks:    kafka.RequireAll,
		Compression:     kafka.Lz4,
		BatchTimeout:    batchTimeout,
		BatchSize:       batchSize,
		BatchBytes:      int64(cfg.MaxEventBytes),
		MaxAttempts:     maxAttempts,
		WriteBackoffMin: backoffMin,
		WriteBackoffMax: backoffMax,
		WriteTimeout:    cfg.Timeout,
		ReadTimeout:     cfg.Timeout,
		Async:           true, // a caller waits for its own event, not for a batch: see completed
		Completion:      p.completed,
	}
	return p
}

// Publish returns when Kafka has acknowledged the event ("") or with the reason why it is not known to have it. It does not
// end early with the request: a visitor who has gone on to the next page is still counted. After KafkaUnavailable the event
// may be stored all the same, and a repeat under its id counts once.
func (p *Publisher) Publish(ctx context.Context, ev *onepxv1.Event) reason.Reason {
	if word := p.admit(); word != "" {
		return word
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Timeout)
	defer cancel()
	sent, word := p.send(ctx, ev, false)
	if word != "" {
		return word
	}
	return p.await(ctx, sent)
}

// sending is an event that holds a place, as long as the Writer has it.
type sending struct {
	// acknowledged gets the one answer.
	acknowledged chan error
	// shared tells that it holds one of Publisher.shared too.
	shared bool
}

// send gives the Writer an event that holds a place. If it returns a reason, the Writer does not have it and the place is
// given back.
func (p *Publisher) send(ctx context.Context, ev *onepxv1.Event, shared bool) (*sending, reason.Reason) {
	message, err := eventlog.Encode(ev, p.cfg.Now())
	if err != nil {
		p.leave(shared)
		p.cfg.Outage.Failed(err)
		return nil, reason.InternalError
	}
	if len(message.Key)+len(message.Value)+recordOverhead > p.cfg.MaxEventBytes {
		p.leave(shared)
		return nil, reason.EventTooLarge
	}
	propagation.TraceContext{}.Inject(ctx, headers{&message})
	sent := &sending{acknowledged: make(chan error, 1), shared: shared}
	message.WriterData = sent
	if err := p.writer.WriteMessages(ctx, message); err != nil {
		p.leave(shared)
		return nil, p.failed(err)
	}
	return sent, ""
}

// await returns when Kafka has answered, or when ctx ends.
func (p *Publisher) await(ctx context.Context, sent *sending) reason.Reason {
	select {
	case err := <-sent.acknowledged:
		if err != nil {
			return p.failed(err)
		}
		return ""
	case <-ctx.Done():
		return p.failed(fmt.Errorf("no answer within %s: %w", p.cfg.Timeout, ctx.Err()))
	}
}

// recordOverhead is more than what Kafka adds to the key and value of a record, headers included.
const recordOverhead = 256

// admit takes a place, or tells why the event may not enter now.
func (p *Publisher) admit() reason.Reason {
	select {
	case p.places <- struct{}{}:
		return p.enter(false)
	default:
		return p.noPlace()
	}
}

// noPlace tells why there is none.
func (p *Publisher) noPlace() reason.Reason {
	switch {
	case p.closing.Load():
		return reason.Stopping // drain holds all places
	case p.gate.isAway():
		return reason.KafkaUnavailable // events that wait for Kafka hold them
	}
	return reason.Overloaded
}

// enter lets an event that holds a place go on to the Writer, or takes the place back and tells why not.
func (p *Publisher) enter(shared bool) reason.Reason {
	switch {
	case p.closing.Load():
		p.leave(shared)
		return reason.Stopping
	case !p.gate.enter():
		p.leave(shared)
		return reason.KafkaUnavailable
	}
	return ""
}

// leave gives a place back.
func (p *Publisher) leave(shared bool) {
	<-p.places
	if shared {
		<-p.shared
	}
}

// completed is called by the Writer when it has finished with a batch. It must not block.
func (p *Publisher) completed(messages []kafka.Message, err error) {
	if err == nil {
		p.gate.worked()
		p.cfg.Outage.Recovered()
	}
	for i := range messages {
		if sent, ok := messages[i].WriterData.(*sending); ok {
			p.leave(sent.shared)     // before the caller goes on: its next event must find a place
			sent.acknowledged <- err // has room for the one answer
		}
	}
}

func (p *Publisher) failed(err error) reason.Reason {
	p.gate.failed()
	p.cfg.Outage.Failed(err)
	return reason.KafkaUnavailable
}

// InFlight is the number of events that are on their way now.
func (p *Publisher) InFlight() int { return len(p.places) }

// Close lets no more events in, waits until the Writer has finished with those it has, and closes it. When ctx ends first,
// the Writer goes on until it has tried each often enough; nobody waits for those any more, and Close may be called again.
func (p *Publisher) Close(ctx context.Context) error {
	if !p.closing.Swap(true) {
		go p.drain()
	}
	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("events still on their way to kafka: %w", ctx.Err())
	}
}

func (p *Publisher) drain() {
	for range cap(p.places) {
		p.places <- struct{}{} // never given back: nothing enters any more
	}
	if err := p.writer.Close(); err != nil {
		p.cfg.Outage.Failed(err)
	}
	close(p.drained)
}

// headers lets the trace context be written into a record.
type headers struct{ message *kafka.Message }

// Get is part of propagation.TextMapCarrier; nothing is read from a record here.
func (headers) Get(string) string { return "" }

// Keys is part of propagation.TextMapCarrier.
func (headers) Keys() []string { return nil }

// Set adds a header.
func (h headers) Set(key, value string) {
	h.message.Headers = append(h.message.Headers, kafka.Header{Key: key, Value: []byte(value)})
}
