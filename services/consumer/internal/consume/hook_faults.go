//go:build faults

package consume

import (
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
)

// afterDeclare kills the process between the declaration of a batch and its insert, once in ONEPX_FAULT_KILL_DECLARED
// times; 0 or nothing means never. For the end-to-end rounds.
func afterDeclare() {
	once, _ := strconv.Atoi(os.Getenv("ONEPX_FAULT_KILL_DECLARED"))
	if once > 0 && rand.IntN(once) == 0 { //nolint:gosec // a drill, not a secret
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
