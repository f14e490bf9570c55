// Package consume moves records from Kafka to ClickHouse exactly once. Each partition that the group assigns to this
// process has one Worker: fetch → decode → enrich → batch → declare → insert; the next declaration acknowledges.
//
// The promise, for every offset of the topic: exactly one row in events, and every materialised view fed by that row
// exactly once, whatever process is killed, paused, cut off or restarted, in whatever order. How: the offset range and
// everything else that makes the block is committed to Kafka before the block is inserted (Declaration), the block has a
// deduplication token, and whoever comes next makes and inserts the same block again. docs/adr/0001-exactly-once.md has
// the rules, and what breaks without each of them; package model checks them.
package consume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
	"github.com/onepx/onepx/services/shared/telemetry"
)

// Limits bound what a worker holds and how often it writes.
type Limits struct {
	// BatchRows is at most 50,000: INSERT … SELECT of a range stays one block up to 65,409 rows.
	BatchRows int
	// BatchBytes bounds the raw records of a batch, and WaitingBytes those of a batch that waits for its turn, so that
	// memory is bounded.
	BatchBytes, WaitingBytes int
	// FlushAge is how long the first record of a batch waits for others; InsertGap is the time between two batches of one
	// partition in the long run, of which insertBurst may come at once after a quiet time. Together they keep the table below
	// the inserts that its deduplication window covers.
	FlushAge, InsertGap time.Duration
	// IdleAfter is how long nothing must arrive until the position is committed as idle.
	IdleAfter time.Duration
	// InsertDeadline is the time from the commit of a declaration to the end of its insert. A worker that has lost its
	// partition stops inserting before the next owner can have started anything else.
	InsertDeadline time.Duration
	// TokenLife is how long after its declaration a batch is inserted under its token again: less than the window holds.
	TokenLife time.Duration
	// WindowEvents bounds the memory of repeated events of a partition.
	WindowEvents int
}

// Deps are the parts of a worker.
type Deps struct {
	Partition store.Partition
	Log       Log
	Positions Positions
	Store     Store
	// Shards is nil on a single node.
	Shards       Shards
	DeadLetters  DeadLetters
	Suppressions *suppression.List
	// Rules are those of new batches, saved in the store already.
	Rules    enrich.Rules
	Enricher *enrich.Enricher
	Limits   Limits
	// Turns are shared by all workers of the process: only who has one may hold a whole batch, and the rows made of it.
	Turns *semaphore.Weighted
	// Now is the wall clock, for what stands in rows. Elapsed is a clock that never jumps and runs on while the machine
	// sleeps, for deadlines.
	Now     func() time.Time
	Elapsed func() time.Duration
	Logger  *slog.Logger
	Metrics *Metrics
	// Tracer makes the spans of inserts; see startSpans.
	Tracer trace.Tracer
}

// Worker stores one partition during one generation of the group.
type Worker struct {
	Deps
	cursor Cursor
	// pending is a record that was read and did not fit the last batch.
	pending *kafka.Message
	// next is the first offset that is not stored.
	next    int64
	window  *window
	history *history
	// committedIdle tells that the committed position is next, with no declared batch, and committedList which position of
	// the suppression list it names.
	committedIdle bool
	committedList int64
	pace          pace
	// owned is since when the partition is this worker's, and sent when it last sent something of a declared batch to ClickHouse, by
	// Elapsed.
	owned, sent time.Duration
	outage      *telemetry.OutageLog
	rulesHash   string
	// stopping is the process's wish to stop, for what would wait otherwise.
	stopping context.Context
	// began is closed when begin has ended, whether or not it has found where to go on.
	began chan struct{}
}

// NewWorker returns a worker that has not read anything yet.
func NewWorker(deps Deps) *Worker {
	deps.Logger = deps.Logger.With("topic", deps.Partition.Topic, "partition", deps.Partition.ID)
	return &Worker{
		Deps:      deps,
		pace:      pace{gap: deps.Limits.InsertGap},
		outage:    telemetry.NewOutageLog(deps.Logger, "storing batches", deps.Now),
		rulesHash: deps.Rules.Hash(),
		began:     make(chan struct{}),
	}
}

// Run works until stopping ends (nil), until ctx ends with the generation (nil), or until the generation must be given up:
// ErrGenerationOver is wrapped when it is over already, after any other error the member must leave the group. A StopError
// is reported and waited out: the partition stays with this worker, which does nothing any more.
//
// stopping cuts nothing off that is on its way to ClickHouse, but what has failed is not tried again: a declared batch that
// is not stored is finished by the next owner.
func (w *Worker) Run(ctx, stopping context.Context) error {
	w.stopping, w.owned = stopping, w.Elapsed()
	defer w.insertRefused(false) // the next owner has its own alarm
	defer w.Metrics.remembers(w.Partition, 0)
	err := w.run(ctx)
	if w.cursor != nil {
		_ = w.cursor.Close()
	}
	var stopped *StopError
	switch {
	case errors.As(err, &stopped):
		w.Logger.Error("partition stopped; see docs/operations.md", "reason", stopped.Reason, "detail", stopped.Detail)
		w.Metrics.stopped(w.Partition, stopped.Reason, true)
		defer w.Metrics.stopped(w.Partition, stopped.Reason, false)
		select {
		case <-ctx.Done():
		case <-stopping.Done():
		}
		return nil
	case errors.Is(err, ErrPositionUnknown):
		// Also when the generation has ended meanwhile: the commit may still land in it, or in the next one of this member.
		return err
	case errors.Is(err, errStopping), ctx.Err() != nil:
		return nil
	}
	return err
}

// errStopping ends what would otherwise be tried again.
var errStopping = errors.New("stopping")

