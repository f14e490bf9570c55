package consume

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/enrich"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/reason"
	"github.com/onepx/onepx/services/shared/suppression"
)

// The pause between two attempts grows from retryMin to retryMax.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 10 * time.Second
)

// retry calls do until it succeeds, the context ends, the process stops, or the error is one that trying again does not
// cure.
func (w *Worker) retry(ctx context.Context, do func(context.Context) error) error {
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		err := do(ctx)
		var stopped *StopError
		switch {
		case err == nil:
			w.outage.Recovered()
			w.insertRefused(false)
			return nil
		case errors.As(err, &stopped), errors.Is(err, ErrGenerationOver), errors.Is(err, ErrPositionUnknown):
			// First of all: that a commit may still land must be known also when the generation has ended meanwhile.
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errStopping):
			return err
		}
		w.outage.Failed(err)
		w.Metrics.failed()
		if errors.Is(err, store.ErrRefused) {
			w.insertRefused(true)
			pause = retryMax
		}
		if err := w.pause(ctx, pause/2+rand.N(pause/2)); err != nil { //nolint:gosec // jitter
			return err
		}
	}
}

// pause lets time pass, unless the context ends or the process stops.
func (w *Worker) pause(ctx context.Context, length time.Duration) error {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stopping.Done():
		return errStopping
	case <-timer.C:
		return nil
	}
}

// recovery is what is known of a declared batch of which it is not known whether it is stored.
type recovery struct {
	declaration Declaration
	// renewed is when the declaration was last committed again, by Elapsed.
	renewed time.Duration
	// stored is how many rows of the range are stored: none or all.
	stored int64
	// restarted tells that the server has started since the batch was declared, fills how often views were filled in vain.
	restarted bool
	fills     int
}

// recover finishes a declared batch of which it is not known whether it is stored, and then fills the window anew: what
// is stored may not be what would be made now. cause is why an insert of this worker failed, nil for an inherited batch.
func (w *Worker) recover(ctx context.Context, d Declaration, cause error) error {
	w.Metrics.recovering(cause)
	r, failed, stored, why := &recovery{declaration: d, restarted: d.Again > 0}, cause, false, ""
	if errors.Is(cause, store.ErrRestarted) {
		r.restarted, failed = true, nil
	}
	return w.retry(ctx, func(ctx context.Context) error {
		if failed != nil {
			// The first attempt was the insert that failed: pause before the second one.
			err := failed
			failed = nil
			return err
		}
		for !stored {
			err := w.awaitQuiet(ctx, r)
			if err == nil {
				why, err = w.recoverInTurn(ctx, r)
			}
			if err != nil && !errors.Is(err, errDistrusted) {
				return err
			}
			stored = err == nil
		}
		w.next = d.Last + 1
		if why != "" {
			// Kafka may not hold all that is stored.
			if err := w.fillHistory(ctx, w.next); err != nil {
				return err
			}
		}
		return w.fillWindow(ctx)
	})
}

// recoverInTurn waits for a turn, as the range is read into memory.
func (w *Worker) recoverInTurn(ctx context.Context, r *recovery) (why string, err error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.stopping, cancel)()
	turn, err := w.turn(waiting)
	if err != nil {
		return "", errStopping // or the generation has ended, which retry sees
	}
	defer turn.giveBack()
	return w.recoverOnce(ctx, r, turn)
}

// recoverOnce stores the range, and returns by which exception, if it was one.
func (w *Worker) recoverOnce(ctx context.Context, r *recovery, turn *turn) (why string, err error) {
	d := r.declaration
	b, why, err := w.readDeclared(ctx, d)
	if err != nil {
		return "", err
	}
	w.remember(b)
	maker := rowMaker{declaration: d, enricher: w.Enricher, suppressed: w.Suppressions.Now(), history: w.history, store: w.Store}
	if why == "" {
		if maker.enricher, why, err = w.exception(ctx, d, maker.suppressed); err != nil {
			return "", err
		}
	}
	if maker.window, err = w.windowBefore(ctx, d, b); err != nil {
		return "", err
	}
	if err := w.renew(ctx, r); err != nil {
		return "", err
	}
	maker.declaration = r.declaration
	if why == "" && w.Now().Sub(d.At) > w.Limits.TokenLife {
		why = whyOld // it has become so while the range was read
	}
	switch {
	case why != "":
		return why, w.recoverByException(ctx, r, maker, b, turn, why)
	case r.restarted && r.stored > 0:
		return w.fillViews(ctx, r)
	}
	return "", w.insertAgain(ctx, r, maker, b, turn)
}

// renew commits the declaration again, the same one but for the token: the deadline starts anew, and only the owner gets further. What
// came before is no part of the deadline: it may take long, and changes nothing. Then it finds out what is stored.
func (w *Worker) renew(ctx context.Context, r *recovery) (err error) {
	if r.restarted {
		r.declaration.Again++
	}
	r.renewed = w.Elapsed()
	if err := w.commit(ctx, Committed{Offset: r.declaration.First, Metadata: r.declaration.Metadata()}); err != nil {
		return err
	}
	if err := w.distrust(ctx, r); err != nil {
		return err
	}
	r.stored, err = w.countRows(ctx, r.declaration)
	return err
}

