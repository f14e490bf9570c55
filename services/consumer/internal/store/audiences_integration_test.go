//go:build integration

package store_test

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestAudiences(t *testing.T) {
	d := withoutEvents(t)
	for name, test := range map[string]func(*testing.T, db){
		"who is in a segment":                           testWhoIsIn,
		"of a visitor's hits the newest thousand count": testMostHits,
		"whose wish it is not to be in is in nothing":   testSuppressed,
		"some are held out, always the same":            testHoldout,
		"visitors whose id never came back are marked":  testMinted,
		"a segment has versions":                        testVersions,
		"sizes of an audience are those of its days":    testSizes,
		"a membership is explained":                     testExplained,
		"Go and SQL judge hits alike":                   testGoAndSQL,
		"whose conversions count for the lift":          testConversionsOfTheCohort,
		"the interval of the lift is Newcombe's":        testInterval,
		"a lift without two arms is unknown":            testWithoutArms,
	} {
		t.Run(name, func(t *testing.T) { test(t, d.of(t)) })
	}
}

// Cases of one rule are visitors of one segment. At each instant that a case names, audience_members is asked about its segment,
// and audiences_of about the visitors of all segments at once.
func testWhoIsIn(t *testing.T, d db) {
	w := audienceWorld{d}
	var rules []store.Segment
	bySegment, byInstant := map[question][]inSegment{}, map[string][]inSegment{}
	for _, m := range memberships {
		rule := slices.IndexFunc(rules, func(r store.Segment) bool { return reflect.DeepEqual(r, m.rule) })
		if rule < 0 {
			rule = len(rules)
			rules = append(rules, m.rule)
			w.segment(segmentOf(rule), m.rule)
		}
		c := inSegment{m, segmentOf(rule)}
		w.hits(c.segment, m.name, m.hits)
		for at := range m.want {
			bySegment[question{c.segment, at}] = append(bySegment[question{c.segment, at}], c)
			byInstant[at] = append(byInstant[at], c)
		}
	}
	inGo := w.judge()
	for q, cases := range bySegment {
		t.Run(q.segment+" at "+q.at, func(t *testing.T) {
			t.Parallel()
			members := audienceWorld{d.of(t)}.answers("audience_members(site = 'shop', segment = '"+q.segment+"', at = '"+instant(q.at)+"')", memberColumns)
			for _, c := range cases {
				require.Equal(t, wanted(c.want[q.at]), members[id(c.name).String()], c.name)
			}
		})
	}
	for at, cases := range byInstant {
		t.Run("all segments at "+at, func(t *testing.T) {
			t.Parallel()
			visitors := make([]string, len(cases))
			for i, c := range cases {
				visitors[i] = "'" + id(c.name).String() + "'"
			}
			of := audienceWorld{d.of(t)}.answers("audiences_of(site = 'shop', visitors = ["+strings.Join(visitors, ", ")+"], at = '"+instant(at)+"')", "segment, ' ', "+ofColumns)
			for _, c := range cases {
				want := wanted(c.want[at])
				if want != "" {
					want = want[:strings.LastIndex(want, " ")]
				}
				require.Equal(t, want, inGo.line(c.segment, c.rule, id(c.name), at), c.name)
				if want != "" {
					want = c.segment + " " + want
				}
				require.Equal(t, want, of[id(c.name).String()], c.name)
			}
		})
	}
}

// question is an instant at which somebody asks about a segment.
type question struct{ segment, at string }

// inSegment is a case with the segment of its rule.
type inSegment struct {
	membership
	segment string
}

// What a line of want says of a row, the number of hits only by audience_members.
const (
	ofColumns     = "arrayStringConcat(products, ','), ' ', toString(toUnixTimestamp64Milli(qualified_at)), ' ', toString(toUnixTimestamp64Milli(ends_at))"
	memberColumns = "concat(" + ofColumns + ", ' ', toString(hits))"
)

// wanted is a line of want with its instants in ms.
func wanted(line string) string {
	if line == "" {
		return ""
	}
	f := strings.Split(line, " ")
	for i := 1; i <= 2; i++ {
		f[i] = strconv.FormatInt(after(f[i]).UnixMilli(), 10)
	}
	return strings.Join(f, " ")
}

