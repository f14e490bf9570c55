//go:build !faults

package consume

// afterDeclare is where a build with the tag `faults` kills the process; in all others nothing happens there.
func afterDeclare() {}
