package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// gauge is a kind of value that is watched for growth.
type gauge struct {
	name, unit string
	// floor is how much the value may differ between two times without it meaning anything.
	floor float64
}

// flatShare is how much of itself a value may grow by.
const flatShare = 0.1

var (
	memoryOf   = gauge{"memory", "MB", 8}
	heapOf     = gauge{"heap", "MB", 8}
	goroutines = gauge{"goroutines", "", 10}
	handles    = gauge{"handles", "", 10}
	parts      = gauge{"parts", "", 50}
	// partFiles are the handles of ClickHouse, which opens the files of all parts that it reads, merges or is about to delete.
	partFiles = gauge{"handles", "", 200}
)

// series is one gauge of one process over time.
type series struct {
	process string
	gauge   gauge
	points  []point
}

// point is a value and when, from the start of the load.
type point struct {
	at    time.Duration
	value float64
}

// growth is what a series came to.
type growth struct {
	// first and last are the medians of the first and the last third.
	first, last float64
	// perHour is the slope of the straight line that fits all points best (least squares).
	perHour float64
	// visible is the least steady growth per hour that would not have been taken for flat.
	visible float64
	flat    bool
}

// judge compares the first with the last third of the points, without the first tenth of the time, in which caches fill. The value
// is flat if the last third's median is above the first's by no more than flatShare of it, or by no more than the floor.
// It fails on fewer than three points in a third.
func (s series) judge() (growth, error) {
	const leastInThird = 3
	if len(s.points) == 0 {
		return growth{}, fmt.Errorf("%s of %s was never read", s.gauge.name, s.process)
	}
	end := s.points[len(s.points)-1].at
	begin := end / 10
	third := (end - begin) / 3
	var first, last []float64
	var all []point
	for _, p := range s.points {
		switch {
		case p.at < begin:
			continue
		case p.at < begin+third:
			first = append(first, p.value)
		case p.at >= end-third:
			last = append(last, p.value)
		}
		all = append(all, p)
	}
	if min(len(first), len(last)) < leastInThird {
		return growth{}, fmt.Errorf("%s of %s: %d points are too few to compare thirds", s.gauge.name, s.process, len(s.points))
	}
	g := growth{first: median(first), last: median(last), perHour: slope(all) * float64(time.Hour)}
	tolerance := max(flatShare*g.first, s.gauge.floor)
	if math.Abs(g.perHour) < 1e-6 { // rounding
		g.perHour = 0
	}
	g.flat = g.last-g.first <= tolerance
	g.visible = tolerance / (2 * third).Hours() // from the middle of the first third to the middle of the last
	return g, nil
}

// slope is that of the least-squares line, per nanosecond.
func slope(points []point) float64 {
	var meanAt, meanValue float64
	for _, p := range points {
		meanAt += float64(p.at) / float64(len(points))
		meanValue += p.value / float64(len(points))
	}
	var products, squares float64
	for _, p := range points {
		products += (float64(p.at) - meanAt) * (p.value - meanValue)
		squares += (float64(p.at) - meanAt) * (float64(p.at) - meanAt)
	}
	if squares == 0 {
		return 0
	}
	return products / squares
}

// collection gathers points by process and gauge, in the order in which they first came.
type collection struct{ all []*series }

func (c *collection) add(process string, m gauge, at time.Duration, value float64) {
	i := slices.IndexFunc(c.all, func(s *series) bool { return s.process == process && s.gauge == m })
	if i < 0 {
		c.all = append(c.all, &series{process: process, gauge: m})
		i = len(c.all) - 1
	}
	c.all[i].points = append(c.all[i].points, point{at, value})
}
