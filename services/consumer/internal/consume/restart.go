package consume

import (
	"context"
	"errors"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// A ClickHouse that is killed while it inserts may know a token in a table that never got the rows (package store, restarts.go): one of
// events or of the views. So once the server has started after a batch was declared, its token alone proves nothing. No row in
// events: no view has any, and the batch is declared anew, which makes another token. All rows there: the views get by what they
// have, not by tokens, what they lack. Neither may meet an insert of the range that is still under way.

// errUnderWay says that an insert of the range may still be under way.
var errUnderWay = errors.New("an insert may be under way")

// distrustTokens finds out whether the server has started since the batch was declared. If so, what is stored tells only once no insert
// is under way: until then it returns errUnderWay.
func (w *Worker) distrustTokens(ctx context.Context, r *recovery) error {
	into, err := w.storeOf(r.declaration)
	if err != nil {
		return err
	}
	started, err := into.Started(ctx)
	if err != nil {
		return err
	}
	if r.restarted = started.After(w.mustRunSince(r)); r.restarted && w.quietIn(r) > 0 {
		return errUnderWay
	}
	return nil
}

// storeAnew stores a range of which nothing is stored as if it were read for the first time: a batch of today's rules and wishes.
func (w *Worker) storeAnew(ctx context.Context, r *recovery, maker rowMaker, b *batch, turn *turn) error {
	d := &r.declaration
	d.At = w.Now().UTC().Truncate(time.Millisecond)
	if before := maker.declaration.At; !d.At.After(before) {
		d.At = before.Add(time.Millisecond) // the token must be another one, whatever the clock says
	}
	d.Day, d.Rules, d.Suppression, d.Hash = d.At.Truncate(24*time.Hour), w.rulesHash, maker.suppressed.Position, b.hash()
	if err := w.declare(ctx, r); err != nil {
		return err
	}
	maker.declaration, maker.enricher = *d, w.Enricher
	made, err := w.insert(ctx, maker, b, turn, r.renewed)
	if err == nil {
		w.Metrics.stored(made.tally, w.Now())
	}
	return err
}

// mustRunSince is since when a server must run for tokens of the batch to be trusted. Two clocks may differ by a deadline.
func (w *Worker) mustRunSince(r *recovery) time.Time {
	return r.declaration.At.Add(-w.Limits.InsertDeadline)
}

// trusting is the context of an insert that trusts the token: the server may not start anew before it gets it. One whose views are
// filled afterwards need not.
func (w *Worker) trusting(ctx context.Context, r *recovery) context.Context {
	if r.restarted {
		return ctx
	}
	return store.StartedBefore(ctx, w.mustRunSince(r))
}

// quietIn is how long an insert of the range may still be under way: until its deadline, by ClickHouse's clock.
func (w *Worker) quietIn(r *recovery) time.Duration {
	return max(r.owned, w.sent) + 2*w.Limits.InsertDeadline - w.Elapsed()
}

// awaitQuiet waits until no insert of the range can be under way.
func (w *Worker) awaitQuiet(ctx context.Context, r *recovery) error {
	left := w.quietIn(r)
	w.Logger.Info("clickhouse has started since the batch was declared: waiting until no insert of it can be under way",
		"first", r.declaration.First, "last", r.declaration.Last, "wait", left)
	return w.pause(ctx, left)
}

// fillViews gives the views what they lack of a batch whose rows were there already when the server had started anew.
func (w *Worker) fillViews(ctx context.Context, r *recovery) error {
	if !r.restarted {
		return nil
	}
	into, err := w.storeOf(r.declaration)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, w.Limits.InsertDeadline-(w.Elapsed()-r.renewed))
	defer cancel()
	w.sent = w.Elapsed()
	return into.FillViews(ctx, r.declaration.Range)
}
