package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/onepx/onepx/tools/internal/localstack"
	"github.com/onepx/onepx/tools/internal/pipeline"
)

const (
	// busy is how many connections keep a server at full load, and how many send at half load.
	busy = 128
	// measured is how long one measurement takes.
	measured = 6 * time.Second
)

// pixelTried is for docs/benchmarks.md.
const pixelTried = `What the bare handler does not do is spread thinly over the steps: parsing and cleaning some forty texts, two keyed hashes, an event encoded, a
dozen headers written, eight metrics. Tried so far, with ` + "`go test ./internal/api -run - -bench Pixel -benchmem`" + ` in services/collector: hash states, header values
and metric options that are kept instead of made anew (128 allocations for a hit became 83), and a ballast, after which the garbage collector no longer
shows in the profile. Next would be fewer headers and a query parser without copies; no single part is left that would close the gap.`

// contestant is one of the servers that are compared.
type contestant struct {
	name    string
	process *localstack.Process
	client  *client
	rates   []float64 // answers per second at full load
	cpu     []float64 // CPU time of the server for an answer, µs
	p99     []float64 // ms at half load
}

// pixelBench compares the collector with a bare handler that writes to Kafka too, and with one that does nothing.
func pixelBench(ctx context.Context, w *world) (report, error) {
	collector, err := w.pipeline.StartCollector(ctx, "collector")
	if err != nil {
		return report{}, err
	}
	defer func() { _ = collector.Stop() }()
	ours, err := contest("collector", collector.Process, collector.URL, "stored")
	if err != nil {
		return report{}, err
	}
	bytes, err := recordBytes(ctx, w, ours.client)
	if err != nil {
		return report{}, err
	}
	bare, err := startBare(ctx, w, "bare handler with Kafka", "--brokers", w.kafka.Broker(), "--record-bytes", strconv.Itoa(bytes))
	if err != nil {
		return report{}, err
	}
	defer func() { _ = bare.process.Stop() }()
	idle, err := startBare(ctx, w, "bare handler without Kafka")
	if err != nil {
		return report{}, err
	}
	defer func() { _ = idle.process.Stop() }()
	all := []*contestant{bare, ours, idle}
	if err := fullLoad(ctx, w, all); err != nil {
		return report{}, err
	}
	rate := min(median(bare.rates), median(ours.rates)) / 2
	for range w.runs {
		for _, c := range all[:2] {
			p99, err := c.client.latency(ctx, rate, measured)
			if err != nil {
				return report{}, err
			}
			c.p99 = append(c.p99, p99)
		}
	}
	result := pixelReport(ours, bare, idle, rate, bytes)
	result.notes, err = whereTimeGoes(ctx, w, collector, all)
	return result, err
}

// fullLoad measures the contestants by turns.
func fullLoad(ctx context.Context, w *world, all []*contestant) error {
	for range w.runs {
		for _, c := range all {
			before, err := cpuTime(c.process.PID())
			if err != nil {
				return err
			}
			sent := c.client.sent.Load()
			rate, err := c.client.throughput(ctx, measured)
			if err != nil {
				return err
			}
			after, err := cpuTime(c.process.PID())
			if err != nil {
				return err
			}
			c.rates = append(c.rates, rate)
			c.cpu = append(c.cpu, float64((after-before).Microseconds())/float64(c.client.sent.Load()-sent))
		}
	}
	return nil
}

// ratio is the median of a turn's value divided by that of the turn beside it.
func ratio(a, b []float64) float64 {
	var all []float64
	for i := range a {
		all = append(all, a[i]/b[i])
	}
	return median(all)
}

