package main

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// every makes a point each ten seconds of half an hour.
func every(value func(minutes float64) float64) series {
	s := series{process: "collector", gauge: memoryOf}
	for at := time.Duration(0); at <= 30*time.Minute; at += 10 * time.Second {
		s.points = append(s.points, point{at, value(at.Minutes())})
	}
	return s
}

func TestWhatCountsAsFlat(t *testing.T) {
	for _, tc := range []struct {
		name    string
		value   func(minutes float64) float64
		flat    bool
		perHour float64
	}{
		{"the same all the time", func(float64) float64 { return 60 }, true, 0},
		{"a leak of a megabyte a minute", func(m float64) float64 { return 60 + m }, false, 60},
		{"a leak below what shows", func(m float64) float64 { return 60 + m/3 }, true, 20},
		{"growth within a tenth of much", func(m float64) float64 { return 1000 + 5*m }, true, 300},
		{"growth by more than a tenth of much", func(m float64) float64 { return 1000 + 6*m }, false, 360},
		{"it falls", func(m float64) float64 { return 100 - 2*m }, true, -120},
		{"caches fill in the first minutes", func(m float64) float64 { return 100 + min(50, 25*m) }, true, 0},
		{"a saw of the garbage collector", func(m float64) float64 { return 60 + 40*math.Mod(m, 1) }, true, 0},
		{"one step in the middle", func(m float64) float64 { return 60 + 20*math.Round(m/30) }, false, 65},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := every(tc.value).judge()
			require.NoError(t, err)
			require.Equal(t, tc.flat, g.flat, "%+v", g)
			require.InDelta(t, tc.perHour, g.perHour, 10, "%+v", g)
		})
	}
}

func TestThirdsAreComparedByTheirMedians(t *testing.T) {
	s := every(func(m float64) float64 { return 100 + m })
	s.points[len(s.points)-5].value = 1e6 // one odd value means nothing
	g, err := s.judge()
	require.NoError(t, err)
	// The first third is of 3 to 12 minutes, the last of 21 to 30.
	require.InDelta(t, 107.5, g.first, 0.2)
	require.InDelta(t, 125.5, g.last, 0.2)
	// 10.75 MB may be between the middles of the thirds, 18 minutes.
	require.InDelta(t, 10.75/0.3, g.visible, 0.1)
}

func TestTooFewPointsAreNoVerdict(t *testing.T) {
	s := series{process: "jobs", gauge: handles}
	_, err := s.judge()
	require.ErrorContains(t, err, "handles of jobs was never read")
	s.points = []point{{0, 1}, {time.Minute, 1}, {2 * time.Minute, 1}}
	_, err = s.judge()
	require.ErrorContains(t, err, "too few")
}

func TestASlopeIsThatOfTheBestLine(t *testing.T) {
	require.Zero(t, slope(nil))
	require.Zero(t, slope([]point{{5, 3}}))
	require.InDelta(t, 0.5, slope([]point{{0, 1}, {2, 2}, {4, 3}}), 1e-9)
	require.InDelta(t, 0.4, slope([]point{{0, 1}, {1, 3}, {2, 2}, {3, 3}}), 0.11)
}

func TestPointsAreGatheredByProcessAndGauge(t *testing.T) {
	var c collection
	c.add("collector", handles, 1, 7)
	c.add("jobs", handles, 1, 8)
	c.add("collector", goroutines, 1, 9)
	c.add("collector", handles, 2, 10)
	require.Len(t, c.all, 3)
	require.Equal(t, []point{{1, 7}, {2, 10}}, c.all[0].points)
}
