package store

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/console/internal/tailor"
	"github.com/onepx/onepx/services/shared/segments"
)

var ann, bert = uuid.UUID{1}, uuid.UUID{2}

const now = 1_795_600_000_000

func hit(visitor uuid.UUID, at int64, segment, version string) factRow {
	return factRow{Visitor: visitor, Fact: "hit", Subject: []string{segment, version, "enter", "p", "2", uuid.UUID{7}.String(), "", "-5", "0", "9"}, At: at}
}

func TestAFactThatSeveralPartsHaveIsTheNewest(t *testing.T) {
	product := func(fact string, at int64, detail string) factRow {
		return factRow{Visitor: ann, Fact: fact, Subject: []string{"p"}, At: at, Detail: detail}
	}
	moment := func(at int64) string { return time.UnixMilli(at).UTC().Format("2006-01-02 15:04:05.000") }
	people := told([]factRow{
		{Visitor: ann, Fact: "refused", At: now - 90}, {Visitor: ann, Fact: "refused", At: now - 99},
		{Visitor: ann, Fact: "shared", At: now - 3}, {Visitor: ann, Fact: "shared", At: now - 1}, {Visitor: ann, Fact: "unshared", At: now - 2},
		product("viewed", now-50, ""), product("viewed", now-60, ""), product("carted", now-40, ""), product("carted", now-95, ""),
		product("price", now-40, moment(now-40)+" EUR 7"), product("price", now-60, moment(now-60)+" USD 9"),
		product("category", now-95, moment(now-95)+" tea"),
		{Visitor: bert, Fact: "unshared", At: now - 1}, {Visitor: bert, Fact: "shared", At: now - 1},
	}, false)
	require.EqualValues(t, now-90, people[ann].refused)
	require.Greater(t, people[ann].shared, people[ann].unshared)
	require.Equal(t, people[bert].shared, people[bert].unshared, "which is no consent")
	require.Equal(t, []tailor.Seen{{ID: "p", State: "carted", PriceMicros: 7, Currency: "EUR"}}, people[ann].seen(time.UnixMilli(now)), "the category was seen before the refusal")
}

func TestAdsCountOnceAndAfterARefusal(t *testing.T) {
	ad := func(campaign, event string, at int64) factRow {
		return factRow{Visitor: ann, Fact: "ad", Subject: []string{"2026-11-27", campaign, event, "0"}, At: at}
	}
	rows := []factRow{ad("autumn", "a", now), ad("autumn", "a", now), ad("autumn", "a", now-1), ad("autumn", "b", now-5), ad("spring", "b", now)}
	require.Equal(t, map[string]uint64{"autumn": 3, "spring": 1}, told(rows, false)[ann].viewsOfAds("2026-11-27"), "of an event in two parts one counts, of an id at two moments both")
	refused := slices.Concat(rows, []factRow{{Visitor: ann, Fact: "refused", At: now - 5}})
	require.Equal(t, map[string]uint64{"autumn": 2, "spring": 1}, told(refused, false)[ann].viewsOfAds("2026-11-27"))
	require.Empty(t, told(rows, false)[ann].viewsOfAds("2026-11-28"), "of another day")
	for i := range mostFacts {
		rows = append(rows, ad("spring", "c", now-int64(i)))
	}
	require.EqualValues(t, mostFacts, told(rows, false)[ann].viewsOfAds("2026-11-27")["spring"])
}

func TestHitsAreThoseOfTheRulesVersion(t *testing.T) {
	p := told([]factRow{hit(ann, now, "s", "v"), hit(ann, now-1, "s", "old"), hit(ann, now-2, "other", "v")}, false)[ann]
	item := int64(-5)
	require.Equal(t, ofSegment{[]segments.StoredHit{{Step: "enter", Product: "p", Nth: 2, At: now, EventID: uuid.UUID{7}, ItemMicros: &item}}, 9}, p.of(&segments.Rule{Segment: "s", Version: "v"}))
	require.Empty(t, p.of(&segments.Rule{Segment: "none", Version: "v"}))
}

func TestAVisitorIsCrowdedByHitsThatCanMatter(t *testing.T) {
	rules := []segments.Rule{{Segment: "s", Version: "v", LivesMs: 1000}}
	crowd := func(n int, at int64, segment, version string, cut bool) bool {
		var rows []factRow
		for range n {
			rows = append(rows, hit(ann, at, segment, version))
		}
		return told(rows, cut)[ann].crowded(rules, now)
	}
	require.False(t, crowd(segments.MostHits, now, "s", "v", false))
	require.True(t, crowd(segments.MostHits+1, now, "s", "v", false))
	require.False(t, crowd(segments.MostHits+1, now-1000, "s", "v", false), "too old")
	require.False(t, crowd(mostFacts+1, now, "s", "old", false), "of no rule")
	require.False(t, crowd(mostFacts, now, "s", "old", true), "of no rule")
	require.True(t, crowd(mostFacts+1, now, "s", "old", true), "others were not read")
}
