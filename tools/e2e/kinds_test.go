package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/onepx/onepx/tools/internal/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheOrderOfKinds(t *testing.T) {
	all := kindNames()
	for seed := range uint64(50) {
		few, err := order("", len(all)-1, seed)
		require.NoError(t, err)
		require.NotContains(t, few, "kafka-away-long", "long kinds are left out of few rounds")

		require.Equal(t, "alerts", few[0], "the drill of alerts comes first")

		enough, err := order("", len(all), seed)
		require.NoError(t, err)
		slices.Sort(enough)
		require.Equal(t, all, enough, "where there are rounds for all, each comes once")

		many, err := order("", 3*len(all), seed)
		require.NoError(t, err)
		require.ElementsMatch(t, all, many[:len(all)])
		require.NotContains(t, many[1:], "alerts", "the drill does not come again")
		require.NotContains(t, many[len(all):], "kafka-away-long", "long kinds don't come again")
	}
	only, err := order("crowd", 2, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"crowd", "crowd"}, only)
	_, err = order("flood", 2, 1)
	require.ErrorContains(t, err, "clickhouse-away, crowd")
}

func TestAnswersOfARoundAreCountedByTheLastOfEachEvent(t *testing.T) {
	a := answers{byWord: map[string]int{}}
	a.note(load.Result{Answer: "stored", Outcome: load.Stored, Turned: 1})
	a.note(load.Result{Answer: "spooled", Outcome: load.Stored})
	a.note(load.Result{Answer: "rejected; reason=spool_full", Outcome: load.Unknown, Turned: 3})
	a.note(load.Result{Answer: "EOF", Outcome: load.Unknown})
	a.note(load.Result{Answer: "connection reset by peer", Outcome: load.Unknown})
	require.Equal(t, "spool_full=1 spooled=1 stored=1 none=2", a.String())
	require.EqualError(t, noneTurned(a), "4 requests were answered, but not as stored\n3 events were never answered as stored")
	require.NoError(t, someTurned(a))
}
