package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// downCmd is `dev down`.
type downCmd struct{}

// stopTimeout is how long the supervisor may take: its parts have 30 s each.
const stopTimeout = 3 * time.Minute

// Run ends the supervisor, which ends everything, and removes the folder.
func (downCmd) Run(ctx context.Context) error {
	dev, err := findFolder()
	if err != nil {
		return err
	}
	if _, err := os.Stat(string(dev)); err != nil {
		fmt.Println("nothing runs")
		return nil
	}
	lock, err := dev.command()
	if err != nil {
		return err
	}
	defer lock.Close()
	running, err := dev.running()
	if err != nil {
		return err
	}
	if running {
		if err := stopSupervisor(ctx, dev); err != nil {
			return err
		}
		fmt.Println("stopped")
	}
	return os.RemoveAll(string(dev))
}

// stopSupervisor asks the supervisor to end and waits until its lock is free.
func stopSupervisor(ctx context.Context, dev folder) error {
	st, err := dev.readState()
	if err != nil {
		return err
	}
	if err := syscall.Kill(st.Supervisor, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop process %d: %w", st.Supervisor, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	lock := flock.New(dev.path("lock"))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return fmt.Errorf("process %d does not end, see %s: %w", st.Supervisor, dev.log("dev"), err)
	}
	return lock.Close()
}
