package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// awaitLimit is how long something that must happen may take.
const awaitLimit = 2 * time.Minute

// await asks again and again until the answer is nil.
func (w *world) await(ctx context.Context, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	var last error
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // an answer that was cut off tells nothing
			last = err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("waited %s: %s: %w", awaitLimit, what, last)
		}
		w.pause(ctx, 20*time.Millisecond)
	}
}

// awaitMetric waits until the metric is at least so high.
func (w *world) awaitMetric(ctx context.Context, s *pipeline.Service, name string, least float64, labels ...string) error {
	return w.await(ctx, fmt.Sprintf("metric %s %v reaches %g", name, labels, least), func(ctx context.Context) error {
		value, err := s.Metric(ctx, name, labels...)
		if err == nil && value < least {
			err = fmt.Errorf("it is %g", value)
		}
		return err
	})
}

// awaitGrowth waits until the metric has grown by so much from what it is now.
func (w *world) awaitGrowth(ctx context.Context, s *pipeline.Service, name string, by float64) error {
	var now float64
	err := w.await(ctx, name+" can be read", func(ctx context.Context) (err error) {
		now, err = s.Metric(ctx, name)
		return err
	})
	return errors.Join(err, w.awaitMetric(ctx, s, name, now+by))
}

// allReady waits until the services are ready.
func (w *world) allReady(ctx context.Context, services []*pipeline.Service) error {
	for _, s := range services {
		if err := s.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// spoolsEmpty waits until everything in the spools is in Kafka.
func (w *world) spoolsEmpty(ctx context.Context) error {
	for _, c := range w.collectors {
		err := w.await(ctx, "the spool of "+c.Admin+" is empty", func(ctx context.Context) error {
			left, err := c.Metric(ctx, spoolEvents)
			if err == nil && left > 0 {
				err = fmt.Errorf("it has %g events", left)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
