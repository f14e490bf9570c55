// Package publish makes events durable: in Kafka, or in the collector's spool on disk while Kafka does not take them.
//
// The API step calls Publish for a request's one event, or PublishAll for its many (batch.go). kafka-go's Writer gathers the events of concurrent requests into batches, one
// goroutine per partition. Its queue has no bound and it goes on sending after a caller gave up, so the bound is kept here:
// a place is taken before an event enters the Writer and given back only when the Writer has finished with it, acknowledged
// or not. So memory is bounded by the places, whatever Kafka does. Requests with many events wait for places, but have at
// most half of them: those with one event, which don't wait, always find the others. No site can take all of them (fair.go).
//
// An event that Kafka has not acknowledged in time goes to the spool (fallback.go), if there is one. From there it is
// published when Kafka is back (replay.go); it may be in Kafka twice then, and the consumer counts it once.
//
// While Kafka is away nothing enters the Writer but one event a second, to find out whether it is back (gate.go): one from the
// spool, or without a spool a visitor's.
package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/trace"

	onepxv1 "github.com/onepx/onepx/proto/onepx/v1"

	"github.com/onepx/onepx/services/collector/internal/spool"
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
	// Spool takes what Kafka does not; nil for none. The caller closes it after Close.
	Spool *spool.Spool
	// SpoolOutage is told of every failure and success of the spool's disk.
	SpoolOutage *telemetry.OutageLog
	// Unreplayable is told of an event in the spool that Kafka refuses for good and that is therefore left out; nil for nobody.
	Unreplayable func(error)
	// Counts are told which records Kafka has acknowledged and which it has not.
	Counts Counts
	// Tracer makes the spans of sampled requests; see startSpan.
	Tracer trace.Tracer
	// Now is the clock.
	Now func() time.Time
}

// Counts count records by what Kafka has said to them. They are called by the Writer and must not block.
type Counts interface {
	Published(records []kafka.Message)
	Unacknowledged(records []kafka.Message)
}

// Publisher publishes events. It may be used from anywhere at once.
type Publisher struct {
	cfg    Config
	writer *kafka.Writer
	places chan struct{}
	// shared has one for each place that requests with many events hold; see PublishAll.
	shared chan struct{}
	sites  shares
	gate   gate
	// spooling has one for each event on its way to the disk, sharedSpooling for each of a request with many events.
	spooling, sharedSpooling chan struct{}
	// spoolFailed is when the disk refused an event last, Unix ns.
	spoolFailed atomic.Int64
	// replayed counts the events that came out of the spool into Kafka.
	replayed atomic.Int64
	closing  atomic.Bool
	drained  chan struct{}
}

