package publish

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/collector/internal/spool"
	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/reason"
)

const (
	// spoolTimeout bounds the wait for the disk, which comes on top of the wait for Kafka.
	spoolTimeout = 3 * time.Second
	// spoolPause is how long a disk that refused an event counts as one that would refuse the next. Then one may try again:
	// what gets no traffic would never find out that the disk works.
	spoolPause = 10 * time.Second
	// spoolOverhead is more than what the spool's checksums and block ends add to the largest event.
	spoolOverhead = 64 << 10
)

// Why no event could be made durable without Kafka.
var (
	errNoSpool     = errors.New("there is no spool")
	errSpoolFull   = errors.New("the spool is full")
	errSpoolFailed = errors.New("the spool's disk refuses events")
)

// spoolable tells whether an event that did not get into Kafka for this reason is one for the spool.
func spoolable(word reason.Reason) bool {
	return word == reason.KafkaUnavailable || word == reason.Overloaded || word == reason.Stopping
}

// spool puts a record into the spool and returns InSpool, or why it is in neither place. why is why Kafka does not have it.
func (p *Publisher) spool(ctx context.Context, record kafka.Message, why reason.Reason) reason.Reason {
	if p.cfg.Spool == nil {
		return why
	}
	select {
	case p.spooling <- struct{}{}:
		defer func() { <-p.spooling }()
		ctx, cancel := context.WithTimeout(ctx, spoolTimeout)
		defer cancel()
		return p.toDisk(ctx, record, why)
	default:
		return why
	}
}

// spoolAll does what spool does for those of many records whose reason says so. They wait for each other and for those of
// other requests rather than be refused, all in all at most spoolTimeout.
func (p *Publisher) spoolAll(ctx context.Context, records []kafka.Message, words []reason.Reason) {
	if p.cfg.Spool == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, spoolTimeout)
	defer cancel()
	var disk sync.WaitGroup
	defer disk.Wait()
	for i := range words {
		if !spoolable(words[i]) {
			continue
		}
		select {
		case p.sharedSpooling <- struct{}{}:
			disk.Go(func() { // at once, to share an fsync
				defer func() { <-p.sharedSpooling }()
				words[i] = p.toDisk(ctx, records[i], words[i])
			})
		case <-ctx.Done():
			return // the reasons stay
		}
	}
}

// toDisk returns InSpool, or why the record is not known to be in the spool.
func (p *Publisher) toDisk(ctx context.Context, record kafka.Message, why reason.Reason) reason.Reason {
	record.Headers = append(record.Headers, kafka.Header{Key: eventlog.HeaderReplayed, Value: []byte("1")})
	err := p.cfg.Spool.Append(ctx, spool.Record{Key: record.Key, Value: record.Value, Headers: record.Headers})
	switch {
	case err == nil:
		p.cfg.SpoolOutage.Recovered()
		return reason.InSpool
	case errors.Is(err, spool.ErrFull):
		return reason.SpoolFull
	case errors.Is(err, spool.ErrClosed):
		return why
	}
	p.spoolFailed.Store(p.cfg.Now().UnixNano())
	p.cfg.SpoolOutage.Failed(err)
	return reason.SpoolFailed
}

// SpoolReady is nil if the spool could take an event of the largest size now.
func (p *Publisher) SpoolReady() error {
	switch {
	case p.cfg.Spool == nil:
		return errNoSpool
	case p.cfg.Spool.Room() < int64(p.cfg.MaxEventBytes)+spoolOverhead:
		return errSpoolFull
	case !passed(p.spoolFailed.Load(), p.cfg.Now().UnixNano(), spoolPause):
		return errSpoolFailed
	}
	return nil
}

// Spooled is the number of events in the spool that Kafka has not acknowledged.
func (p *Publisher) Spooled() int {
	if p.cfg.Spool == nil {
		return 0
	}
	return p.cfg.Spool.Len()
}

// Replayed is the number of events that have come out of the spool into Kafka.
func (p *Publisher) Replayed() int64 { return p.replayed.Load() }
