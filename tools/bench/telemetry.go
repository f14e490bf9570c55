package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// scrapeEvery is how often the metrics are fetched: more often than Prometheus does.
const scrapeEvery = time.Second

// telemetryBench compares collectors with and without metrics and traces.
func telemetryBench(ctx context.Context, w *world) (report, error) {
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer sink.Close()
	export := "OTEL_EXPORTER_OTLP_ENDPOINT=" + sink.URL
	var all []*contestant
	for _, c := range []struct {
		name   string
		env    []string
		scrape bool
	}{
		{"without", []string{"OTEL_SDK_DISABLED=true"}, false},
		{"with", []string{export}, true},
		{"all-traced", []string{export, "ONEPX_TRACE_RATIO=1"}, true},
	} {
		collector, err := w.pipeline.StartCollector(ctx, c.name, c.env...)
		if err != nil {
			return report{}, err
		}
		defer func() { _ = collector.Stop() }()
		if c.scrape {
			defer scrape(ctx, collector)()
		}
		one, err := contest(c.name, collector.Process, collector.URL, "stored")
		if err != nil {
			return report{}, err
		}
		all = append(all, one)
	}
	if err := fullLoad(ctx, w, all); err != nil {
		return report{}, err
	}
	return telemetryReport(all[0], all[1], all[2]), nil
}

// scrape fetches the metrics of a service until the function it returns is called.
func scrape(ctx context.Context, s *pipeline.Service) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for every := time.NewTicker(scrapeEvery); ; {
			select {
			case <-ctx.Done():
				every.Stop()
				return
			case <-every.C:
				_, _ = s.Metrics(ctx) // fails when the benchmark ends
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func telemetryReport(without, with, allTraced *contestant) report {
	return report{
		numbers: []number{
			{"telemetry_throughput_ratio", ratio(with.rates, without.rates), "x", atLeast(0.95), "answers per second of `/p.gif` with metrics and with traces of one request in a thousand, against those without either"},
			{"telemetry_cpu_ratio", ratio(with.cpu, without.cpu), "x", nil, "CPU time of the collector for an answer, the same way"},
			{"telemetry_all_traced_throughput_ratio", ratio(allTraced.rates, without.rates), "x", nil, "answers per second with metrics and with traces of all requests, against those without either"},
			{"telemetry_all_traced_cpu_ratio", ratio(allTraced.cpu, without.cpu), "x", nil, "CPU time of the collector for an answer, the same way"},
		},
		method: fmt.Sprintf(`Three collectors take the same hits as above by turns of %s: one with OTEL_SDK_DISABLED, which counts, times and traces nothing; one as it ships, whose traces go to a receiver that
throws them away; and one that traces all requests. The metrics of the latter two are fetched every %s. %d connections never wait; Kafka acknowledges each hit. A ratio is
that of neighbouring turns.`, measured, scrapeEvery, busy),
	}
}