// New returns a publisher. It does not connect yet.
func New(cfg Config) *Publisher {
	p := &Publisher{
		cfg: cfg, places: make(chan struct{}, cfg.InFlight), shared: make(chan struct{}, max(1, cfg.InFlight/2)),
		spooling: make(chan struct{}, cfg.InFlight), sharedSpooling: make(chan struct{}, max(1, cfg.InFlight/2)), sites: shares{held: map[string]int{}},
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

// Publish returns when the event is durable, "" in Kafka or InSpool in the spool, or with the reason why it is not known to
// be. It does not end early with the request: a visitor who has gone on to the next page is still counted. After
// KafkaUnavailable the event may be stored all the same, and a repeat under its id counts once.
func (p *Publisher) Publish(ctx context.Context, ev *onepxv1.Event) (word reason.Reason) {
	ctx, span := p.startSpan(context.WithoutCancel(ctx), 1)
	defer func() { endSpan(span, word) }()
	record, word := p.encode(ctx, ev)
	if word != "" {
		return word
	}
	if word = p.toKafka(ctx, ev.GetSiteId(), record); spoolable(word) {
		return p.spool(ctx, record, word)
	}
	return word
}

// encode makes the record of an event.
func (p *Publisher) encode(ctx context.Context, ev *onepxv1.Event) (kafka.Message, reason.Reason) {
	record, err := eventlog.Encode(ev, p.cfg.Now())
	if err != nil {
		p.cfg.Outage.Failed(err)
		return kafka.Message{}, reason.InternalError
	}
	if len(record.Key)+len(record.Value)+recordOverhead > p.cfg.MaxEventBytes {
		return kafka.Message{}, reason.EventTooLarge
	}
	record.Headers = append(record.Headers, eventlog.TraceHeaders(ctx)...)
	return record, ""
}

// toKafka returns when Kafka has acknowledged the record, or why it is not known to have it.
func (p *Publisher) toKafka(ctx context.Context, site string, record kafka.Message) reason.Reason {
	place, word := p.admit(site)
	if word != "" {
		return word
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	sent, err := p.send(ctx, record, place)
	if err == nil {
		err = p.await(ctx, sent)
	}
	return p.judge(err)
}

// place is where an event is held until the Writer has finished with it.
type place struct {
	site string
	// shared tells that it is one of Publisher.shared too.
	shared bool
}

// sending is an event that holds a place, as long as the Writer has it.
type sending struct {
	// acknowledged gets the one answer.
	acknowledged chan error
	place        place
}

// send gives the Writer a record that holds a place. If it returns an error, the Writer does not have it and the place is
// given back.
func (p *Publisher) send(ctx context.Context, record kafka.Message, at place) (*sending, error) {
	sent := &sending{acknowledged: make(chan error, 1), place: at}
	record.WriterData = sent
	if err := p.writer.WriteMessages(ctx, record); err != nil {
		p.leave(at)
		if tooLarge(err) {
			err = fmt.Errorf("%w: %w", errRefused, err)
		}
		return nil, err
	}
	return sent, nil
}

// errRefused says that Kafka will never take the record, because of its size.
var errRefused = errors.New("too large for the topic")

// tooLarge tells whether a batch is refused for its size, by the Writer or by Kafka.
func tooLarge(err error) bool {
	var byWriter kafka.MessageTooLargeError
	return errors.As(err, &byWriter) || errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge)
}

// await returns when Kafka has answered, or when ctx ends.
func (p *Publisher) await(ctx context.Context, sent *sending) error {
	select {
	case err := <-sent.acknowledged:
		return err
	case <-ctx.Done():
		return fmt.Errorf("no answer within %s: %w", p.cfg.Timeout, ctx.Err())
	}
}

// recordOverhead is more than what Kafka adds to the key and value of a record, headers included.
const recordOverhead = 256

// admit takes a place, or tells why the event may not enter now.
func (p *Publisher) admit(site string) (place, reason.Reason) {
	if !p.sites.take(site, cap(p.places)-len(p.places)) {
		return place{}, p.noPlace()
	}
	select {
	case p.places <- struct{}{}:
		return p.enter(place{site: site})
	default:
		p.sites.give(site)
		return place{}, p.noPlace()
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
func (p *Publisher) enter(at place) (place, reason.Reason) {
	switch {
	case p.closing.Load():
		p.leave(at)
		return place{}, reason.Stopping
	case p.gate.isAway() && !p.gate.probe(p.probeEvery()):
		p.leave(at)
		return place{}, reason.KafkaUnavailable
	}
	return at, ""
}

// probeEvery is how often a visitor's event tries whether Kafka is back.
func (p *Publisher) probeEvery() time.Duration {
	if p.cfg.Spool == nil {
		return probeEvery
	}
	return spoolProbeEvery
}

// leave gives a place back.
func (p *Publisher) leave(at place) {
	<-p.places
	p.sites.give(at.site)
	if at.shared {
		<-p.shared
	}
}

// completed is called by the Writer when it has finished with a batch. It must not block.
func (p *Publisher) completed(messages []kafka.Message, err error) {
	if err == nil {
		p.gate.worked()
		p.cfg.Outage.Recovered()
		p.cfg.Counts.Published(messages)
	} else {
		p.cfg.Counts.Unacknowledged(messages)
	}
	if len(messages) == 1 && tooLarge(err) {
		err = fmt.Errorf("%w: %w", errRefused, err) // in a batch of several it may be another's fault
	}
	for i := range messages {
		if sent, ok := messages[i].WriterData.(*sending); ok {
			p.leave(sent.place)      // before the caller goes on: its next event must find a place
			sent.acknowledged <- err // has room for the one answer
		}
	}
}

// judge notes how it went with Kafka.
func (p *Publisher) judge(err error) reason.Reason {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errRefused):
		return reason.EventTooLarge // for the topic, whose limit is below ours; the spool could not get rid of it either
	}
	p.gate.failed()
	p.cfg.Outage.Failed(err)
	return reason.KafkaUnavailable
}

// Away tells that Kafka takes no events, as far as those that tried have shown.
func (p *Publisher) Away() bool { return p.gate.isAway() }

// InFlight is the number of events that are on their way now.
func (p *Publisher) InFlight() int { return len(p.places) }

// Settle waits until the Writer has finished with all events it has, or returns the error of ctx. Nothing else may enter
// meanwhile.
func (p *Publisher) Settle(ctx context.Context) error {
	taken := 0
	defer func() {
		for range taken {
			<-p.places
		}
	}()
	for taken < cap(p.places) {
		select {
		case p.places <- struct{}{}:
			taken++
		case <-ctx.Done():
			return fmt.Errorf("%d events still on their way to kafka: %w", cap(p.places)-taken, ctx.Err())
		}
	}
	return nil
}

// Close lets no more events in, waits until the Writer has finished with those it has, and closes it. When ctx ends first,
// the Writer goes on until it has tried each often enough; nobody waits for those any more, and Close may be called again.
//
// That is an error unless Kafka is away and there is a spool: then what the Writer still has is in the spool too.
func (p *Publisher) Close(ctx context.Context) error {
	if !p.closing.Swap(true) {
		go p.drain()
	}
	select {
	case <-p.drained:
		return nil
	case <-ctx.Done():
		if p.cfg.Spool != nil && p.gate.isAway() {
			return nil
		}
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
