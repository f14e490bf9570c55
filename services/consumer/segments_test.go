package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/segments"
	"github.com/onepx/onepx/services/shared/siteconfig"
)

func sitesWith(t *testing.T, segments string) *siteconfig.Config {
	t.Helper()
	config, err := siteconfig.Parse("f", []byte("sites: [{id: shop, timezone: UTC, currency: EUR, segments: ["+segments+"]}]"))
	require.NoError(t, err)
	return config
}

// tableAfter is what the table of segments has after consumers have begun with these configurations, one after the other.
func tableAfter(t *testing.T, now time.Time, configs ...string) (table []store.Segment, former map[string][]segments.Definition) {
	t.Helper()
	known := map[[2]string]*store.SegmentNow{}
	for _, config := range configs {
		var rows []store.Segment
		var err error
		rows, former, err = planSegments(sitesWith(t, config), known, now)
		require.NoError(t, err)
		for _, row := range rows {
			key := [2]string{row.SiteID, row.Segment}
			if known[key] == nil {
				known[key] = &store.SegmentNow{}
			}
			known[key].Newest = row
			if row.State == store.SegmentActive {
				known[key].Active = &row
			}
		}
		table = append(table, rows...)
		again, same, err := planSegments(sitesWith(t, config), known, now.Add(time.Hour))
		require.NoError(t, err)
		require.Empty(t, again, "another consumer with the same configuration adds nothing")
		require.Equal(t, former, same)
	}
	return table, former
}

func TestASegmentIsSavedWhenItDiffers(t *testing.T) {
	const was, other, named = "{id: s, enter: {event: x}}", "{id: s, enter: {event: y}}", "{id: s, name: S, enter: {event: x}}"
	for name, test := range map[string]struct {
		configs []string
		states  []string
		former  int
	}{
		"a new one":                        {[]string{was}, []string{"active"}, 0},
		"another name, the same version":   {[]string{was, named}, []string{"active", "active"}, 0},
		"another version":                  {[]string{was, other}, []string{"active", "filling"}, 1},
		"another version, and back":        {[]string{was, other, was}, []string{"active", "filling", "active"}, 0},
		"two other versions":               {[]string{was, other, "{id: s, enter: {event: z}}"}, []string{"active", "filling", "filling"}, 1},
		"gone":                             {[]string{was, ""}, []string{"active", "removed"}, 0},
		"gone while it was filled":         {[]string{was, other, ""}, []string{"active", "filling", "removed"}, 0},
		"gone and back":                    {[]string{was, "", was}, []string{"active", "removed", "active"}, 0},
		"gone and back in another version": {[]string{was, "", other}, []string{"active", "removed", "active"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 11, 26, 12, 0, 0, 123_456_789, time.UTC)
			table, former := tableAfter(t, now, test.configs...)
			var states []string
			for i, row := range table {
				states = append(states, row.State)
				require.Equal(t, now.Truncate(time.Millisecond).Add(time.Duration(i)*time.Millisecond), row.SavedAt, "in order, whatever the clocks say")
			}
			require.Equal(t, test.states, states)
			require.Len(t, former["shop"], test.former)
			if test.former > 0 {
				require.Equal(t, segments.NewDefinition(sitesWith(t, was).Sites[0].Segments[0], "EUR"), former["shop"][0])
			}
		})
	}
}

func TestARowOfASegmentHasAllThatQuestionsNeed(t *testing.T) {
	table, _ := tableAfter(t, time.UnixMilli(1).UTC(), `{id: s, name: S, enter: {event: x}, then: {event: y}, then_within: 2h, same_product: true,
		times: {min: 2, max: 3}, within: 3h, value: {max: "5"}, after: 1m, lives: 1d, holdout: 2.5, stream: true}`)
	micros := int64(5_000_000)
	require.Equal(t, []store.Segment{{
		SiteID: "shop", Segment: "s", Version: table[0].Version, Name: "S", State: "active", SameProduct: true, TimesMin: 2, TimesMax: 3, WithinMs: 10_800_000,
		ValueMaxMicros: &micros, HasThen: true, ThenWithinMs: 7_200_000, AfterMs: 60_000, LivesMs: 86_400_000, HoldoutPermille: 25, Stream: true, Timezone: "UTC",
		Rule: `{"id":"s","name":"S","enter":{"event":"x"},"then":{"event":"y"},"same_product":true,"times":{"min":2,"max":3},"within":"3h",` +
			`"value":{"max":"5"},"then_within":"2h","after":"1m","lives":"1d","holdout":2.5,"stream":true,"currency":"EUR"}`,
		SavedAt: time.UnixMilli(1).UTC(),
	}}, table)
	require.Regexp(t, "^[0-9a-f]{12}$", table[0].Version)
}

func TestAStoredRuleThatCannotBeReadStopsTheConsumer(t *testing.T) {
	broken := store.Segment{SiteID: "shop", Segment: "s", Version: "1", State: store.SegmentActive, Rule: "{"}
	_, _, err := planSegments(sitesWith(t, "{id: s, enter: {event: x}}"), map[[2]string]*store.SegmentNow{{"shop", "s"}: {Newest: broken, Active: &broken}}, time.Now())
	require.ErrorContains(t, err, "segment s of shop: stored rule: ")
}
