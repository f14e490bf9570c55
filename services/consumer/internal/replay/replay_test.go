package replay

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/services/consumer/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestARangeIsCutWhereWhatViewsHaveChanges(t *testing.T) {
	p := store.Partition{Topic: "onepx.events", ID: 1}
	for _, tc := range []struct {
		name string
		// facts are those of the offsets from 10 on: k kept, m made, . not told.
		facts string
		want  []block
	}{
		{"all alike", "kkk", []block{{Range: store.Range{Partition: p, First: 10, Last: 12}, facts: store.FactsKept}}},
		{"nothing tells", "..", []block{{Range: store.Range{Partition: p, First: 10, Last: 11}, facts: store.FactsUnknown}}},
		{"what is not told goes with those before it, or after it", "..m.k.", []block{
			{Range: store.Range{Partition: p, First: 10, Last: 13}, facts: store.FactsMade},
			{Range: store.Range{Partition: p, First: 14, Last: 15}, facts: store.FactsKept},
		}},
		{"each change cuts", "kmk", []block{
			{Range: store.Range{Partition: p, First: 10, Last: 10}, facts: store.FactsKept},
			{Range: store.Range{Partition: p, First: 11, Last: 11}, facts: store.FactsMade},
			{Range: store.Range{Partition: p, First: 12, Last: 12}, facts: store.FactsKept},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			words := map[byte]string{'k': store.FactsKept, 'm': store.FactsMade, '.': ""}
			read := store.Range{Partition: p, First: 10, Last: 9 + int64(len(tc.facts))}
			require.Equal(t, tc.want, cut(read, func(offset int64) string { return words[tc.facts[offset-10]] }))
		})
	}
}

func TestRowsCountAsDeclaredInTheOrderOfOffsets(t *testing.T) {
	noon := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) *store.Neighbour {
		return &store.Neighbour{DeclaredAt: noon.Add(time.Duration(minutes) * time.Minute)}
	}
	record := []kafka.Message{{Time: noon}}
	for _, tc := range []struct {
		name          string
		before, after *store.Neighbour
		records       []kafka.Message
		want          int
	}{
		{"when the first record was published", at(-5), at(5), record, 0},
		{"but not before the row before it", at(2), at(5), record, 2},
		{"nor after the row after it", at(-5), at(-2), record, -2},
		{"without rows, when it was published", nil, nil, record, 0},
		{"without records, with the row before", at(-5), at(5), nil, -5},
		{"without records and rows before, with the row after", nil, at(5), nil, 5},
		{"with nothing at all, now", nil, nil, nil, 60},
		{"a publisher's clock is ahead", at(-5), nil, []kafka.Message{{Time: noon.Add(3 * time.Hour)}}, 60},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, at(tc.want).DeclaredAt, declaredAt(tc.before, tc.after, tc.records, noon.Add(time.Hour)))
		})
	}
}

func TestHolesAreTakenByWindowsOfOffsets(t *testing.T) {
	of := func(first, last int64) store.Range { return store.Range{First: first, Last: last} }
	for _, tc := range []struct {
		name              string
		holes             []store.Range
		reach             store.Range
		last              int64
		wantNow, wantLeft []store.Range
	}{
		{"up to the last hole", []store.Range{of(5, 5), of(9, 10)}, of(5, 10), 10, []store.Range{of(5, 5), of(9, 10)}, nil},
		{"a hole beyond is left", []store.Range{of(5, 5), of(20_000, 20_001)}, of(5, 5), 5, []store.Range{of(5, 5)}, []store.Range{of(20_000, 20_001)}},
		{"a long hole is cut", []store.Range{of(1, 1), of(3, 20_000)}, of(1, 10_000), 10_000, []store.Range{of(1, 1), of(3, 10_000)}, []store.Range{of(10_001, 20_000)}},
		{"also where few bytes were read", []store.Range{of(1, 1), of(3, 6)}, of(1, 6), 3, []store.Range{of(1, 1), of(3, 3)}, []store.Range{of(4, 6)}},
		{"nothing that Kafka holds", []store.Range{of(7, 8)}, of(7, 8), 6, nil, []store.Range{of(7, 8)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.reach, reach(tc.holes))
			now, left := take(tc.holes, tc.last)
			require.ElementsMatch(t, tc.wantNow, now)
			require.ElementsMatch(t, tc.wantLeft, left)
		})
	}
}

func TestWhatWasSuppressedAmongWhatWasStoredIsKnown(t *testing.T) {
	batch := func(offset, first, last int64) *store.Neighbour {
		return &store.Neighbour{Offset: offset, BatchFirst: first, BatchLast: last}
	}
	for _, tc := range []struct {
		name string
		// facts are those of the offsets from 10 on, beyond the hole too: k kept, m identified and not kept, . neither.
		facts         string
		last          int64
		before, after *store.Neighbour
		want          []int64
	}{
		{"between two that were kept", "k.m.mk", 15, nil, nil, []int64{12, 14}},
		{"beside one only", "mkm", 12, nil, nil, nil},
		{"beside rows of another batch", "mkm", 12, batch(9, 5, 9), batch(13, 13, 20), nil},
		{"beside rows of its batch", "mkm", 12, batch(9, 5, 10), batch(13, 12, 20), []int64{10, 12}},
		{"at the end of what was read, and kept behind it", "km.k", 11, nil, batch(14, 14, 20), []int64{11}},
		{"at the end of what was read, and not kept behind it", "km.", 11, nil, batch(13, 13, 20), nil},
		{"more than one visitor does in a row", "k" + strings.Repeat("m", withheldRun+1) + "k", withheldRun + 12, nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			filled, identified := map[int64]bool{}, map[int64]bool{}
			for i, c := range tc.facts {
				filled[10+int64(i)], identified[10+int64(i)] = c == 'k', c == 'm'
			}
			var got []int64
			for offset := range withheld(hole{Range: store.Range{First: 10, Last: tc.last}, before: tc.before, after: tc.after}, filled, identified) {
				got = append(got, offset)
			}
			slices.Sort(got)
			require.Equal(t, tc.want, got)
		})
	}
}
