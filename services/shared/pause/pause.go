// Package pause waits.
package pause

import (
	"context"
	"time"
)

// For waits for a duration, or until the context ends and says why.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
