package answers

import (
	"slices"
	"strconv"
)

// RateRow is one of conversion_rate.
type RateRow struct {
	Goal           string `key:"goal"`
	Sessions       int    `col:"sessions"`
	Converting     int    `col:"converting_sessions"`
	Rate           Share  `col:"rate"`
	WithoutSession int    `col:"conversions_without_session"`
	Machines       int    `col:"machine_hits"`
}

// ConversionRate answers: how many sessions convert?
func (a *Answers) ConversionRate(r Range, goal string) []RateRow {
	var rows []RateRow
	sessions := a.sessions(r.To)
	for _, g := range a.goals(goal) {
		row := RateRow{Goal: g.ID, Machines: a.machineHits(g, r)}
		converting := map[*session]bool{}
		for _, c := range a.conversions(g, r.To) {
			s := sessionOf(sessions, c.hit, c.visitor, c.hit.occurred)
			if s != nil {
				converting[s] = true
			} else if r.has(c.hit.day) {
				row.WithoutSession++
			}
		}
		for _, s := range sessions {
			if r.has(s.first().day) {
				row.Sessions++
				if converting[s] {
					row.Converting++
				}
			}
		}
		row.Rate = share64(row.Converting, row.Sessions)
		rows = append(rows, row)
	}
	return rows
}

// TimeRow is one of time_to_convert; the times are nil without a conversion.
type TimeRow struct {
	Goal         string `key:"goal"`
	Conversions  int    `col:"conversions"`
	Median       Share  `col:"median_seconds"`
	P90          Share  `col:"p90_seconds"`
	WithoutTouch int    `col:"without_touch"`
	Machines     int    `col:"machine_hits"`
}

// TimeToConvert answers: how long do people take?
func (a *Answers) TimeToConvert(r Range, goal string) []TimeRow {
	var rows []TimeRow
	for _, g := range a.goals(goal) {
		row := TimeRow{Goal: g.ID, Machines: a.machineHits(g, r)}
		var ages []float64
		for _, c := range a.inRange(g, r) {
			if path := a.path(c); len(path) > 0 {
				ages = append(ages, path[0].age.Seconds())
			} else {
				row.WithoutTouch++
			}
		}
		slices.Sort(ages)
		row.Conversions = len(ages)
		if n := len(ages); n > 0 {
			row.Median, row.P90 = &ages[n/2], &ages[n*9/10]
		}
		rows = append(rows, row)
	}
	return rows
}

// WhyRow is one of why_not_counted.
type WhyRow struct {
	Goal string `key:"goal"`
	Line string `key:"line"`
	Hits string `col:"hits"`
}

// WhyNotCounted answers: why do others count more?
func (a *Answers) WhyNotCounted(r Range, goal string) []WhyRow {
	var rows []WhyRow
	for _, g := range a.goals(goal) {
		n := map[string]int{}
		counts := map[*fact]bool{}
		for _, c := range a.conversions(g, r.To) {
			counts[c.hit] = true
		}
		for _, f := range a.facts {
			if !r.has(f.day) || !g.Matches(f.Event) {
				continue
			}
			n["raw_hits"]++
			switch {
			case f.repeat:
				n["repeated_records"]++
			case f.Bot:
				n["machines"]++
			case counts[f]:
				n["counted"]++
			case byEvent(g, f):
				n["same_event"]++
			default:
				n["same_"+g.OncePer]++
			}
		}
		for _, line := range []string{"raw_hits", "repeated_records", "machines", "same_order", "same_event", "same_session", "counted"} {
			rows = append(rows, WhyRow{g.ID, line, strconv.Itoa(n[line])})
		}
		rows = append(rows, WhyRow{g.ID, "no_consent", "not measured"})
	}
	return rows
}

// FunnelRow is one of funnel.
type FunnelRow struct {
	Step            int    `key:"step"`
	Name            string `col:"name"`
	Visitors        int    `col:"visitors"`
	ShareOfFirst    Share  `col:"share_of_first"`
	ShareOfPrevious Share  `col:"share_of_previous"`
	Machines        int    `col:"machine_events"`
}

// Funnel answers: where do they drop?
func (a *Answers) Funnel(r Range, steps []string, windowDays int64) []FunnelRow {
	byVisitor := map[string][]*fact{}
	for _, f := range a.counted {
		if f.inSessions() && f.visitor != "" && r.has(f.day) {
			byVisitor[f.visitor] = append(byVisitor[f.visitor], f)
		}
	}
	reached := make([]int, len(steps)+1)
	for _, events := range byVisitor {
		for k := range furthest(events, steps, windowDays) {
			reached[k]++
		}
	}
	rows := make([]FunnelRow, len(steps))
	for i, step := range steps {
		rows[i] = FunnelRow{Step: i + 1, Name: step, Visitors: reached[i], ShareOfFirst: share64(reached[i], reached[0])}
		if i > 0 {
			rows[i].ShareOfPrevious = share64(reached[i], reached[i-1])
		}
		for _, f := range a.facts {
			if f.Bot && !f.repeat && f.inSessions() && r.has(f.day) && isStep(f, step) {
				rows[i].Machines++
			}
		}
	}
	return rows
}

func isStep(f *fact, step string) bool {
	if step[0] == '/' {
		return f.kind == "page_view" && f.path == step
	}
	return f.Name == step
}

// furthest is how many steps the events of a visitor, which are in order, reach from any start.
func furthest(events []*fact, steps []string, windowDays int64) int {
	best := 0
	for i, first := range events {
		if !isStep(first, steps[0]) {
			continue
		}
		k := 1
		for _, f := range events[i+1:] {
			if k < len(steps) && isStep(f, steps[k]) && f.occurred.Sub(first.occurred).Milliseconds() <= windowDays*day.Milliseconds() {
				k++
			}
		}
		best = max(best, k)
	}
	return best
}
