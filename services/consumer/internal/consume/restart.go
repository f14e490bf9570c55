package consume

import (
	"context"
	"errors"
	"time"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// A ClickHouse that is killed while it inserts may know a token in a table that never got the rows (package store, restarts.go): one of
// events or of the views. So a block is inserted by a server only that has run since before the batch was declared. Where it has
// started later, the worker waits until nothing of the range can be under way and takes a new token, which is declared before its use.
// Then the rows alone tell. None in events: no view has any, and they are inserted under the new token. All: the views get by what they
// have, not by tokens, what they lack.

// errDistrusted says that the batch has to be stored in this way.
var errDistrusted = errors.New("clickhouse has started since the batch was declared")

// distrust returns errDistrusted if the server has started since the batch was declared, and that was not known before.
func (w *Worker) distrust(ctx context.Context, r *recovery) error {
	if r.restarted {
		return nil
	}
	into, err := w.storeOf(r.declaration)
	if err != nil {
		return err
	}
	started, err := into.Started(ctx)
	if err != nil {
		return err
	}
	if r.restarted = !started.Before(w.mustRunSince(r.declaration)); r.restarted {
		return errDistrusted
	}
	return nil
}

// mustRunSince is before when a server must have started for the token to be trusted. Two clocks may differ by a deadline.
func (w *Worker) mustRunSince(d Declaration) time.Time { return d.At.Add(-w.Limits.InsertDeadline) }

// trusting is the context of an insert that trusts the token.
func (w *Worker) trusting(ctx context.Context, d Declaration) context.Context {
	return store.StartedBefore(ctx, w.mustRunSince(d))
}

// awaitQuiet waits, if tokens are not trusted, until no insert of the range can be under way: until its deadline by ClickHouse's clock.
// One that somebody else has sent is older than this worker's hold of the partition.
func (w *Worker) awaitQuiet(ctx context.Context, r *recovery) error {
	left := max(w.owned, w.sent) + 2*w.Limits.InsertDeadline - w.Elapsed()
	if !r.restarted || left < 0 {
		return nil
	}
	w.Logger.Info("clickhouse has started since the batch was declared: waiting until no insert of it can be under way",
		"first", r.declaration.First, "last", r.declaration.Last, "wait", left)
	return w.pause(ctx, left+time.Millisecond)
}

// mostFills is how often views are filled in vain until they are listed for rebuild.
const mostFills = 5

// fillViews gives the views what they lack of the stored rows. If that fails for long, as where too much must be read for it, they are
// listed for rebuild, and why is returned.
func (w *Worker) fillViews(ctx context.Context, r *recovery) (why string, err error) {
	into, err := w.storeOf(r.declaration)
	if err != nil {
		return "", err
	}
	filling, cancel := context.WithTimeout(ctx, w.Limits.InsertDeadline-(w.Elapsed()-r.renewed))
	defer cancel()
	w.sent = w.Elapsed()
	if err = into.FillViews(filling, r.declaration.Range, r.declaration.At); err == nil {
		return "", nil
	}
	if r.fills++; r.fills < mostFills {
		return "", err
	}
	w.Logger.Error("views could not be filled; they are listed for rebuild", "first", r.declaration.First, "last", r.declaration.Last, "error", err)
	if err := w.Store.ListForRebuild(ctx, r.declaration.Range, whyUnfilled); err != nil {
		return "", err
	}
	return whyUnfilled, w.Store.FillEventIDs(ctx, r.declaration.Range)
}
