package answers

import (
	"math"
	"slices"
	"time"
)

// LiftRow is one of retargeting_lift.
type LiftRow struct {
	Goal               string `key:"goal"`
	Exposed            int    `col:"exposed"`
	HeldOut            int    `col:"held_out"`
	ExposedConverted   int    `col:"exposed_converted"`
	HeldOutConverted   int    `col:"held_out_converted"`
	ExposedRate        Share  `col:"exposed_rate"`
	HeldOutRate        Share  `col:"held_out_rate"`
	Lift               Share  `col:"lift"`
	Low                Share  `col:"lift_low"`
	High               Share  `col:"lift_high"`
	Relative           Share  `col:"lift_relative"`
	ExposedRevenue     Amount `col:"exposed_revenue"`
	HeldOutRevenue     Amount `col:"held_out_revenue"`
	ExposedPerVisitor  Share  `col:"exposed_revenue_per_visitor"`
	HeldOutPerVisitor  Share  `col:"held_out_revenue_per_visitor"`
	MachineHitsOfRange int    `col:"machine_hits"`
}

// RetargetingLift answers: what does retargeting bring? heldOut tells it of the label of a visitor id.
func (a *Answers) RetargetingLift(s Segment, r Range, goal string, heldOut func(string) bool) []LiftRow {
	first := map[string]time.Time{}
	for visitor, events := range a.profiled() {
		if at, is := a.firstIn(s, events, r); is {
			first[visitor] = at
		}
	}
	var rows []LiftRow
	for _, g := range a.goals(goal) {
		// by arm, the held out one last
		var visitors, converted [2]int
		revenue := [2]Amount{zero(), zero()}
		arm := func(visitor string) int {
			if heldOut(visitor) {
				return 1
			}
			return 0
		}
		for visitor := range first {
			visitors[arm(visitor)]++
		}
		counted := map[string]bool{}
		for _, c := range a.inRange(g, r) {
			at, is := first[c.id]
			if !is || !c.hit.occurred.After(at) {
				continue
			}
			i := arm(c.id)
			if !counted[c.id] {
				converted[i]++
			}
			counted[c.id] = true
			if c.value != nil && !c.rateMissing {
				revenue[i] = plus(revenue[i], c.value)
			}
		}
		row := lift(visitors, converted)
		row.Goal, row.MachineHitsOfRange = g.ID, a.machineHits(g, r)
		row.ExposedRevenue, row.HeldOutRevenue = revenue[0], revenue[1]
		row.ExposedPerVisitor, row.HeldOutPerVisitor = perVisitor(revenue[0], visitors[0]), perVisitor(revenue[1], visitors[1])
		rows = append(rows, row)
	}
	return rows
}

// firstIn is the first instant of the range at which the visitor of the events is a member: it is one from the begin of the range
// on, or becomes one some time after an event.
func (a *Answers) firstIn(s Segment, events []*fact, r Range) (time.Time, bool) {
	from, end := r.From.begin(a.site.Zone), r.To.Add(1).begin(a.site.Zone)
	instants := []time.Time{from}
	for _, f := range events {
		if at := f.occurred.Add(s.After); at.After(from) && at.Before(end) {
			instants = append(instants, at)
		}
	}
	slices.SortFunc(instants, time.Time.Compare)
	for _, at := range instants {
		if _, is := a.member(s, mattering(s, events, at), at); is {
			return at, true
		}
	}
	return time.Time{}, false
}

func perVisitor(revenue Amount, visitors int) Share {
	if visitors == 0 {
		return nil
	}
	micros, _ := revenue.Float64()
	q := micros / 1e6 / float64(visitors)
	return &q
}

// lift compares two arms, the held out one last.
func lift(visitors, converted [2]int) LiftRow {
	row := LiftRow{
		Exposed: visitors[0], HeldOut: visitors[1], ExposedConverted: converted[0], HeldOutConverted: converted[1],
		ExposedRate: share64(converted[0], visitors[0]), HeldOutRate: share64(converted[1], visitors[1]),
	}
	if row.ExposedRate == nil || row.HeldOutRate == nil {
		return row
	}
	p, q := *row.ExposedRate, *row.HeldOutRate
	difference := p - q
	l1, u1 := wilson(p, visitors[0])
	l2, u2 := wilson(q, visitors[1])
	low, high := difference-math.Hypot(p-l1, u2-q), difference+math.Hypot(u1-p, q-l2)
	row.Lift, row.Low, row.High = &difference, &low, &high
	if q > 0 {
		relative := difference / q
		row.Relative = &relative
	}
	return row
}

// wilson are the shares from which one of n is 1.96 standard errors away: the solutions s of |p - s| = z √(s (1 - s) / n).
func wilson(p float64, n int) (low, high float64) {
	z := math.Sqrt2 * math.Erfinv(0.95)
	a, b, c := 1+z*z/float64(n), -(2*p + z*z/float64(n)), p*p
	root := math.Sqrt(max(b*b-4*a*c, 0))
	return (-b - root) / (2 * a), (-b + root) / (2 * a)
}
