package consume

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// What a batch takes of the turns of a process, which bound its memory whatever the number of its partitions: less once its
// rows are made, as its events are gone then.
const (
	turnMaking  = 2
	turnSending = 1
)

// NewTurns has room for one batch of which the rows are made while those of another are on their way to ClickHouse: then
// both programs have something to do. The workers of a process share it.
func NewTurns() *semaphore.Weighted { return semaphore.NewWeighted(turnMaking + turnSending) }

// turn is what a worker holds of the turns.
type turn struct {
	of   *semaphore.Weighted
	held int64
}

// turn waits until this worker may hold a whole batch. The error is that of the context.
func (w *Worker) turn(ctx context.Context) (*turn, error) {
	if err := w.Turns.Acquire(ctx, turnMaking); err != nil {
		return nil, err
	}
	return &turn{w.Turns, turnMaking}, nil
}

// rowsMade gives back what a batch does not need any more whose rows are made.
func (t *turn) rowsMade() { t.keep(turnSending) }

// giveBack gives back the rest.
func (t *turn) giveBack() { t.keep(0) }

func (t *turn) keep(n int64) {
	if t.held > n {
		t.of.Release(t.held - n)
		t.held = n
	}
}
