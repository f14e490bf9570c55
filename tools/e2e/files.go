package main

import (
	"fmt"
	"syscall"
)

// enoughFiles makes sure that this process may have so many files open. Go raises the limit of each process to what the
// system allows; only an administrator may go beyond.
func enoughFiles(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur >= n {
		return nil
	}
	limit.Cur, limit.Max = n, max(n, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("a crowd needs %d open files: ulimit -n %d: %w", n, n, err)
	}
	return nil
}