func after(offset string) time.Time {
	d, err := time.ParseDuration(offset)
	if err != nil {
		panic(err)
	}
	return origin.Add(d)
}

func instant(offset string) string { return after(offset).Format("2006-01-02 15:04:05.000") }

func segmentOf(i int) string { return fmt.Sprintf("s%02d", i) }

// audienceWorld is a database with segments and hits.
type audienceWorld struct{ db }

// segment saves a segment of the site, active and of version v unless it says something else.
func (w audienceWorld) segment(name string, rule store.Segment) {
	w.t.Helper()
	rule.SiteID, rule.Segment = cmp.Or(rule.SiteID, "shop"), name
	rule.Version, rule.State, rule.Timezone = cmp.Or(rule.Version, "v"), cmp.Or(rule.State, store.SegmentActive), cmp.Or(rule.Timezone, "UTC")
	rule.TimesMin, rule.LivesMs = max(rule.TimesMin, 1), cmp.Or(rule.LivesMs, dayMs)
	rule.WithinMs = cmp.Or(rule.WithinMs, rule.LivesMs)
	if rule.SavedAt.IsZero() {
		rule.SavedAt = origin
	}
	require.NoError(w.t, w.SaveSegments(w.t.Context(), []store.Segment{rule}))
}

// hits stores hits and refusals of the visitor who is called so.
func (w audienceWorld) hits(segment, visitor, text string) {
	w.t.Helper()
	var hits, refusals []string
	for i, line := range strings.Split(text, "; ") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[1] == "refusal":
			refusals = append(refusals, fmt.Sprintf("('shop', '%s', '%s', '2100-01-01 00:00:00')", id(visitor), instant(f[0])))
		default:
			hits = append(hits, hitRow(segment, visitor, i, f))
		}
	}
	if hits != nil {
		w.exec("INSERT INTO " + w.name + ".segment_hits (site_id, segment, version, step, visitor_kind, visitor_id, product, nth, occurred_at, event_id, value_micros, item_micros, expires_at) VALUES " + strings.Join(hits, ", "))
	}
	if refusals != nil {
		w.exec("INSERT INTO " + w.name + ".profile_refusals VALUES " + strings.Join(refusals, ", "))
	}
}

// hitRow is a hit of a case, "instant step product worth more…", as a row.
func hitRow(segment, visitor string, i int, f []string) string {
	more := map[string]string{"version": "v", "kind": "cookie", "nth": "0", "item": f[3], "id": fmt.Sprint(visitor, segment, i)}
	for _, word := range f[4:] {
		key, value, _ := strings.Cut(word, "=")
		more[key] = value
	}
	units := func(text string) string {
		if text == "-" {
			return "NULL"
		}
		return text + "000000"
	}
	product := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(strings.TrimPrefix(f[2], "-"))
	return fmt.Sprintf("('shop', '%s', '%s', '%s', '%s', '%s', '%s', %s, '%s', '%s', %s, %s, '2100-01-01 00:00:00')",
		segment, more["version"], f[1], more["kind"], id(visitor), product, more["nth"], instant(f[0]), id(more["id"]), units(f[3]), units(more["item"]))
}

// suppress notes what visitors wish, in the order of the list.
func (w audienceWorld) suppress(position int, wished bool, visitor string) {
	w.exec(fmt.Sprintf("INSERT INTO %s.suppressed_visitors SELECT cityHash64(toUUID('%s')), %t, %d, now64(3)", w.name, id(visitor), wished, position))
}

// answers is what a view says of each visitor.
func (w audienceWorld) answers(view, columns string) map[string]string {
	w.t.Helper()
	lines := map[string]string{}
	for _, text := range w.texts("SELECT concat(toString(visitor_id), ' ', " + columns + ") FROM %s." + view) {
		visitor, line, _ := strings.Cut(text, " ")
		require.NotContains(w.t, lines, visitor)
		lines[visitor] = line
	}
	return lines
}

// members asks audience_members of the site for one column.
func (w audienceWorld) members(column, segment, at, more string) []string {
	w.t.Helper()
	return w.texts("SELECT toString(" + column + ") FROM %s.audience_members(site = 'shop', segment = '" + segment + "', at = '" + instant(at) + "'" + more + ") ORDER BY 1")
}

