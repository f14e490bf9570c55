package consume

import "time"

// insertBurst is how many batches of a partition may be declared one right after the other when it has been quiet: what somebody
// does now is seen at once, also where InsertGap is long.
const insertBurst = 4

// pace says when a partition may declare its next batch: by the generic cell rate algorithm (ITU-T I.371), one for each gap in the
// long run.
type pace struct {
	gap time.Duration
	// due is the end of the gaps of the batches declared so far.
	due time.Duration
}

// wait is the time from now until the next declaration may be made; 0 or less when it may be made now.
func (p *pace) wait(now time.Duration) time.Duration { return p.due - (insertBurst-1)*p.gap - now }

// declared takes note of a declaration.
func (p *pace) declared(now time.Duration) { p.due = max(p.due, now) + p.gap }
