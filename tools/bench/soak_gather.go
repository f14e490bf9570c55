package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// soakEvery is how often values are read.
const soakEvery = 5 * time.Second

// gather reads all values until the context ends. One that can't be read is an error: its process has ended.
func (s *soaked) gather(ctx context.Context) (*collection, error) {
	gathered := &collection{}
	begin := time.Now()
	tick := time.NewTicker(soakEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return gathered, nil
		case <-tick.C:
		}
		if err := s.read(ctx, gathered, time.Since(begin)); err != nil {
			if ctx.Err() != nil {
				return gathered, nil // cut off by the end
			}
			return nil, err
		}
	}
}

// read adds a point to each series.
func (s *soaked) read(ctx context.Context, into *collection, at time.Duration) error {
	for _, p := range []struct {
		name    string
		pid     int
		service *pipeline.Service // nil where it is not in Go
		handles gauge
	}{
		{"collector", s.collector.PID(), s.collector, handles},
		{"consumer", s.consumer.PID(), s.consumer, handles},
		{"jobs", s.jobs.PID(), s.jobs, handles},
		{"kafka", s.kafka.PID(), nil, handles},
		{"clickhouse", s.clickHouse.PID(), nil, partFiles},
	} {
		memory, err := memoryField(p.pid, "VmRSS:")
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.pid))
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		connections, history, err := s.growsByDesign(ctx, p.service)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		into.add(p.name, memoryOf, at, memory-history/1e6)
		into.add(p.name, p.handles, at, float64(len(open))-connections)
		if p.service == nil {
			continue
		}
		if err := readGo(ctx, into, p.name, p.service, connections, history, at); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	var tables struct{ Parts, Rows float64 }
	err := s.sql().One(ctx, "SELECT (SELECT count() FROM system.parts WHERE active AND database = 'onepx') AS Parts, (SELECT count() FROM onepx.events) AS Rows", &tables)
	if err != nil {
		return err
	}
	_, ends, err := s.ends(ctx)
	if err != nil {
		return err
	}
	into.add("clickhouse", parts, at, tables.Parts)
	into.add("consumer", gauge{"events waiting", "", 10 * s.rate}, at, ends-tables.Rows)
	return nil
}

// growsByDesign is what is left out of the values: connections of the load, of which an open loop opens more whenever the machine stalls,
// and the bytes of what the consumer keeps of the events of a week.
func (s *soaked) growsByDesign(ctx context.Context, service *pipeline.Service) (connections, history float64, err error) {
	switch service {
	case s.collector:
		connections, err = service.Metric(ctx, "onepx_collector_connections_open")
	case s.consumer:
		history, err = service.Metric(ctx, "onepx_consumer_history_bytes")
	}
	return connections, history, err
}

// readGo adds what only a program in Go has. Each connection has a goroutine of its own, which does not count, and so do the bytes of the
// history.
func readGo(ctx context.Context, into *collection, name string, service *pipeline.Service, connections, history float64, at time.Duration) error {
	heap, err := service.Metric(ctx, "go_memstats_heap_alloc_bytes")
	if err != nil {
		return err
	}
	running, err := service.Metric(ctx, "go_goroutines")
	if err != nil {
		return err
	}
	if heap == 0 || running == 0 {
		return errors.New("its metrics tell neither heap nor goroutines")
	}
	into.add(name, heapOf, at, (heap-history)/1e6)
	into.add(name, goroutines, at, running-connections)
	return nil
}