// ids are visitors as answers have them, in order.
func ids(names ...string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = id(name).String()
	}
	slices.Sort(all)
	return all
}

func testMostHits(t *testing.T, d db) {
	w := audienceWorld{d}
	w.segment("many", store.Segment{ValueMinMicros: inUnits(1000)})
	crowd := func(n, first int) string {
		lines := make([]string, n)
		for i := range lines {
			lines[i] = fmt.Sprintf("%ds enter p%d 1", first+i, i%3)
		}
		return strings.Join(lines, "; ")
	}
	w.hits("many", "a thousand", crowd(1000, 0))
	w.hits("many", "a thousand of which one is an old one", crowd(999, 1)+"; 0s enter p9 0; -1s enter p9 1")
	require.Equal(t, ids("a thousand"), w.members("visitor_id", "many", "1h", ""), "the 1001st is not added up")
	require.Equal(t, []string{"1000"}, w.members("hits", "many", "1h", ""))
}

func testSuppressed(t *testing.T, d db) {
	w := audienceWorld{d}
	w.segment("wishes", store.Segment{})
	for _, name := range []string{"nobody asked", "does not want", "wants again"} {
		w.hits("wishes", name, "0s enter p1 -")
	}
	w.suppress(1, true, "does not want")
	w.suppress(2, true, "wants again")
	w.suppress(3, false, "wants again")
	in := ids("nobody asked", "wants again")
	require.Equal(t, in, w.members("visitor_id", "wishes", "1h", ""))
	require.ElementsMatch(t, in, w.texts("SELECT toString(visitor_id) FROM %s.audiences_of(site = 'shop', at = '"+instant("1h")+"', visitors = ['"+
		strings.Join(ids("nobody asked", "does not want", "wants again"), "', '")+"'])"))
	require.Equal(t, []string{"2"}, w.texts("SELECT toString(members) FROM %s.audience_sizes(site = 'shop', segment = 'wishes', from = '2026-11-10', to = '2026-11-10')"))
	require.Empty(t, w.texts("SELECT note FROM "+explanation("wishes", "does not want", "1h")))
	require.Equal(t, []string{"lets_in"}, w.texts("SELECT note FROM "+explanation("wishes", "wants again", "1h")))
}

func testHoldout(t *testing.T, d db) {
	w := audienceWorld{d}
	w.segment("held", store.Segment{HoldoutPermille: 200, SavedAt: origin})
	w.exec("INSERT INTO " + w.name + ".segment_hits (site_id, segment, version, step, visitor_kind, visitor_id, occurred_at, event_id, expires_at) " +
		"SELECT 'shop', 'held', 'v', 'enter', 'cookie', reinterpret(sipHash128(number), 'UUID'), '" + instant("0s") + "', reinterpret(sipHash128(number, 1), 'UUID'), '2100-01-01 00:00:00' FROM numbers(5000)")
	held := w.members("if(held_out, toString(visitor_id), '')", "held", "0s", "")
	require.Len(t, held, 5000)
	some := slices.Compact(held)[1:]
	require.InDelta(t, 1000, len(some), 120, "20 %")
	require.ElementsMatch(t, some, w.texts("SELECT toString(visitor_id) FROM %s.audiences_of(site = 'shop', at = '"+instant("1h")+"', visitors = ['"+strings.Join(some, "', '")+"']) WHERE held_out AND segment = 'held'"))
	w.segment("held", store.Segment{HoldoutPermille: 100, SavedAt: origin.Add(time.Second)})
	fewer := slices.Compact(w.members("if(held_out, toString(visitor_id), '')", "held", "0s", ""))[1:]
	require.InDelta(t, 500, len(fewer), 100, "10 %")
	require.Subset(t, some, fewer, "a smaller share is a part of the larger")
}

func testMinted(t *testing.T, d db) {
	w := audienceWorld{d}
	w.segment("minted", store.Segment{})
	w.hits("minted", "came once", "0s enter p1 - kind=minted; 1m enter p2 - kind=minted")
	w.hits("minted", "came back", "0s enter p1 - kind=minted; 1m leave p9 -; 2m enter p1 - kind=minted")
	require.Equal(t, ids("came once"), w.members("visitor_id", "minted", "1h", ") WHERE (minted"))
	require.Equal(t, ids("came back"), w.members("visitor_id", "minted", "1h", ") WHERE (NOT minted"))
}

