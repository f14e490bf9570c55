package consume

import (
	"context"
	"errors"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// A ClickHouse that is killed while it inserts may know a token in a table that never got the rows (package store, restarts.go): one of
// events or of the views. So once the server has started after a batch was declared, its token alone proves nothing. No row in
// events: no view has any, and the batch is declared to be inserted under a new token. All rows there: the views get by what they
// have, not by tokens, what they lack. Neither may meet an insert of the range that is still under way.

// errUnderWay says that an insert of the range may still be under way.
var errUnderWay = errors.New("an insert may be under way")

// distrustTokens finds out whether the server has started since the batch was declared, and if so prepares for it. It returns
// errUnderWay if that has to wait.
func (w *Worker) distrustTokens(ctx context.Context, r *recovery) error {
	into, err := w.storeOf(r.declaration)
	if err != nil {
		return err
	}
	started, err := into.Started(ctx)
	if err != nil {
		return err
	}
	r.restarted = started.After(w.mustRunSince(r))
	switch {
	case !r.restarted:
		return nil
	case w.quietIn(r) > 0:
		return errUnderWay
	case r.stored == 0:
		// The next owner must know the token before it is used.
		r.declaration.Again++
		return w.declare(ctx, r)
	}
	return nil
}

// mustRunSince is since when a server must run for tokens of the batch to be trusted. Two clocks may differ by a deadline.
func (w *Worker) mustRunSince(r *recovery) time.Time {
	return r.declaration.At.Add(-w.Limits.InsertDeadline)
}

// trusting is the context of an insert that trusts the token: the server may not start anew before it gets it. One under a new token,
// and one whose views are filled afterwards, need not.
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
		"first", r.declaration.First, "last", r.declaration.Last, "rows_stored", r.stored, "wait", left)
	return w.pause(ctx, left)
}

// fillViews gives the views what they lack of a batch whose rows were there already when the server had started anew.
func (w *Worker) fillViews(ctx context.Context, r *recovery) error {
	if !r.restarted || r.stored == 0 {
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
