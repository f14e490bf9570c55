// Package suppression is the list of visitors, users and recipients that must not be counted: the compacted topic
// onepx.suppressions in memory. Whoever wants to know follows the topic with List.Follow; it is not to be trusted before
// Ready. Used by the collector (nothing is stored) and by the consumer (rows keep nothing but the offset).
//
// Record: key = kind ‖ ':' ‖ 16 bytes, any non-empty value = suppressed, empty value = lifted. The topic has one
// partition, so an offset names a state of the list.
package suppression

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Kind says what an entry names.
type Kind string

// The kinds of entries.
const (
	Visitor   Kind = "visitor"
	User      Kind = "user"
	Recipient Kind = "recipient"
)

// Key returns the record key of an entry.
func Key(kind Kind, id []byte) []byte {
	return append([]byte(string(kind)+":"), id...)
}

// change is one state of an entry: suppressed (or not) from the position on.
type change struct {
	position   int64
	suppressed bool
}

// List is the suppression list. The zero value is not usable; see New.
type List struct {
	mu       sync.RWMutex
	entries  map[string][]change
	position int64
	ready    bool
}

// New returns an empty list that is not ready.
func New() *List {
	return &List{entries: map[string][]change{}}
}

// Ready tells whether everything that stood in the topic when Follow started has been read.
func (l *List) Ready() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.ready
}

// Contains tells whether the id stands on the list now. An empty id never does.
func (l *List) Contains(kind Kind, id []byte) bool {
	return l.Now().Contains(kind, id)
}

// Now returns the list as it is now; it does not change any more.
func (l *List) Now() Snapshot {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return Snapshot{list: l, Position: l.position}
}

// Snapshot is the list as it was at a position of the topic.
type Snapshot struct {
	list *List
	// Position is the offset of the first record that the snapshot does not know.
	Position int64
}

// Contains tells whether the id stood on the list. An empty id never does.
func (s Snapshot) Contains(kind Kind, id []byte) bool {
	if len(id) == 0 {
		return false
	}
	s.list.mu.RLock()
	defer s.list.mu.RUnlock()
	changes := s.list.entries[string(Key(kind, id))]
	for i := len(changes) - 1; i >= 0; i-- {
		if changes[i].position < s.Position {
			return changes[i].suppressed
		}
	}
	return false
}

// Apply takes one record of the topic into the list, in the order of offsets. Follow calls it; so do tests that have no
// broker.
func (l *List) Apply(m kafka.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := string(m.Key)
	l.entries[key] = append(l.entries[key], change{position: m.Offset, suppressed: len(m.Value) > 0})
	l.position = m.Offset + 1
}

// setReady marks the list as read to the end.
func (l *List) setReady() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = true
}

// Source is the topic, as Follow needs it.
type Source struct {
	Brokers []string
	Dialer  *kafka.Dialer
	Client  *kafka.Client
	Log     *slog.Logger
}

const (
	// pollEvery is how long one wait for a record lasts.
	pollEvery = time.Second
	// quietPolls is how many waits in a row must end without a record, while Kafka answers, to count as the end of the
	// topic: compaction may have removed its last records.
	quietPolls = 10
)

// Follow reads the topic from its first record on until the context ends. Kafka being away is waited for.
func (l *List) Follow(ctx context.Context, src Source) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: src.Brokers, Dialer: src.Dialer, Topic: eventlog.TopicSuppressions, Partition: 0,
		MinBytes: 1, MaxBytes: 4 << 20, MaxWait: pollEvery / 2,
	})
	defer func() { _ = reader.Close() }()
	if err := reader.SetOffset(kafka.FirstOffset); err != nil {
		return err
	}
	outage := telemetry.NewOutageLog(src.Log, "reading the suppression list", time.Now)
	for quiet := 0; ctx.Err() == nil; {
		if !l.Ready() {
			switch end, known := lastOffset(ctx, src); {
			case !known:
				quiet = 0
			case l.Now().Position >= end || quiet >= quietPolls:
				l.setReady()
			}
		}
		poll, cancel := context.WithTimeout(ctx, pollEvery)
		message, err := reader.FetchMessage(poll)
		cancel()
		switch {
		case err == nil:
			outage.Recovered()
			l.Apply(message)
			quiet = 0
		case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
			quiet++
		default:
			outage.Failed(err)
			pause(ctx)
		}
	}
	return nil
}

// pause keeps a broker that answers with errors from being asked in a tight loop.
func pause(ctx context.Context) {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// lastOffset asks Kafka where the topic ends; false without an answer.
func lastOffset(ctx context.Context, src Source) (int64, bool) {
	res, err := src.Client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{eventlog.TopicSuppressions: {kafka.LastOffsetOf(0)}},
	})
	if err != nil {
		return 0, false
	}
	for _, p := range res.Topics[eventlog.TopicSuppressions] {
		return p.LastOffset, p.Error == nil
	}
	return 0, false
}
