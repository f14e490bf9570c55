package consume

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/stretchr/testify/require"

	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/eventlog"
)

// reset commits a position by hand, as tools do: only an empty group lets them.
func (c *cluster) reset(t *testing.T, p int, offset int64, metadata string) error {
	t.Helper()
	return commitPosition(t.Context(), c.client, store.Partition{Topic: eventlog.TopicEvents, ID: p}, Committed{Offset: offset, Metadata: metadata},
		kafka.OffsetCommitRequest{GroupID: groupName, GenerationID: -1})
}

func (c *cluster) position(t *testing.T, p int) Committed {
	t.Helper()
	committed, err := fetchPosition(t.Context(), c.client, groupName, store.Partition{Topic: eventlog.TopicEvents, ID: p})
	require.NoError(t, err)
	return committed
}

func (c *cluster) moved(t *testing.T) map[int]Moved {
	t.Helper()
	found, err := MovedOffsets(t.Context(), c.client, groupName, eventlog.TopicEvents, c.house)
	require.NoError(t, err)
	moved := map[int]Moved{}
	for _, m := range found {
		moved[m.ID] = m
	}
	return moved
}

func (c *cluster) accept(t *testing.T) error {
	t.Helper()
	found, err := MovedOffsets(t.Context(), c.client, groupName, eventlog.TopicEvents, c.house)
	require.NoError(t, err)
	return AcceptOffsets(t.Context(), c.client, groupName, c.house, found)
}

// afterStoring is a cluster whose group has stored 80 records, 20 a partition, and is empty.
func afterStoring(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t)
	m := c.join(t)
	c.produce(t, 1, 80)
	c.checkStored(t, 80)
	eventually(t, "the position is idle", c.idle)
	m.leave(t)
	return c
}

func TestAcceptOffsets(t *testing.T) {
	t.Parallel()
	together(t, map[string]func(t *testing.T){
		"nothing was moved":                      nothingWasMoved,
		"moved positions are found and accepted": movedPositionsAreAccepted,
		"a running group is left alone":          runningGroupIsLeftAlone,
		"a partition without a position":         partitionWithoutAPosition,
		"a topic that does not exist":            topicThatDoesNotExist,
	})
}

func nothingWasMoved(t *testing.T) {
	c := afterStoring(t)
	require.Empty(t, c.moved(t))
	p := store.Partition{Topic: eventlog.TopicEvents, ID: 1}
	d := Declaration{Range: store.Range{Partition: p, First: 15, Last: 19}, At: time.Now(), Day: time.Now(), Rules: "r"}
	require.NoError(t, c.reset(t, 1, d.First, d.Metadata()))
	require.Empty(t, c.moved(t), "a declared range that is stored to its end")
	require.NoError(t, c.accept(t))
	require.Equal(t, d.Metadata(), c.position(t, 1).Metadata, "what was not moved is not written")
}

func movedPositionsAreAccepted(t *testing.T) {
	c := afterStoring(t)
	require.NoError(t, c.reset(t, 0, 0, ""))
	require.NoError(t, c.reset(t, 1, 25, ""))
	require.NoError(t, c.reset(t, 2, 5, idle))
	c.produce(t, 81, 120) // ten more a partition
	m := c.join(t)
	eventually(t, "the partition that was left alone goes on", func() bool { return c.position(t, 3) == Committed{Offset: 30, Metadata: idle} })
	require.Equal(t, 90, c.rows(), "the others have stopped")
	m.leave(t)

	moved := c.moved(t)
	require.Len(t, moved, 3)
	for p, want := range map[int][3]int64{0: {0, 19, 20}, 1: {25, 19, 25}, 2: {5, 19, 20}} {
		require.Equal(t, want, [3]int64{moved[p].Committed, moved[p].Stored, moved[p].Next}, "partition %d", p)
	}
	c.house.rebuild = nil
	require.NoError(t, c.accept(t))
	require.Empty(t, c.moved(t))
	listedOf := map[int]store.Range{}
	for _, l := range c.house.rebuild {
		require.Equal(t, whyOffsetsLost, l.why)
		listedOf[l.ID] = l.Range
	}
	require.Len(t, listedOf, 3, "what the views may lack of the last batch, and hold of later ones, is listed")
	for p := range 3 {
		require.LessOrEqual(t, listedOf[p].First, int64(19))
		require.Equal(t, int64(29), listedOf[p].Last)
	}

	c.join(t)
	c.produce(t, 121, 160)
	eventually(t, "the position is idle", c.idle)
	require.Equal(t, 160-5, c.rows(), "what was skipped by hand has no row, everything else has one")
	seen := map[[2]int64]bool{}
	for _, row := range c.house.events.rows {
		place := [2]int64{int64(row.KafkaPartition), row.KafkaOffset}
		require.False(t, seen[place])
		seen[place] = true
	}
}

func runningGroupIsLeftAlone(t *testing.T) {
	c := newCluster(t)
	m := c.join(t)
	c.produce(t, 1, 80)
	c.checkStored(t, 80)
	eventually(t, "the position is idle", c.idle)
	err := AcceptOffsets(t.Context(), c.client, groupName, c.house, []Moved{{Partition: store.Partition{Topic: eventlog.TopicEvents, ID: 2}, Next: 3}})
	require.ErrorIs(t, err, ErrGenerationOver)
	require.ErrorContains(t, err, "stop all consumers first")
	require.True(t, c.idle())
	m.leave(t)
}

func partitionWithoutAPosition(t *testing.T) {
	c := newCluster(t)
	c.produce(t, 1, 8)
	require.NoError(t, c.reset(t, 1, 0, idle))
	require.Empty(t, c.moved(t))
	require.NoError(t, c.accept(t))
	require.Equal(t, int64(-1), c.position(t, 0).Offset)
}

func topicThatDoesNotExist(t *testing.T) {
	c := newCluster(t)
	_, err := MovedOffsets(t.Context(), c.client, groupName, "no.such.topic", c.house)
	require.ErrorContains(t, err, "no.such.topic", "a wrong name must not look like all is well")
}