func (w *Worker) run(ctx context.Context) error {
	err := w.begin(ctx)
	close(w.began)
	if err != nil {
		return err
	}
	if w.cursor, err = w.Log.Open(w.next); err != nil {
		return err
	}
	collecting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.stopping, cancel)()
	for {
		b, err := w.collect(collecting)
		if err == nil && b == nil && collecting.Err() == nil {
			err = w.commitIdle(ctx)
		} else if err == nil && collecting.Err() == nil {
			err = w.takeTurn(ctx, collecting, b)
		}
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return nil
		case w.stopping.Err() != nil:
			// What was collected is not declared: the next owner reads it again.
			return w.commitIdle(ctx)
		}
	}
}

// takeTurn waits for a turn and stores the batch, unless collecting ends before it is declared.
func (w *Worker) takeTurn(ctx, collecting context.Context, b *batch) error {
	turn, err := w.turn(collecting)
	if err != nil {
		return nil //nolint:nilerr // collecting has ended
	}
	defer turn.giveBack()
	w.topUp(collecting, b)
	if collecting.Err() != nil {
		return nil
	}
	return w.storeBatch(ctx, b, turn)
}

// commitIdle writes the position with no declared batch, which acknowledges the last one. It is written again when the
// suppression list has changed: whoever erases waits until no batch can be made with an older one.
func (w *Worker) commitIdle(ctx context.Context) error {
	list := w.Suppressions.Now().Position
	if w.committedIdle && w.committedList == list {
		return nil
	}
	if err := w.commit(ctx, Committed{Offset: w.next, Metadata: idleAt(list)}); err != nil {
		return err
	}
	w.committedIdle, w.committedList = true, list
	return nil
}

// commit writes a position. After an error whose outcome is not known nothing may be assumed about the position: the
// caller must give up the generation.
func (w *Worker) commit(ctx context.Context, c Committed) error {
	err := w.Positions.Commit(ctx, c)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrGenerationOver):
		return err
	default:
		return errors.Join(ErrPositionUnknown, err)
	}
}

// storeBatch declares the batch and inserts it. It gives the worker's turn back once the insert has ended.
func (w *Worker) storeBatch(ctx context.Context, b *batch, turn *turn) error {
	now := w.Now().UTC().Truncate(time.Millisecond)
	list := w.Suppressions.Now()
	d := Declaration{
		Range: b.Range, At: now, Day: now.Truncate(24 * time.Hour),
		Rules: w.rulesHash, Suppression: list.Position, Hash: b.hash(),
	}
	if w.Shards != nil {
		d.Shard = w.Shards.Of(w.Partition)
	}
	declared := w.Elapsed()
	if err := w.commit(ctx, Committed{Offset: d.First, Metadata: d.Metadata()}); err != nil {
		return err
	}
	w.committedIdle = false
	w.pace.declared(declared)
	afterDeclare()
	maker := rowMaker{declaration: d, enricher: w.Enricher, suppressed: list, window: w.window, history: w.history, store: w.Store}
	made, err := w.insert(w.trusting(ctx, d), maker, b, turn, declared)
	turn.giveBack()
	if err != nil {
		// Whether the block is stored is not known (or it could not be made): the way on is the same as for a new owner.
		if err := w.recover(ctx, d, err); err != nil {
			return err
		}
	} else {
		for _, s := range made.seen {
			w.window.add(s.key, s.at)
			w.history.add(s.key, s.at)
		}
		w.Metrics.stored(made.tally, w.Now())
	}
	w.next = d.Last + 1
	w.Metrics.position(w.Partition, w.next)
	w.Metrics.remembers(w.Partition, w.history.bytes())
	return nil
}

// insert makes the rows and inserts them under the token before the deadline, which counts from the moment before the
// declaration was committed.
func (w *Worker) insert(ctx context.Context, maker rowMaker, b *batch, turn *turn, declared time.Duration) (made *block, err error) {
	ctx, spans := w.startSpans(ctx, b)
	defer func() { w.endSpans(ctx, spans, err) }()
	remaining := w.Limits.InsertDeadline - (w.Elapsed() - declared)
	ctx, cancel := context.WithTimeout(ctx, remaining)
	defer cancel()
	if made, err = maker.prepare(ctx, b); err != nil {
		return nil, err
	}
	if len(made.dead) > 0 {
		if err := w.DeadLetters.Publish(ctx, made.dead); err != nil {
			return nil, err
		}
		made.dead = nil
	}
	if w.Elapsed()-declared >= w.Limits.InsertDeadline {
		return nil, context.DeadlineExceeded
	}
	into, err := w.storeOf(maker.declaration)
	if err != nil {
		return nil, err
	}
	start, before := w.Elapsed(), w.sent
	w.sent = start
	err = into.Insert(ctx, maker.declaration.Token(), func(yield func(*store.Row) bool) {
		made.rows(yield)
		turn.rowsMade()
	})
	if errors.Is(err, store.ErrRestarted) {
		w.sent = before
	}
	w.Metrics.inserted(w.Elapsed()-start, err)
	return made, err
}

// storeOf is the store that inserts a declared batch.
func (w *Worker) storeOf(d Declaration) (Store, error) {
	switch {
	case w.Shards != nil && d.Shard != 0:
		return w.Shards.Store(d.Shard)
	case w.Shards != nil || d.Shard != 0:
		return nil, fmt.Errorf("%w: it was declared for shard %d (0 = a single node), and this consumer is set up for another kind of ClickHouse", store.ErrRefused, d.Shard)
	}
	return w.Store, nil
}

// insertRefused raises or lowers the alarm of a block that ClickHouse refuses.
func (w *Worker) insertRefused(on bool) {
	w.Metrics.stopped(w.Partition, reason.InsertRefused, on)
}
