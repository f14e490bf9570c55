package consume

import (
	"time"

	"golang.org/x/sys/unix"
)

// Elapsed is a clock that never jumps and runs on while the machine sleeps, unlike Go's monotonic clock: a worker that
// wakes up after a suspend must know that its deadline is over.
func Elapsed() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // the call has no other error than a wrong clock id
	}
	return time.Duration(ts.Nano())
}
