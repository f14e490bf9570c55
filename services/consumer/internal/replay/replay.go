// Package replay stores rows for offsets that the consumers have passed: offsets without a row (Gaps), and records that
// were no events and can be read now (DeadLetters).
//
// It promises that each offset it heals is one row afterwards, made as a consumer makes it, and that what views fill holds
// what follows from the row once: where only rows of events were lost, the views' tables have it already, and the rows go
// into events past the views. It touches nothing that a consumer may still insert, can be repeated wherever it was killed,
// and runs alone among all that change stored rows (rebuilds, erasures). docs/ledger.md says what it does for whoever runs it.
package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/consume"
	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/suppression"
)

// Deps are the parts of a replay.
type Deps struct {
	Tables *store.Replays
	Events consume.Store
	Log    func(store.Partition) consume.Log
	// Positions are those of the consumers' group, of all partitions.
	Positions func(context.Context) ([]consume.Position, error)
	// Suppressions reads the suppression list to its end.
	Suppressions func(context.Context) (suppression.Snapshot, error)
	DeadLetters  consume.DeadLetters
	// Letters calls its argument with every dead letter that the topic holds.
	Letters  func(context.Context, func(consume.DeadLetter) error) error
	Rules    enrich.Rules
	Enricher *enrich.Enricher
	// InsertDeadline bounds each wait for Kafka, and each insert.
	InsertDeadline time.Duration
	// TokenLife is how long after its begin a block is inserted under its token again.
	TokenLife time.Duration
	// Say prints a line for people.
	Say func(format string, args ...any)
	Now func() time.Time
	// Saved is called when a step of a block is done; an error ends the run as a crash would.
	Saved func(Step) error
}

// Step is a step of a block.
type Step string

// The steps in their order.
const (
	// StepBegun: the table replays has the block.
	StepBegun Step = "begun"
	// StepStored: events has its rows, and so have the tables that views fill.
	StepStored Step = "stored"
	// StepDone: nothing of it is left to do.
	StepDone Step = "done"
)

// The size of a block. It stays below what Store.CompleteViews can complete.
const (
	blockOffsets = 10_000
	blockBytes   = 8 << 20
)

// errBusy ends a replay that would get in the way of an interrupted rebuild.
var errBusy = errors.New("an interrupted `consumer rebuild goals` must be finished or given up first")

// run is one run of a command.
type run struct {
	Deps
	what string
	list suppression.Snapshot
	// positions are by partition.
	positions map[int]consume.Position
	// open are blocks of an interrupted run, of which nothing is stored yet.
	open []store.Replay
	// enrichers are by the hash of their rules.
	enrichers map[string]*enrich.Enricher
	// dead are all dead letters; nil until they are read.
	dead map[letterID]bool
}

func (d Deps) run(what string) *run {
	return &run{Deps: d, what: what, list: suppression.New().Now(), enrichers: map[string]*enrich.Enricher{d.Rules.Hash(): d.Enricher}}
}

// locked calls do with a run that has the lock. The suppression list is read under it: an erasure that has ended by then is in
// the list, and one that comes later finds the rows.
func (d Deps) locked(ctx context.Context, what string, do func(context.Context, *run) error) error {
	locked, unlock, err := d.Tables.Lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r := d.run(what)
	err = r.prepare(locked)
	if err == nil {
		err = do(locked, r)
	}
	if err == nil {
		err = r.giveUpOpen(locked)
	}
	if err != nil && locked.Err() != nil {
		return errors.Join(context.Cause(locked), err)
	}
	return err
}

// prepare reads what rows depend on, and finishes what an interrupted run has left.
func (r *run) prepare(ctx context.Context) error {
	unfinished, err := r.Tables.Unfinished(ctx)
	if err != nil {
		return err
	}
	if unfinished != nil {
		return errBusy
	}
	if err := r.readPositions(ctx); err != nil {
		return err
	}
	if r.list, err = r.Suppressions(ctx); err != nil {
		return err
	}
	for id, p := range r.positions {
		if r.list.Position < p.Suppression {
			return fmt.Errorf("the suppression list is read up to %d, partition %d was at %d: the topic of suppressions was made anew, see docs/operations.md", r.list.Position, id, p.Suppression)
		}
	}
	return r.finish(ctx)
}

func (r *run) readPositions(ctx context.Context) error {
	positions, err := r.Positions(ctx)
	if err != nil {
		return err
	}
	r.positions = make(map[int]consume.Position, len(positions))
	for _, p := range positions {
		r.positions[p.ID] = p
	}
	return nil
}

// enricherOf makes the enricher of rules that rows were made by, and that of now where this binary cannot make it.
func (r *run) enricherOf(ctx context.Context, hash string) (*enrich.Enricher, string, error) {
	if e, ok := r.enrichers[hash]; ok && e != nil {
		return e, hash, nil
	} else if ok {
		return r.Enricher, r.Rules.Hash(), nil
	}
	text, known, err := r.Events.Rules(ctx, hash)
	if err != nil {
		return nil, "", err
	}
	r.enrichers[hash] = nil
	if known {
		if rules, err := enrich.ParseRules(text); err == nil {
			if e, err := enrich.New(rules); err == nil {
				r.enrichers[hash] = e
				return e, hash, nil
			}
		}
	}
	return r.Enricher, r.Rules.Hash(), nil
}