func pixelReport(ours, bare, idle *contestant, rate float64, bytes int) report {
	return report{
		numbers: []number{
			{"pixel_throughput_ratio", ratio(ours.rates, bare.rates), "x", atLeast(0.85), "answers per second of `/p.gif` with all steps, against the bare handler with Kafka; both wait for `acks=all`"},
			{"pixel_p99_ratio", ratio(ours.p99, bare.p99), "x", atMost(1.2), fmt.Sprintf("99th percentile at %.0f answers per second, half of full load, against the bare handler with Kafka", rate)},
			{"pixel_throughput_ratio_without_kafka", ratio(ours.rates, idle.rates), "x", nil, "answers per second against a bare Echo handler that does nothing but answer"},
			{"pixel_answers_per_second", median(ours.rates), "/s", nil, "collector at full load"},
			{"pixel_p99", median(ours.p99), " ms", nil, "collector at half load"},
			{"pixel_cpu_per_answer", median(ours.cpu), " µs", nil, "CPU time of the collector at full load"},
		},
		method: fmt.Sprintf(`Three processes take the same hit, a page view with a cookie, by turns of %s after %s to warm up: the collector as it ships; an Echo handler that
writes a record of the same size (%d bytes) with the same kafka-go settings and waits for the same acknowledgment; and an Echo handler that
only answers. Full load is %d connections that never wait. Half load is an open loop at half of the slower one's rate; a hit's time
begins when it was due. A ratio is that of neighbouring turns.`, measured, warmUp, bytes, busy),
	}
}

func contest(name string, process *localstack.Process, url string, accept ...string) (*contestant, error) {
	c, err := newClient(url, busy, accept...)
	return &contestant{name: name, process: process, client: c}, err
}

// startBare starts a bare handler.
func startBare(ctx context.Context, w *world, name string, args ...string) (*contestant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ports, err := localstack.ReservePorts(1)
	if err != nil {
		return nil, err
	}
	address := localstack.Loopback(ports.Numbers[0])
	process, err := localstack.StartProcess(ctx, localstack.ProcessConfig{
		Name: name, Path: self, Args: append([]string{"bare", "--listen", address}, args...), BaseEnv: pipeline.CleanEnv(),
		LogFile: filepath.Join(w.dir, "log", name+".log"), Ready: localstack.HTTPReady("http://" + address + "/p.gif"),
	})
	if err != nil {
		return nil, err
	}
	return contest(name, process, "http://"+address)
}

// recordBytes is the size of the record that the collector makes of a hit.
func recordBytes(ctx context.Context, w *world, c *client) (int, error) {
	if err := c.send(); err != nil {
		return 0, err
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(w.kafka.Broker()), kgo.ConsumeTopics(topic))
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	fetches := reader.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return 0, err
	}
	return len(fetches.Records()[0].Value), nil
}

// whereTimeGoes says how long a hit is in each step, what an answer costs in CPU time, and on what the collector spends it.
func whereTimeGoes(ctx context.Context, w *world, collector *pipeline.Service, all []*contestant) (string, error) {
	var s strings.Builder
	s.WriteString("Where the time of a hit goes, from the collector's own metric over the whole run (`publish` is the wait for Kafka):\n\n| Step | Mean |\n|---|---|\n")
	metrics, err := collector.Metrics(ctx)
	if err != nil {
		return "", err
	}
	for _, step := range metrics["onepx_collector_step_duration_seconds"].GetMetric() {
		times := step.GetHistogram()
		fmt.Fprintf(&s, "| %s | %s µs |\n", pipeline.Label(step, "step"), short(times.GetSampleSum()/float64(times.GetSampleCount())*1e6))
	}
	s.WriteString("\n| Server | Answers/s at full load | CPU for an answer | p99 at half load |\n|---|---|---|---|\n")
	for _, c := range all {
		p99 := ""
		if len(c.p99) > 0 {
			p99 = short(median(c.p99)) + " ms"
		}
		fmt.Fprintf(&s, "| %s | %s | %s µs | %s |\n", c.name, short(median(c.rates)), short(median(c.cpu)), p99)
	}
	top, err := profile(ctx, w, collector, all[1].client)
	if err != nil {
		return "", err
	}
	s.WriteString("\nA CPU profile of the collector at full load, by cumulative share:\n\n```\n" + top + "```\n")
	return s.String(), nil
}

// profile takes a CPU profile at full load.
func profile(ctx context.Context, w *world, s *pipeline.Service, c *client) (string, error) {
	loading, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.throughput(loading, time.Minute)
	}()
	top, err := w.profileTop(ctx, s, "profile?seconds=5", "-cum", "-nodecount=45")
	stop()
	<-done
	return top, err
}
