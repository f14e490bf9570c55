package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestALineSaysWhetherTheGoalIsMet(t *testing.T) {
	for want, n := range map[string]number{
		"bench a value=0.86x goal=>=0.85 ok":     {name: "a", value: 0.86, unit: "x", goal: atLeast(0.85)},
		"bench a value=0.849x goal=>=0.85 short": {name: "a", value: 0.8491, unit: "x", goal: atLeast(0.85)},
		"bench b value=150 MB goal=<=150 ok":     {name: "b", value: 150, unit: " MB", goal: atMost(150)},
		"bench b value=151 MB goal=<=150 short":  {name: "b", value: 151, unit: " MB", goal: atMost(150)},
		"bench c value=12346/s goal=none ok":     {name: "c", value: 12345.6, unit: "/s"},
	} {
		require.Equal(t, want, n.String())
	}
}

func TestMedian(t *testing.T) {
	require.Zero(t, median(nil))
	require.InDelta(t, 2, median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, median([]float64{4, 1, 3, 2}), 0)
}

func TestAPageKeepsTheSectionsOfOtherBenchmarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "benchmarks.md")
	p, err := readPage(path)
	require.NoError(t, err)
	p.set(benchmarks[1], report{method: "How.", numbers: []number{{name: "old", about: "what it is"}}})
	require.NoError(t, p.write())
	p, err = readPage(path)
	require.NoError(t, err)
	p.set(benchmarks[0], report{method: "How.", numbers: []number{{name: "first"}}, notes: "Why."})
	require.NoError(t, p.write())
	once, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Regexp(t, "(?s)`first`.*Why\\..*`old`", string(once))
	p, err = readPage(path)
	require.NoError(t, err)
	require.NoError(t, p.write())
	again, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(once), string(again))
}

func TestThisProcessHasUsedTimeAndMemory(t *testing.T) {
	_, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	memory, err := peakMemory(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, memory, 1.0)
}
