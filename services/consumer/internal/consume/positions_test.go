package consume

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
)

func TestGroupPositions(t *testing.T) {
	t.Parallel()
	together(t, map[string]func(t *testing.T){
		"idle, declared and lost positions are told apart":                         positionsOfAllKinds,
		"a position that is not onepx's own is an error, and the others are known": foreignPosition,
		"a topic that does not exist is an error of its name":                      positionsOfNoTopic,
	})
}

func positionsOfAllKinds(t *testing.T) {
	c := newCluster(t)
	at := func(p int) store.Partition { return store.Partition{Topic: eventlog.TopicEvents, ID: p} }
	require.NoError(t, c.reset(t, 0, 20, idleAt(7)))
	require.NoError(t, c.reset(t, 1, 20, Declaration{Range: store.Range{Partition: at(1), First: 20, Last: 24}, Rules: "r", Suppression: 5}.Metadata()))
	positions, err := GroupPositions(t.Context(), c.client, groupName, eventlog.TopicEvents, c.house)
	require.NoError(t, err)
	require.Equal(t, []Position{
		{Partition: at(0), First: 20, Last: 19, Suppression: 7, Committed: true}, {Partition: at(1), First: 20, Last: 24, Suppression: 5, Committed: true},
		{Partition: at(2), First: 0, Last: -1}, {Partition: at(3), First: 0, Last: -1},
	}, positions)

	c.produce(t, 0, 11)
	behind, err := Behind(t.Context(), c.client, positions)
	require.NoError(t, err)
	require.Equal(t, map[int]int64{0: 0, 1: 0, 2: 3, 3: 3}, behind, "the first two stand behind the end")

	_, err = GroupPositions(t.Context(), c.client, "another group", eventlog.TopicEvents, c.house)
	require.ErrorContains(t, err, "another group")
}

func foreignPosition(t *testing.T) {
	c := newCluster(t)
	require.NoError(t, c.reset(t, 1, 3, ""))
	positions, err := GroupPositions(t.Context(), c.client, groupName, eventlog.TopicEvents, c.house)
	require.Len(t, positions, 3, "the others")
	require.ErrorIs(t, err, errForeign)
	require.ErrorContains(t, err, "partition 1: the committed offset 3 was not written by onepx; see offsets_moved")
}

func positionsOfNoTopic(t *testing.T) {
	c := newCluster(t)
	_, err := GroupPositions(t.Context(), c.client, groupName, "no.such.topic", c.house)
	require.ErrorContains(t, err, "no.such.topic")
}
