package localstack

import "syscall"

// childAttributes puts a child into its own process group and ties its life to ours; a detached one gets its own session
// instead, so that no terminal ends it.
func childAttributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