// insertAgain inserts the rows of the maker.
func (w *Worker) insertAgain(ctx context.Context, r *recovery, maker rowMaker, b *batch, turn *turn) error {
	if !r.restarted {
		ctx = w.trusting(ctx, r.declaration)
	}
	made, err := w.insert(ctx, maker, b, turn, r.renewed)
	switch {
	case err == nil:
		w.Metrics.stored(made.tally, w.Now())
	case errors.Is(err, store.ErrRestarted):
		r.restarted, err = true, errDistrusted
	}
	return err
}

// remember takes all events of the batch into the history, whatever becomes of them: it may know too much.
func (w *Worker) remember(b *batch) {
	for _, record := range b.records {
		if d := decode(record); d.err == nil {
			w.history.add(d.key, d.at)
		}
	}
}

// recoverByException stores a range whose block cannot be made as it was declared, or whose token may be forgotten. What
// the views hold of it is not sure: they are listed for rebuild, before anything else.
func (w *Worker) recoverByException(ctx context.Context, r *recovery, maker rowMaker, b *batch, turn *turn, why string) error {
	d := maker.declaration
	if err := w.Store.ListForRebuild(ctx, d.Range, why); err != nil {
		return err
	}
	w.Logger.Warn("range recovered by exception; its views are listed for rebuild", "why", why, "first", d.First, "last", d.Last, "rows_stored", r.stored)
	if r.stored == 0 {
		maker.declaration.Rules = w.rulesHash
		return w.insertAgain(ctx, r, maker, b, turn)
	}
	switch {
	case w.Now().Sub(d.At) > w.Limits.TokenLife:
		// The table may have forgotten the token: inserting would double the rows. Only the ids, on which it depends what is
		// a repeat, must not wait for the rebuild.
		return w.Store.FillEventIDs(ctx, d.Range)
	case r.restarted:
		_, err := w.fillViews(ctx, r)
		return err
	}
	into, err := w.storeOf(d)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, w.Limits.InsertDeadline-(w.Elapsed()-r.renewed))
	defer cancel()
	w.sent = w.Elapsed()
	return into.CompleteViews(ctx, d.Range, d.Token())
}

// countRows returns how many rows of the range are stored: all or none, or the partition stops.
func (w *Worker) countRows(ctx context.Context, d Declaration) (int64, error) {
	stored, err := w.Store.CountRows(ctx, d.Range)
	if size := d.Last - d.First + 1; err == nil && stored != 0 && stored != size {
		return 0, w.stopOwner(ctx, Committed{Offset: d.First, Metadata: d.Metadata()},
			stop(reason.RowsPartial, "%d of %d rows of offsets %d to %d are stored", stored, size, d.First, d.Last))
	}
	return stored, err
}

// readDeclared reads the declared range again. A reason is returned when Kafka does not hold all of it any more.
func (w *Worker) readDeclared(ctx context.Context, d Declaration) (*batch, string, error) {
	first, end, err := w.Log.Bounds(ctx)
	if err != nil {
		return nil, "", err
	}
	b := &batch{Range: d.Range}
	switch {
	case end <= d.Last:
		return nil, "", stop(reason.TopicChanged, "the log ends at %d, but offsets up to %d were read from it", end, d.Last)
	case first > d.Last:
		return b, whyExpired, nil
	}
	if b, err = w.readRange(ctx, d.Range); err != nil {
		return nil, "", err
	}
	// Records may have expired while the range was read.
	if first, _, err = w.Log.Bounds(ctx); err != nil {
		return nil, "", err
	}
	if first > d.First {
		return b, whyExpired, nil
	}
	if b.hash() != d.Hash {
		return nil, "", stop(reason.TopicChanged, "the record at offset %d is not the one that was declared", d.First)
	}
	return b, "", nil
}

// exception tells why the declared block cannot be inserted again as it was, or returns the enricher that makes it.
func (w *Worker) exception(ctx context.Context, d Declaration, list suppression.Snapshot) (*enrich.Enricher, string, error) {
	if w.Now().Sub(d.At) > w.Limits.TokenLife {
		return w.Enricher, whyOld, nil
	}
	if list.Position != d.Suppression {
		return w.Enricher, whySuppressions, nil
	}
	if d.Rules == w.rulesHash {
		return w.Enricher, "", nil
	}
	text, known, err := w.Store.Rules(ctx, d.Rules)
	if err != nil {
		return nil, "", err
	}
	if !known {
		return w.Enricher, whyOtherRules, nil
	}
	rules, err := enrich.ParseRules(text)
	if err != nil {
		return w.Enricher, whyOtherRules, nil //nolint:nilerr // the error is the answer
	}
	enricher, err := enrich.New(rules)
	if err != nil {
		return w.Enricher, whyOtherRules, nil //nolint:nilerr // the error is the answer
	}
	return enricher, "", nil
}

// windowBefore is the window as it was before the declared range.
func (w *Worker) windowBefore(ctx context.Context, d Declaration, b *batch) (*window, error) {
	since := d.At
	for _, record := range b.records {
		if record.Time.Before(since) {
			since = record.Time
		}
	}
	since = since.Add(-rebuildHorizon)
	before := newWindow(w.Limits.WindowEvents, since)
	err := w.Store.RecentEvents(ctx, w.Partition, d.First, since, before.add)
	return before, err
}
