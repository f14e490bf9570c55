package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// number is one result.
type number struct {
	name  string
	value float64
	unit  string
	// goal is what the value is to be, with its bound; nil where it is only reported.
	goal *goal
	// about says in the page what it is.
	about string
}

// goal is a bound of a value.
type goal struct {
	bound   float64
	atLeast bool
}

func atLeast(bound float64) *goal { return &goal{bound, true} }
func atMost(bound float64) *goal  { return &goal{bound, false} }

func (g *goal) String() string {
	if g == nil {
		return "none"
	}
	if g.atLeast {
		return ">=" + short(g.bound)
	}
	return "<=" + short(g.bound)
}

// verdict is ok or short; a number without a goal is ok.
func (n number) verdict() string {
	if n.goal == nil || n.goal.atLeast && n.value >= n.goal.bound || !n.goal.atLeast && n.value <= n.goal.bound {
		return "ok"
	}
	return "short"
}

// String is the line that is printed.
func (n number) String() string {
	return fmt.Sprintf("bench %s value=%s%s goal=%s %s", n.name, short(n.value), n.unit, n.goal, n.verdict())
}

// short writes a value with three significant digits.
func short(v float64) string {
	if v >= 100 || v <= -100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// report is what a benchmark found.
type report struct {
	numbers []number
	// method says how it was measured; notes are further findings, such as where the time goes. Both are Markdown.
	method, notes string
	// command runs it again; empty = make bench ONLY=name.
	command string
}

// median of the values; of an even number the mean of the middle two.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// page is docs/benchmarks.md: a head and a section for each benchmark, found again by its marker.
type page struct {
	path     string
	sections map[string]string
}

const pageHead = `# Benchmarks

Written by ` + "`make bench`" + ` (` + "`ONLY=name`" + ` for one) and ` + "`make soak`" + ` (the last part). Each number is the median of several measurements in one run on real parts: Kafka 4.4.0 with one
broker, ClickHouse 26.7, collector and consumer as processes. The load generator and all parts share the machine's cores, so
read the ratios, which compare two things under the same conditions, rather than the rates. ` + "`short`" + ` is a goal that was missed.
`

// sections are the benchmarks that have one, in the page's order.
func sections() []benchmark { return append(slices.Clone(benchmarks), soakPage) }

// writeReport puts what a benchmark found into docs/benchmarks.md.
func writeReport(b benchmark, r report) error {
	root, err := pipeline.Root()
	if err != nil {
		return err
	}
	page, err := readPage(filepath.Join(root, "docs", "benchmarks.md"))
	if err != nil {
		return err
	}
	page.set(b, r)
	return page.write()
}

func marker(name string) string { return "<!-- benchmark " + name + " -->\n" }

// readPage reads the page as it is; a missing one is empty.
func readPage(path string) (*page, error) {
	p := &page{path: path, sections: map[string]string{}}
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return p, nil
	} else if err != nil {
		return nil, err
	}
	for _, b := range sections() {
		_, rest, found := strings.Cut(string(data), marker(b.name))
		if !found {
			continue
		}
		section, _, _ := strings.Cut(rest, "<!-- benchmark ")
		p.sections[b.name] = strings.TrimSpace(section) + "\n"
	}
	return p, nil
}

// set replaces the section of a benchmark.
func (p *page) set(b benchmark, r report) {
	var s strings.Builder
	command := r.command
	if command == "" {
		command = "make bench ONLY=" + b.name
	}
	fmt.Fprintf(&s, "## %s\n\n`%s`, %s, %s.\n\n%s\n\n", b.title, command, time.Now().UTC().Format(time.DateOnly), machine(), strings.TrimSpace(r.method))
	s.WriteString("| Number | Value | Goal | | What |\n|---|---|---|---|---|\n")
	for _, n := range r.numbers {
		fmt.Fprintf(&s, "| `%s` | %s%s | %s | %s | %s |\n", n.name, short(n.value), n.unit, n.goal, n.verdict(), n.about)
	}
	if r.notes != "" {
		s.WriteString("\n" + strings.TrimSpace(r.notes) + "\n")
	}
	if b.tried != "" {
		s.WriteString("\n" + b.tried + "\n")
	}
	p.sections[b.name] = s.String()
}

func (p *page) write() error {
	var s strings.Builder
	s.WriteString(pageHead)
	for _, b := range sections() {
		if section := p.sections[b.name]; section != "" {
			s.WriteString("\n" + marker(b.name) + section)
		}
	}
	return os.WriteFile(p.path, []byte(s.String()), 0o644)
}

// machine describes where it runs.
func machine() string {
	model := runtime.GOARCH
	if out, err := exec.Command("sh", "-c", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1").Output(); err == nil && len(out) > 0 { //nolint:noctx // reads a file
		model = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%d cores (%s), %s, %s", runtime.NumCPU(), model, runtime.GOOS, runtime.Version())
}