func testVersions(t *testing.T, d db) {
	w := audienceWorld{d}
	later := func(n int) time.Time { return origin.Add(time.Duration(n) * time.Second) }
	who := func(more string) []string { return w.members("visitor_id", "changed", "1h", more) }
	w.hits("changed", "of the old", "0s enter p1 - version=old")
	w.hits("changed", "of the new", "0s enter p1 - version=new")
	require.Empty(t, who(""), "a segment that nobody knows")
	w.segment("changed", store.Segment{Version: "old", SavedAt: later(1)})
	require.Equal(t, ids("of the old"), who(""))
	w.segment("changed", store.Segment{Version: "new", State: store.SegmentFilling, SavedAt: later(2)})
	require.Equal(t, ids("of the old"), who(""), "the new version is being filled")
	require.Equal(t, ids("of the new"), who(", version = 'new'"), "but may be asked about")
	require.Empty(t, who(", version = 'none'"))
	w.segment("changed", store.Segment{Version: "new", SavedAt: later(3)})
	require.Equal(t, ids("of the new"), who(""))
	require.Equal(t, ids("of the old"), who(", version = 'old'"), "the one before may be asked about")
	w.segment("changed", store.Segment{Version: "new", AfterMs: 2 * hourMs, SavedAt: later(4)})
	require.Empty(t, who(""), "a changed parameter holds for the past too")
	active := func() []string {
		return w.texts("SELECT concat(version, ' ', toString(after_ms)) FROM %s.active_segments WHERE site_id = 'shop' AND segment = 'changed'")
	}
	require.Equal(t, []string{"new 7200000"}, active())
	w.segment("changed", store.Segment{Version: "new", State: store.SegmentRemoved, SavedAt: later(5)})
	require.Empty(t, who(""))
	require.Empty(t, active())
	require.Empty(t, w.texts("SELECT segment FROM %s.audiences_of(site = 'shop', at = '"+instant("3h")+"', visitors = ['"+id("of the new").String()+"'])"))
}

// The clocks of Berlin went back on 25 October 2026, so that the day ended at 23:00 UTC and the day before at 22:00.
func testSizes(t *testing.T, d db) {
	w := audienceWorld{d}
	w.segment("daily", store.Segment{Timezone: "Europe/Berlin", LivesMs: 2 * dayMs, TimesMax: 2})
	at := func(text string) string {
		moment, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return moment.Sub(origin).String()
	}
	hits := map[string]string{
		"before":      at("2026-10-24T12:00:00Z") + " enter p1 -",
		"last ms":     at("2026-10-24T21:59:59.999Z") + " enter p1 - kind=minted",
		"first ms":    at("2026-10-24T22:00:00Z") + " enter p1 -",
		"25th hour":   at("2026-10-25T22:59:59.999Z") + " enter p1 -",
		"next day":    at("2026-10-25T23:00:00Z") + " enter p1 -",
		"buys":        at("2026-10-25T10:00:00Z") + " enter p1 -; " + at("2026-10-26T10:00:00Z") + " leave p1 -",
		"refuses":     at("2026-10-25T10:00:00Z") + " enter p1 -; " + at("2026-10-26T10:00:00Z") + " refusal",
		"too much":    strings.Repeat(at("2026-10-26T10:00:00Z")+" enter p1 -; ", 2) + at("2026-10-27T10:00:00Z") + " enter p1 -",
		"in and out":  at("2026-10-26T10:00:00Z") + " enter p1 -; " + at("2026-10-26T11:00:00Z") + " leave p1 -",
		"comes again": at("2026-10-24T10:00:00Z") + " enter p1 -; " + at("2026-10-26T12:00:00Z") + " enter p1 -",
	}
	for name, text := range hits {
		w.hits("daily", name, text)
	}
	sizes := w.texts("SELECT concat(toString(day), ' ', toString(members), ' ', toString(minted), ' ', toString(enters), ' ', toString(exits), ' ', toString(expiries)) " +
		"FROM %s.audience_sizes(site = 'shop', segment = 'daily', from = '2026-10-23', to = '2026-10-30')")
	require.Equal(t, []string{
		"2026-10-23 0 0 0 0 0", "2026-10-24 3 1 3 0 0", "2026-10-25 6 1 3 0 0", "2026-10-26 4 0 2 1 3",
		"2026-10-27 2 0 0 1 1", "2026-10-28 0 0 0 0 2", "2026-10-29 0 0 0 0 0", "2026-10-30 0 0 0 0 0",
	}, sizes)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for i, line := range sizes {
		end := time.Date(2026, 10, 24+i, 0, 0, 0, 0, berlin).Add(-time.Millisecond)
		require.Len(t, w.members("visitor_id", "daily", end.Sub(origin).String(), ""), int(strings.Fields(line)[1][0]-'0'), line)
	}
}

