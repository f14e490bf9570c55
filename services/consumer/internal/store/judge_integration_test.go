//go:build integration

package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/segments"
)

// goJudge answers as the views do, with the hits and refusals that are stored.
type goJudge struct {
	hits     map[string][]segments.StoredHit
	refusals map[uuid.UUID]int64
}

func (w audienceWorld) judge() goJudge {
	j := goJudge{map[string][]segments.StoredHit{}, map[uuid.UUID]int64{}}
	rows, err := w.conn.Query(w.t.Context(), "SELECT segment, visitor_id, step, product, nth, toUnixTimestamp64Milli(occurred_at), event_id, value_micros, item_micros FROM "+w.name+".segment_hits WHERE site_id = 'shop' AND version = 'v'")
	require.NoError(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var segment, step string
		var visitor uuid.UUID
		var h segments.StoredHit
		require.NoError(w.t, rows.Scan(&segment, &visitor, &step, &h.Product, &h.Nth, &h.At, &h.EventID, &h.ValueMicros, &h.ItemMicros))
		h.Step = segments.Step(step)
		j.hits[segment+visitor.String()] = append(j.hits[segment+visitor.String()], h)
	}
	require.NoError(w.t, rows.Err())
	refused, err := w.conn.Query(w.t.Context(), "SELECT visitor_id, toUnixTimestamp64Milli(max(refused_at)) FROM "+w.name+".profile_refusals WHERE site_id = 'shop' GROUP BY visitor_id")
	require.NoError(w.t, err)
	defer refused.Close()
	for refused.Next() {
		var visitor uuid.UUID
		var at int64
		require.NoError(w.t, refused.Scan(&visitor, &at))
		j.refusals[visitor] = at
	}
	require.NoError(w.t, refused.Err())
	return j
}

// line is what the view audiences_of says in ofColumns, "" of who is not in.
func (j goJudge) line(segment string, s store.Segment, visitor uuid.UUID, at string) string {
	rule := segments.Rule{
		Segment: segment, SameProduct: s.SameProduct, TimesMin: max(s.TimesMin, 1), TimesMax: s.TimesMax, ValueMinMicros: s.ValueMinMicros, ValueMaxMicros: s.ValueMaxMicros,
		HasThen: s.HasThen, ThenWithinMs: s.ThenWithinMs, AfterMs: s.AfterMs, LivesMs: s.LivesMs, WithinMs: s.WithinMs,
	}
	if rule.LivesMs == 0 {
		rule.LivesMs = dayMs
	}
	if rule.WithinMs == 0 {
		rule.WithinMs = rule.LivesMs
	}
	m, in := rule.Judge(j.hits[segment+visitor.String()], j.refusals[visitor], after(at).UnixMilli())
	if !in {
		return ""
	}
	return fmt.Sprintf("%s %d %d", strings.Join(m.Products, ","), m.Qualified, m.Ends)
}

// Go and SQL judge hits alike. Instants and products are few, so that the same ones meet.
func testGoAndSQL(t *testing.T, d db) {
	w, random := audienceWorld{d}, rand.New(rand.NewPCG(2026, 11))
	const rules, visitors = 60, 25
	rule := make([]store.Segment, rules)
	var lines []string
	all := make([]string, visitors)
	for r := range rules {
		rule[r] = randomRule(random)
		w.segment(randomOf(r), rule[r])
		for v := range visitors {
			all[v] = "'" + id(fmt.Sprint("random ", v)).String() + "'"
			for range random.IntN(12) {
				f := []string{
					fmt.Sprintf("%ds", random.IntN(25)), []string{"enter", "enter", "enter", "then", "leave"}[random.IntN(5)], []string{"a", "b", "c", "-"}[random.IntN(4)],
					[]string{"-", "0", "3", "7", "-2"}[random.IntN(5)], fmt.Sprintf("nth=%d", random.IntN(4)/3), fmt.Sprintf("id=%d", random.IntN(10)),
				}
				lines = append(lines, hitRow(randomOf(r), fmt.Sprint("random ", v), 0, f))
			}
		}
	}
	w.exec("INSERT INTO " + w.name + ".segment_hits (site_id, segment, version, step, visitor_kind, visitor_id, product, nth, occurred_at, event_id, value_micros, item_micros, expires_at) VALUES " + strings.Join(lines, ", "))
	w.hits("random00", "random 3", "9s refusal")
	j, members := w.judge(), 0
	for _, at := range []string{"5s", "12s", "18s", "24s", "40s"} {
		said := map[string]string{}
		for _, text := range w.texts("SELECT concat(segment, toString(visitor_id), ' ', " + ofColumns + ") FROM %s.audiences_of(site = 'shop', visitors = [" + strings.Join(all, ", ") + "], at = '" + instant(at) + "')") {
			who, line, _ := strings.Cut(text, " ")
			said[who] = line
		}
		for r := range rules {
			for v := range visitors {
				visitor := id(fmt.Sprint("random ", v))
				require.Equal(t, said[randomOf(r)+visitor.String()], j.line(randomOf(r), rule[r], visitor, at), "%+v at %s: %+v", rule[r], at, j.hits[randomOf(r)+visitor.String()])
			}
		}
		members += len(said)
	}
	require.Greater(t, members, 400, "enough are in")
}

func randomRule(random *rand.Rand) store.Segment {
	bound := func() *int64 {
		if random.IntN(3) > 0 {
			return nil
		}
		return inUnits(random.Int64N(9))
	}
	spans := []int64{1000, 4000, 9000, 20_000}
	s := store.Segment{
		SameProduct: random.IntN(2) == 0, TimesMin: uint32(random.IntN(3)), TimesMax: uint32(slices.Max([]int{0, random.IntN(9) - 5})),
		WithinMs: spans[random.IntN(4)], LivesMs: spans[random.IntN(4)], ValueMinMicros: bound(), ValueMaxMicros: bound(), HasThen: random.IntN(3) == 0,
	}
	if s.HasThen {
		s.ThenWithinMs = spans[random.IntN(4)]
	}
	if random.IntN(3) == 0 {
		s.AfterMs = random.Int64N(s.LivesMs/1000) * 1000
	}
	return s
}

func randomOf(rule int) string { return fmt.Sprintf("random%02d", rule) }
