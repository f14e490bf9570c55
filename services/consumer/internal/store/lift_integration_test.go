//go:build integration

package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

// conversion is a row of conversion_hits of the shop, at an instant in RFC 3339.
func conversion(goal string, visitor uuid.UUID, at string, machine bool) string {
	moment, err := time.Parse(time.RFC3339, at)
	if err != nil {
		panic(err)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("('shop', '%s', 'hit', '%s', '%s', '%s', 'custom', 'cookie', '%s', 'event', 5000000, 'EUR', 'EUR', 'event', %t, '2100-01-01 00:00:00')",
		goal, moment.In(berlin).Format(time.DateOnly), moment.Format("2006-01-02 15:04:05.000"), uuid.New(), visitor, machine)
}

func (w audienceWorld) conversions(rows []string) {
	w.t.Helper()
	w.exec("INSERT INTO " + w.name + ".conversion_hits (site_id, goal, once_per, site_day, occurred_at, event_id, kind, visitor_kind, visitor_id, value, value_micros, currency, site_currency, outcome, is_bot, expires_at) VALUES " + strings.Join(rows, ", "))
}

// The day asked for is that on which the clocks of Berlin went back: 24 October 2026 22:00 to 25 October 23:00 UTC. A case is a
// visitor of the segment and the goal of the same name.
func testConversionsOfTheCohort(t *testing.T, d db) {
	w := audienceWorld{d}
	w.segment("lifted", store.Segment{Timezone: "Europe/Berlin", HoldoutPermille: 500})
	cases := []struct {
		name, hits, converts string
		member, counts       bool
	}{
		{"a conversion of a member counts", "2026-10-25T10:00:00Z enter", "2026-10-25T12:00:00Z", true, true},
		{"one of before the membership does not", "2026-10-25T10:00:00Z enter", "2026-10-25T09:59:59.999Z", true, false},
		{"nor one at the instant at which it begins", "2026-10-25T10:00:00Z enter", "2026-10-25T10:00:00Z", true, false},
		{"but one a millisecond later", "2026-10-25T10:00:00Z enter", "2026-10-25T10:00:00.001Z", true, true},
		{"and one that ends the membership", "2026-10-25T10:00:00Z enter; 2026-10-25T11:00:00Z leave", "2026-10-25T11:00:00Z", true, true},
		{"and one of afterwards", "2026-10-25T10:00:00Z enter; 2026-10-25T11:00:00Z leave", "2026-10-25T20:00:00Z", true, true},
		{"of two memberships the first counts", "2026-10-25T10:00:00Z enter; 2026-10-25T11:00:00Z leave; 2026-10-25T13:00:00Z enter", "2026-10-25T12:00:00Z", true, true},
		{"who is no member is in no arm", "2026-10-25T10:00:00Z leave", "2026-10-25T12:00:00Z", false, false},
		{"who left before the range is in no arm", "2026-10-24T10:00:00Z enter; 2026-10-24T22:00:00Z leave", "2026-10-25T12:00:00Z", false, false},
		{"whose membership ended when the range began is in no arm", "2026-10-23T22:00:00Z enter", "2026-10-25T12:00:00Z", false, false},
		{"whose membership ended a millisecond later is", "2026-10-23T22:00:00.001Z enter", "2026-10-25T12:00:00Z", true, true},
		{"who is a member when the range begins counts from then on", "2026-10-24T10:00:00Z enter", "2026-10-24T22:00:00.001Z", true, true},
		{"and not at that instant", "2026-10-24T10:00:00Z enter", "2026-10-24T22:00:00Z", true, false},
		{"the 25th hour is of the day", "2026-10-25T22:59:59.998Z enter", "2026-10-25T22:59:59.999Z", true, true},
		{"the hour after it is not", "2026-10-25T10:00:00Z enter", "2026-10-25T23:00:00Z", true, false},
		{"who becomes a member after the range is in no arm", "2026-10-25T23:00:00Z enter", "2026-10-25T22:00:00Z", false, false},
		{"who refuses later is in no arm", "2026-10-25T10:00:00Z enter; 2026-10-25T13:00:00Z refusal", "2026-10-25T12:00:00Z", false, false},
		{"who does not want to be in is in no arm", "2026-10-25T10:00:00Z enter", "2026-10-25T12:00:00Z", false, false},
		{"a conversion by a machine is none", "2026-10-25T10:00:00Z enter", "2026-10-25T12:00:00Z", true, false},
	}
	var rows, want []string
	members := 0
	for _, c := range cases {
		var hits []string
		for _, hit := range strings.Split(c.hits, "; ") {
			at, step, _ := strings.Cut(hit, " ")
			moment, err := time.Parse(time.RFC3339, at)
			require.NoError(t, err)
			hits = append(hits, moment.Sub(origin).String()+" "+step+" p1 -")
		}
		w.hits("lifted", c.name, strings.Join(hits, "; "))
		machine := strings.Contains(c.name, "machine")
		rows = append(rows, conversion(c.name, id(c.name), c.converts, machine))
		if c.member {
			members++
		}
		counted, revenue, machines := 0, 0, 0
		if c.counts {
			counted, revenue = 1, 5
		}
		if machine {
			machines = 1
		}
		if c.converts != "2026-10-25T23:00:00Z" { // a goal that is reached on another day has no row
			want = append(want, fmt.Sprint(c.name, " ", counted, " ", revenue, " ", machines))
		}
	}
	w.suppress(1, true, "who does not want to be in is in no arm")
	w.conversions(rows)
	const of = "retargeting_lift(site = 'shop', segment = 'lifted', from = '2026-10-25', to = '2026-10-25')"
	require.ElementsMatch(t, want, w.texts("SELECT concat(goal, ' ', toString(exposed_converted + held_out_converted), ' ', toString(exposed_revenue + held_out_revenue), ' ', toString(machine_hits)) FROM %s."+of))
	require.Equal(t, []string{fmt.Sprint(members)}, w.texts("SELECT DISTINCT toString(exposed + held_out) FROM %s."+of))
}

// arms makes visitors of a segment with a holdout, so many of each arm, who are members on 10 November 2026 from 12:00 UTC on.
func (w audienceWorld) arms(segment string, exposed, heldOut int) (arms [2][]uuid.UUID) {
	w.t.Helper()
	w.segment(segment, store.Segment{HoldoutPermille: 200})
	for i, n := range []int{exposed, heldOut} {
		for _, text := range w.texts(fmt.Sprintf("SELECT toString(reinterpret(sipHash128(number), 'UUID') AS visitor) FROM numbers(1000) WHERE (cityHash64('shop', '%s', visitor) %% 1000 < 200) = %d LIMIT %d", segment, i, n)) {
			arms[i] = append(arms[i], uuid.MustParse(text))
		}
	}
	w.exec(fmt.Sprintf("INSERT INTO %s.segment_hits (site_id, segment, version, step, visitor_kind, visitor_id, occurred_at, event_id, expires_at) "+
		"SELECT 'shop', '%s', 'v', 'enter', 'cookie', arrayJoin(?) AS visitor, '%s', visitor, '2100-01-01 00:00:00'", w.name, segment, instant("0s")), append(arms[0], arms[1]...))
	return arms
}

// The examples are those of Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10.
func testInterval(t *testing.T, d db) {
	w := audienceWorld{d}
	const after = "2026-11-10T13:00:00Z"
	many, few := w.arms("lift of many", 70, 80), w.arms("lift of few", 10, 10)
	var rows []string
	for goal, converted := range map[string][][]uuid.UUID{
		"56 of 70, 48 of 80": {many[0][:56], many[1][:48]},
		"9 of 10, 3 of 10":   {few[0][:9], few[1][:3]},
		"10 of 10, 0 of 10":  {few[0]},
		"0 of 10, 0 of 10":   {{id("nobody of them")}},
	} {
		for _, arm := range converted {
			for _, visitor := range arm {
				rows = append(rows, conversion(goal, visitor, after, false), conversion(goal, visitor, after, false))
			}
		}
	}
	w.conversions(rows)
	lift := func(segment string) []string {
		return w.texts("SELECT concat(goal, ': ', toString(exposed_converted), '/', toString(exposed), ' ', toString(held_out_converted), '/', toString(held_out), ' ', " +
			"toString(round(exposed_rate, 4)), ' ', toString(round(held_out_rate, 4)), ' lift ', toString(round(lift, 4)), ' ', toString(round(lift_low, 4)), ' ', toString(round(lift_high, 4)), ' ', " +
			"ifNull(toString(round(lift_relative, 4)), '-'), ' revenue ', toString(exposed_revenue), ' ', toString(held_out_revenue), ' ', toString(exposed_revenue_per_visitor), ' ', toString(held_out_revenue_per_visitor)) " +
			"FROM %s.retargeting_lift(site = 'shop', segment = '" + segment + "', from = '2026-11-10', to = '2026-11-10')")
	}
	require.Contains(t, lift("lift of many"), "56 of 70, 48 of 80: 56/70 48/80 0.8 0.6 lift 0.2 0.0524 0.3339 0.3333 revenue 560 480 8 6", "two conversions of a visitor are one, of twice the value")
	require.Subset(t, lift("lift of few"), []string{
		"9 of 10, 3 of 10: 9/10 3/10 0.9 0.3 lift 0.6 0.1705 0.809 2 revenue 90 30 9 3",
		"10 of 10, 0 of 10: 10/10 0/10 1 0 lift 1 0.6075 1 - revenue 100 0 10 0",
		"0 of 10, 0 of 10: 0/10 0/10 0 0 lift 0 -0.2775 0.2775 - revenue 0 0 0 0",
	})
}

func testWithoutArms(t *testing.T, d db) {
	w := audienceWorld{d}
	w.segment("no holdout", store.Segment{})
	w.hits("no holdout", "somebody", "0s enter p1 -")
	held := w.arms("all held out", 0, 1)[1][0]
	w.conversions([]string{conversion("lonely", id("somebody"), "2026-11-10T13:00:00Z", false), conversion("lonely", held, "2026-11-10T13:00:00Z", false)})
	for segment, want := range map[string]string{
		"no holdout":   "1 0 1 0 1 - - - - - 5 -",
		"all held out": "0 1 0 1 - 1 - - - - - 5",
		"unknown":      "0 0 0 0 - - - - - - - -",
	} {
		columns := []string{"exposed", "held_out", "exposed_converted", "held_out_converted", "exposed_rate", "held_out_rate", "lift", "lift_low", "lift_high", "lift_relative", "exposed_revenue_per_visitor", "held_out_revenue_per_visitor"}
		require.Equal(t, []string{want}, w.texts("SELECT arrayStringConcat([ifNull(toString("+strings.Join(columns, "), '-'), ifNull(toString(")+"), '-')], ' ') "+
			"FROM %s.retargeting_lift(site = 'shop', segment = '"+segment+"', from = '2026-11-10', to = '2026-11-10', goal = 'lonely')"), segment)
	}
	require.Empty(t, w.texts("SELECT goal FROM %s.retargeting_lift(site = 'shop', segment = 'no holdout', from = '2026-11-10', to = '2026-11-10', goal = 'that nobody reached')"))
}