func explanation(segment, visitor, at string) string {
	return "%s.audience_explained(site = 'shop', segment = '" + segment + "', visitor = '" + id(visitor).String() + "', at = '" + instant(at) + "')"
}

func testExplained(t *testing.T, d db) {
	w := audienceWorld{d}
	w.segment("told", store.Segment{SameProduct: true, TimesMin: 2, TimesMax: 3, WithinMs: hourMs, AfterMs: minuteMs})
	w.segment("steps", store.Segment{HasThen: true, ThenWithinMs: hourMs})
	told := func(segment, visitor, at string) []string {
		return w.texts("SELECT concat(toString(dateDiff('minute', toDateTime64('" + instant("0s") + "', 3, 'UTC'), at)), ' ', step, ' ', product, ' ', if(counted, 'counted ', ''), note) FROM " + explanation(segment, visitor, at))
	}
	w.hits("told", "a", "0m enter p1 -; 1m leave - -; 2m enter p1 - id=x; 2m enter p1 - id=x; 3m enter p1 - id=y; 4m enter - -; 5m enter p2 -; 6m leave p3 -; -3m refusal; -4m enter p1 -")
	require.Equal(t, []string{
		"-4 enter p1 stopped", "-3 refusal  stops", "0 enter p1 stopped", "1 leave  stops", "2 enter p1 counted not_enough", "3 enter p1 counted lets_in",
		"4 enter  no_product", "5 enter p2 counted not_enough", "6 leave p3 stops",
	}, told("told", "a", "10m"))
	require.Contains(t, told("told", "a", "3m"), "3 enter p1 counted waits")
	require.Contains(t, told("told", "a", "1500m"), "3 enter p1 counted expired")
	w.hits("told", "b", "0m enter p1 -; 1m enter p1 -; 2m enter p1 -; 3m enter p1 -; 90m enter p1 - id=z; 91m enter p1 - id=q; 92m enter p1 - id=z")
	require.Equal(t, []string{
		"0 enter p1 counted stopped", "1 enter p1 counted stopped", "2 enter p1 counted stopped", "3 enter p1 counted too_much",
		"90 enter p1 repeated", "91 enter p1 counted not_enough", "92 enter p1 counted lets_in",
	}, told("told", "b", "100m"))
	w.hits("steps", "c", "-1m then - -; 0m enter p1 -; 1m then - -; 30m then - -; 2h enter p1 -; 200m then - -")
	require.Equal(t, []string{
		"-1 then  out_of_time", "0 enter p1 counted qualifies", "1 then  follows", "30 then  lets_in", "120 enter p1 counted qualifies", "200 then  out_of_time",
	}, told("steps", "c", "4h"))

	proof := batch(1, 1)
	proof[0].EventID, proof[0].VisitorID, proof[0].ConsentMeasure, proof[0].ConsentProfile, proof[0].ConsentDecidedBy = id("y"), id("a"), true, true, "banner"
	w.add(proof...)
	require.Equal(t, []string{"measure,profile banner"}, w.texts("SELECT concat(arrayStringConcat(consent, ','), ' ', decided_by) FROM "+explanation("told", "a", "10m")+" WHERE note = 'lets_in'"))
	require.Empty(t, told("nothing", "a", "10m")[1:], "of a segment that nobody knows only the refusal is there")
}
