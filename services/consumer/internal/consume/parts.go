package consume

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
)

// Store is ClickHouse as a worker sees it; *store.Store is the real one, tests break it on purpose.
type Store interface {
	Insert(ctx context.Context, token string, rows iter.Seq[*store.Row]) error
	CompleteViews(ctx context.Context, r store.Range, token string) error
	FillViews(ctx context.Context, r store.Range, declared time.Time) error
	Started(ctx context.Context) (time.Time, error)
	CountRows(ctx context.Context, r store.Range) (int64, error)
	LastRow(ctx context.Context, p store.Partition) (store.Last, error)
	RecentEvents(ctx context.Context, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error
	EventIDs(ctx context.Context, p store.Partition, below int64, since time.Time, yield func(store.EventKey, time.Time)) error
	Seer
	Rules(ctx context.Context, hash string) (text string, known bool, err error)
	ListForRebuild(ctx context.Context, r store.Range, why string) error
	FillEventIDs(ctx context.Context, r store.Range) error
}

// Shards are the servers that facts are divided among.
type Shards interface {
	// Of is the number of the shard that takes the batches of the partition which are declared from now on.
	Of(p store.Partition) int
	// Store is the Store that inserts into the shard of the number. The error wraps store.ErrRefused when there is none.
	Store(shard int) (Store, error)
}

// ShardsOf are the shards of a store; nil when it has none.
func ShardsOf(events *store.Store) Shards {
	if events.Shards() == 0 {
		return nil
	}
	return shardsOf{events}
}

type shardsOf struct{ events *store.Store }

// Of goes round: the ids of events, by which they are partitioned, spread evenly over the shards.
func (s shardsOf) Of(p store.Partition) int { return p.ID%s.events.Shards() + 1 }

func (s shardsOf) Store(shard int) (Store, error) { return s.events.Shard(shard) }

// Seer is the part of Store that is asked for repeats.
type Seer interface {
	Seen(ctx context.Context, p store.Partition, below int64, since time.Time, keys []store.EventKey) (map[store.EventKey]time.Time, error)
}

// Log is one partition of the topic.
type Log interface {
	// Bounds returns the first offset that Kafka still holds and the one after the last.
	Bounds(ctx context.Context) (first, end int64, err error)
	// Open returns a cursor at the offset, or at the first one that Kafka still holds after it.
	Open(offset int64) (Cursor, error)
}

// Cursor reads records in the order of their offsets; offsets may be missing.
type Cursor interface {
	// Next waits for a record, also while Kafka is away. The error is the context's.
	Next(ctx context.Context) (kafka.Message, error)
	Close() error
}

// Committed is a position of the group in a partition.
type Committed struct {
	// Offset is -1 when there is none.
	Offset   int64
	Metadata string
}

// Positions is the group's committed position in one partition, under the generation of the worker.
type Positions interface {
	Fetch(ctx context.Context) (Committed, error)
	// Commit writes a position. The error wraps ErrGenerationOver when Kafka has refused it; after any other error the
	// position may still be written later.
	Commit(ctx context.Context, c Committed) error
}

// DeadLetter is a record that is no event.
type DeadLetter struct {
	store.Partition
	Record kafka.Message
	Reason reason.Reason
}

// DeadLetters keeps records that are no events.
type DeadLetters interface {
	// Publish returns when all letters are durable. The same letter may be published again; its offset tells.
	Publish(ctx context.Context, letters []DeadLetter) error
}

// Errors that end the work of a generation.
var (
	// ErrGenerationOver: Kafka does not take this worker for the owner of the partition any more.
	ErrGenerationOver = errors.New("generation is over")
	// ErrPositionUnknown: a commit may land later; only a new member of the group is safe from it.
	ErrPositionUnknown = errors.New("committed position is unknown")
)

// StopError stops a partition until a person has looked at it.
type StopError struct {
	Reason reason.Reason
	Detail string
}

func (e *StopError) Error() string { return string(e.Reason) + ": " + e.Detail }

func stop(r reason.Reason, format string, args ...any) error {
	return &StopError{Reason: r, Detail: fmt.Sprintf(format, args...)}
}
