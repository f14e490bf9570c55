package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// profileTop takes a profile of a service, by its path below /debug/pprof/, and returns the table of what takes most.
func (w *world) profileTop(ctx context.Context, s *pipeline.Service, path string, args ...string) (string, error) {
	data, err := s.Fetch(ctx, "/debug/pprof/"+path)
	if err != nil {
		return "", err
	}
	file := filepath.Join(w.dir, "pprof")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return "", err
	}
	args = append(append([]string{"tool", "pprof", "-top"}, args...), file)
	out, err := exec.CommandContext(ctx, "go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("go tool pprof: %w", err)
	}
	_, table, _ := strings.Cut(string(out), "\n      flat") // what comes before describes the file
	return "      flat" + table, nil
}

// clockTick is the unit of /proc/PID/stat on Linux.
const clockTick = time.Second / 100

// cpuTime is how much CPU time a process has taken so far.
func cpuTime(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is a name in brackets, which may hold anything.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks int64
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// peakMemory is the most resident memory a process has had, in MB (10^6 bytes).
func peakMemory(pid int) (float64, error) { return memoryField(pid, "VmHWM:") }

// memoryField is a size that /proc/PID/status tells, in MB (10^6 bytes).
func memoryField(pid int, field string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if text, found := strings.CutPrefix(line, field); found {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 64)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no %s", pid, field)
}
