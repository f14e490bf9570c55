//go:build !linux

package localstack

import "syscall"

// childAttributes puts a child into its own process group; a detached one gets its own session, so that no terminal ends
// it. Only Linux can tie a child's life to ours.
func childAttributes(detached bool) *syscall.SysProcAttr {
	if detached {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true}
}
