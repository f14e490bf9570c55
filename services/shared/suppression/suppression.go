// Package suppression is the list of visitors, users and recipients that must not be counted: the compacted topic
// onepx.suppressions in memory. Whoever wants to know follows the topic with List.Follow; it is not to be trusted before
// Ready. Used by the collector (nothing is stored) and by the consumer (rows keep nothing but the offset).
//
// Record: key = kind ‖ ':' ‖ 16 bytes; value = Until(moment): events received up to the moment are suppressed; any other
// non-empty value: all are; empty value: lifted. A wish not to be counted and an erasure have keys of their own (Erased), so
// that lifting one leaves the other. The topic has one partition, so an offset names a state of the list.
package suppression

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/shared/eventlog"
	"github.com/onepx/onepx/services/shared/pause"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Kind says what an entry names.
type Kind string

// The kinds of entries.
const (
	Visitor   Kind = "visitor"
	User      Kind = "user"
	Recipient Kind = "recipient"
	// Profiling names visitors by their ids, as Visitor does, who are counted but in no audience: they have refused it in a way
	// that keeps their id out of events.
	Profiling Kind = "profiling"
)

// erased is what the kinds of erasures begin with.
const erased = "erased-"

// Erased is the kind of the entries by which people of this kind were erased.
func (k Kind) Erased() Kind { return erased + k }

// Key returns the record key of an entry.
func Key(kind Kind, id []byte) []byte {
	return append([]byte(string(kind)+":"), id...)
}

// The values of entries: Always suppresses whatever the moment, Until what was received up to a moment.
var (
	Always = []byte("1")
	until  = []byte("until=")
)

// Until is the value of an entry that suppresses events received up to the moment, in whole milliseconds.
func Until(moment time.Time) []byte {
	return strconv.AppendInt(bytes.Clone(until), moment.UnixMilli(), 10)
}

// lastSuppressed is the latest moment of receipt, in ms, that a value suppresses. What cannot be read suppresses all: it may
// come from a newer version, and storing less can be made good.
func lastSuppressed(value []byte) int64 {
	if len(value) == 0 {
		return math.MinInt64
	}
	text, bounded := bytes.CutPrefix(value, until)
	ms, err := strconv.ParseInt(string(text), 10, 64)
	if !bounded || err != nil {
		return math.MaxInt64
	}
	return ms
}

// change is one state of an entry: from the position on, events received up to the moment (in ms) are suppressed.
type change struct {
	position int64
	last     int64
}

// List is the suppression list. The zero value is not usable; see New.
type List struct {
	mu       sync.RWMutex
	entries  map[string][]change
	position int64
	ready    bool
	problem  error // why Kafka did not tell where the topic ends; nil once it has
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

// NotReady is nil when the list is Ready, else says why not: with Kafka's own words where it refuses.
func (l *List) NotReady() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.ready:
		return nil
	case l.problem != nil:
		return fmt.Errorf("the suppression list is not read yet: %w", l.problem)
	}
	return errors.New("the suppression list is not read yet")
}

// Contains tells whether an event of the id that was received at the moment is suppressed now. An empty id never is.
func (l *List) Contains(kind Kind, id []byte, received time.Time) bool {
	return l.Now().Contains(kind, id, received)
}

// Wished tells whether the id is suppressed by a wish now, whatever was erased.
func (l *List) Wished(kind Kind, id []byte) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	changes := l.entries[string(Key(kind, id))]
	return len(changes) > 0 && changes[len(changes)-1].last == math.MaxInt64
}

// EachWish calls do for each id of which a wish was read, in no order: with the offset of the last record, and whether it
// suppresses now. The list must not be asked meanwhile.
func (l *List) EachWish(do func(kind Kind, id []byte, offset int64, wished bool)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for key, changes := range l.entries {
		kind, id, found := strings.Cut(key, ":")
		if last := changes[len(changes)-1]; found && !strings.HasPrefix(kind, erased) {
			do(Kind(kind), []byte(id), last.position, last.last == math.MaxInt64)
		}
	}
}

// Erased tells whether what was received of the id at the moment is erased, or being erased.
func (l *List) Erased(kind Kind, id []byte, received time.Time) bool {
	return l.Now().Erased(kind, id, received)
}

// InAudiences tells whether the visitor of the id may be in audiences, as far as wishes are concerned.
func (l *List) InAudiences(id []byte) bool {
	return !l.Wished(Visitor, id) && !l.Wished(Profiling, id)
}

// Withheld tells whether nothing that was received or read of a visitor at the moment may be used for audiences now: by a
// wish, or because of an erasure that it is older than.
func (l *List) Withheld(visitor []byte, moment time.Time) bool {
	return l.Contains(Visitor, visitor, moment) || l.Contains(Profiling, visitor, moment)
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

// Contains tells whether an event of the id that was received at the moment was suppressed, by a wish or by an erasure. An
// empty id never is.
func (s Snapshot) Contains(kind Kind, id []byte, received time.Time) bool {
	if len(id) == 0 {
		return false
	}
	var room [64]byte
	key := append(append(append(room[:0], erased...), kind...), ':')
	key = append(key, id...)
	s.list.mu.RLock()
	defer s.list.mu.RUnlock()
	at := received.UnixMilli()
	return s.holds(key[len(erased):], at) || s.holds(key, at)
}

// Erased tells whether what was received of the id at the moment was erased, or being erased.
func (s Snapshot) Erased(kind Kind, id []byte, received time.Time) bool {
	s.list.mu.RLock()
	defer s.list.mu.RUnlock()
	return s.holds(Key(kind.Erased(), id), received.UnixMilli())
}

// holds tells whether the entry as it was suppresses what was received at the moment.
func (s Snapshot) holds(key []byte, at int64) bool {
	changes := s.list.entries[string(key)]
	for i := len(changes) - 1; i >= 0; i-- {
		if changes[i].position < s.Position {
			return at <= changes[i].last
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
	l.entries[key] = append(l.entries[key], change{position: m.Offset, last: lastSuppressed(m.Value)})
	l.position = m.Offset + 1
}

// setProblem notes why the end of the topic is not known, nil when it is.
func (l *List) setProblem(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem = err
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
	// Wished, unless nil, is called with each wish that the list has taken or lifted, in the order of offsets.
	Wished func(kind Kind, id []byte, offset int64)
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
			end, err := lastOffset(ctx, src)
			l.setProblem(err)
			switch {
			case err != nil:
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
			if kind, id, ok := bytes.Cut(message.Key, []byte(":")); ok && src.Wished != nil && !bytes.HasPrefix(kind, []byte(erased)) {
				src.Wished(Kind(kind), id, message.Offset)
			}
			quiet = 0
		case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
			quiet++
		default:
			outage.Failed(err)
			_ = pause.For(ctx, pollEvery)
		}
	}
	return nil
}

// lastOffset asks Kafka where the topic ends.
func lastOffset(ctx context.Context, src Source) (int64, error) {
	res, err := src.Client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{eventlog.TopicSuppressions: {kafka.LastOffsetOf(0)}},
	})
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", eventlog.TopicSuppressions, err)
	}
	partitions := res.Topics[eventlog.TopicSuppressions]
	switch {
	case len(partitions) == 0:
		return 0, fmt.Errorf("topic %s does not exist", eventlog.TopicSuppressions)
	case partitions[0].Error != nil:
		return 0, fmt.Errorf("topic %s: %w", eventlog.TopicSuppressions, partitions[0].Error)
	}
	return partitions[0].LastOffset, nil
}
