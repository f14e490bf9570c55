// Package lifecycle turns signals into a context and stops a service in a
// written order.
//
// Every main calls Notify once, runs until the context ends, and then calls
// StopInOrder with its steps: no longer ready, wait for the load balancer, stop
// the listener, drain the publisher, close clients, flush telemetry. A step
// starts only when the one before it has ended or has overrun its time, so
// nothing is closed under the feet of what still uses it.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/onepx/onepx/services/shared/pause"
)

// ExitSecondSignal is the exit code after a second signal: 128 + SIGINT, what a
// shell reports for a program that was interrupted.
const ExitSecondSignal = 130

// overrun is how long a step may take to return after its deadline. A step that
// obeys its context needs a moment to do so, and must not be overtaken meanwhile.
const overrun = time.Second

// Stop is one step of stopping.
type Stop struct {
	// Name says what is stopped, for logs and errors: "http server".
	Name string
	// Timeout is the step's own deadline. It must be positive.
	Timeout time.Duration
	// Do stops the thing and returns when it has stopped or ctx has ended.
	Do func(ctx context.Context) error
}

// Notify returns a context that ends with the first SIGTERM or SIGINT, or with
// parent. A second signal ends the process at once with ExitSecondSignal, for
// whoever does not want to wait for the stop. The returned function stops
// listening for signals and ends the context.
func Notify(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	released := make(chan struct{})
	go func() {
		for stopping := false; ; stopping = true {
			select {
			case <-released:
				return
			case <-signals:
			}
			if stopping {
				os.Exit(ExitSecondSignal) //nolint:forbidigo // whoever sends a second signal wants no stops to run
			}
			cancel()
		}
	}()
	return ctx, sync.OnceFunc(func() {
		signal.Stop(signals)
		close(released)
		cancel()
	})
}

// Pause returns what a step does that lets the time pass.
func Pause(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error { return pause.For(ctx, d) }
}

// StopInOrder runs the steps one after the other, each with its own deadline,
// and logs how long each took. A step that fails does not keep the next from
// running; the errors of all steps are joined, each with the name of its step.
func StopInOrder(log *slog.Logger, steps ...Stop) error {
	var errs []error
	for _, step := range steps {
		start := time.Now()
		err := run(step)
		took := slog.String("took", time.Since(start).Round(time.Millisecond).String())
		if err != nil {
			log.Error("stop step failed", slog.String("step", step.Name), took, slog.Any("error", err))
			errs = append(errs, fmt.Errorf("stop %s: %w", step.Name, err))
			continue
		}
		log.Info("stopped", slog.String("step", step.Name), took)
	}
	return errors.Join(errs...)
}

// run waits for the step, but not much longer than its deadline: the goroutine
// of a step that ignores its context is left behind, the process is about to end.
func run(step Stop) error {
	ctx, cancel := context.WithTimeout(context.Background(), step.Timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- step.Do(ctx) }()
	patience := time.NewTimer(step.Timeout + overrun)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return fmt.Errorf("still running after %s: %w", step.Timeout, context.DeadlineExceeded)
	}
}
